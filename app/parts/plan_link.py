"""The way to the page that says what fits, with the session that is open."""

import streamlit as st

from app import state


def draw_plan_link(label: str, *, icon: str | None = ":material/memory:") -> None:
    session_id = state.session_id()
    st.page_link(
        state.page("plan"),
        label=label,
        icon=icon,
        query_params={"session": session_id} if session_id else None,
    )
