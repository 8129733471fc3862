"""Checkpoints of a long prefill: one growing state on disk, as often as costs little of the time that it protects."""

from dataclasses import dataclass, field
from pathlib import Path

_SHARE = 0.05  # of the prefill's time may go into saving
_FIRST_GUESS_BYTES_PER_S = 200 << 20  # writing and syncing, until it was measured: a slow disk
_FEWEST_TOKENS = 1024  # less is read again sooner than it is looked up


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """How fast a machine is taken to be, in place of what is measured: what is decided by it is then alike on any.

    tokens_per_s: of a prefill. bytes_per_s: of writing a state. file_bytes_per_s: of reading a model's file.
    """

    tokens_per_s: float
    bytes_per_s: float = 500 << 20
    file_bytes_per_s: float = 1 << 30


@dataclass(slots=True)
class Checkpoints:
    """When and where the next one is written. stem: the path without its number; max_bytes: the largest allowed.

    n_held: tokens that were held when the prefill began. speeds: in place of the clock's; None to go by the clock.
    """

    stem: Path
    max_bytes: int
    n_held: int = 0
    speeds: Speeds | None = None
    n_saved: int = 0
    spent_s: float = 0.0
    bytes_per_s: float = _FIRST_GUESS_BYTES_PER_S
    at: int = field(init=False)  # tokens that the last one held

    def __post_init__(self) -> None:
        self.at = self.n_held

    def is_due(self, n_tokens: int, n_bytes: int, elapsed_s: float) -> bool:
        """Whether a state of n_bytes should be written after so much time of prefill, saving included."""
        if n_bytes > self.max_bytes or n_tokens - self.at < _FEWEST_TOKENS:
            return False
        if self.speeds is not None:
            elapsed_s = (n_tokens - self.n_held) / self.speeds.tokens_per_s + self.spent_s
        return self.spent_s + n_bytes / self.bytes_per_s <= _SHARE * elapsed_s

    def next_path(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}-{self.n_saved}.kv")

    def saved(self, n_tokens: int, n_bytes: int, seconds: float) -> None:
        """One was written."""
        if self.speeds is not None:
            seconds = n_bytes / self.speeds.bytes_per_s
        self.n_saved += 1
        self.spent_s += seconds
        self.at = n_tokens
        self.bytes_per_s = max(1.0, n_bytes / max(seconds, 1e-6))
