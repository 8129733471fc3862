"""What may be written inside a quote: bytes that go on at one place at least of all that was sent, then its mark.

A state is what was written so far and where that stands. Tokens know nothing of marks and characters: one may end a
word and begin the mark (`)</`), one may hold half a character. So it goes byte by byte, and where a source holds the
mark's own bytes, both readings live on until one of them ends.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.runtime.quotes.index import KEY_BYTES, QuoteIndex, Range, keys_at
from engine.runtime.quotes.text import SEAM, SentText

MARK = b"</quote>"
_FEW = 48  # places that are looked at one by one
_LISTED = 1 << 16  # places that are held as a list; more are held as a range of the index
BLANKS = b" \t\n\v\f\r\x1c\x1d\x1e\x1f"

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that stand in what was sent. words: UTF-8, white space normalized. starts: int64, where they stand."""

    words: bytes
    starts: Positions = field(repr=False)

    @property
    def n_places(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Closing:
    """n_bytes of the mark were written, behind this quote."""

    n_bytes: int
    quote: Quote


class Places:
    """Where the words so far stand. Made for one step: what many tokens are tested against is computed once."""

    def __init__(self, index: QuoteIndex, words: bytes, within: Range | None, ends: Positions | None) -> None:
        """within: of the index, of words of at most 8 bytes; else ends: the positions behind the words."""
        self._index, self.words, self._within, self._ends = index, words, within, ends

    @property
    def text(self) -> SentText:
        return self._index.text

    @classmethod
    def everywhere(cls, index: QuoteIndex) -> "Places":
        return cls(index, b"", index.everything, None)

    def __len__(self) -> int:
        return len(self._within) if self._within is not None else len(self.ends)

    @cached_property
    def ends(self) -> Positions:
        """int64, the positions behind the words."""
        if self._ends is not None:
            return self._ends
        assert self._within is not None
        return self._index.places(self._within).astype(np.int64) + len(self.words)

    def go_on(self, more: bytes) -> bool:
        """Whether the words stand anywhere with these bytes behind them."""
        if not more:
            return len(self) > 0
        if SEAM in more:  # vocabularies have a token for that byte, too
            return False
        if self._within is not None:
            words = self.words + more
            within = self._index.narrow(self._within, words[:KEY_BYTES])
            if len(words) <= KEY_BYTES or not len(within):
                return len(within) > 0
            ends = self._index.places(within).astype(np.int64) + KEY_BYTES
            return bool(len(self._matching(ends, words[KEY_BYTES:])))
        if len(self.ends) <= _FEW:
            data = self._index.text.data
            return any(data[end : end + len(more)].tobytes() == more for end in self.ends.tolist())
        return bool(len(self._matching(self._alike(more), more[KEY_BYTES:], KEY_BYTES)))

    def narrowed(self, more: bytes) -> "Places":
        """Those that go on with these bytes."""
        if not more:
            return self
        words = self.words + more
        if self._within is None:
            return Places(self._index, words, None, self._matching(self.ends, more) + len(more))
        within = self._index.narrow(self._within, words[:KEY_BYTES])
        if len(words) <= KEY_BYTES and len(within) > _LISTED:
            return Places(self._index, words, within, None)
        known = min(len(words), KEY_BYTES)
        ends = self._index.places(within).astype(np.int64) + known
        rest = words[known:]
        return Places(self._index, words, None, np.sort(self._matching(ends, rest) + len(rest)))

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.uint64], Positions]:
        """The 8 bytes behind each of many places, in order, and the places in that order."""
        keys = keys_at(self._index.text.data, self.ends)
        order = np.argsort(keys)
        return keys[order], self.ends[order]

    def _alike(self, more: bytes) -> Positions:
        """Those whose next 8 bytes begin as `more` does, of many."""
        keys, ends = self._sorted
        first = more[:KEY_BYTES]
        rest = KEY_BYTES - len(first)
        low = np.searchsorted(keys, np.uint64(int.from_bytes(first + b"\x00" * rest, "big")))
        high = np.searchsorted(keys, np.uint64(int.from_bytes(first + b"\xff" * rest, "big")), "right")
        return ends[low:high]

    def _matching(self, ends: Positions, more: bytes, skip: int = 0) -> Positions:
        """Those of them behind which, after so many bytes, these stand."""
        data = self._index.text.data
        for at, byte in enumerate(more, skip):
            if not len(ends):
                return ends
            ends = ends[data[np.minimum(ends + at, len(data) - 1)] == byte]
        return ends


@dataclass(frozen=True, slots=True)
class State:
    """Inside a quote. places: where it goes on, None where it can only be closed. blank: white space was written last.
    closing: the mark has begun. closed: it has ended: nothing more may be written."""

    places: Places | None
    blank: bool = True  # white space before the first word counts for nothing
    closing: Closing | None = None
    closed: Quote | None = None


