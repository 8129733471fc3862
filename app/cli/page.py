"""`up`: the web page. Its server takes this process's place, with the settings in its environment."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import click

from app.cli.options import CHAT_TEMPLATE, MMPROJ, MODEL
from app.settings import Settings, read_settings
from engine.errors import LongdeskError

_HOUSE = Path(__file__).parents[2]


@click.command()
@MODEL
@MMPROJ
@CHAT_TEMPLATE
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="A folder that the page may read; may be given several times.")  # fmt: skip
def up(
    model: str | None, mmproj: Path | None, chat_template: str | None, port: int, roots: tuple[Path, ...]
) -> int:  # fmt: skip
    """Open the web page."""
    roots = tuple(root.resolve() for root in roots)
    settings = read_settings(model=model, mmproj=mmproj, chat_template=chat_template, roots=roots or None)
    return _serve(settings, port)


def _serve(settings: Settings, port: int) -> int:
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
        "LONGDESK_CHAT_TEMPLATE": settings.chat_template if isinstance(settings.chat_template, str) else "",
        "LONGDESK_ROOTS": os.pathsep.join(str(root) for root in settings.roots),
    }
    os.chdir(_HOUSE)  # Streamlit reads .streamlit/config.toml from the working directory
    os.execve(sys.executable, [sys.executable, "-m", "app.server", str(port)], environment)


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
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
