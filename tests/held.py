"""An engine that is held, so that what is to be seen in mid-answer is seen, however fast a machine is."""

import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.patience import until

_MODULE = "engine.runtime.worker"


@contextmanager
def held(pid: int) -> Iterator[psutil.Process]:
    """Stops the engine that runs below this process, until the end of the block."""
    engine = _engine_below(pid)
    engine.suspend()
    try:
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


def _engine_below(pid: int) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found.extend([child] if _MODULE in child.cmdline() else [])
        return bool(found)

    until(look)
    return found[0]
