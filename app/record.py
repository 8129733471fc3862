"""What is kept of an answer while it comes, and how that ends: the turn in the store, its text, its outcome.

A disk that is full for a moment, or another process that writes for long, costs no answer: what could not be written is
written with what comes next.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, Protocol

from app.question import Answered, DeskEvent, Notice
from engine.backend import Event, Finished, Gauge, HeldQuote, Prefill, Remark, Stop, Text
from storage.records import Outcome, Turn
from storage.schema import StorageFailed
from storage.store import Store

_PROGRESS_S = 0.5  # how often the store hears of the prefill
_RETRY_S = 0.5  # after something could not be written
_FINISHING_S = (0.1, 0.5, 2.0)  # between tries to write how it ended


class Receipt(Protocol):
    """What makes the receipt of a turn."""

    server: Any

    def of(self, turn: Turn) -> Any: ...


@dataclass(slots=True)
class Record:
    """What is kept of an answer while it comes. read_s: what reading the sources took. text, ids: of the reply so far,
    also of its beginning where it goes on."""

    turn: Turn
    store: Store
    read_s: float
    receipts: Receipt
    text: str
    ids: list[int]
    n_begun: int = field(init=False)
    told_at: float = 0.0
    ended: bool = False
    gauge: Gauge | None = None
    encoded: int = 0
    held: tuple[HeldQuote, ...] = ()
    unwritten: StorageFailed | None = None
    is_told: bool = False
    try_at: float = 0.0

    def __post_init__(self) -> None:
        self.n_begun = len(self.ids)

    def keep(self, event: Event) -> DeskEvent:
        """Writes an event to the store; the event as the doors hear of it."""
        if isinstance(event, Finished):
            self.gauge, self.encoded, self.held = event.gauge, event.encoded, event.held
            self.receipts.server = event.server
            return Answered(self.end(self._outcome(event)), event.gauge, event.encoded)
        if isinstance(event, Text):  # at most 20 a second, 0.3 ms each: a kill loses nothing that was seen
            kept = self.text.removesuffix("\N{REPLACEMENT CHARACTER}") if event.mends else self.text
            self.text = kept + event.text
            self.ids += event.ids
            self._try(lambda: self.store.turns.append_text(self.turn.id, self.text, self.ids))
        elif isinstance(event, Prefill) and (event.done == event.total or monotonic() - self.told_at > _PROGRESS_S):
            self.told_at = monotonic()
            far = {"done": event.done, "total": event.total, "reused": event.reused}
            self._try(lambda: self.store.turns.set_progress(self.turn.id, **far))
        return Notice(event.text) if isinstance(event, Remark) else event

    def trouble(self) -> Iterator[Notice]:
        """What the doors are to hear of what could not be written, once."""
        if self.unwritten is not None and not self.is_told:
            self.is_told = True
            yield Notice(f"The answer could not be written down for a moment: {self.unwritten}")

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
        return self.end(Outcome(text=self.text, stop=stop, reply_ids=tuple(self.ids), error=error))

    def leave(self) -> None:
        """Nobody listens any more: what was sampled so far is kept, as far as that can be written."""
        if not self.ended:
            with suppress(StorageFailed):
                self.break_off(Stop.CANCELLED)

    def _outcome(self, event: Finished) -> Outcome:
        reply_ids, prompt_tokens = (*self.ids[: self.n_begun], *event.reply_ids), event.prompt_tokens - self.n_begun
        reply_ids = reply_ids if event.reply_tokens is None else ()  # a server tells none
        return Outcome(
            text=self.text,
            stop=event.stop,
            reply_ids=reply_ids,
            error=event.error,
            prompt_tokens=prompt_tokens,
            reused_tokens=min(event.reused_tokens, prompt_tokens),
            reply_tokens=len(reply_ids) if event.reply_tokens is None else self.n_begun + event.reply_tokens,
            read_s=self.read_s,
            load_s=event.load_s,
            prefill_s=event.prefill_s,
            ttft_s=event.ttft_s,
        )
