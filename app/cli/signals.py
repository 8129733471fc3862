"""Ctrl-C and a polite kill: what they end, what they stop, and when they wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Flag
from typing import Any

INTERRUPTED = Flag()  # a signal came, whatever a library made of it


def interrupt(number: int, frame: object) -> None:
    INTERRUPTED.set()
    raise KeyboardInterrupt


@contextmanager
def cancelling(cancel: Flag, begun: Flag) -> Iterator[None]:
    """Ctrl-C and a polite kill stop the answer and keep it; a second one, or one before it began, ends the program."""

    def stop(number: int, frame: object) -> None:
        if cancel.is_set() or not begun.is_set():
            interrupt(number, frame)
        cancel.set()

    with _handling(stop):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """Saving is not interrupted: half a file would be left, and the answer is complete."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
