"""The main memory and the disk that are free now, and the limits that a container sets.

What GPUs there are is read in a child process, by engine.memory.gpus; the values of both are `budget`'s.
"""

import shutil
from pathlib import Path

from engine.cgroups import PROC, ROOT, groups
from engine.memory.budget import Device

_NAMES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def ram() -> Device:
    """Main memory: MemAvailable or what the tightest cgroup above this process leaves, whichever is less."""
    import psutil  # it takes a while, and a count does without

    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    for limit, used in cgroup_limits():
        free, total = min(free, max(0, limit - used)), min(total, limit)
    return Device("RAM", "ram", free, total)


def cgroup_limits(proc: Path = PROC, root: Path = ROOT) -> list[tuple[int, int]]:
    """(limit, use) in bytes of every memory cgroup above this process that sets a limit, versions 1 and 2.

    Use leaves out file cache that the kernel gives back when asked (inactive_file).
    """
    found = []
    for group in groups("memory", proc, root):
        limit_name, use_name, cache_name = _NAMES[group.version]
        limit, used = group.number(limit_name), group.number(use_name)  # "max" is no number: no limit
        if limit is not None and used is not None and limit < 1 << 60:
            found.append((limit, max(0, used - _file_cache(group.text("memory.stat") or "", cache_name))))
    return found


def _file_cache(stat: str, name: str) -> int:
    """Bytes under that name in a cgroup's memory.stat, 0 where it does not say."""
    for key, _, value in (line.partition(" ") for line in stat.splitlines()):
        if key == name and value.strip().isdecimal():
            return int(value)
    return 0


def disk_free_bytes(folder: Path) -> int:
    """Free bytes where a folder lies, or will lie."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
