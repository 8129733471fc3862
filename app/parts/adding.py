"""The ways to hand sources over: files and zips, a folder, a path on this machine, the example."""

from collections.abc import Callable, Iterator, Sequence

import streamlit as st

from app import state
from app.arrival import Arrival
from app.intake import Delivery
from app.markdown import plain, sentence_of
from app.parts.dropping import draw_drop
from app.suggestions import EXAMPLE
from app.uploads import Upload
from engine.backend import Skipped
from engine.corpus.source import Cause
from engine.errors import LongdeskError

_MOST_NAMED = 5  # refused files that a sentence each is said of


def draw_adding(session_id: str | None, *, sees: bool, wide: bool = False) -> None:
    """Uploads, the folder of this machine where one was given, and what to leave out of them. wide: side by side.

    sees: whether the model can be shown images.
    """
    exclude = _excludes(state.value("exclude", ""))
    left, right = st.columns(2) if wide else (st.container(), st.container())
    images, hint = (", images and scans", "") if sees else ("", " Images wait here for a model that can see.")
    files = left.file_uploader(
        "Files or zips",
        accept_multiple_files=True,
        key=state.fresh_key("files"),
        help=f"Text and code in any encoding, PDFs, notebooks{images}. A zip is read like a folder.{hint}",
    )
    with right:
        arrival = draw_drop(session_id, exclude)
    if state.house().desk.settings.roots:
        _draw_path(session_id, exclude)
    st.text_input(
        "Leave out what matches",
        key="exclude",
        placeholder="*.lock  docs/**",
        help="Patterns as in .gitignore, with spaces between. They count for what is added from now on.",
    )
    if files:
        take_uploads(session_id, files, exclude, widget="files")
        st.rerun()
    if arrival is not None:
        take_arrival(session_id, arrival)
        st.rerun()


def _draw_path(session_id: str | None, exclude: tuple[str, ...]) -> None:
    roots = ", ".join(plain(str(root)) for root in state.house().desk.settings.roots)
    with (
        st.form("path", border=False, enter_to_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small", wrap=False),
    ):
        text = st.text_input(
            "A file or folder on this machine", help=f"Inside {roots}", key="local-path", width="stretch"
        )
        given = st.form_submit_button("Add", icon=":material/add:")
    if given and text.strip():
        _take(session_id, lambda: state.house().intake.read_path(text, exclude=exclude, session=session_id))
        st.rerun()


def draw_example_button(*, primary: bool) -> None:
    """One click to something that can be asked about."""
    if st.button(
        "Load the example",
        icon=":material/auto_stories:",
        type="primary" if primary else "secondary",
        help="Five files of a bicycle hire: code, texts and a PDF.",
        key="example",
    ):
        _take(None, lambda: state.house().intake.read_folder(EXAMPLE))
        st.rerun()


def take_uploads(
    session_id: str | None, uploads: Sequence[Upload], exclude: tuple[str, ...] = (), *, widget: str | None = None
) -> None:
    """Reads uploads into the session, or into a new one, which this tab then shows. widget: is emptied by it."""
    intake = state.house().intake
    refused = _take(session_id, lambda: intake.read_uploads(uploads, exclude=exclude, session=session_id), widget)
    told_in = state.session_id()
    if told_in is not None:
        state.tell(told_in, _sentences(refused))


def take_arrival(session_id: str | None, arrival: Arrival) -> None:
    """The same with folders that were dropped. Files that were to come and did not are named."""
    intake = state.house().intake
    refused = _take(session_id, lambda: intake.read_arrival(arrival, session=session_id))
    failed = [one for skipped in arrival.left_out.values() for one in skipped if one.cause is Cause.UNREADABLE]
    told_in = state.session_id()
    if told_in is not None:
        state.tell(told_in, _sentences([*refused, *(one for one in failed if one not in refused)]))


def take_attached(session_id: str | None, uploads: Sequence[Upload]) -> tuple[Skipped, ...]:
    """The same with what was attached to a question, which is asked even where nothing of it can be read. Returns the
    files that were refused."""
    intake = state.house().intake
    return _take(session_id, lambda: intake.read_uploads(uploads, session=session_id, may_be_empty=True))


def _sentences(refused: Sequence[Skipped]) -> Iterator[str]:
    """What was refused, and why; many are a count."""
    if len(refused) > _MOST_NAMED:
        yield f"{len(refused):,} of the files could not be read; the list of what was skipped says why."
        return
    for one in refused:
        yield f"{one.path} was not read: {one.reason}."


def _take(session_id: str | None, read: Callable[[], Delivery], widget: str | None = None) -> tuple[Skipped, ...]:
    """Between the spinner's first and last moment nothing is drawn: no redraw can cut in and have it done twice."""
    house = state.house()
    with st.spinner("Reading the files"):
        if widget is not None:
            state.renew(widget)
        try:
            delivery = read()
            if session_id is None:
                session_id = house.desk.begin_session(delivery.title, with_sources=delivery.has_sources).id
            state.tell(session_id, (notice.text for notice in house.intake.add(session_id, delivery)))
        except LongdeskError as error:
            state.say(sentence_of(error))
            return ()
        state.go_to(session_id)
        return delivery.refused


def _excludes(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
