"""Memory that engines were promised and have not taken yet, so that no two processes plan on the same free bytes.

Each engine that runs over a home has a file there, which its owner holds locked as long as it lives: the system lets go
of it however the owner ends. What an engine has taken already is missing from what is free, and does not count again.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from app.kv.disk_lock import locked
from engine.errors import LongdeskError
from engine.memory.budget import Device, Need
from storage.hosts import this_host
from storage.leases import Holder, this_process

_FOLDER, _LOCK = "engines", "engines.lock"


@dataclass(frozen=True, slots=True)
class Promise:
    """What one engine was promised, in bytes by device. engine: its process, None before that runs; taken_bytes: of
    main memory, by now. loaded: it has taken what it takes of GPUs."""

    owner: int
    engine: int | None
    loaded: bool
    promised: dict[str, int]
    taken_bytes: int = 0

    def outstanding_bytes(self, device: Device) -> int:
        """What it will still take there."""
        promised = self.promised.get(device.name, 0)
        if device.kind == "ram":
            return max(0, promised - self.taken_bytes)
        return 0 if self.loaded else promised


class Promises:
    """Those of a home, and the one of this owner. Any thread may call any method."""

    def __init__(self, home: Path) -> None:
        self._folder, self._lock_path = home / _FOLDER, home / _LOCK
        self._name = f"{os.getpid()}-{secrets.token_hex(6)}.json"
        self._file: IO[bytes] | None = None
        self._entry: dict[str, Any] = {}

    def others(self) -> tuple[Promise, ...]:
        """Of engines that have another owner, who lives. What dead owners left behind goes. Never raises OSError."""
        found = []
        with suppress(OSError):
            for path in sorted(self._folder.glob("*.json")):
                if path.name != self._name and (promise := _read(path)) is not None:
                    found.append(promise)
        return tuple(found)

    def promise(self, needs: Sequence[Need], fits: Callable[[], bool]) -> bool:
        """Makes the promise, in place of the one before, where it fits by then; whether it did. Nobody else is
        promised anything meanwhile.

        Where nothing can be written, on a full disk say, the engine goes without one.
        """
        entry = {
            **asdict(this_process()),
            "engine": None,
            "loaded": False,
            "promised": {need.device.name: _taken_for_good(need) for need in needs},
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self._lock_path):
                if not fits():
                    return False
                self._write(entry)
        except (OSError, LongdeskError):
            if not self._entry:
                self.withdraw()  # a file without a promise in it
            return fits()
        return True

    def runs(self, engine: int | None, *, loaded: bool = False) -> None:
        """Which process the engine is, and whether it has loaded its model."""
        if self._file is not None and (self._entry["engine"], self._entry["loaded"]) != (engine, loaded):
            with suppress(OSError):
                self._write({**self._entry, "engine": engine, "loaded": loaded})

    def withdraw(self) -> None:
        """The engine has ended."""
        if self._file is not None:
            with suppress(OSError):
                (self._folder / self._name).unlink()
            self._file.close()  # and the lock with it
            self._file, self._entry = None, {}

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            self._file = _own_file(self._folder / self._name)
        text = json.dumps(entry).encode()
        os.pwrite(self._file.fileno(), text + b"\n" * (1024 - len(text)), 0)  # at once: others may be reading
        self._entry = entry


def promised_away(device: Device, others: Sequence[Promise]) -> int:
    """Bytes of a device that are free and promised to others."""
    return sum(promise.outstanding_bytes(device) for promise in others)


def _taken_for_good(need: Need) -> int:
    """Without what of a file is mapped: the system may drop that again, and it counts as free."""
    return need.needed_bytes - need.mapped_bytes


def _own_file(path: Path) -> IO[bytes]:
    """A locked file; it has its name only when it is, or it would be taken for a dead owner's."""
    unnamed = path.with_suffix(".part")
    file = os.fdopen(os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)
    except OSError:
        file.close()
        unnamed.unlink(missing_ok=True)
        raise
    return file


def _read(path: Path) -> Promise | None:
    """None where its owner is dead, whose file goes, or nothing is promised."""
    with suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
        if not _is_held(file):
            path.unlink()
            return None
        entry = json.loads(file.read())
        holder = Holder(entry["pid"], entry["started"], entry["host"], entry["heartbeat"])
        is_here = holder.host == this_host()  # else its processes cannot be seen from here
        engine, loaded = entry["engine"], bool(entry["loaded"])
        if is_here and not holder.is_alive():
            return None
        if not is_here and loaded:
            return Promise(holder.pid, None, True, {})
        taken = own_bytes(engine) if is_here and engine is not None else 0
        if taken is None:  # it has ended, and its owner has not heard of it yet
            return None
        return Promise(holder.pid, engine, loaded, dict(entry["promised"]), taken)
    return None


def _is_held(file: IO[bytes]) -> bool:
    """Whether somebody holds the lock of an open file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def own_bytes(pid: int) -> int | None:
    """What a process holds for itself, without what is a view of a file; None for one that is gone."""
    import psutil  # it takes a while, and a count does without

    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return None
    return max(0, int(memory.rss - memory.shared))


def left_of(device: Device, others: Sequence[Promise]) -> Device:
    """Without what others were promised of it."""
    promised = min(device.free_bytes, promised_away(device, others))
    return replace(device, free_bytes=device.free_bytes - promised, promised_bytes=promised) if promised else device
