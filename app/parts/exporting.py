"""Taking a session out as a file, and bringing one in."""

from functools import partial

import streamlit as st

from app import state
from app.markdown import plain

_FORMATS = (
    ("Page", "html", "One HTML file that needs nothing else", "text/html"),
    ("Markdown", "md", "Questions and answers as text", "text/markdown"),
    ("JSON", "json", "All of it, to be imported again", "application/json"),
)


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
    for label, layout, what, mime in _FORMATS:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                label,
                key=f"export-{layout}",
                data=partial(state.house().desk.export, session_id, layout, with_sources=whole),
                file_name=f"longdesk-{session_id}.{layout}",
                mime=mime,
                on_click="ignore",
            )
            st.caption(what)


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
        state.open_session(imported.session.id)
    st.rerun()
