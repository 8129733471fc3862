"""Taking a session out as a file, and bringing one in."""

from collections.abc import Callable

import streamlit as st

from app import state
from app.markdown import plain
from app.parts.sessions import open_session


@st.dialog("Export the session", icon=":material/download:")
def export(session_id: str, title: str) -> None:
    """A file of it, in one of three formats."""
    st.markdown(f"**{plain(title)}**")
    whole = st.checkbox(
        "With what the sources hold",
        value=True,
        key="export-whole",
        help="JSON without it cannot be imported; a page without it has no images.",
    )
    name = f"longdesk-{session_id}"
    _draw("Page", "One HTML file that needs nothing else", f"{name}.html", "text/html", _page(session_id, whole))
    _draw("Markdown", "Questions and answers as text", f"{name}.md", "text/markdown", _markdown(session_id))
    _draw("JSON", "All of it, to be imported again", f"{name}.json", "application/json", _json(session_id, whole))


def draw_import() -> None:
    """Where an export is brought in."""
    for sentence in state.said():
        st.error(sentence, icon=":material/error:")
    with st.expander("Import a session", icon=":material/upload:"):
        file = st.file_uploader("A JSON export", type="json", key=state.fresh_key("import"))
    if file is None:
        return
    state.renew("import")
    with state.telling():
        imported = state.house().desk.take_in(bytes(file.getbuffer()))
        state.tell(imported.session.id, () if imported.has_its_id and imported.is_new else (imported.sentence,))
        open_session(imported.session.id)
    st.rerun()


def _draw(label: str, what: str, name: str, mime: str, data: Callable[[], bytes]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(label, key=f"export-{label}", data=data, file_name=name, mime=mime, on_click="ignore")
        st.caption(what)


def _page(session_id: str, whole: bool) -> Callable[[], bytes]:
    def page() -> bytes:
        from app.exchange.page import session_page

        return session_page(state.house().desk.record(session_id), with_images=whole)

    return page


def _markdown(session_id: str) -> Callable[[], bytes]:
    def markdown() -> bytes:
        from app.export import session_markdown

        return session_markdown(state.house().desk.record(session_id)).encode("utf-8", "replace")

    return markdown


def _json(session_id: str, whole: bool) -> Callable[[], bytes]:
    return lambda: state.house().desk.export(session_id, with_sources=whole)
