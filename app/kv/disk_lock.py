"""Room on a disk that processes take from each other's sight: who writes how much just now, behind one lock.

The lock file holds the reservations. A process that dies leaves its own behind, which then counts for nothing.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from engine.errors import LongdeskError
from storage.leases import Holder, this_process

_WAIT_S = 10.0
_POLL_S = 0.02


class Reservations:
    """What is reserved, while the lock is held; by others and under this token."""

    def __init__(self, file: IO[bytes], token: str) -> None:
        self._file, self._token = file, token
        self._others = {name: entry for name, entry in _read(file).items() if name != token and _is_alive(entry)}

    @property
    def others_bytes(self) -> int:
        """What other writers may still write: all that they reserved, whatever of it is written already."""
        return sum(entry["n_bytes"] for entry in self._others.values())

    def reserve(self, n_bytes: int) -> None:
        """So much under this token, in place of what was; 0 gives it back."""
        entries = dict(self._others)
        if n_bytes:
            entries[self._token] = {"n_bytes": n_bytes, **asdict(this_process())}
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(entries).encode())
        self._file.flush()


@contextmanager
def reserving(path: Path, token: str) -> Iterator[Reservations]:
    """Holds the lock of this file, which is made where it is not there. Not to be nested.

    Raises LongdeskError when another process, or another thread of this one, keeps it for long; OSError.
    """
    with locked(path) as file:
        yield Reservations(file, token)


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """Holds the lock of this file, as reserving does."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        _lock(file, path)  # let go when the file is closed
        yield file


def _lock(file: IO[bytes], path: Path) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LongdeskError(
                    f"Another process has kept {path} locked for {_WAIT_S:.0f} seconds.", "Try again later."
                ) from None
        time.sleep(_POLL_S)


def _read(file: IO[bytes]) -> dict[str, Any]:
    try:
        entries = json.loads(file.read() or b"{}")
    except ValueError:  # whoever wrote it was killed in the middle
        return {}
    return entries if isinstance(entries, dict) else {}


def _is_alive(entry: Any) -> bool:
    try:
        holder = Holder(entry["pid"], entry["started"], entry["host"], entry["heartbeat"])
        return entry["n_bytes"] > 0 and holder.is_alive()
    except (TypeError, KeyError):
        return False
