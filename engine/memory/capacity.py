"""What a server's KV cache has room for now, and for how many others a prompt has to wait. Values only."""

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """As a server tells it.

    total: tokens of its KV cache, None where it does not say. used: of them, by requests that run. running, waiting:
    requests. slots: that can run at once, None for as many as there is room for.
    """

    total: int | None = None
    used: int = 0
    running: int = 0
    waiting: int = 0
    slots: int | None = None

    def never(self, n_tokens: int) -> bool:
        """Whether so many tokens of prompt and reply are more than all of it."""
        return self.total is not None and n_tokens > self.total

    def before(self, n_tokens: int) -> int:
        """How many other requests have to be done before so many tokens have room: 0 for now.

        Those that wait come first. Of those that run, each is taken to hold as much as the others.
        """
        ahead = 0
        if self.total is not None and self.running:
            short = n_tokens - (self.total - self.used)
            each = max(1.0, self.used / self.running)
            ahead = min(self.running, ceil(short / each)) if short > 0 else 0
        if self.slots is not None and self.running >= self.slots:
            ahead = max(ahead, self.running - self.slots + 1)
        return self.waiting + max(ahead, 1) if self.waiting else ahead
