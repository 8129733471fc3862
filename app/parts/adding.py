"""The ways to hand sources over: files and zips, a folder, a path on this machine, the example.

What the place to drop a folder does in the browser is `drop/drop.js`. Streamlit's own uploader sends each file of a
folder in a request of its own: 1,000 take three minutes, and of 2,000 hundreds were lost without a word. This one lists
the folder, asks which files are wanted, and sends these to `server` in one request. It takes over from Streamlit's
uploaders where a folder or many files come to them.
"""

import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

from app import state
from app.additions import Ask, Read
from app.arrival import Arrival
from app.folders import FOLDERS
from app.intake import Delivery
from app.markdown import plain
from app.question import Filled
from app.reading import Tell
from app.suggestions import EXAMPLE
from app.uploads import Upload
from engine.backend import Cause, Skipped
from engine.corpus.wording import counted, listed

SOON_S = 1.0  # what is read sooner than that stands on the page at once, without a line of its progress
_HERE = Path(__file__).parent
_PACKAGE, _NAME = "longdesk", "drop"
_COMPONENT = f"{_PACKAGE}.{_NAME}"
_HINT = "Its .gitignore counts. What is left out is not sent; the list of what was skipped says what and why."


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
        arrival = _draw_drop(session_id, exclude)
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
        intake = state.house().intake
        title = text.strip().rstrip("/").rpartition("/")[2] or text
        _take(
            session_id,
            title,
            lambda session, tell: intake.read_path(text, exclude=exclude, session=session, tell=tell),
        )
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
        intake = state.house().intake
        _take(None, "The example", lambda _, tell: intake.read_folder(EXAMPLE, tell=tell))
        st.rerun()


def take_uploads(
    session_id: str | None,
    uploads: Sequence[Upload],
    exclude: tuple[str, ...] = (),
    *,
    widget: str | None = None,
    question: str | None = None,
) -> None:
    """Reads uploads into the session, or into a new one, which this tab then shows. widget: is emptied by it.

    question: that they were attached to, which is asked even where nothing of them can be read.
    """
    intake, may_be_empty = state.house().intake, question is not None

    def read(session: str | None, tell: Tell) -> Delivery:
        return intake.read_uploads(uploads, exclude=exclude, session=session, may_be_empty=may_be_empty, tell=tell)

    title = uploads[0].name if len(uploads) == 1 else counted(len(uploads), "file")
    _take(session_id, title, read, widget=widget, question=question)


def take_arrival(session_id: str | None, arrival: Arrival) -> None:
    """The same with folders that were dropped. Files that were to come and did not are named."""
    intake = state.house().intake
    failed = [one for skipped in arrival.left_out.values() for one in skipped if one.cause is Cause.UNREADABLE]
    title = listed([path.name for path in dict.fromkeys((*arrival.tops, *arrival.left_out))])
    _take(
        session_id, title, lambda session, tell: intake.read_arrival(arrival, session=session, tell=tell), lost=failed
    )


def take_commits(session_id: str | None, question: str, filled: Filled) -> None:
    """Reads the commits that a template's question is about, then asks it about these alone."""
    house, paths = state.house(), set[str]()

    def read(session: str | None, tell: Tell) -> Delivery:
        delivery = house.intake.read_commits(filled.commits, session=session)
        paths.update(source.path for _, corpus in delivery.parts for source in corpus.sources)
        return delivery

    def ask(session: str, text: str) -> None:
        if paths:  # else it is said why there are none
            house.jobs.ask(session, text, filled=filled, only=frozenset(paths))

    _take(session_id, f"Commits {filled.commits}", read, question=question, ask=ask)


def bring_back(session_id: str, path: str) -> None:
    """Reads after all what was skipped."""
    intake = state.house().intake
    _take(session_id, path, lambda _, tell: intake.read_back(session_id, path, tell=tell))


def _take(
    session_id: str | None,
    title: str,
    read: Read,
    *,
    widget: str | None = None,
    question: str | None = None,
    lost: Sequence[Skipped] = (),
    ask: Ask | None = None,
) -> None:
    """Lets it be read, and waits for what is read in a moment. lost: what is to be named besides what is refused. ask:
    see Addition.

    Where a redraw cuts in, it does so before the widget is emptied, or when the reading has begun: it is done once.
    """
    additions = state.house().additions
    if widget is not None:
        state.renew(widget)
    addition = additions.add(session_id, title, read, question=question, lost=tuple(lost), ask=ask)
    addition.join(SOON_S)
    try:
        state.watch(addition)
        state.hush(state.NOWHERE)
    finally:
        state.go_to(addition.session_id)


def _excludes(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _draw_drop(session_id: str | None, exclude: tuple[str, ...]) -> Arrival | None:
    """The place to drop a folder. Returns what has arrived since, once; it is the caller's then.

    exclude: patterns of what to leave out. A folder comes to the session in which it was dropped.
    """
    token: str = state.remember(f"drop-token-{session_id}", lambda: secrets.token_urlsafe(32))
    FOLDERS.expect(token, state.house().desk.settings.home, exclude)
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    data = {
        "address": f"{'/' + base if base else ''}/folder/{token}",
        "seen": state.value(f"drop-seen-{session_id}"),
        "hint": _HINT,
    }
    _mount(f"drop-{session_id}", data)
    arrival = FOLDERS.take(token)
    if arrival is not None:
        state.follow(f"drop-seen-{session_id}", arrival.id)
    return arrival


def _mount(key: str, data: dict[str, Any]) -> None:
    """Its files are served as files, so that they load under a policy that allows no script within a page. Streamlit
    would find them by itself only in a package that has its pyproject.toml within."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(_COMPONENT) is None:
        config = ComponentConfig(_NAME, asset_dir=_NAME)
        manager.register_from_manifest(ComponentManifest(_PACKAGE, "1", [config]), _HERE)
    _renderer()(key=key, data=data, on_arrived_change=lambda: None)


@cache
def _renderer() -> Any:
    return st.components.v2.component(_COMPONENT, js="drop.js", css="drop.css")
