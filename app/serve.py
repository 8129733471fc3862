"""Starting the web page: Streamlit in this process's place, with the settings in its environment."""

import os
import sys
from pathlib import Path

from app.settings import Settings

_PAGE = Path(__file__).with_name("main.py")


def serve(settings: Settings, port: int) -> int:
    """Runs the page until it is stopped; does not return where the system can replace the process."""
    environment = {
        **os.environ,
        "LONGDESK_HOME": str(settings.home),
        "LONGDESK_MODEL": settings.model,
        "LONGDESK_ROOTS": os.pathsep.join(str(root) for root in settings.roots),
    }
    command = [
        *(sys.executable, "-m", "streamlit", "run", str(_PAGE)),
        *("--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"),
    ]
    os.chdir(_PAGE.parent.parent)  # Streamlit reads .streamlit/config.toml from the working directory
    os.execve(sys.executable, command, environment)
