"""Opens the page in the user's browser once the server answers: `python -m app.open_browser HOME`, the address on
standard input.

The address has a token, and what a browser is started with can be read by every user of the machine. So it is given a
file of the home that leads there, which only its owner can read, and which is gone a while later.
"""

import os
import socket
import sys
import time
import webbrowser
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

_KEPT_S = 60.0
_NAME = "open-page.html"


def open_when_up(url: str, home: Path, *, patience_s: float = 60.0, kept_s: float = _KEPT_S) -> bool:
    """Waits until the server accepts connections, then opens the page; False when it never did."""
    parts = urlsplit(url)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return _open(url, home, kept_s)
    return False


def _open(url: str, home: Path, kept_s: float) -> bool:
    if "?" not in url:  # nothing secret
        return webbrowser.open(url)
    path = home / _NAME
    path.unlink(missing_ok=True)
    written = (
        '<!DOCTYPE html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
        f'<meta http-equiv="refresh" content="0; url={escape(url)}"><a href="{escape(url)}">Longdesk</a>'
    )
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(written)
    except OSError:  # a full disk: the address stands in the terminal
        path.unlink(missing_ok=True)
        return False
    try:
        opened = webbrowser.open(path.absolute().as_uri())
        time.sleep(kept_s)
        return opened
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    open_when_up(sys.stdin.readline().strip(), Path(sys.argv[1]))
