"""The page's entry, which Streamlit runs at every redraw: navigation only."""

import sys
from pathlib import Path

_APP = Path(__file__).resolve().parent
# Streamlit puts this folder first on sys.path: `import desk` would then be a second app.desk with a second Desk.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _APP]
if str(_APP.parent) not in sys.path:
    sys.path.insert(0, str(_APP.parent))

from app.views.frame import draw_page  # noqa: E402

draw_page()
