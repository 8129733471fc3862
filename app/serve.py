"""Starting the web page: Streamlit in this process's place, with the settings in its environment."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from app.settings import Settings
from engine.errors import LongdeskError

_PAGE = Path(__file__).with_name("main.py")


def serve(settings: Settings, port: int) -> int:
    """Runs the page until it is stopped; does not come back. Raises LongdeskError when the port is taken."""
    _refuse_taken(port)
    url = f"http://127.0.0.1:{port}"
    print(f"Longdesk is at {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if _has_screen():
        subprocess.Popen([sys.executable, "-m", "app.open_browser", url], stdin=subprocess.DEVNULL)
    environment = {
        **os.environ,
        "LONGDESK_HOME": str(settings.home.absolute()),
        "LONGDESK_MODEL": settings.model,
        "LONGDESK_MMPROJ": str(settings.mmproj.absolute()) if settings.mmproj is not None else "",
        "LONGDESK_ROOTS": os.pathsep.join(str(root) for root in settings.roots),
    }
    command = [
        *(sys.executable, "-m", "streamlit", "run", str(_PAGE)),
        *("--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"),
        *("--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"),
    ]
    os.chdir(_PAGE.parent.parent)  # Streamlit reads .streamlit/config.toml from the working directory
    os.execve(sys.executable, command, environment)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise LongdeskError(
                f"Port {port} is taken: Longdesk may be running already.",
                f"Open http://127.0.0.1:{port}, or choose another port with --port.",
            ) from None


def _has_screen() -> bool:
    """Whether a browser could open here: not on a server, not in a container, not for a script."""
    if not sys.stdin.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
