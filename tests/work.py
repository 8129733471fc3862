"""What a call costs, counted and not timed: the same on a machine that is slow, or busy with something else."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from storage.store import Store

_EVERY = 10  # instructions of SQLite's virtual machine


def calls(run: Callable[[], object]) -> int:
    """Functions that are called, Python's and C's, in this thread."""
    n_calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return n_calls


def bytes_read(run: Callable[[], object]) -> int:
    """Bytes that this process reads from files, with what is mapped left out; 0 where the system does not tell."""
    before = _n_read()
    run()
    return _n_read() - before


def _n_read() -> int:
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except OSError:
        return 0


def instructions(store: Store, run: Callable[[], object]) -> int:
    """Instructions that SQLite executes for a store, those of its full-text search included; to ten."""
    n_instructions = 0

    def count() -> int:
        nonlocal n_instructions
        n_instructions += _EVERY
        return 0

    [connection] = store._database._idle  # one thread takes the same one every time
    connection.set_progress_handler(count, _EVERY)
    try:
        run()
    finally:
        connection.set_progress_handler(None, 0)
    return n_instructions
