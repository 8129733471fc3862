"""What is heard of a summary while it is made: its plan, each step, and the summary itself; and how long is left."""

from dataclasses import dataclass, field
from time import monotonic

from app.passes.summary.document import Summary
from app.question import DeskEvent
from app.sizes import show_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What will be read, in so many passes, before anything runs. titles, tokens: of each pass."""

    n_sources: int
    n_parts: int
    n_tokens: int
    titles: tuple[str, ...]
    tokens: tuple[int, ...]
    room: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A call begins, or is over. doing: "plan", "read" or "write". number: of the n_steps of all that is to be done.

    left_s: seconds until the summary is there, about; None where nobody knows yet. n_said: lines of the reply, n_shown
    of them shown by words. kept: it was there before, and nothing was read.
    """

    doing: str
    title: str
    number: int
    n_steps: int
    is_over: bool = False
    left_s: float | None = None
    n_said: int = 0
    n_shown: int = 0
    kept: bool = False
    n_read: int = 0
    n_reused: int = 0

    @property
    def left(self) -> str:
        """ " · about 4 min left", behind what it does; '' where nobody knows, and behind the last."""
        if self.left_s is None or (self.is_over and self.number >= self.n_steps):
            return ""
        return f" · about {show_seconds(self.left_s)} left"


@dataclass(frozen=True, slots=True)
class Summarized:
    """It is there, and kept with its session. n_changed: pages that are not as they were in the one before."""

    summary: Summary


SummaryEvent = Planned | Step | Summarized | DeskEvent


@dataclass(slots=True)
class Pace:
    """How long what is left takes, by what was done. reply_cost: as many tokens as a step's reply takes time for."""

    n_left: int  # steps
    tokens_left: int
    reply_cost: int
    _spent_s: float = 0.0
    _cost: float = 0.0
    _begun: float = field(default_factory=monotonic)

    def begin(self) -> None:
        self._begun = monotonic()

    def end(self, n_tokens: int, *, kept: bool) -> None:
        """A step is over that was to read so many of the tokens."""
        self.n_left, self.tokens_left = max(0, self.n_left - 1), max(0, self.tokens_left - n_tokens)
        if not kept:
            self._spent_s += monotonic() - self._begun
            self._cost += n_tokens + self.reply_cost

    @property
    def left_s(self) -> float | None:
        if not self._cost:
            return None
        return (self.tokens_left + self.n_left * self.reply_cost) * self._spent_s / self._cost
