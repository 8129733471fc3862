"""Where a process id means something, whether the process of an id is still the one that was meant, and how files are
marked as those of a process."""

import os
import platform
import re
import secrets
import sys
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

_TOKEN = secrets.token_hex(8)
START_TOLERANCE_S = 1.5  # the boot time is given in whole seconds and can flicker by one


_KNOWN: list[str] = []
_MARK = re.compile(r"(\d{1,7})-(?:([0-9a-f]{8})-)?")  # a process id and, but for files of older versions, its host


def this_host() -> str:
    """Where a process id means something: the host, since its last boot, in its container's process namespace."""
    if not _KNOWN:
        parts, is_whole = [platform.node()], True
        try:
            with open("/proc/sys/kernel/random/boot_id") as file:
                parts.append(file.read().strip())
            parts.append(os.readlink("/proc/self/ns/pid"))
        except OSError:
            is_whole = sys.platform != "linux"  # there, nothing but a shortage keeps them from being read
        if not _sees_itself():  # no other process can be looked up, and none can look this one up
            parts.append(f"alone {_TOKEN}")
        if not is_whole:
            return " ".join(parts)
        _KNOWN.append(" ".join(parts))
    return _KNOWN[0]


def own_mark(pid: int | None = None) -> str:
    """What the names of files begin with that a process of this host writes, and nobody else may delete while it
    lives. pid: its id, our own where it is not given."""
    return f"{os.getpid() if pid is None else pid}-{_host_mark()}-"


def is_of_the_dead(name: str) -> bool:
    """Whether a file's name begins with the mark of a process of this host that is not there any more. One of another
    host, or of none, may be alive for all we know."""
    match = _MARK.match(name)
    return match is not None and match[2] in (None, _host_mark()) and not _is_there(int(match[1]))


def is_marked(name: str) -> bool:
    """Whether a file's name begins with the mark of a process."""
    return _MARK.match(name) is not None


def is_foreign(name: str) -> bool:
    """Whether a file's name begins with the mark of a process of another host."""
    match = _MARK.match(name)
    return match is not None and match[2] not in (None, _host_mark())


def _host_mark() -> str:
    return blake2b(this_host().encode(), digest_size=4).hexdigest()


def _is_there(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def same_process(pid: int, started: float) -> bool:
    """Whether there is a process of this id on this host that started then, seconds since boot. A zombie is none."""
    import psutil  # it takes a while, and a count does without

    if pid == os.getpid():
        return abs(own_start() - started) <= START_TOLERANCE_S
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(_started(process) - started) <= START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # it is there, and a second writer is worse than a wait


def own_start() -> float:
    """When this process started, in seconds since boot; 0 where it cannot be looked up."""
    import psutil

    return _started(psutil.Process()) if _sees_itself() else 0.0


@cache
def _sees_itself() -> bool:
    """Whether /proc shows the processes of our own namespace: one without a mount of its own sees another's."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return True  # not Linux


def _started(process: "Process") -> float:
    import psutil

    # create_time alone moves when the clock is set, and the living would look dead.
    return float(process.create_time() - psutil.boot_time())
