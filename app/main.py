"""The page's entry, which Streamlit runs at every redraw: navigation only."""

import os
import sys

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

from app.views.frame import draw_page  # noqa: E402

draw_page()
