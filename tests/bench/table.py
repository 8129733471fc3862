"""A benchmark's result: a ratio, what it may be at most, and how it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ours and theirs are medians in `unit`; limit is the largest ratio allowed, None for no limit."""

    name: str
    ours: float
    theirs: float
    unit: str
    limit: float | None

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("inf")

    @property
    def holds(self) -> bool:
        return self.limit is None or self.ratio <= self.limit

    def __str__(self) -> str:
        limit = "" if self.limit is None else f" (at most {self.limit:.2f}: {'holds' if self.holds else 'FAILS'})"
        return f"{self.name:<58} {self.ours:>10.3f} {self.theirs:>10.3f} {self.unit:<4} {self.ratio:>6.3f}{limit}"


HEAD = f"{'':<58} {'ours':>10} {'theirs':>10} {'':<4} {'ratio':>6}"


def seconds(run: Callable[[], object]) -> float:
    """What one call takes."""
    begun = perf_counter()
    run()
    return perf_counter() - begun


def interleave(ours: Callable[[], float], theirs: Callable[[], float], *, times: int) -> tuple[float, float]:
    """Medians of two measurements taken in turn, after one of each that does not count."""
    ours(), theirs()
    pairs: Sequence[tuple[float, float]] = [(ours(), theirs()) for _ in range(times)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
