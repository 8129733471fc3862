"""The notes of a session in the right column: listed, opened, renamed, deleted, and sent as sources."""

from collections.abc import Sequence

import streamlit as st

from app import state
from app.answers.markup import blocks_of
from app.markdown import plain, when
from storage.records import KeptNote

_OPEN = "open-note"  # the session and the number of the note that is looked at
_LISTED = 50
_SEND, _RENAME, _DELETE = "Send as a source", "Rename", "Delete"


def draw_notes(session_id: str, notes: Sequence[KeptNote]) -> None:
    """The list; nothing where there are none."""
    if not notes:
        return
    with st.expander(f"Notes ({len(notes):,})", icon=":material/sticky_note_2:", expanded=len(notes) <= 5):
        with st.container(key="notes", gap=None):
            for note in notes[: state.shown(f"notes-{session_id}", _LISTED)]:
                _draw_row(session_id, note)
        if len(notes) > state.shown(f"notes-{session_id}", _LISTED):
            st.button(
                "Show more notes",
                key="more-notes",
                type="tertiary",
                on_click=state.show_more,
                args=(f"notes-{session_id}", _LISTED),
            )


def draw_open_note(session_id: str, notes: Sequence[KeptNote]) -> None:
    """The note that was opened, in a dialog."""
    looked_at = state.value(_OPEN)
    if any(looked_at == (session_id, each.number) for each in notes):
        with state.telling():  # another tab may have deleted it
            note = state.house().desk.kept_note(*looked_at)
            dialog = st.dialog(plain(note.title), width="large", icon=":material/sticky_note_2:", on_dismiss=_close)
            dialog(_draw_note)(session_id, note)


def _draw_row(session_id: str, note: KeptNote) -> None:
    with st.container(key=f"note-{note.number}", horizontal=True, gap=None, vertical_alignment="center", wrap=False):
        st.button(
            plain(note.title),
            key=f"read-note-{note.number}",
            type="tertiary",
            width="stretch",
            wrap=False,
            on_click=state.follow,
            args=(_OPEN, (session_id, note.number)),
        )
        choice = st.menu_button(
            "Send, rename or delete",
            [_SEND, _RENAME, _DELETE],
            key=f"menu-note-{note.number}",
            type="tertiary",
            icon=":material/more_vert:",
        )
    if choice == _SEND:
        _send(session_id, note)
        st.rerun()
    elif choice == _RENAME:
        _rename(session_id, note)
    elif choice == _DELETE:
        _delete(session_id, note)


def _draw_note(session_id: str, note: KeptNote) -> None:
    with st.container(key="note-text"):
        st.html(f'<div class="answer note">{"".join(block.html for block in blocks_of(note.text, ()))}</div>')
    of = f" · of question {note.turn_index + 1:,}" if note.turn_index is not None else ""
    quotes = f" · {len(note.citations):,} citations are kept with it" if note.citations else ""
    st.caption(f"Kept {when(note.created)}{of}{quotes}")
    if st.button(_SEND, key="send-note", icon=":material/add:", help="Counted and sent like any other source"):
        _close()
        _send(session_id, note)
        st.rerun()


def _send(session_id: str, note: KeptNote) -> None:
    with state.telling():
        path, notices = state.house().desk.send_note(session_id, note.number)
        state.tell(session_id, (f"{path} is a source now.", *(notice.text for notice in notices)))


@st.dialog("Rename the note", icon=":material/edit:")
def _rename(session_id: str, note: KeptNote) -> None:
    with st.form("rename-note", border=False):
        title = st.text_input("Title", value=note.title, key=f"note-title-{note.number}")
        if st.form_submit_button("Rename", type="primary", key="really-rename-note"):
            with state.telling():
                state.house().desk.rename_note(session_id, note.number, title)
            st.rerun()


@st.dialog("Delete the note?", icon=":material/delete:")
def _delete(session_id: str, note: KeptNote) -> None:
    st.markdown(f"**{plain(note.title)}** goes. The answer that it is of stays, and a source that it was sent as.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it", key="keep-note"):
            st.rerun()
        if st.button("Delete", key="really-delete-note", type="primary", icon=":material/delete:"):
            with state.telling():
                state.house().desk.delete_note(session_id, note.number)
            st.rerun()


def _close() -> None:
    state.drop(_OPEN)