def opened(index: QuoteIndex) -> State:
    """Behind the opening mark."""
    return State(Places.everywhere(index))


def allows(state: State, token: bytes) -> bool:
    """Whether a token's bytes may be written next. b"" may not."""
    if not token or state.closed is not None:
        return False
    if state.closing is not None and _marked(state.closing.n_bytes, token) is not None:
        return True
    if state.places is None:
        return False
    more, _ = _squeezed(token, after_blank=state.blank)
    return state.places.go_on(more) or _mark_begins(state, token) is not None


def step(state: State, token: bytes) -> State:
    """The state behind a token that is allowed."""
    closing = closed = None
    if state.closing is not None:
        n_bytes = _marked(state.closing.n_bytes, token)
        if n_bytes is not None:
            closing = Closing(n_bytes, state.closing.quote)
    if closing is None and state.places is not None:
        closing = _mark_begins(state, token)
    if closing is not None and closing.n_bytes == len(MARK):
        closed = closing.quote
    places, blank = None, state.blank
    if state.places is not None and closed is None:
        more, blank = _squeezed(token, after_blank=state.blank)
        places = state.places.narrowed(more)
        places = places if len(places) else None
    return State(places, blank, closing, closed)


def everywhere(index: QuoteIndex, words: bytes) -> Quote | None:
    """All places of words that could be quoted; None where they stand nowhere so."""
    return close(State(Places.everywhere(index).narrowed(words), blank=False))


def close(state: State) -> Quote | None:
    """The quote as it would be if it ended here: at a word's end, with one letter or digit at least; else None. Where
    the words stand within longer words too, those places are left out."""
    if state.closed is not None:
        return state.closed
    places = state.places
    if places is None or not places.words:
        return None
    words, ends = places.words, places.ends
    if words.endswith(b" "):
        words, ends = words[:-1], ends - 1
    try:
        text = words.decode()
    except UnicodeDecodeError:
        return None  # in the middle of a character
    if not any(letter.isalnum() for letter in text):
        return None
    ends = ends[_end_words(places.text, text[-1], ends)]
    return Quote(words, ends - len(words)) if len(ends) else None


def _end_words(text: SentText, last: str, ends: Positions) -> NDArray[np.bool_]:
    """At which of these positions a word ends, last being the character before them."""
    if not _in_word(last):
        return np.ones(len(ends), dtype=np.bool_)
    following = np.zeros(len(ends), dtype=np.uint32)
    for byte in range(4):
        following = (following << np.uint32(8)) | text.data[ends + byte]
    kinds, which = np.unique(following, return_inverse=True)
    goes_on = [_in_word(_first_character(int(kind).to_bytes(4, "big"))) for kind in kinds]
    return ~np.array(goes_on, dtype=np.bool_)[which]


def _first_character(data: bytes) -> str:
    """The first character of these 4 bytes; a blank where there is none."""
    lead = data[0]
    n_bytes = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    try:
        return data[:n_bytes].decode()
    except UnicodeDecodeError:
        return " "


def _in_word(letter: str) -> bool:
    """Whether a quote may not end between two such; scripts without blanks between words may be cut anywhere."""
    if letter == "_":
        return True
    code = ord(letter)
    unspaced = 0x0E00 <= code <= 0x0EFF or 0x1000 <= code <= 0x109F or 0x1780 <= code <= 0x17FF or code >= 0x2E80
    return letter.isalnum() and not (unspaced and not 0xA640 <= code <= 0xABFF and not 0xFB00 <= code <= 0xFDFF)


def _squeezed(token: bytes, *, after_blank: bool) -> tuple[bytes, bool]:
    """A token's bytes with every run of ASCII white space as one blank, and whether white space was last."""
    if token.isalnum():
        return token, False
    out = bytearray()
    for byte in token:
        if byte not in BLANKS:
            out.append(byte)
            after_blank = False
        elif not after_blank:
            out.append(0x20)
            after_blank = True
    return bytes(out), after_blank


def _marked(n_bytes: int, token: bytes) -> int | None:
    """How many bytes of the mark are written behind a token, where n_bytes were before; None where it breaks off."""
    rest = MARK[n_bytes:]
    if rest.startswith(token):
        return n_bytes + len(token)
    return len(MARK) if token.startswith(rest) and not token[len(rest) :].strip(BLANKS) else None


def _mark_begins(state: State, token: bytes) -> Closing | None:
    """The mark begins within a token, behind what may be closed there."""
    at = token.rfind(b"<")
    if at < 0 or (n_bytes := _marked(0, token[at:])) is None or state.places is None:
        return None
    more, blank = _squeezed(token[:at], after_blank=state.blank)
    if not state.places.go_on(more):
        return None
    quote = close(replace(state, places=state.places.narrowed(more), blank=blank, closing=None))
    return Closing(n_bytes, quote) if quote is not None else None
