"""What has come of an answer so far, the events that it makes, and what a server said of it, for the receipt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from engine.backend import About, Event, Finished, Prefill, Prompt, Remark, Sampling, Stop, Text, Thinking
from engine.corpus.wording import printable
from engine.prompt.marks import THOUGHTS
from engine.remote.compatible import Piece, Request, Usage
from engine.runtime.circles import Pieces
from engine.runtime.parting import Kind, Parting, Run

_TELL_S = 0.5  # how often a prefill is heard of, of which the server says nothing
_MOST_REASONING = 200_000  # characters that a receipt keeps
_PROPER = ("stop", "length", "eos", "eos_token", "end_turn", "stop_sequence", "end", "max_tokens", "load", "unload")
_MOST_WHY = 60  # characters of a reason
# of what was counted, what a server reads at least where it reads all: a template may be another one than ours
_EXACT, _SAME_VOCABULARY, _ESTIMATED = 1.0, 0.95, 0.5


@dataclass(slots=True)
class Heard:
    """What has come of an answer so far."""

    prompt: Prompt
    request: Request
    begun_at: float
    finish: str | None = None
    usage: Usage = field(default_factory=Usage)
    n_pieces: int = 0
    reused: int = 0
    total: int = 0
    first_at: float | None = None
    read_at: float | None = None
    told_at: float = 0.0
    text: str = ""
    reasoning: str = ""
    said: list[str] = field(default_factory=list)
    n_thoughts: int = 0  # pieces
    thought_at: float | None = None
    thought_s: float = 0.0
    _parting: Parting = field(init=False)
    _pieces: Pieces = field(default_factory=Pieces)
    _in_circles: bool = False

    def __post_init__(self) -> None:
        self.total = self.prompt.n_tokens
        # no server says what its model closes thoughts with: any mark may do so
        self._parting = Parting(closing=THOUGHTS if self.request.form is None else ())
        if self.request.begun:  # what it goes on from
            self._parting.add(str(self.request.messages[-1]["content"]))

    def is_due(self, now: float) -> bool:
        return self.read_at is None and now - self.told_at >= _TELL_S

    def prefill(self, done: int, *, untold: bool = False) -> Prefill:
        self.told_at = monotonic()
        done = min(done, self.total - 1)
        return Prefill(max(done, 0), self.total, self.reused, self.told_at - self.begun_at, untold=untold)

    def take(self, piece: Piece) -> Iterator[Event]:
        """What a piece adds."""
        if piece.read is not None and self.read_at is None:
            done, self.total, self.reused = piece.read
            yield self.prefill(done)
        if piece.remark:
            self.said.append(piece.remark)
        if (piece.text or piece.reasoning or piece.finish) and self.read_at is None:
            self.read_at = monotonic()
            yield Prefill(self.total, self.total, self.reused, self.read_at - self.begun_at)
        if piece.reasoning:
            if not self.thinks:
                yield Remark("The model thinks before it answers; what it thinks is kept apart.")
            self._parting.settle()
            yield self._thinking(piece.reasoning)
        if piece.text:
            yield from self._said(self._parting.add(piece.text))
        self._pieces.add(piece.reasoning or "")
        self._pieces.add(piece.text or "")
        if self._pieces.is_due and self._pieces.go_round():
            self._in_circles = True
        if piece.finish or self._in_circles:
            yield from self._said(self._parting.end())
        self.finish = piece.finish or self.finish
        self.usage = piece.usage or self.usage

    @property
    def in_circles(self) -> bool:
        """Whether it says the same again and again: it is not to go on."""
        return self._in_circles and self.finish is None

    @property
    def thinks(self) -> bool:
        """Whether anything was thought."""
        return bool(self.reasoning)

    def _said(self, runs: Sequence[Run]) -> Iterator[Event]:
        """Text, of which some may be what a server has left of the model's thoughts."""
        takes = any(run.kind is Kind.TAKEN for run in runs)
        for run in runs:
            if run.kind is Kind.THOUGHT:
                yield self._thinking(run.text)
            elif run.kind is Kind.TAKEN:  # the server's template had opened it
                self.thought_at, self.first_at, self.text = self.first_at, None, ""
                self.n_thoughts, self.n_pieces, takes = self.n_pieces, 0, False
                yield self._thinking(run.text, takes_text=True)
            elif run.kind is Kind.ANSWER:
                self.first_at = self.first_at or monotonic()
                self.n_pieces += 1
                self.text += run.text
                yield Text(run.text, self.n_pieces, may_be_thought=takes or self._parting.watches)

    def _thinking(self, text: str, *, takes_text: bool = False) -> Thinking:
        self.thought_at = self.thought_at or monotonic()
        self.thought_s = monotonic() - self.thought_at
        self.n_thoughts += 1
        self.reasoning = (self.reasoning + text)[:_MOST_REASONING]
        return Thinking(text, self.n_thoughts, takes_text=takes_text)

    def remarks(self, about: About) -> Iterator[Remark]:
        """What the user should know of how it was answered."""
        for sentence in self.said:
            yield Remark(sentence)
        if self.finish == "length" and self.thinks and not self.text:
            yield Remark("All that the reply may have went into thinking: give --max-tokens more, or --thinking off.")
        if self.finish is not None and self.finish.casefold() not in _PROPER:
            yield Remark(f'{about.server} ended the answer for "{printable(self.finish[:_MOST_WHY])}", not at its end.')
        usage = self.usage
        if self.is_cut(about):
            yield Remark(
                f"{about.server} read {usage.prompt_tokens or 0:,} tokens, where {self.prompt.n_tokens:,} were "
                "counted: it may have left out some of the prompt."
            )
        total = (usage.prompt_tokens or 0) + (usage.reply_tokens or 0)
        if total > max(about.window, self.request.n_ctx):
            yield Remark(
                f"Prompt and reply took {total:,} tokens, more than the context: {about.server} dropped some of the "
                "prompt while it answered."
            )

    def finished(self, cancelled: bool, about: About, sampling: Sampling | None = None) -> Finished:
        """The end of it. sampling: that was asked for."""
        ended, usage = monotonic(), self.usage
        told = usage.reply_tokens
        n_thought = (usage.reasoning_tokens or self.n_thoughts) if self.thinks else 0  # a piece is a token, or more
        stop = Stop.CANCELLED if cancelled else Stop.LENGTH if self.finish == "length" else Stop.END
        error = None
        if self.in_circles and not cancelled:
            stop, error = Stop.ERROR, self._pieces.sentence(sampling or Sampling())
        read = (self.read_at or ended) - self.begun_at
        prompt_tokens = usage.prompt_tokens if usage.prompt_tokens is not None else self.total
        reused = usage.cached_tokens if usage.cached_tokens is not None else self.reused
        return Finished(
            stop=stop,
            error=error,
            reply_ids=(),
            prompt_tokens=prompt_tokens,
            reused_tokens=min(reused, prompt_tokens),
            load_s=0.0,
            restore_s=0.0,
            prefill_s=read,
            ttft_s=(self.first_at or ended) - self.begun_at,
            generate_s=ended - (self.read_at or ended),
            reply_tokens=self.n_pieces if told is None else max(0, told - n_thought),
            thought_tokens=n_thought,
            written_tokens=told,
            thought_s=self.thought_s,
            is_open=self.thinks and not self.text,
            server=self._server(about),
        )

    def is_cut(self, about: About) -> bool:
        """Whether a server read fewer tokens than were sent, as far as counts of that kind can tell."""
        told, counted = self.usage.prompt_tokens, self.prompt.n_tokens
        if told is None or self.request.begun:
            return False
        share = _EXACT if about.counts_exactly else _SAME_VOCABULARY if about.counted_with else _ESTIMATED
        return told < counted * share

    def _server(self, about: About) -> dict[str, Any]:
        """What the server said, for the receipt."""
        usage, counted = self.usage, self.prompt.n_tokens
        told = usage.prompt_tokens
        return {
            "engine": about.server,
            "counted_tokens": counted,
            "counted": _counted_by(about),
            "prompt_tokens": told,
            "differs_by": None if told is None else told - counted,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "read_per_s": usage.read_per_s,
            "written_per_s": usage.written_per_s,
            "reasoning": self.reasoning or None,
        }


def _counted_by(about: About) -> str:
    if about.counted_with:
        return f"with the vocabulary of {about.counted_with}"
    return about.how_counted or "by the server"
