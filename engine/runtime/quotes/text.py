"""All that was sent as one text to quote from: white space normalized, with the way back to the very bytes.

Models write one blank where a source has two, or a line's end: every run of white space is one blank here. Documents
are joined by a byte that UTF-8 never has, so that no quote goes from one into the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

SEAM = 0xFF  # between documents, and at both ends
_BLANK = 0x20
_PAD = 8  # bytes behind the last seam, so that 8 bytes can be read anywhere
# white space of more than one byte: U+0085, U+00A0; U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000
_TWO = ((0xC2, (0x85, 0xA0)),)
_THREE = (
    (0xE1, 0x9A, (0x80,)),
    (0xE2, 0x80, (*range(0x80, 0x8B), 0xA8, 0xA9, 0xAF)),
    (0xE2, 0x81, (0x9F,)),
    (0xE3, 0x80, (0x80,)),
)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Place:
    """Where words stand: document is its number among those that were given, [start, end) bytes of its UTF-8."""

    document: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SentText:
    """The joined text. data: uint8, shape [n]. starts: where each document begins in it, int64.

    breaks, deltas: from the position breaks[i] on, a byte stands deltas[i] further behind its document's start in the
    source than in data, counted from data's beginning; both int64, ascending breaks.
    """

    data: Bytes = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)
    breaks: NDArray[np.int64] = field(repr=False)
    deltas: NDArray[np.int64] = field(repr=False)

    @property
    def n_bytes(self) -> int:
        """All that it takes in memory."""
        return sum(each.nbytes for each in (self.data, self.starts, self.breaks, self.deltas))

    def place(self, start: int, end: int) -> Place:
        """The place in its source of data[start:end], which must be within one document and not empty."""
        document = int(np.searchsorted(self.starts, start, "right")) - 1
        return Place(document, self._source_byte(start), self._source_byte(end - 1) + 1)

    def _source_byte(self, position: int) -> int:
        return position + int(self.deltas[np.searchsorted(self.breaks, position, "right") - 1])


@dataclass(frozen=True, slots=True)
class Documents:
    """What an answer may be quoted from: texts in the order of the prompt, and a digest of them all."""

    digest: str
    texts: Sequence[str] = field(repr=False)

    def packed(self) -> tuple[list[int], bytes]:
        """The bytes of each in UTF-8, and all of them one behind the other."""
        parts = [text.encode("utf-8", "surrogatepass") for text in self.texts]
        return [len(part) for part in parts], b"".join(parts)


def documents_from(sizes: Sequence[int], data: bytes) -> list[bytes]:
    """The way back from packed."""
    ends = list(accumulate(sizes))
    return [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def normalized(data: bytes) -> bytes:
    """White space as in SentText: for words that are to be compared with it."""
    return _normalize(data)[0].tobytes()


def join(documents: Sequence[bytes]) -> SentText:
    """documents: the UTF-8 of each, in order. Time and memory grow with their length alone."""
    parts: list[Bytes] = []
    breaks: list[NDArray[np.int64]] = []
    deltas: list[NDArray[np.int64]] = []
    starts = np.zeros(len(documents), dtype=np.int64)
    seam = np.full(1, SEAM, dtype=np.uint8)
    at = 1
    for number, document in enumerate(documents):
        starts[number] = at
        data, where, shift = _normalize(document)
        parts += [seam, data]
        breaks += [np.array([at], dtype=np.int64), where + at]
        deltas += [np.array([-at], dtype=np.int64), shift - at]
        at += len(data) + 1
    parts.append(np.full(1 + _PAD, SEAM, dtype=np.uint8))
    none = np.zeros(0, dtype=np.int64)
    return SentText(np.concatenate(parts), starts, np.concatenate(breaks or [none]), np.concatenate(deltas or [none]))


def _normalize(document: bytes) -> tuple[Bytes, NDArray[np.int64], NDArray[np.int64]]:
    """The bytes with every run of white space as one blank; where that moves the bytes behind it, and how far all in
    all."""
    raw = np.frombuffer(document, dtype=np.uint8)
    blank = _white_space(raw)
    if not blank.any():
        return raw, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    drop = blank.copy()
    drop[0] = False
    drop[1:] &= blank[:-1]  # the first of a run stays
    data = np.where(blank, np.uint8(_BLANK), raw)[~drop]
    ends = np.flatnonzero(drop[:-1] & ~drop[1:]) + 1  # first bytes behind what was dropped
    if not len(ends):
        return data, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    dropped = np.add.reduceat(drop, np.concatenate([[0], ends]), dtype=np.int64).cumsum()[:-1]
    return data, ends - dropped, dropped


def _white_space(raw: Bytes) -> NDArray[np.bool_]:
    """The bytes that are white space, or a part of such a character."""
    blank: NDArray[np.bool_] = (raw == _BLANK) | ((raw >= 0x09) & (raw <= 0x0D)) | ((raw >= 0x1C) & (raw <= 0x1F))
    if len(raw) < 2 or raw.max(initial=0) < 0x80:
        return blank
    for first, seconds in _TWO:
        at = np.flatnonzero(raw[:-1] == first)
        at = at[np.isin(raw[at + 1], seconds)]
        blank[at] = blank[at + 1] = True
    for first, second, thirds in _THREE:
        at = np.flatnonzero(raw[:-2] == first) if len(raw) > 2 else np.zeros(0, dtype=np.int64)
        at = at[raw[at + 1] == second]
        at = at[np.isin(raw[at + 2], thirds)]
        blank[at] = blank[at + 1] = blank[at + 2] = True
    return blank
