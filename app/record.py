"""What is kept of an answer while it comes, and how that ends: the turn in the store, its text, its outcome.

A disk that is full for a moment, or another process that writes for long, costs no answer: what could not be written is
written with what comes next.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic, sleep
from typing import Any, Protocol

from app.question import Answered, DeskEvent, Notice
from engine.backend import Event, Finished, Gauge, HeldQuote, Prefill, Remark, Stop, Text, Thinking
from storage.records import Outcome, Thought, Turn
from storage.schema import StorageFailed
from storage.store import Store

_PROGRESS_S = 0.5  # how often the store hears of the prefill
_RETRY_S = 0.5  # after something could not be written
_FINISHING_S = (0.1, 0.5, 2.0)  # between tries to write how it ended


class Receipts(Protocol):
    """What makes a turn's receipt. server: see Finished."""

    server: Mapping[str, Any] | None

    def of(self, turn: Turn) -> Any: ...


@dataclass(slots=True)
class Record:
    """What is kept of an answer while it comes. read_s: what reading the sources took. text: of the answer so far; ids:
    of all of the reply; thought: before the answer. Of each also the beginning where the reply goes on."""

    turn: Turn
    store: Store
    read_s: float
    receipts: Receipts
    text: str
    ids: list[int]
    thought: Thought = field(default_factory=Thought)
    n_begun: int = field(init=False)
    told_at: float = 0.0
    ended: bool = False
    gauge: Gauge | None = None
    encoded: int = 0
    held: tuple[HeldQuote, ...] = ()
    is_kept: bool = True  # the store has all that was thought
    unwritten: StorageFailed | None = None
    is_told: bool = False
    try_at: float = 0.0

    def __post_init__(self) -> None:
        self.n_begun = len(self.ids)
        spans = [(start, min(end, self.n_begun)) for start, end in self.thought.spans if start < self.n_begun]
        self.thought = replace(self.thought, spans=tuple(spans), is_open=False)

    def told(self, event: Event) -> list[DeskEvent]:
        """Keeps an event; what the doors hear of it, and once, of what could not be written."""
        told = [self.keep(event)]
        thought = self.turn.thought
        if self.ended and self.turn.stop == Stop.END and not self.text and thought is not None and thought.is_open:
            told.append(
                Notice("The model ended while it thought: it gave no answer. Ask again, or with --thinking off.")
            )
        if self.unwritten is not None and not self.is_told:
            self.is_told = True
            told.append(Notice(f"The answer could not be written down for a moment: {self.unwritten}"))
        return told

    def keep(self, event: Event) -> DeskEvent:
        """Writes an event to the store; the event as the doors hear of it."""
        if isinstance(event, Finished):
            self.gauge, self.encoded, self.held = event.gauge, event.encoded, event.held
            self.receipts.server = event.server
            return Answered(self.end(self._outcome(event)), event.gauge, event.encoded)
        if isinstance(event, Thinking):
            self._think(event)
        elif isinstance(event, Text):  # at most 20 a second, 0.3 ms each: a kill loses nothing that was seen
            kept = self.text.removesuffix("\N{REPLACEMENT CHARACTER}") if event.mends else self.text
            self.text = kept + event.text
            self.ids += event.ids
            self._append()
        elif isinstance(event, Prefill) and (event.done == event.total or monotonic() - self.told_at > _PROGRESS_S):
            self.told_at = monotonic()
            far = {"done": event.done, "total": event.total, "reused": event.reused}
            self._try(lambda: self.store.turns.set_progress(self.turn.id, **far))
        return Notice(event.text) if isinstance(event, Remark) else event

    def _think(self, event: Thinking) -> None:
        """Thoughts are long, and written whole: not as often as text."""
        spans, start = list(self.thought.spans), len(self.ids)
        self.ids += event.ids
        if event.ids and spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], len(self.ids))
        elif event.ids:
            spans.append((start, len(self.ids)))
        text = self.thought.text + event.text
        if event.takes_text:
            self.text, spans = "", [(0, len(self.ids))] if self.ids else []
        n_tokens = sum(end - start for start, end in spans) or event.n_tokens
        self.thought = replace(self.thought, text=text, spans=tuple(spans), n_tokens=n_tokens, is_open=True)
        self.is_kept = False
        if event.takes_text or monotonic() - self.told_at > _PROGRESS_S:
            self.told_at = monotonic()
            self._append()

    def _append(self) -> None:
        """Writes text and ids, and what was thought where the store has not all of it."""
        thought = None if self.is_kept else self.thought

        def write() -> None:
            self.store.turns.append_text(self.turn.id, self.text, self.ids, thought)
            self.is_kept = True

        self._try(write)

    def _had_thought(self) -> Thought | None:
        """What was thought; None where there was neither a thought nor a mark of one."""
        return self.thought if self.thought.text or self.thought.spans or self.thought.n_tokens else None

    def _n_answered(self, event: Finished, reply_ids: Sequence[int], n_thought: int) -> int:
        return len(reply_ids) - n_thought if event.reply_tokens is None else self.n_begun + event.reply_tokens

    def _try(self, write: Callable[[], object]) -> None:
        """Writes, or remembers that it could not: the next piece has all that is missing."""
        if monotonic() < self.try_at:
            return
        try:
            write()
        except StorageFailed as error:
            self.unwritten, self.try_at = error, monotonic() + _RETRY_S

    def end(self, outcome: Outcome) -> Turn:
        """The turn as it is stored now. Raises StorageFailed where it cannot be written for seconds: then it is one
        that was interrupted, with what was written of it before."""
        self.ended = True
        turn = self._finish(outcome)
        try:
            self.turn = self.store.turns.cite(turn.id, receipt=self.receipts.of(turn))
        except StorageFailed as error:  # the answer itself is there
            self.turn, self.unwritten = turn, error
        return self.turn

    def _finish(self, outcome: Outcome) -> Turn:
        for pause_s in _FINISHING_S:
            try:
                return self.store.turns.finish(self.turn.id, outcome)
            except StorageFailed as error:
                self.unwritten = error
                sleep(pause_s)
        return self.store.turns.finish(self.turn.id, outcome)

    def break_off(self, stop: Stop, error: str | None = None) -> Turn:
        """The turn as it is stored now, with what was sampled so far."""
        thought, ids = self._had_thought(), tuple(self.ids)
        return self.end(Outcome(text=self.text, stop=stop, reply_ids=ids, error=error, thought=thought))

    def leave(self) -> None:
        """Nobody listens any more: what was sampled so far is kept, as far as that can be written."""
        if not self.ended:
            with suppress(StorageFailed):
                self.break_off(Stop.CANCELLED)

    def _outcome(self, event: Finished) -> Outcome:
        reply_ids, prompt_tokens = (*self.ids[: self.n_begun], *event.reply_ids), event.prompt_tokens - self.n_begun
        reply_ids = reply_ids if event.reply_tokens is None else ()  # a server tells none
        own = tuple((start + self.n_begun, end + self.n_begun) for start, end in event.thoughts)
        spans = (*(span for span in self.thought.spans if span[0] < self.n_begun), *own)
        spans = tuple((start, min(end, self.n_begun) if start < self.n_begun else end) for start, end in spans)
        n_thought = sum(end - start for start, end in spans) if reply_ids else event.thought_tokens
        seconds = self.thought.seconds + event.thought_s
        self.thought = replace(self.thought, spans=spans, n_tokens=n_thought, seconds=seconds, is_open=event.is_open)
        return Outcome(
            text=self.text,
            stop=event.stop,
            reply_ids=reply_ids,
            error=event.error,
            prompt_tokens=prompt_tokens,
            reused_tokens=min(event.reused_tokens, prompt_tokens),
            reply_tokens=self._n_answered(event, reply_ids, n_thought),
            thought=self._had_thought(),
            read_s=self.read_s,
            load_s=event.load_s,
            prefill_s=event.prefill_s,
            ttft_s=event.ttft_s,
        )
