"""`up`: the web page. Its server takes this process's place, with the settings in its environment."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from app.cli.options import ALLOW, CHAT_TEMPLATE, CTX, LORA, MMPROJ, MODEL, ROPE_SCALING
from app.door.addresses import is_loopback, listen
from app.door.keys import PAGE_FILE, TokenUnkept, new_token, token_of
from app.door.setting import Door, door_of
from app.models.places import find_plannable
from app.models.shelf import Shelf
from app.settings import STARTER, Settings, read_settings
from engine.errors import LongdeskError
from engine.memory.lora import NO_LORA, Lora
from engine.remote.address import is_address

_HOUSE = Path(__file__).parents[2]
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@MODEL
@MMPROJ
@LORA
@CHAT_TEMPLATE
@CTX
@ROPE_SCALING
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--root", "roots", multiple=True,
              type=click.Path(path_type=Path, file_okay=False, exists=True, readable=False),
              help="A folder that the page may read; may be given several times.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="The address to listen at; one that other machines reach takes a password or sign-in.")  # fmt: skip
@ALLOW
@click.option("--password-file", type=_FILE, metavar="FILE", help="A file whose first line is the page's password.")
@click.option("--tls-cert", "certificate", type=_FILE, metavar="FILE", help="A certificate: the page is at https.")
@click.option("--tls-key", "key", type=_FILE, metavar="FILE", help="The certificate's key, without a password.")
def up(
    model: str | None,
    mmproj: Path | None,
    lora: tuple[Lora, ...] | None,
    chat_template: str | None,
    n_ctx: int | None,
    rope_scaling: str | None,
    roots: tuple[Path, ...],
    **door: Any,
) -> int:
    """Open the web page."""
    roots = tuple(root.resolve() for root in roots)
    settings = read_settings(
        model=model,
        mmproj=mmproj,
        lora=lora,
        chat_template=chat_template,
        n_ctx=n_ctx,
        rope_scaling=rope_scaling,
        roots=roots or None,
    )
    if model is not None or rope_scaling is not None:
        _refuse_model(settings)  # of a model in config.toml the page speaks: earlier answers are there to be read
    if chat_template is not None:
        _refuse_template(settings)
    return _serve(settings, door_of(settings.home, ask=_password_asked(), **door))


def _refuse_model(settings: Settings) -> None:
    """Raises ModelRefused for a file that no question could be asked of, UsageError for a name that nothing has; what
    can be had, such as the catalogue's models, and engines elsewhere, the page speaks of."""
    is_elsewhere = settings.engine() is not None or ("://" in settings.model and is_address(settings.model))
    if settings.model == STARTER or is_elsewhere:
        return
    if isinstance(find_plannable(settings.model, settings), Path):
        Shelf(settings).card(settings.model)


def _refuse_template(settings: Settings) -> None:
    """Raises UsageError and ModelRefused for one that no question could be laid out with."""
    own = settings.own_template
    if own is not None and settings.engine() is None and not is_address(settings.model):
        Shelf(settings).template(settings.model, own)


def _password_asked() -> Callable[[], str] | None:
    """Asks whoever sits there for a new password, twice; None where nobody does."""
    if not sys.stdin.isatty():
        return None
    return lambda: str(click.prompt("A password for the page", hide_input=True, confirmation_prompt=True, err=True))


def _serve(settings: Settings, door: Door) -> int:
    """Runs the page until it is stopped; does not come back. Raises LongdeskError when the port is taken."""
    _refuse_taken(door)
    url = door.url
    door = _with_token(settings.home, door)
    token = door.token or token_of(settings.home, PAGE_FILE)[0]
    if door.way == "token":
        url += f"/?token={token}"
    print(f"Longdesk is at {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if not is_loopback(door.host) and not door.is_encrypted:
        print("Other machines can reach it, and what it sends is not encrypted: see --tls-cert.", file=sys.stderr)
    if _has_screen():
        _open_browser(settings.home, url)
    environment = {
        **os.environ,
        "LONGDESK_HOME": str(settings.home.absolute()),
        "LONGDESK_MODEL": settings.model,
        "LONGDESK_MMPROJ": str(settings.mmproj.absolute()) if settings.mmproj is not None else "",
        "LONGDESK_LORA": "\n".join(map(str, settings.lora_for(settings.model))) or NO_LORA,
        "LONGDESK_CTX": str(settings.n_ctx or ""),
        "LONGDESK_ROPE_SCALING": settings.rope_scaling or "",
        "LONGDESK_CHAT_TEMPLATE": settings.chat_template if isinstance(settings.chat_template, str) else "",
        "LONGDESK_ROOTS": json.dumps([str(root) for root in settings.roots]),  # a name may hold a colon
    }
    door.put(environment)
    os.chdir(_HOUSE)  # Streamlit reads .streamlit/config.toml from the working directory
    os.execve(sys.executable, [sys.executable, "-m", "app.server", str(door.port)], environment)


def _with_token(home: Path, door: Door) -> Door:
    """On a full disk the page opens all the same: it is where room can be made."""
    try:
        token_of(home, PAGE_FILE)
    except TokenUnkept as error:
        print(f"{error.fact} What lets you in holds until the page ends.", file=sys.stderr)
        return replace(door, token=new_token())
    return door


def _open_browser(home: Path, url: str) -> None:
    """By standard input: the arguments of a process are there for every user of the machine to read."""
    command = [sys.executable, "-m", "app.open_browser", str(home.absolute())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True).stdin as stdin:  # type: ignore[union-attr]
        stdin.write(url)


def _refuse_taken(door: Door) -> None:
    try:
        listen(door.host, door.port).close()
    except LongdeskError as error:
        if "in use" not in str(error):
            raise
        raise LongdeskError(
            f"Port {door.port} is taken: Longdesk may be running already.",
            f"Open {door.url}, or choose another port with --port.",
        ) from None


def _has_screen() -> bool:
    """Whether a browser could open here: not on a server, not in a container, not for a script."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
