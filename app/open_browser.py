"""Opens the page in the user's browser once the server answers: `python -m app.open_browser URL`."""

import socket
import sys
import time
import webbrowser
from urllib.parse import urlsplit


def open_when_up(url: str, *, patience_s: float = 60.0) -> bool:
    """Waits until the server accepts connections, then opens the page; False when it never did."""
    parts = urlsplit(url)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return webbrowser.open(url)
    return False


if __name__ == "__main__":
    open_when_up(sys.argv[1])
