"""How long tests wait: until it has happened, on any machine. The end is there for what hangs, and decides no test."""

from collections.abc import Callable
from time import monotonic, sleep

PATIENCE_S = 1_800.0  # ten times what the slowest test takes on one of two busy cores


def until(happened: Callable[[], object], *, every_s: float = 0.01) -> None:
    """Looks again and again until it has happened. Raises AssertionError when it never does."""
    end = monotonic() + PATIENCE_S
    while not happened():
        assert monotonic() < end, "it never happened"
        sleep(every_s)
