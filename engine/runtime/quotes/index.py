"""Where a quote may begin, in an order that finds all places of some first bytes at once: numpy over SentText.

A quote begins where a word or a run of marks does, or at any character that is not ASCII. These positions are sorted by
their first 8 bytes; bisection reads the text itself, so that the index takes 4 bytes for each of them and no more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from engine.runtime.quotes.text import SEAM, Bytes, SentText, join

KEY_BYTES = 8
_MANY = 1 << 20  # bytes or positions that are looked at at once

Positions = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Range:
    """Positions of an index, from low up to high, that begin with the same bytes."""

    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class QuoteIndex:
    """text: what is quoted from. positions: int32, shape [n], sorted by the 8 bytes that stand there."""

    text: SentText = field(repr=False)
    positions: Positions = field(repr=False)

    @property
    def n_bytes(self) -> int:
        return self.text.n_bytes + self.positions.nbytes

    @property
    def everything(self) -> Range:
        return Range(0, len(self.positions))

    def narrow(self, within: Range, prefix: bytes) -> Range:
        """Those that begin with these bytes, of which there are at most 8. within: a range of such a prefix's
        beginning."""
        assert len(prefix) <= KEY_BYTES
        rest = KEY_BYTES - len(prefix)
        low = self._bisect(within, int.from_bytes(prefix + b"\x00" * rest, "big"))
        high = self._bisect(Range(low, within.high), int.from_bytes(prefix + b"\xff" * rest, "big") + 1)
        return Range(low, high)

    def places(self, within: Range) -> Positions:
        """Where they stand in the text."""
        return self.positions[within.low : within.high]

    def _bisect(self, within: Range, key: int) -> int:
        """The first of them whose 8 bytes are not below key."""
        low, high, data, positions = within.low, within.high, self.text.data, self.positions
        while low < high:
            middle = (low + high) // 2
            at = int(positions[middle])
            if int.from_bytes(data[at : at + KEY_BYTES].tobytes(), "big") < key:
                low = middle + 1
            else:
                high = middle
        return low


def build(text: SentText) -> QuoteIndex:
    """The index of a text of less than 2 GiB. While it is made, it takes little more memory than in the end."""
    data = text.data

    def beginnings() -> Iterator[Positions]:
        return (_beginnings(data, at, min(at + _MANY, len(data))) for at in range(0, len(data), _MANY))

    positions = np.empty(sum(map(len, beginnings())), dtype=np.int32)
    _sort(data, positions, beginnings, 0)
    return QuoteIndex(text, positions)


def _sort(data: Bytes, positions: Positions, parts: Callable[[], Iterator[Positions]], known: int) -> None:
    """Fills positions with those of all parts, by the 8 bytes that stand there, of which the first `known` are alike.

    To sort them by all of these at once would take 20 bytes for each; so many are parted by one byte first.
    """
    if len(positions) <= _MANY or known == KEY_BYTES:
        positions[:] = np.concatenate([*parts(), positions[:0]])
        if known < KEY_BYTES:
            positions[:] = positions[np.argsort(keys_at(data, positions))]
        return
    sizes = np.zeros(256, dtype=np.int64)
    for part in parts():
        sizes += np.bincount(data[part + known], minlength=256)
    ends = sizes.cumsum()
    free = ends - sizes
    for part in parts():
        bytes_there = data[part + known]
        ordered = part[np.argsort(bytes_there, kind="stable")]
        n_each = np.bincount(bytes_there, minlength=256)
        at = 0
        for byte in np.flatnonzero(n_each).tolist():
            n = int(n_each[byte])
            positions[free[byte] : free[byte] + n] = ordered[at : at + n]
            free[byte] += n
            at += n
    for byte in np.flatnonzero(sizes).tolist():
        alike = positions[ends[byte] - sizes[byte] : ends[byte]]
        copied = alike.copy()
        _sort(data, alike, partial(_in_parts, copied), known + 1)


def _in_parts(positions: Positions) -> Iterator[Positions]:
    return (positions[at : at + _MANY] for at in range(0, len(positions), _MANY))


class IndexToCome:
    """An index that a thread of its own makes, while the model reads the prompt."""

    def __init__(self, documents: Sequence[bytes]) -> None:
        """documents: the UTF-8 of each."""
        self._documents: Sequence[bytes] = documents
        self._index: QuoteIndex | None = None
        self._thread = Thread(target=self._build, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> QuoteIndex | None:
        """It, None where it is not there by then."""
        self._thread.join(timeout_s)
        return self._index

    def _build(self) -> None:
        text = join(self._documents)
        self._documents = ()
        self._index = build(text)


def keys_at(data: Bytes, positions: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.uint64]:
    """The 8 bytes at each position as one number, the first of them the largest part. data goes on for 8 bytes."""
    n_places = max(0, len(data) - KEY_BYTES + 1)
    windows: NDArray[np.uint64] = np.ndarray((n_places,), dtype=">u8", buffer=data, strides=(1,))  # of all places
    return windows[positions].astype(np.uint64)


def _beginnings(data: Bytes, low: int, high: int) -> Positions:
    """Where, from low up to high, a word, or a run of marks, or a character that is not ASCII begins."""
    before = max(0, low - 1)
    kind = _KINDS[data[before:high]]
    begins = kind >= _WORD
    begins[1:] &= (kind[1:] != kind[:-1]) | (kind[1:] == _LEAD)
    begins[: low - before] = False
    return (np.flatnonzero(begins) + before).astype(np.int32)


_NONE, _WORD, _MARK, _LEAD = 0, 1, 2, 3  # a blank, a seam or the rest of a character; and what a quote may begin with


def _kinds() -> Bytes:
    kinds = np.full(256, _MARK, dtype=np.uint8)
    kinds[[ord(each) for each in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"]] = _WORD
    kinds[: 0x20 + 1] = _NONE
    kinds[0x7F] = _NONE
    kinds[0x80:0xC0] = _NONE
    kinds[0xC0:] = _LEAD
    kinds[SEAM] = _NONE
    return kinds


_KINDS = _kinds()
