"""A tiny real model that talks for long, in words without marks."""

from pathlib import Path

from tests.browser.server import Server
from tests.models.cache import folder
from tests.models.scripted import build_scripted

N_WORDS = 1_200  # no two are alike, for one that repeats itself is ended
_VERSION = 3


def talker() -> Path:
    """Its path; made once."""
    path = folder() / f"talker-{_VERSION}.gguf"
    if not path.exists():
        folder().mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.gguf")
        build_scripted(part, [f" boat{number}" for number in range(N_WORDS)], n_ctx=16_384)
        part.replace(path)
    return path


def talking(home: Path, *, reply_tokens: int, n_ctx: int) -> Server:
    """A page that asks it, not started yet."""
    server = Server(home, reply_tokens=reply_tokens, asks=False)
    with (home / "config.toml").open("a") as config:
        config.write(f'model = "{talker()}"\nn_ctx = {n_ctx}\nquotes = false\n')
    return server
