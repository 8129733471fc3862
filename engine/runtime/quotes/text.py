"""All that was sent as one text to quote from: white space normalized, with the way back to the very bytes.

Models write one blank where a source has two, or a line's end: every run of white space is one blank here. Documents
are joined by a byte that UTF-8 never has, so that no quote goes from one into the next.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

SEAM = 0xFF  # between documents, and at both ends
_BLANK, _LINE_END = 0x20, 0x0A
_PAD = 8  # bytes behind the last seam, so that 8 bytes can be read anywhere
_BLOCK = 1 << 20  # bytes that are normalized at once, 4 at least: what that takes is many times as much
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
    source than in data, counted from data's beginning; both int32, ascending breaks, of equal ones the last counts.
    paragraphs: of breaks, those behind an empty line.
    """

    data: Bytes = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)
    breaks: NDArray[np.int32] = field(repr=False)
    deltas: NDArray[np.int32] = field(repr=False)
    paragraphs: NDArray[np.int32] = field(repr=False)

    @property
    def n_bytes(self) -> int:
        """All that it takes in memory."""
        return sum(each.nbytes for each in (self.data, self.starts, self.breaks, self.deltas, self.paragraphs))

    def place(self, start: int, end: int) -> Place:
        """The place in its source of data[start:end], which must be within one document and not empty."""
        document = int(np.searchsorted(self.starts, start, "right")) - 1
        return Place(document, self._source_byte(start), self._source_byte(end - 1) + 1)

    def _source_byte(self, position: int) -> int:
        at = np.int32(position)  # of another type, all of breaks would be copied to compare it
        return int(position) + int(self.deltas[np.searchsorted(self.breaks, at, "right") - 1])


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


def normalized(data: bytes | bytearray) -> bytes:
    """White space as in SentText: for words that are to be compared with it."""
    return b"".join(part.data.tobytes() for part in _normalize(data))


def join(documents: Iterable[bytes | bytearray], *, n_most: int | None = None) -> SentText:
    """documents: the UTF-8 of each, in order; n_most: how many bytes these are at most, where they come one by one. All
    together less than 2 GiB. Time and memory grow with their length alone; memory is the text's, and little beside."""
    if n_most is None:
        documents = tuple(documents)
        n_most = sum(len(document) + 1 for document in documents)
    data = np.empty(n_most + 1 + _PAD, dtype=np.uint8)
    breaks: list[NDArray[np.int32]] = []
    deltas: list[NDArray[np.int32]] = []
    paragraphs: list[NDArray[np.int32]] = []
    starts: list[int] = []
    at = 0
    for document in documents:
        data[at] = SEAM
        at += 1
        starts.append(at)
        breaks.append(np.array([at], dtype=np.int32))
        deltas.append(np.array([-at], dtype=np.int32))
        start = at
        for part in _normalize(document):
            data[at : at + len(part.data)] = part.data
            breaks.append(part.breaks + np.int32(at))
            deltas.append(part.dropped - np.int32(start))
            paragraphs.append(part.breaks[part.has_line] + np.int32(at))
            at += len(part.data)
    data[at : at + 1 + _PAD] = SEAM
    data.resize(at + 1 + _PAD, refcheck=False)  # in place: a slice would keep all of it
    none = np.zeros(0, dtype=np.int32)
    joined = (np.concatenate([none, *each]) for each in (breaks, deltas, paragraphs))
    return SentText(data, np.array(starts, dtype=np.int64), *joined)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a document, normalized: uint8. breaks: positions in it from which on, in the whole document, so many
    bytes are dropped; both int32. has_line: of breaks, whether an empty line is before it, bool. n_ends: line ends in
    the white space that it ends in, from 0 to 2, where there is another part."""

    data: Bytes
    breaks: NDArray[np.int32]
    dropped: NDArray[np.int32]
    has_line: NDArray[np.bool_]
    n_ends: int


def _normalize(document: bytes | bytearray) -> Iterator[_Part]:
    """A document part by part, with every run of white space as one blank."""
    raw = np.frombuffer(document, dtype=np.uint8)
    low, after_blank, n_dropped, n_ends = 0, False, 0, 0
    while low < len(raw):
        high = _cut(raw, low + _BLOCK)
        part, after_blank = _normalized(
            raw[low:high], n_dropped, n_ends, after_blank=after_blank, goes_on=high < len(raw)
        )
        n_dropped = int(part.dropped[-1]) if len(part.dropped) else n_dropped
        low, n_ends = high, part.n_ends
        yield part


def _cut(raw: Bytes, at: int) -> int:
    """There or a little before it, at a character's end."""
    if at >= len(raw):
        return len(raw)
    return next((end for end in (at, at - 1, at - 2, at - 3) if raw[end] & 0xC0 != 0x80), at)


def _normalized(raw: Bytes, n_dropped: int, n_ends: int, *, after_blank: bool, goes_on: bool) -> tuple[_Part, bool]:
    """A part that n_dropped bytes were dropped before, and whether it ends in white space. after_blank: what stands
    before it does, and has n_ends line ends there. goes_on: there is another part."""
    blank, none = _white_space(raw), np.zeros(0, dtype=np.int32)
    if not blank.any():
        return _Part(raw, none, none, none.astype(np.bool_), 0), False
    padded = np.zeros(len(raw) + 2, dtype=np.bool_)
    drop = padded[1:-1]
    drop[:] = blank
    drop[0] &= after_blank
    drop[1:] &= blank[:-1]  # the first of a run stays
    data = np.where(blank, np.uint8(_BLANK), raw)[~drop]
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    begins, ends = edges[::2], edges[1::2]  # of what was dropped, and the first bytes behind it
    has_line, after_blank = _empty_lines(raw, blank, ends, n_ends), bool(blank[-1])
    n_ends = _last_ends(raw, blank, n_ends) if goes_on and after_blank else 0
    if not len(ends):
        return _Part(data, none, none, has_line, n_ends), after_blank
    dropped = (ends - begins).cumsum()
    breaks, all_dropped = (ends - dropped).astype(np.int32), (dropped + n_dropped).astype(np.int32)
    return _Part(data, breaks, all_dropped, has_line, n_ends), after_blank


def _empty_lines(raw: Bytes, blank: NDArray[np.bool_], ends: NDArray[np.int64], n_ends: int) -> NDArray[np.bool_]:
    """Which of the runs of white space that end there have two line ends. n_ends: see _normalized."""
    has_line = np.zeros(len(ends), dtype=np.bool_)
    line_ends = np.flatnonzero(raw == _LINE_END)
    goes_on = np.flatnonzero(blank[line_ends[:-1] + 1])  # with more white space behind them, so their run has an end
    runs = np.searchsorted(ends, line_ends[goes_on], "right")
    has_line[runs[line_ends[goes_on + 1] < ends[runs]]] = True
    if n_ends and blank[0]:
        has_line[0] |= n_ends + np.searchsorted(line_ends, ends[0]) >= 2
    return has_line


def _last_ends(raw: Bytes, blank: NDArray[np.bool_], n_ends: int) -> int:
    """How many line ends the white space has, 2 at most, that a part ends in. n_ends: see _normalized."""
    line_ends = np.flatnonzero(raw == _LINE_END)[-2:].tolist()
    return min(2, sum(bool(blank[at:].all()) for at in line_ends) + (n_ends if blank.all() else 0))


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
