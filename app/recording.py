"""What is kept of an answer while it comes: its text and ids as they are written, figures and receipt at its end."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from app.next_turn import PreparedTurn
from app.question import Answered, DeskEvent, Notice
from app.receipts import Sending, receipt_of
from app.settings import Settings
from engine.backend import Backend, Event, Finished, Gauge, HeldQuote, Prefill, Remark, Stop, Text
from storage.records import Outcome, Turn
from storage.store import Store

_PROGRESS_S = 0.5  # how often the store hears of the prefill


@dataclass(slots=True)
class Receipts:
    """What a turn's receipt is made of. passes: see Sending."""

    prepared: PreparedTurn
    backend: Backend
    store: Store
    settings: Settings
    passes: dict[str, Any] | None = None

    def of(self, turn: Turn) -> dict[str, Any]:
        prepared, talk = self.prepared, self.prepared.conversation
        sending = Sending(
            case=prepared.case,
            answered=tuple(earlier.index for earlier in talk.answered),
            placed=tuple((at.source, at.enabled) for at in prepared.placed),
            numbers=talk.numbers,
            unseen=talk.unseen,
            only=turn.settings.get("only") is not None,
            system=prepared.system,
            today=prepared.today,
            own=prepared.settings,
            passes=self.passes,
        )
        skipped = self.store.sources.skipped(turn.session_id)
        return receipt_of(turn, sending, skipped=skipped, backend=self.backend, settings=self.settings).to_json()


@dataclass(slots=True)
class Record:
    """What is kept of an answer while it comes. read_s: what reading the sources took.

    text, ids: of the reply so far, also of its beginning where it goes on.
    """

    turn: Turn
    store: Store
    read_s: float
    receipts: Receipts
    text: str
    ids: list[int]
    n_begun: int = field(init=False)
    told_at: float = 0.0
    ended: bool = False
    gauge: Gauge | None = None
    encoded: int = 0
    held: tuple[HeldQuote, ...] = ()

    def __post_init__(self) -> None:
        self.n_begun = len(self.ids)

    def keep(self, event: Event) -> DeskEvent:
        """Writes an event to the store; the event as the doors hear of it."""
        if isinstance(event, Finished):
            self.gauge, self.encoded, self.held = event.gauge, event.encoded, event.held
            return Answered(self.end(self._outcome(event)), event.gauge, event.encoded)
        if isinstance(event, Text):  # at most 20 a second, 0.3 ms each: a kill loses nothing that was seen
            kept = self.text.removesuffix("\N{REPLACEMENT CHARACTER}") if event.mends else self.text
            self.text = kept + event.text
            self.ids += event.ids
            self.store.turns.append_text(self.turn.id, self.text, self.ids)
        elif isinstance(event, Prefill) and (event.done == event.total or monotonic() - self.told_at > _PROGRESS_S):
            self.told_at = monotonic()
            self.store.turns.set_progress(self.turn.id, done=event.done, total=event.total, reused=event.reused)
        return Notice(event.text) if isinstance(event, Remark) else event

    def end(self, outcome: Outcome) -> Turn:
        """The turn as it is stored now."""
        self.ended = True
        turn = self.store.turns.finish(self.turn.id, outcome)
        self.turn = self.store.turns.cite(turn.id, receipt=self.receipts.of(turn))
        return self.turn

    def break_off(self, stop: Stop, error: str | None = None) -> Turn:
        """The turn as it is stored now, with what was sampled so far."""
        return self.end(Outcome(text=self.text, stop=stop, reply_ids=tuple(self.ids), error=error))

    def _outcome(self, event: Finished) -> Outcome:
        reply_ids, prompt_tokens = (*self.ids[: self.n_begun], *event.reply_ids), event.prompt_tokens - self.n_begun
        return Outcome(
            text=self.text,
            stop=event.stop,
            reply_ids=reply_ids,
            error=event.error,
            prompt_tokens=prompt_tokens,
            reused_tokens=min(event.reused_tokens, prompt_tokens),
            reply_tokens=len(reply_ids),
            read_s=self.read_s,
            load_s=event.load_s,
            prefill_s=event.prefill_s,
            ttft_s=event.ttft_s,
        )
