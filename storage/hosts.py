"""Where a process id means something, and whether the process of an id is still the one that was meant."""

import os
import platform
import secrets
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

START_TOLERANCE_S = 1.5  # the boot time is given in whole seconds and can flicker by one


@cache
def this_host() -> str:
    """Where a process id means something: the host, since its last boot, in its container's process namespace."""
    parts = [platform.node()]
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        pass  # not Linux: the name alone
    if not _sees_itself():  # no other process can be looked up, and none can look this one up
        parts.append(f"alone {secrets.token_hex(8)}")
    return " ".join(parts)


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
    """Whether /proc shows the processes of our own namespace: without a mount of its own, a namespace sees another's."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return True  # not Linux


def _started(process: "Process") -> float:
    import psutil

    # create_time alone moves when the clock is set, and the living would look dead.
    return float(process.create_time() - psutil.boot_time())
