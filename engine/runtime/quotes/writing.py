"""Evidence behind the statements of an answer: the model that gave it opens a quote there, held to what was sent.

The answer is done and stays as it is, and so does the KV cache: what is decoded here is taken back (`KvCache.aside`).
Which statements there are, and what is made of the places, is left to whoever asks.
"""

import codecs
import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import llama_cpp
import numpy as np

from engine.errors import EngineFailed, EngineSpoiled
from engine.memory.budget import Placement
from engine.runtime.batch import Batch
from engine.runtime.cache import KvCache
from engine.runtime.events import Evidence, Remark
from engine.runtime.pieces import piece_of
from engine.runtime.quotes.evidence import LOWEST, LOWEST_FIRST, MOST_STARTS, MOST_TOKENS, Logits, Written, write_quote
from engine.runtime.quotes.index import QuoteIndex
from engine.runtime.quotes.machine import everywhere
from engine.runtime.quotes.nearby import Nearby, nearby
from engine.runtime.quotes.tags import Tags
from engine.runtime.sampling import are_numbers, spoiled
from engine.runtime.window import Window
from engine.tokens.document import Ids

_ABORTED, _NO_SLOT = 2, 1  # answers of llama_decode
_TRIED_TOKENS = 16  # of the one quote that a model is tried with: whoever waits for it has an answer already
NO_WAY_BACK = "This model's memory cannot go back to a statement of its answer, so no words are looked for."
NO_MEMORY = "Too little memory is free to keep copies of this model's state, so no words are looked for."
NO_COPY = (
    "This model's memory can go on only from where a copy of its state was made: no words are looked for behind the "
    "statements of the answer before that."
)
NO_ROOM = "The context is full, so no words are looked for that show the answer: a larger --ctx has room."
MOVED_ON = "The model's windows leave no room behind some statements of the answer: no words are looked for there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An answer and its statements.

    ids: the prompt's n_prompt ids, then the reply's. statements: characters of the reply's text, from and to, in order.
    openings: what opens a quote, as ids behind two line ends, one, and none. question: that was answered. apart: the
    ids are not those of the cache; they are decoded from position 0, and taken back too. floor: see write_quote.
    trimmed: white space at the beginning of the reply is no part of its text, which follows a thought.
    """

    ids: Ids
    n_prompt: int
    statements: Sequence[tuple[int, int]]
    openings: Sequence[Ids]
    question: str = ""
    apart: bool = False
    floor: float = LOWEST
    trimmed: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """A statement by its number, the ids up to its end, and those that open a quote there."""

    number: int
    statement: str
    end: int
    opening: Ids


class _Stopped(Exception):
    """It was cancelled, or there was no room after all."""


class Quoting:
    """Writes held quotes with a context that another has decoded an answer in."""

    def __init__(
        self, model: Any, context: Any, kv: KvCache, placement: Placement, *, cancelled: Callable[[], bool]
    ) -> None:
        self._context, self._kv, self._cancelled = context, kv, cancelled
        self._n_ubatch, self._kv_type = placement.n_ubatch, placement.kv_type
        self._n_ctx = int(llama_cpp.llama_n_ctx(context))
        self._vocab = llama_cpp.llama_model_get_vocab(model)
        self._n_vocab = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self._batch = Batch(self._n_ubatch)
        self.piece = cache(self._piece)  # a search asks for the same ones again and again

    def evidence(self, asked: Asked, index: QuoteIndex) -> Iterator[Evidence | Remark]:
        """An Evidence for each statement that words can be looked for behind, in order, and a Remark where that is not
        all of them. Ends when it is cancelled. Raises EngineFailed when llama.cpp fails, EngineSpoiled where what it
        computes is no number: the cache is empty then."""
        places = self._places(asked)
        try:
            if asked.apart:
                yield from self._through(asked, places, index, 0, n_starts=1, n_tokens=_TRIED_TOKENS)
            elif self._kv.cannot_cut:
                yield from self._from_copy(asked, places, index)
            else:
                yield from self._behind(asked, places, index)
        except _Stopped:
            return
        except EngineSpoiled:
            self._kv.clear()  # also what was put back on the way out
            raise

    def tags(self, index: QuoteIndex, before: bytes) -> Tags:
        """Holds what a reply quotes itself. before: its beginning, where it goes on from one."""
        return Tags(index, self.piece, self._is_end, self._n_vocab, before)

    def _behind(self, asked: Asked, places: Sequence[_Place], index: QuoteIndex) -> Iterator[Evidence | Remark]:
        """Each behind its statement in the cache."""
        held, told = len(self._kv), set[str]()
        if not self._is_there(asked):
            return
        for place in places:
            start = min(place.end, held)
            more = np.concatenate([asked.ids[start : place.end], place.opening])
            if (reason := self._misses(start, len(more) + MOST_TOKENS)) is not None:
                if reason not in told:
                    yield Remark(reason)
                told.add(reason)
                continue
            near = nearby(index, place.statement, asked.question)
            if near.is_hopeless:
                yield Evidence(statement=place.number)
                continue
            with self._kv.aside(start) as position:
                written = self._quote(position, more, near, asked.floor)
            if written.cancelled:
                return
            yield _found(place.number, written, index, len(more))

    def _is_there(self, asked: Asked) -> bool:
        """Whether the cache is that of the answer: nothing else was read since. It may hold what a stop took away."""
        held = len(self._kv)
        return held >= len(asked.ids) - 1 and np.array_equal(self._kv.ids[: len(asked.ids)], asked.ids[:held])

    def _from_copy(self, asked: Asked, places: Sequence[_Place], index: QuoteIndex) -> Iterator[Evidence | Remark]:
        """The answer is read again from where there is a copy of what cannot be cut."""
        start = self._kv.aside_from
        within = [place for place in places if place.end >= start]
        if not self._is_there(asked):
            return
        if len(within) < len(places):
            yield Remark(NO_COPY)
        if within:
            yield from self._through(asked, within, index, start)

    def _through(
        self,
        asked: Asked,
        places: Sequence[_Place],
        index: QuoteIndex,
        start: int,
        *,
        n_starts: int = MOST_STARTS,
        n_tokens: int = MOST_TOKENS,
    ) -> Iterator[Evidence | Remark]:
        """All behind the first `start` ids is read again, statement by statement."""
        n_most = len(asked.ids) - start + MOST_TOKENS + max(len(place.opening) for place in places)
        if (reason := self._misses(start, n_most)) is not None:
            yield Remark(reason)
            return
        with self._kv.aside(start) as begin:
            read = start
            for place in places:
                near = nearby(index, place.statement, asked.question)
                if near.is_hopeless:
                    yield Evidence(statement=place.number)
                    continue
                if place.end > read:
                    self._decode(asked.ids[read : place.end], begin + read - start)
                    read = place.end
                at, held = begin + read - start, self._kv.hold()
                written = self._quote(at, place.opening, near, asked.floor, n_starts=n_starts, n_tokens=n_tokens)
                self._take_back(at, held)
                if written.cancelled:
                    return
                yield _found(place.number, written, index, len(place.opening))

    def _misses(self, n_tokens: int, n_more: int) -> str | None:
        """Why n_more tokens cannot be decoded behind the first n_tokens."""
        if len(self._kv) + n_more > self._n_ctx:
            return NO_ROOM
        if self._kv.has_room_aside(n_tokens, n_more):
            return None if self._kv.affords_copies or not self._kv.cannot_cut else NO_MEMORY
        return MOVED_ON if self._kv.has_windows else NO_WAY_BACK

    def _quote(
        self,
        position: int,
        opening: Ids,
        near: Nearby,
        floor: float,
        *,
        n_starts: int = MOST_STARTS,
        n_tokens: int = MOST_TOKENS,
    ) -> Written:
        """One quote behind these ids, which begin at a position."""
        logits = self._decode(opening, position)
        pen = _Pen(self, position + len(opening), self._kv.hold() if n_starts > 1 else None)
        first = floor if near.is_foreign else min(floor, LOWEST_FIRST)
        return write_quote(
            pen,
            logits,
            near.index,
            self.piece,
            self._is_end,
            floor=floor,
            first_floor=first,
            witness=near,
            n_starts=n_starts,
            n_tokens=n_tokens,
        )

    def _decode(self, ids: Ids, position: int) -> Logits:
        """The logits behind ids, decoded from a position on; shape [n_vocab], good until the next call."""
        for at in range(0, len(ids), self._n_ubatch):
            part = ids[at : at + self._n_ubatch]
            if self._cancelled():
                raise _Stopped
            answer = llama_cpp.llama_decode(self._context, self._batch.fill(part, position + at, True))
            if answer in (_ABORTED, _NO_SLOT):
                raise _Stopped
            if answer != 0:
                self._kv.clear()  # what a failed decode left behind is not to be trusted
                raise EngineFailed(f"llama.cpp could not decode behind the answer (code {answer}).", "Ask again.")
        logits = self.logits()
        if not are_numbers(logits):
            n_tokens = len(self._kv)
            self._kv.clear()
            raise spoiled(n_tokens, self._kv_type)
        return logits

    def logits(self) -> Logits:
        """Those that were computed last; shape [n_vocab], good until the next decoding."""
        logits = llama_cpp.llama_get_logits_ith(self._context, -1)
        values = (ctypes.c_float * self._n_vocab).from_address(ctypes.addressof(logits.contents))
        return np.frombuffer(memoryview(values).cast("B"), dtype=np.float32)

    def _take_back(self, position: int, held: Window | None) -> None:
        if not self._kv.go_back(position, held):
            raise _Stopped

    def _places(self, asked: Asked) -> list[_Place]:
        """Where each statement ends in ids, and what opens a quote there."""
        pieces = list(map(self.piece, asked.ids[asked.n_prompt :].tolist()))
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        parts = [decoder.decode(piece) for piece in pieces]
        text, lengths = "".join(parts), np.cumsum([len(part) for part in parts] or [0])
        places, n_blank = [], len(text) - len(text.lstrip()) if asked.trimmed else 0
        for number, (first, last_one) in enumerate(asked.statements):
            start, end = first + n_blank, last_one + n_blank
            n_tokens = min(int(np.searchsorted(lengths, end)) + 1, len(pieces))
            last = b"".join(pieces[max(0, n_tokens - 2) : n_tokens])
            n_line_ends = last[len(last.rstrip()) :].count(b"\n")  # there are to be two
            opening = asked.openings[min(n_line_ends, 2)]
            places.append(_Place(number, text[start:end], asked.n_prompt + n_tokens, opening))
        return places

    def _piece(self, token: int) -> bytes:
        return piece_of(self._vocab, token, special=False)

    def _is_end(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))


class _Pen:
    """See Pen: writes behind an opening."""

    def __init__(self, quoting: Quoting, start: int, held: Window | None) -> None:
        """held: what goes back to the start."""
        self._quoting, self._start, self._at, self._held = quoting, start, start, held

    def write(self, token: int) -> Logits | None:
        try:
            logits = self._quoting._decode(np.array([token], dtype=np.int32), self._at)
        except _Stopped:
            return None
        self._at += 1
        return logits

    def go_back(self) -> bool:
        self._quoting._take_back(self._start, self._held)
        self._at = self._start
        return True


def _found(number: int, written: Written, index: QuoteIndex, n_opening: int) -> Evidence:
    n_tokens, quote = n_opening + written.n_passes, written.quote
    if quote is None:
        return Evidence(statement=number, n_tokens=n_tokens)
    first = int(quote.starts.min())  # of the places that are near
    place = index.text.place(first, first + len(quote.words))
    all_places = everywhere(index, quote.words)
    return Evidence(
        statement=number,
        document=place.document,
        start=place.start,
        end=place.end,
        n_places=all_places.n_places if all_places is not None else quote.n_places,
        lowest=written.lowest,
        n_tokens=n_tokens,
    )
