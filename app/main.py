"""The page's entry, which Streamlit runs at every redraw: the style, the sidebar, the way to each view."""

import os
import sys
from pathlib import Path

_APP = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_APP)
# Streamlit puts this folder first on sys.path, where `import desk` would find a second app.desk with a second Desk, and
# `import settings` ours in place of a library's. It goes to the end, once, and not away: Streamlit would add and remove
# it at every redraw, and an import that is under way in another thread misses what moves meanwhile.
if sys.path[0] == _APP:
    sys.path.append(_APP)
    sys.path.remove(_APP)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

import streamlit as st  # noqa: E402

from app import state  # noqa: E402
from app.markdown import sentence_of  # noqa: E402
from app.parts.engine import draw_engine  # noqa: E402
from app.parts.sessions import draw_sessions  # noqa: E402
from app.parts.strip import draw_plan_link, draw_reading_link  # noqa: E402
from app.views import ask, connections, history, plan, reading, snapshots, summary  # noqa: E402
from engine.errors import LongdeskError  # noqa: E402

_PARTS = Path(_APP) / "parts"
ICON = _PARTS / "icon.svg"


def draw_page() -> None:
    """The whole page."""
    # A file: a Material symbol would be fetched from Google's servers for the tab's icon.
    st.set_page_config(page_title="Longdesk", page_icon=str(ICON), layout="wide")
    st.html(_PARTS / "style.css")  # beside the theme in .streamlit/config.toml: one sheet, the same for every view
    asking = st.Page(ask.draw, title="Longdesk", url_path="ask", default=True)
    sessions = st.Page(history.draw, title="Sessions · Longdesk", url_path="sessions")
    planning = st.Page(plan.draw, title="What fits · Longdesk", url_path="plan")
    caches = st.Page(snapshots.draw, title="Kept KV caches · Longdesk", url_path="caches")
    reaching = st.Page(reading.draw, title="How far it reads · Longdesk", url_path="reading")
    summing = st.Page(summary.draw, title="Summary · Longdesk", url_path="summary")
    pages = {"ask": asking, "plan": planning, "sessions": sessions, "caches": caches, "reading": reaching}
    pages["summary"] = summing
    pages["connections"] = st.Page(connections.draw, title="Connections · Longdesk", url_path="connections")
    for name, page in pages.items():
        state.keep_page(name, page)
    page = st.navigation([*pages.values()], position="hidden")
    try:
        state.house()
        with st.sidebar:
            _draw_sidebar()
        _draw_full_disk()
        page.run()
    except LongdeskError as error:
        st.error(sentence_of(error), icon=":material/error:")


def _draw_sidebar() -> None:
    st.html('<div class="wordmark">Longdesk</div>')
    if st.button("New session", icon=":material/add:", width="stretch", key="new"):
        state.open_session(None)
    draw_sessions()
    st.page_link(state.page("sessions"), label="All sessions", icon=":material/history:")
    draw_plan_link("What fits")
    draw_reading_link("How far it reads")
    draw_engine()


def _draw_full_disk() -> None:
    """Before anything is asked that could not be kept."""
    if (error := state.house().desk.full_disk()) is not None:
        st.warning(
            f"{sentence_of(error)} Until then, what is kept here can be read and deleted, and nothing be asked.",
            icon=":material/hard_drive:",
        )


if __name__ == "__main__":
    draw_page()
