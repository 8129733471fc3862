"""Ctrl-C, a polite kill and a closed terminal: what they end, what they stop, and when they wait."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event as Flag
from time import monotonic
from typing import Any

from app.endings import CANCELLED, exit_code, polite_signals

_GRACE_S = 0.2

INTERRUPTED = Flag()  # a signal came, whatever a library made of it
_CAME: list[int] = []  # the signals that came


def interrupt(number: int, frame: object) -> None:
    _CAME.append(number)
    INTERRUPTED.set()
    raise KeyboardInterrupt


def was_asked_to_end() -> bool:
    """Whether a signal came: what fails from then on, such as writing to a terminal that was closed, is no fault."""
    if _CAME:
        INTERRUPTED.set()
    return INTERRUPTED.is_set()


def _told(code: int) -> int:
    """The exit code of a command: of one that was cancelled, by which signal."""
    return exit_code(_CAME[0]) if code == CANCELLED and _CAME else code


def leave(code: int) -> None:
    """Ends the process. After a signal, no thread that still computes is waited for: nobody wants its ids any more, and
    what is being written is put in its place whole or not at all."""
    code = _told(code)
    if INTERRUPTED.is_set():
        end = monotonic() + _GRACE_S
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(max(0.0, end - monotonic()))
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        atexit._run_exitfuncs()  # temporary folders go
        os._exit(code)
    sys.exit(code)


def end_at_once(code: int) -> None:
    """Ends the process as Python would, but does not take apart what it holds, which takes 0.2 s after a large corpus.

    Returns where what was printed cannot be written: Python says so as it ends.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for its threads, as Python does first
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except KeyboardInterrupt:
        INTERRUPTED.set()
        leave(CANCELLED)
    except (AttributeError, OSError, ValueError):
        return
    os._exit(code)


@contextmanager
def cancelling(cancel: Flag, begun: Flag) -> Iterator[None]:
    """What polite_signals has stops the answer and keeps it; a second one, or one before it began, ends the program."""

    def stop(number: int, frame: object) -> None:
        if cancel.is_set() or not begun.is_set():
            interrupt(number, frame)
        _CAME.append(number)
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
    before = {number: signal.signal(number, handler) for number in polite_signals()}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
