"""How far reading in passes has come: which pass runs, how much of the whole is read, and how long the rest takes.

Pure arithmetic over what is heard of a question; the clock is the caller's.
"""

from dataclasses import dataclass, replace

from app.question import Passes, Passing
from engine.backend import Prefill


@dataclass(frozen=True, slots=True, kw_only=True)
class InPasses:
    """plan: what is to be read. at: the pass that runs, or ran last; over: those that left a note, in order.

    since: when the one that runs began, in seconds of a clock that only goes on. spent_s, spent_tokens: of the passes
    that have read something, from their beginning to their note.
    """

    plan: Passes
    at: Passing | None = None
    over: tuple[Passing, ...] = ()
    since: float = 0.0
    spent_s: float = 0.0
    spent_tokens: int = 0

    @property
    def n_passes(self) -> int:
        return len(self.plan.tokens)

    @property
    def gave(self) -> tuple[Passing, ...]:
        """The passes over slices that are over; merging their notes gives nothing new."""
        return tuple(each for each in self.over if not each.merging)

    @property
    def running(self) -> Passing | None:
        """The pass that runs; None between two, and when all are over."""
        return self.at if self.at is not None and self.at.note is None else None

    @property
    def all_over(self) -> bool:
        """Whether every slice has left its note and none are being merged: what follows is the answer."""
        return self.running is None and len(self.gave) == self.n_passes

    def after(self, event: Passing, now: float) -> "InPasses":
        """After one more pass began, or is over."""
        if event.note is None:
            return replace(self, at=event, since=now)
        told = replace(self, at=event, over=(*self.over, event))
        if event.kept:
            return told
        n_read = max(1, event.n_read)
        return replace(told, spent_s=self.spent_s + now - self.since, spent_tokens=self.spent_tokens + n_read)

    def share(self, prefill: Prefill | None) -> float:
        """Of all slices, how much is read."""
        done = float(sum(self.plan.tokens[: len(self.gave)]))
        if self.running is not None and not self.running.merging and prefill is not None:
            done += self.plan.tokens[len(self.gave)] * prefill.done / prefill.total
        return min(1.0, done / max(1, sum(self.plan.tokens)))

    def pass_left_s(self, prefill: Prefill | None) -> float | None:
        """Until the pass that runs has read; None where nobody can tell yet, and when it has."""
        if prefill is None or prefill.done in (prefill.reused, prefill.total) or not prefill.seconds:
            return None
        return (prefill.total - prefill.done) * prefill.seconds / (prefill.done - prefill.reused)

    def left_s(self, prefill: Prefill | None, now: float) -> float | None:
        """Until all slices are read and noted, by what those before took; by how fast this one is read, where it is the
        first. None where nobody can tell yet."""
        behind = sum(self.plan.tokens[len(self.gave) + 1 :])
        if self.spent_tokens:
            per_token = self.spent_s / self.spent_tokens
            own = self.running.n_tokens * per_token - (now - self.since) if self.running is not None else 0.0
            return behind * per_token + max(0.0, own)
        left = self.pass_left_s(prefill)
        if left is None or prefill is None:
            return None
        return left + behind * prefill.seconds / (prefill.done - prefill.reused)
