"""A tiny real model that talks for as long as it is let, in words without marks."""

from pathlib import Path

from tests.models.cache import folder
from tests.models.scripted import build_scripted

_WORDS = (
    *("the harbour light is on and", " every boat comes home", " before winter,", " then nobody sails", " until May"),
    *(" when ice breaks up", " near old piers;", " so men mend nets", " while children learn knots", " by lamps,"),
    *(" each evening", " of those long months."),
)
_VERSION = 1


def talker() -> Path:
    """Its path; made once."""
    path = folder() / f"talker-{_VERSION}.gguf"
    if not path.exists():
        folder().mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.gguf")
        build_scripted(part, _WORDS, n_ctx=16_384, back_to=_WORDS[1])
        part.replace(path)
    return path
