"""A reply parted into what the model thinks and what it answers, while its text comes in.

Marks are looked for where they can stand: a thought opens where the reply begins, or behind another one, and anywhere
by a token of its own. A text in the midst of an answer opens nothing; one that closes what nothing opened makes a
thought of all that came before it, see `unopened`.
"""

import codecs
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from engine.prompt.marks import ANSWERING, ANSWERS, CHANNEL, IN_CHANNEL, THOUGHTS, Mark, held
from engine.runtime.unopened import Ends, judged, telling

_HEADER = 200  # characters that the header of a channel's message may have
_STARTS = ("<|start|>", "<|channel|>")
_MOST_JUDGED = 64  # closing marks that nothing opened: an answer with more speaks of them


class Kind(Enum):
    """What a run of a reply's text is."""

    THOUGHT = auto()
    ANSWER = auto()
    MARK = auto()  # shown nowhere
    TAKEN = auto()  # the text is a thought, and was what came as the answer so far


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the raw text, marks and all: characters start to end of it. Of one that is TAKEN, start is where what
    closed it ends; the text came before."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Parting:
    """One reply. marks: that open thoughts. opened: by what stands before the reply. tokens: texts that are tokens of
    their own, which speak anywhere. channels: whether messages may stand in channels. closing: marks that may end a
    thought which nothing opened."""

    def __init__(
        self,
        marks: Sequence[Mark] = THOUGHTS,
        *,
        opened: Mark | None = None,
        tokens: Collection[str] = (),
        channels: bool = True,
        closing: Sequence[Mark] = (),
    ) -> None:
        self._marks = tuple(sorted(marks, key=lambda mark: -len(mark.opening)))
        self._tokens, self._channels = frozenset(tokens), channels
        self._buffer, self._at = "", 0
        self._open: Mark | None = opened  # the thought that is under way
        self._begins = opened is None  # before a thought, or the answer
        self._trims = opened is not None  # white space that follows is no part of what follows
        self._wrapped = ""  # what closes the answer
        self.has_thought = opened is not None
        self._closing = telling(closing)
        self._said = ""  # of the answer, as long as it may turn out to be a thought
        self._fenced: list[tuple[int, Mark]] = []  # closing marks in it that stand in code, if that has an end
        self._n_judged = 0

    @property
    def is_thinking(self) -> bool:
        """Whether it thinks now."""
        return self._open is not None

    @property
    def open_mark(self) -> Mark | None:
        """The mark of the thought that is under way."""
        return self._open

    @property
    def is_answering(self) -> bool:
        """Whether the answer has begun."""
        return self._open is None and not self._begins

    @property
    def watches(self) -> bool:
        """Whether what comes as the answer may turn out to be a thought."""
        return bool(self._closing) and not self.has_thought and self._n_judged < _MOST_JUDGED

    @property
    def n_raw(self) -> int:
        """Characters of raw text that it has heard."""
        return self._at + len(self._buffer)

    def opens(self, text: str) -> bool:
        """Whether a token with this text opens a thought, wherever it stands."""
        return text in self._tokens and self._opened_by(text) is not None

    def ends_unopened(self, text: str) -> bool:
        """Whether a control token with this text, within an answer, ends a thought that nothing opened."""
        mark = next((mark for mark in self._closing if mark.closing == text), None)
        if mark is None or not self.watches or not self.is_answering:
            return False
        return judged(self._said + self._buffer, "", mark, last=False, control=True) is Ends.YES

    def settle(self) -> None:
        """The model's thoughts are known: what comes is the answer."""
        self._closing = ()

    def closes(self, text: str) -> bool:
        """Whether a token with this text ends the thought that is under way, or lies between thought and answer."""
        if self._open is None:
            return self._begins and self.has_thought and self._channels and text in _STARTS
        return (self._buffer + text).endswith(self._open.closing)

    def hear(self, marks: Mapping[int, str], tokens: Iterable[tuple[int, bytes]]) -> None:
        """What the reply goes on from: ids and their bytes. marks: see Reply."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token, piece in tokens:
            mark = marks.get(token, "")
            control = bool(mark) and not piece
            self.add(
                mark if control and self.speaks(mark) else decoder.decode(piece), token=bool(mark), control=control
            )

    def speaks(self, mark: str) -> bool:
        """Whether a control token with this text says something here."""
        return not self.is_answering or self.opens(mark) or self.ends_unopened(mark)

    def add(self, text: str, *, token: bool = False, control: bool = False) -> list[Run]:
        """What is known after some more of the raw text. token: it is the text of a token that stands for nothing
        else; control: which has no text of its own."""
        runs: list[Run] = []
        if control and text and self.is_answering and self.ends_unopened(text):
            runs += self._taken(Kind.ANSWER, len(self._buffer))
            self._buffer = text
            runs += self._take_back(len(text))
            return runs
        if token and self.is_answering and self.opens(text) and (mark := self._opened_by(text)) is not None:
            runs += self._taken(Kind.ANSWER, len(self._buffer))
            self._buffer = text
            runs += self._taken(Kind.MARK, len(text))
            self._begin_thought(mark)
            return runs
        self._buffer += text
        runs += self._steps(last=False)
        return runs

    def end(self) -> list[Run]:
        """What is left when no more comes."""
        return [*self._steps(last=True), *self._take_late()]

    def _opened_by(self, text: str) -> Mark | None:
        return next((mark for mark in self._marks if mark.opening == text), None)

    def _steps(self, *, last: bool) -> Iterator[Run]:
        before = None
        while self._buffer and before != (state := (len(self._buffer), self._open, self._begins)):
            before = state
            if self._open is not None:
                yield from self._think(last)
            elif self._begins:
                yield from self._begin(last)
            else:
                yield from self._answer(last)

    def _taken(self, kind: Kind, n: int) -> Iterator[Run]:
        if n:
            run = Run(kind, self._buffer[:n], self._at)
            self._buffer, self._at = self._buffer[n:], self._at + n
            if kind is Kind.ANSWER and self.watches:
                self._said += run.text
            yield run

    def _begin_thought(self, mark: Mark) -> None:
        self._open, self._begins, self._trims, self.has_thought = mark, False, True, True

    def _begin(self, last: bool) -> Iterator[Run]:
        """At the beginning, or behind a thought: another one, or the answer."""
        rest = self._buffer.lstrip()
        n_space = len(self._buffer) - len(rest)
        if not rest:
            if last and self.has_thought:
                yield from self._taken(Kind.MARK, n_space)
            self._begins = not (last and not self.has_thought)
            return
        if (header := CHANNEL.match(rest)) is not None and self._channels:
            yield from self._taken(Kind.MARK, n_space + header.end())
            if header[1] == ANSWERING:
                self._begins = False
            else:
                self._begin_thought(IN_CHANNEL)
            return
        for mark in self._marks:
            if rest.startswith(mark.opening):
                yield from self._taken(Kind.MARK, n_space + len(mark.opening))
                self._begin_thought(mark)
                return
            if rest.startswith(mark.closing) and mark.closing.strip():  # it did not think at all
                yield from self._taken(Kind.MARK, n_space + len(mark.closing))
                self.has_thought = self._trims = True
                return
        for mark in ANSWERS if self.has_thought else ():
            if rest.startswith(mark.opening):
                yield from self._taken(Kind.MARK, n_space + len(mark.opening))
                self._wrapped, self._begins, self._trims = mark.closing, False, True
                return
        if not last and self._may_open(rest):
            return
        if self.has_thought:
            yield from self._taken(Kind.MARK, n_space)
        self._begins = self._trims = False

    def _may_open(self, rest: str) -> bool:
        """Whether more of the text may make it a mark."""
        texts = [mark.opening for mark in self._marks] + [mark.closing for mark in self._marks]
        texts += [mark.opening for mark in ANSWERS] if self.has_thought else []
        if any(len(rest) < len(text) and text.startswith(rest) for text in texts):
            return True
        starts = any(start.startswith(rest) or rest.startswith(start) for start in _STARTS)
        return self._channels and starts and len(rest) < _HEADER and "<|message|>" not in rest

    def _think(self, last: bool) -> Iterator[Run]:
        mark = self._open
        assert mark is not None
        if self._trims:
            n_space = len(self._buffer) - len(self._buffer.lstrip())
            yield from self._taken(Kind.MARK, n_space)
            if not self._buffer:
                return
            self._trims = False
        ends = (mark.closing, "<|start|>") if mark == IN_CHANNEL else (mark.closing,)
        found = [(at, end) for end in ends if (at := self._buffer.find(end)) >= 0]
        if found:
            at, end = min(found)
            yield from self._words(Kind.THOUGHT, at)
            if end == mark.closing:
                yield from self._taken(Kind.MARK, len(end))
            self._open, self._begins = None, True
            return
        whole = len(self._buffer) if last else len(self._buffer) - held(self._buffer, ends)
        if not last:
            whole = len(self._buffer[:whole].rstrip())  # may stand before the closing mark
        yield from self._taken(Kind.THOUGHT, whole)

    def _words(self, kind: Kind, n: int) -> Iterator[Run]:
        """The last of a thought or an answer; white space before its closing mark is the mark's."""
        n_words = len(self._buffer[:n].rstrip())
        yield from self._taken(kind, n_words)
        yield from self._taken(Kind.MARK, n - n_words)

    def _answer(self, last: bool) -> Iterator[Run]:
        if self._trims:
            yield from self._taken(Kind.MARK, len(self._buffer) - len(self._buffer.lstrip()))
            self._trims = not self._buffer
        if not self._wrapped:
            yield from self._watch(last) if self.watches else self._taken(Kind.ANSWER, len(self._buffer))
            return
        if (at := self._buffer.find(self._wrapped)) >= 0:
            yield from self._words(Kind.ANSWER, at)
            yield from self._taken(Kind.MARK, len(self._wrapped))
            self._wrapped = ""
            return
        whole = len(self._buffer)
        if not last:  # the rest may stand before what closes it
            whole = len(self._buffer[: whole - held(self._buffer, (self._wrapped,))].rstrip())
        yield from self._taken(Kind.ANSWER, whole)

    def _watch(self, last: bool) -> Iterator[Run]:
        """The answer, unless a mark closes what nothing opened."""
        while self._buffer and self.watches:
            found = [(at, mark) for mark in self._closing if (at := self._buffer.find(mark.closing)) >= 0]
            if not found:
                ahead = 0 if last else held(self._buffer, [mark.closing for mark in self._closing])
                yield from self._taken(Kind.ANSWER, len(self._buffer) - ahead)
                return
            at, mark = min(found, key=lambda each: each[0])
            yield from self._taken(Kind.ANSWER, at)
            size = len(mark.closing)
            ends = judged(self._said, self._buffer[size:], mark, last=last)
            if ends is Ends.YES:
                yield from self._take_back(size)
                return
            if ends is Ends.OPEN:
                return
            if ends is Ends.FENCED:
                self._fenced.append((self._at, mark))
            yield from self._taken(Kind.ANSWER, size)
            self._n_judged += 1
        yield from self._taken(Kind.ANSWER, len(self._buffer))

    def _take_back(self, size: int) -> Iterator[Run]:
        """What was said is a thought, and the buffer begins with so many characters of what closes it."""
        yield Run(Kind.TAKEN, self._said.strip(), self._at + size)
        yield from self._taken(Kind.MARK, size)
        self._said, self._begins, self._trims, self.has_thought = "", True, True, True

    def _take_late(self) -> Iterator[Run]:
        """At the end it is known which blocks of code have none: a mark in such a one stood in no code."""
        begins_at = self._at - len(self._said)
        for at, mark in self._fenced if self.watches else ():
            before, rest = self._said[: at - begins_at], self._said[at - begins_at + len(mark.closing) :]
            if judged(before, rest, mark, last=True) is Ends.YES:
                answer = rest.lstrip()
                yield Run(Kind.TAKEN, before.strip(), self._at - len(answer))
                if answer:
                    yield Run(Kind.ANSWER, answer, self._at - len(answer))
                self.has_thought = True
                return
