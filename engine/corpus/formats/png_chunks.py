"""The chunks of a PNG that are not its pixels, looked through before a decoder sees them.

Pillow gives a whole image up for a text or a colour profile that unpacks to more than 1 MiB, and for a wrong checksum
of a comment. Nothing of that is needed to see it: what a decoder would stumble over is taken out, and it is said where
that was damaged or large. Layout: https://www.w3.org/TR/png-3/.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from engine.corpus.wording import MIB, listed

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_AT = 25  # the kind of colour, in the header that is always the first chunk
_LIMIT = MIB  # of a chunk that is unpacked or kept as text, as Pillow has it
_PACKED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_TEXTS = _PACKED | {b"tEXt"}
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_TURNING = frozenset({b"eXIf"})
_SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7, b"acTL": 8, b"fcTL": 26}


@dataclass(frozen=True, slots=True)
class _Chunk:
    """start, end: of the whole of it, length and checksum included."""

    kind: bytes
    start: int
    end: int
    data: memoryview

    @property
    def is_needed(self) -> bool:
        """Whether it stands for pixels; its first letter says so."""
        return not self.kind[0] & 0x20


def without_stumbling_blocks(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A PNG as a decoder can take it, the same bytes where nothing is wrong, and notes on what was left out."""
    dropped: list[_Chunk] = []
    damaged: dict[str, None] = {}
    large: dict[str, None] = {}
    n_text = 0
    for chunk in _chunks(data):
        if chunk.is_needed:
            continue
        name = chunk.kind.decode("latin-1")
        if not name.isalpha() or _is_damaged(chunk, data):
            damaged[name if name.isalpha() else "?"] = None
        elif chunk.kind in _TEXTS:
            n_unpacked = _n_unpacked(chunk) or 0
            n_text += n_unpacked
            if n_unpacked <= _LIMIT and n_text <= 16 * _LIMIT:
                continue
            large[name] = None
        else:
            continue
        dropped.append(chunk)
    if any(chunk.kind in _ANIMATION for chunk in dropped):  # a part of an animation is none
        dropped = [chunk for chunk in _chunks(data) if chunk.kind in _ANIMATION or chunk in dropped]
    return _without(data, dropped), tuple(_notes(damaged, large))


def _notes(damaged: dict[str, None], large: dict[str, None]) -> Iterator[str]:
    if damaged:
        side = ": it may lie on its side" if any(kind.decode() in damaged for kind in _TURNING) else ""
        yield f"Damaged data beside its pixels was left out ({listed(list(damaged))}){side}."
    if large:
        yield f"Text or a colour profile of more than 1 MiB in it was left out ({listed(list(large))})."


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Up to the end mark, or as far as they make sense."""
    at, view = len(_SIGNATURE), memoryview(data)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data):
            return
        kind = data[at + 4 : at + 8]
        yield _Chunk(kind, at, end, view[at + 8 : end - 4])
        if kind == b"IEND":
            return
        at = end


def _is_damaged(chunk: _Chunk, data: bytes) -> bool:
    checksum = int.from_bytes(data[chunk.end - 4 : chunk.end])
    if zlib.crc32(chunk.data, zlib.crc32(chunk.kind)) != checksum:
        return True
    if chunk.kind in _PACKED:
        return _n_unpacked(chunk) is None
    if chunk.kind == b"tRNS":  # of gray and of colours one value a channel; of a palette up to one a colour
        colour = data[_COLOUR_AT : _COLOUR_AT + 1]
        return len(chunk.data) < {b"\0": 2, b"\2": 6}.get(colour, 0)
    return len(chunk.data) != _SIZES.get(chunk.kind, len(chunk.data))


def _n_unpacked(chunk: _Chunk) -> int | None:
    """How many bytes a text or a profile unpacks to, up to little more than the limit; None for one that is none."""
    if chunk.kind not in _PACKED:
        return len(chunk.data)
    raw = bytes(chunk.data)
    end = raw.find(b"\0")  # of its name
    if end < 0 or len(raw) < end + 3:
        return None
    at = end + 2
    if chunk.kind == b"iTXt":
        at = raw.find(b"\0", raw.find(b"\0", end + 3) + 1) + 1
        if raw[end + 1 : end + 2] != b"\1":
            return len(raw)
    try:
        return len(zlib.decompressobj().decompress(raw[at:], _LIMIT + 1))
    except zlib.error:
        return None


def _without(data: bytes, dropped: list[_Chunk]) -> bytes:
    if not dropped:
        return data
    pieces, at = [], 0
    for chunk in dropped:
        pieces.append(data[at : chunk.start])
        at = chunk.end
    return b"".join([*pieces, data[at:]])
