"""Where a quote may begin, in an order that finds all places of some first bytes at once: numpy over SentText.

A quote begins where a word or a run of marks does, or at any character that is not ASCII. These positions are sorted by
their first 8 bytes; bisection reads the text itself, so that the index takes 4 bytes for each of them and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from engine.runtime.quotes.text import SEAM, Bytes, SentText, join

KEY_BYTES = 8
_MANY = 1 << 22  # positions whose keys are computed at once: 32 MiB


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
    positions: NDArray[np.int32] = field(repr=False)

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

    def places(self, within: Range) -> NDArray[np.int32]:
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
    """The index of a text of less than 2 GiB."""
    positions = _beginnings(text.data)
    keys = np.empty(len(positions), dtype=np.uint64)
    for at in range(0, len(positions), _MANY):
        keys[at : at + _MANY] = keys_at(text.data, positions[at : at + _MANY])
    return QuoteIndex(text, positions[np.argsort(keys)])


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
    keys = np.zeros(len(positions), dtype=np.uint64)
    for byte in range(KEY_BYTES):
        keys <<= np.uint64(8)
        keys |= data[positions + byte]
    return keys


def _beginnings(data: Bytes) -> NDArray[np.int32]:
    """Where a word, or a run of marks, or a character that is not ASCII begins."""
    kind = _KINDS[data]
    begins = kind >= _WORD
    begins[1:] &= (kind[1:] != kind[:-1]) | (kind[1:] == _LEAD)
    return np.flatnonzero(begins).astype(np.int32)


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
