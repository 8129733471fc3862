"""An engine that is held, so that what is to be seen in mid-answer is seen, however fast a machine is."""

import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.patience import until

_MODULE = "engine.runtime.worker"


@contextmanager
def held(pid: int) -> Iterator[psutil.Process]:
    """Stops the engine that runs below this process, until the end of the block."""
    engine = _engine_below(pid)
    engine.suspend()
    try:
        until(lambda: _is_stopped(engine))  # one that still runs could read what it is sent
        yield engine
    finally:
        with suppress(psutil.NoSuchProcess):
            engine.resume()


def is_told(engine: psutil.Process) -> bool:
    """Whether a held engine has been sent something, a cancel say, that it has not read yet."""
    reads = engine.cmdline()[-2]  # the number of its descriptor: see engine.child
    handle = os.open(f"/proc/{engine.pid}/fd/{reads}", os.O_RDONLY | os.O_NONBLOCK)
    try:
        (n_bytes,) = struct.unpack("i", fcntl.ioctl(handle, termios.FIONREAD, bytes(4)))
        return bool(n_bytes)
    finally:
        os.close(handle)


def _is_stopped(engine: psutil.Process) -> bool:
    """Whether each of its threads stands still: a signal is on its way for a while on a busy machine."""
    tasks = Path(f"/proc/{engine.pid}/task")
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] in "Tt" for task in tasks.iterdir())


def _engine_below(pid: int) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found.extend([child] if _MODULE in child.cmdline() else [])
        return bool(found)

    until(look)
    return found[0]
