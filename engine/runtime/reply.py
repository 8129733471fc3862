"""One reply as it is sampled: its tokens, and its text in whole characters, thoughts apart from the answer."""

import codecs
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from engine.prompt.marks import Mark, held
from engine.runtime.events import Span, Stop
from engine.runtime.parting import Kind, Parting, Run

_FLUSH_S = 0.05  # text goes out at most this often: every frame wakes the parent, which takes a core from a decode


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of a reply that goes out: text of one kind, '' where it is marks alone, and the ids since the last.
    takes_text: the text went out as the answer's before; may_be_thought: it is the answer's, and may be taken so."""

    is_thought: bool
    text: str
    ids: tuple[int, ...]
    takes_text: bool = False
    may_be_thought: bool = False


class Reply:
    """The tokens and the text of one reply, as they come.

    before: the bytes of the tokens that it goes on from, where its beginning stands in the prompt. stops: the answer
    ends before the first of them; the ids with the token in which its text ends, as it was sampled. parting: tells
    thoughts from the answer, and has heard what it goes on from; None where all is the answer. marks: the texts of the
    tokens that marks are made of, by their ids.
    """

    def __init__(
        self,
        begun: float,
        before: bytes = b"",
        *,
        stops: Sequence[str] = (),
        parting: Parting | None = None,
        marks: Mapping[int, str] | None = None,
    ) -> None:
        self.ids: list[int] = []
        self.stop = Stop.CANCELLED  # until something else ends it
        self.stopped = False  # one of the stops has ended it
        self.first_text_at: float | None = None
        self.first_thought_at: float | None = None
        self.thought_s = 0.0  # from the first thought to the end of the last
        self.n_answer = 0  # tokens that count as the answer's
        self.thoughts: list[Span] = []  # of the ids, marks included
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder.decode(before)
        self.mends = bool(self._decoder.getstate()[0])  # what comes first is the rest of a character
        self._stops = [stop for stop in stops if stop]
        self._parting, self._marks = parting, marks or {}
        self._has_thought = parting is not None and parting.has_thought
        self._ends: list[int] = []  # characters of the raw text up to each token's end
        self._begins_at = self._n_raw = parting.n_raw if parting is not None else 0
        self._n_ids_sent = 0
        self._pending: list[Run] = []  # of which the last may grow
        self._sent_at = begun - _FLUSH_S

    @property
    def is_thinking(self) -> bool:
        """Whether what comes now is no part of the answer."""
        return self._parting is not None and not self._parting.is_answering and self._parting.has_thought

    @property
    def is_open(self) -> bool:
        """Whether a thought is under way."""
        return self._parting is not None and self._parting.is_thinking

    @property
    def open_mark(self) -> Mark | None:
        """The mark of the thought that is under way."""
        return self._parting.open_mark if self._parting is not None else None

    @property
    def may_be_thought(self) -> bool:
        """Whether what comes as the answer may turn out to be a thought."""
        is_taken = any(run.kind is Kind.TAKEN for run in self._pending)
        return is_taken or (self._parting is not None and self._parting.watches)

    @property
    def n_thought(self) -> int:
        """Tokens that do not count as the answer's."""
        return len(self.ids) - self.n_answer

    @property
    def thought_fields(self) -> dict[str, Any]:
        """What Finished says of thoughts."""
        said = {"thoughts": tuple(self.thoughts), "thought_tokens": self.n_thought, "thought_s": self.thought_s}
        return {**said, "is_open": self.is_open}

    def goes_on_at(self, token: int) -> bool:
        """Whether a token that ends replies ends no more than a thought here."""
        text = self._marks.get(token, "")
        return bool(text) and self._parting is not None and self._parting.closes(text)

    def add(self, token: int, piece: bytes) -> None:
        self.ids.append(token)
        text, parting = self._decoder.decode(piece), self._parting
        mark = self._marks.get(token, "")
        control = bool(mark) and not piece
        if control and parting is not None and parting.speaks(mark):
            text = mark  # else a control token says nothing
        self._n_raw += len(text)
        self._ends.append(self._n_raw)
        answered = parting is None or parting.is_answering
        self._take(self._parted(text, bool(mark), control))
        if parting is None or not parting.has_thought:
            self.n_answer = len(self.ids)
        elif answered and not self._has_thought and not parting.is_thinking:
            self.n_answer = int(parting.is_answering)  # all that came before was a thought
        elif parting.is_answering:
            self.n_answer += 1
        elif not answered and not self._has_thought:
            self.n_answer = 0  # what was taken for the answer's beginning was a mark's
        self._has_thought = parting is not None and parting.has_thought

    def due(self, *, last: bool = False) -> list[Said]:
        """What to send now: whole characters only, the first at once, the rest at most every 50 ms."""
        now = perf_counter()
        if last:
            if not self.stopped:
                rest = self._decoder.decode(b"", final=True)
                self._n_raw += len(rest)
                if self._ends:
                    self._ends[-1] = self._n_raw
                self._take(self._parted(rest, False))
                self._take(self._parting.end() if self._parting is not None else [])
        elif now - self._sent_at < _FLUSH_S and (self.first_text_at or self.first_thought_at) is not None:
            return []
        said = list(self._sent(now, last))
        if said:
            self._sent_at = now
        if last and self.is_open and self._n_ids_sent < len(self.ids):
            said.append(self._said(True, "", len(self.ids)))
        return said

    def _parted(self, text: str, is_mark: bool, control: bool = False) -> list[Run]:
        if self._parting is not None:
            return self._parting.add(text, token=is_mark, control=control) if text else []
        return [Run(Kind.ANSWER, text, self._n_raw - len(text))] if text else []

    def _take(self, runs: Sequence[Run]) -> None:
        """Adds to what is pending, and ends the answer where a stop stands in it."""
        for run in runs:
            if run.kind is Kind.TAKEN:
                self._pending.append(run)
                self.n_answer = len(self.ids) - self._n_whole(run.start)
                continue
            if run.start < self._begins_at:  # it was said before
                if run.end <= self._begins_at:
                    continue
                run = Run(run.kind, run.text[self._begins_at - run.start :], self._begins_at)
            last = self._pending[-1] if self._pending else None
            if last is not None and last.kind is run.kind and last.end == run.start:
                self._pending[-1] = run = Run(run.kind, last.text + run.text, last.start)
            else:
                self._pending.append(run)
            if run.kind is Kind.ANSWER and self._stops:
                found = [at for at in map(run.text.find, self._stops) if at >= 0]
                if found:
                    self._stop_at(run, min(found))
                    return

    def _stop_at(self, run: Run, at: int) -> None:
        """The answer ends there."""
        self._pending[-1:] = [Run(run.kind, run.text[:at], run.start)] if at else []
        self.stop, self.stopped = Stop.END, True
        n_before = len(self.ids)
        del self.ids[self._n_ids(run.start + at) :]
        del self._ends[len(self.ids) :]
        self.n_answer = max(0, self.n_answer - (n_before - len(self.ids)))

    def _sent(self, now: float, last: bool) -> Iterator[Said]:
        while self._pending:
            run = self._pending.pop(0)
            if run.kind is Kind.TAKEN:
                yield self._taken_back(run, now)
                continue
            text = run.text
            if not last and not self._pending and run.kind is Kind.ANSWER:
                text = text[: len(text) - held(text, self._stops)]
                if len(text) < len(run.text):
                    self._pending.append(Run(run.kind, run.text[len(text) :], run.start + len(text)))
                if not text:
                    return
            n_ids = self._n_sent_with(run, run.start + len(text), last=last)
            if run.kind is Kind.ANSWER:
                self.first_text_at = self.first_text_at or now
                yield replace(self._said(False, text, n_ids), may_be_thought=self.may_be_thought)
            else:
                if run.kind is Kind.THOUGHT:
                    self.first_thought_at = self.first_thought_at or now
                if self.first_thought_at is not None:
                    self.thought_s = now - self.first_thought_at
                yield self._said(True, text if run.kind is Kind.THOUGHT else "", n_ids)
            if len(text) < len(run.text):
                return

    def _said(self, is_thought: bool, text: str, n_ids: int) -> Said:
        start, n_ids = self._n_ids_sent, max(n_ids, self._n_ids_sent)
        self._n_ids_sent = n_ids
        if is_thought and n_ids > start:
            if self.thoughts and self.thoughts[-1][1] == start:
                self.thoughts[-1] = (self.thoughts[-1][0], n_ids)
            else:
                self.thoughts.append((start, n_ids))
        return Said(is_thought, text, tuple(self.ids[start:n_ids]))

    def _taken_back(self, run: Run, now: float) -> Said:
        """All that went out so far was a thought."""
        start, end = self._n_ids_sent, self._n_whole(run.start)
        self._n_ids_sent = max(start, end)
        self.thoughts = [(0, end)] if end else []
        self.first_thought_at, self.first_text_at = self.first_text_at or self.first_thought_at or now, None
        self.thought_s = now - self.first_thought_at
        return Said(True, run.text, tuple(self.ids[start:end]), takes_text=True)

    def _n_sent_with(self, run: Run, end: int, *, last: bool) -> int:
        """Tokens that are out with a run up to a character. One that holds some of two kinds is the later one's, as is
        one that is half a character."""
        is_end = not self._pending and (self._parting is None or run.end == self._n_raw)
        if is_end and (last or (run.kind is Kind.ANSWER and not self._stops)):
            return len(self.ids)
        if run.kind is Kind.ANSWER:
            return self._n_ids(end)
        return self._n_whole(end)

    def _n_whole(self, end: int) -> int:
        """Tokens that end there, or before."""
        at = bisect_left(self._ends, end)
        return at + (at < len(self._ends) and self._ends[at] == end)

    def _n_ids(self, end: int) -> int:
        """Tokens up to the one that brought the raw text to so many characters."""
        return min(len(self.ids), bisect_left(self._ends, end) + 1) if end > self._begins_at else 0
