"""All sessions, with a search through everything that was asked and answered."""

import streamlit as st

from app import state
from app.markdown import plain, when
from app.parts.exporting import draw_import, export
from app.parts.sessions import delete, rename
from engine.corpus.wording import counted
from storage.records import Hit, SessionSummary

_ROWS = 50


def draw() -> None:
    """Draws the page."""
    desk = state.house().desk
    with st.container(key="history"):
        st.header("Sessions", anchor=False)
        draw_import()
        sessions = desk.sessions()
        if not sessions:
            st.markdown("No session yet. Load the example or add your own files to begin one.")
            if st.button("Begin one", type="primary", icon=":material/add:"):
                state.open_session(None)
            return
        text = st.text_input("Search titles, questions and answers", key="search-all", icon=":material/search:")
        found_in = {hit.session_id: hit for hit in desk.search(text)} if text else {}
        snippets = {id: _snippet(hit) for id, hit in found_in.items()} if text else None
        found = [session for session in sessions if snippets is None or session.id in snippets]
        if not found:
            st.caption("Nothing found. Fewer words find more.")
        n_shown = state.shown("history", _ROWS)
        for session in found[:n_shown]:
            _draw_row(session, snippets[session.id] if snippets else "")
        if len(found) > n_shown:
            st.button(
                f"Show more ({len(found) - n_shown:,})",
                key="more-history",
                on_click=state.show_more,
                args=("history", _ROWS),
            )


def _draw_row(session: SessionSummary, snippet: str) -> None:
    with st.container(key=f"history-{session.id}", horizontal=True, vertical_alignment="center"):
        turns = counted(session.turns, "question")
        lines = [f"**{plain(session.title)}**", f":small[{when(session.updated)} · {turns} · {plain(session.model)}]"]
        if snippet and snippet != session.title:
            lines.append(f":small[{plain(snippet)}]")
        st.markdown("  \n".join(lines), width="stretch")
        if st.button("Open", key=f"open-{session.id}"):
            state.open_session(session.id)
        exporting = st.button("Export", key=f"export-{session.id}")
        choice = st.menu_button("More", ["Rename", "Delete"], key=f"more-{session.id}", type="tertiary")
    if choice == "Rename":
        rename(session.id, session.title)
    elif choice == "Delete":
        delete(session.id, session.title)
    elif exporting:
        export(session.id, session.title)


def _snippet(hit: Hit) -> str:
    """What was found, and where that is not what the session shows."""
    return hit.snippet if hit.current else f"{hit.snippet} (on another branch)"
