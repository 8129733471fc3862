"""Checkpoints of a long prefill: one growing state on disk, as often as costs little of the time that it protects."""

from dataclasses import dataclass
from pathlib import Path

_SHARE = 0.05  # of the prefill's time may go into saving
_FIRST_GUESS_BYTES_PER_S = 200 << 20  # writing and syncing, until it was measured: a slow disk
_FEWEST_TOKENS = 1024  # less is read again sooner than it is looked up


@dataclass(slots=True)
class Checkpoints:
    """When and where the next one is written. stem: the path without its number; max_bytes: the largest allowed."""

    stem: Path
    max_bytes: int
    n_saved: int = 0
    spent_s: float = 0.0
    bytes_per_s: float = _FIRST_GUESS_BYTES_PER_S
    at: int = 0  # tokens that the last one held

    def is_due(self, n_tokens: int, n_bytes: int, elapsed_s: float) -> bool:
        """Whether a state of n_bytes should be written after so much time of prefill, saving included."""
        if n_bytes > self.max_bytes or n_tokens - self.at < _FEWEST_TOKENS:
            return False
        return self.spent_s + n_bytes / self.bytes_per_s <= _SHARE * elapsed_s

    def next_path(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}-{self.n_saved}.kv")

    def saved(self, n_tokens: int, n_bytes: int, seconds: float) -> None:
        """One was written."""
        self.n_saved += 1
        self.spent_s += seconds
        self.at = n_tokens
        self.bytes_per_s = max(1.0, n_bytes / max(seconds, 1e-6))
