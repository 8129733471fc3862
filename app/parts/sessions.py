"""The sidebar's list of sessions: opening, finding, renaming, exporting and deleting them."""

import streamlit as st

from app import state
from app.markdown import plain, sentence_of
from app.parts.exporting import export
from engine.errors import LongdeskError

_ROWS = 12


def draw_sessions() -> None:
    """The newest sessions, or those in which the searched words occur."""
    desk = state.house().desk
    text = st.text_input(
        "Search sessions", key="search", placeholder="Search sessions", label_visibility="collapsed",
        icon=":material/search:",
    )  # fmt: skip
    if text and text.strip():
        hits = desk.search(text)
        rows = [(hit.session_id, hit.title, "" if hit.snippet == hit.title else hit.snippet) for hit in hits]
    else:
        rows = [(session.id, session.title, "") for session in desk.sessions()]
    n_shown = state.shown("sessions", _ROWS)
    with st.container(key="sessions", gap=None):
        for session_id, title, snippet in rows[:n_shown]:
            _draw_row(session_id, title, snippet)
    if not rows:
        st.caption("Nothing found. Fewer words find more." if text else "Sessions appear here once you ask.")
    if len(rows) > n_shown:
        st.button(
            f"Show more ({len(rows) - n_shown:,})", key="more-sessions", type="tertiary",
            on_click=state.show_more, args=("sessions", _ROWS),
        )  # fmt: skip


def _draw_row(session_id: str, title: str, snippet: str) -> None:
    current = session_id == state.session_id()
    house = state.house()
    running = any(job.session_id == session_id for job in house.jobs.running()) or house.additions.of(session_id)
    with st.container(key=f"session-{'current-' if current else ''}{session_id}", horizontal=True, gap=None,
                      vertical_alignment="center", wrap=False):  # fmt: skip
        if st.button(
            plain(title), key=f"go-{session_id}", type="tertiary", width="stretch", wrap=False,
            icon=":material/pending:" if running else None,
        ):  # fmt: skip
            state.open_session(session_id)
        choice = st.menu_button(
            "Rename, export or delete", ["Rename", "Export", "Delete"], key=f"menu-{session_id}", type="tertiary",
            icon=":material/more_vert:",
        )  # fmt: skip
    if snippet:
        st.caption(plain(snippet))
    if choice == "Rename":
        rename(session_id, title)
    elif choice == "Export":
        export(session_id, title)
    elif choice == "Delete":
        delete(session_id, title)


@st.dialog("Rename the session", icon=":material/edit:")
def rename(session_id: str, title: str) -> None:
    with st.form("rename", border=False):
        new = st.text_input("Title", value=title)
        if st.form_submit_button("Rename", type="primary"):
            try:
                state.house().desk.rename(session_id, new)
            except LongdeskError as error:
                st.error(sentence_of(error))
                return
            st.rerun()


@st.dialog("Delete the session?", icon=":material/delete:")
def delete(session_id: str, title: str) -> None:
    st.markdown(f"**{plain(title)}** goes with its questions, answers and kept KV cache. This cannot be undone.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it", key="keep"):
            st.rerun()
        if st.button("Delete", key="really-delete", type="primary", icon=":material/delete:"):
            house = state.house()
            try:
                house.desk.delete_session(session_id)
            except LongdeskError as error:
                st.error(sentence_of(error))
                return
            house.additions.forget(session_id)
            house.jobs.forget(session_id)
            house.intake.forget(session_id)
            if state.session_id() == session_id:
                state.go_to(None)
            st.rerun()
