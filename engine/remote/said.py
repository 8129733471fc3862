"""What a server says, read as what it is to be. What comes in another shape counts as not said: a gateway, a fork or an
older version may answer anything, and none of it may end a question. Pure."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any


def fields(said: Any) -> Mapping[str, Any]:
    """An object, else one without members."""
    return said if isinstance(said, dict) else {}


def listed(said: Any) -> Sequence[Any]:
    """A list, else an empty one."""
    return said if isinstance(said, list) else ()


def whole(said: Any) -> int | None:
    """A count: 8192, 8192.0 or "8192"; None for what is none."""
    number = rate(said)
    return int(number) if number is not None and number == int(number) else None


def rate(said: Any) -> float | None:
    """A number, 0 or more; None for what is none."""
    if isinstance(said, str) and said.strip().isascii():
        try:
            said = float(said)
        except ValueError:
            return None
    if isinstance(said, bool) or not isinstance(said, int | float) or not isfinite(said):
        return None
    return said if said >= 0 else None


def text(said: Any) -> str:
    """A text, or the texts of a list of parts; else none."""
    if isinstance(said, str):
        return said
    return "".join(part["text"] for part in listed(said) if isinstance(fields(part).get("text"), str))


def ids(said: Any) -> list[int]:
    """The tokens that a call answers with. Raises ValueError for what are none."""
    found = fields(said).get("tokens")
    if not isinstance(found, list) or not all(isinstance(each, int) for each in found):
        raise ValueError("no tokens")
    return found
