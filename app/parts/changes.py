"""What adding sources changed of those that were there: replaced, deleted, moved aside. Until the next question."""

import streamlit as st

from app import state
from app.markdown import plain


def draw_changes(session_id: str) -> None:
    """The sentences, quietly, and a button to be rid of them."""
    sentences = state.told(session_id)
    if not sentences:
        return
    with st.container(key="changes", horizontal=True, vertical_alignment="top", gap="small", wrap=False):
        st.caption("\n\n".join(map(plain, sentences)), width="stretch")
        st.button(
            "Dismiss",
            key=f"hush-{session_id}",
            icon=":material/close:",
            type="tertiary",
            on_click=state.hush,
            args=(session_id,),
        )
