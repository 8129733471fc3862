"""How values are written into columns: text, times, token ids, JSON. Nothing here knows a table."""

import json
import sys
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def pack_text(text: str | None) -> str | bytes | None:
    """Text as it is, or its bytes where it holds lone surrogates (a file name that is no UTF-8): SQLite refuses those.

    Equal texts give equal cells, so that a packed path can be a key.
    """
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def unpack_text(cell: Any) -> str:
    """The text that pack_text was given."""
    return cell.decode("utf-8", "surrogatepass") if isinstance(cell, bytes) else str(cell)


def unpack_optional(cell: Any) -> str | None:
    """The text that pack_text was given, or None."""
    return None if cell is None else unpack_text(cell)


def pack_time() -> str:
    """This moment in UTC with microseconds, so that what happens within one second keeps its order."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def unpack_time(cell: Any) -> str:
    """ISO 8601 UTC with seconds: "2026-01-31T12:00:00Z"."""
    return f"{cell[:19]}Z"


def pack_ids(ids: Sequence[int]) -> bytes:
    """Token ids as little-endian int32."""
    return _swapped(array("i", ids)).tobytes()


def unpack_ids(cell: Any) -> tuple[int, ...]:
    """The ids that pack_ids was given; none for NULL."""
    ids = array("i")
    ids.frombytes(cell or b"")
    return tuple(_swapped(ids))


def pack_json(value: object) -> str | None:
    """A JSON document in ASCII, NULL for None. Raises TypeError for what is no JSON."""
    return None if value is None else json.dumps(value, separators=(",", ":"))


def unpack_json(cell: Any) -> Any:
    """The value that pack_json was given; tuples come back as lists."""
    return None if cell is None else json.loads(cell)


def _swapped(ids: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        ids.byteswap()
    return ids
