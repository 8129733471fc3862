"""What stands around every view: the style, the sidebar, the sentence where nothing can be drawn at all."""

from pathlib import Path

import streamlit as st

from app import state
from app.parts.engine import draw_engine
from app.parts.plan_link import draw_plan_link
from app.parts.sessions import draw_sessions, open_session
from app.parts.style import draw_style
from app.parts.wording import sentence_of
from app.views import ask, history, plan, snapshots
from engine.errors import LongdeskError

ICON = Path(__file__).parent.parent / "parts" / "icon.svg"


def draw_page() -> None:
    """The whole page."""
    # A file: a Material symbol would be fetched from Google's servers for the tab's icon.
    st.set_page_config(page_title="Longdesk", page_icon=str(ICON), layout="wide")
    draw_style()
    asking = st.Page(ask.draw, title="Longdesk", url_path="ask", default=True)
    sessions = st.Page(history.draw, title="Sessions · Longdesk", url_path="sessions")
    planning = st.Page(plan.draw, title="What fits · Longdesk", url_path="plan")
    caches = st.Page(snapshots.draw, title="Kept KV caches · Longdesk", url_path="caches")
    for name, page in (("ask", asking), ("sessions", sessions), ("plan", planning), ("caches", caches)):
        state.keep_page(name, page)
    page = st.navigation([asking, planning, sessions, caches], position="hidden")
    try:
        state.house()
        with st.sidebar:
            _draw_sidebar()
        page.run()
    except LongdeskError as error:
        st.error(sentence_of(error), icon=":material/error:")


def _draw_sidebar() -> None:
    st.html('<div class="wordmark">Longdesk</div>')
    if st.button("New session", icon=":material/add:", width="stretch", key="new"):
        open_session(None)
    draw_sessions()
    st.page_link(state.page("sessions"), label="All sessions", icon=":material/history:")
    draw_plan_link("What fits")
    draw_engine()
