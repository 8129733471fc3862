"""The main memory that is free now, and the limits that a container sets.

What GPUs there are is read in a child process, by engine.memory.gpus; the values of both are `budget`'s.
"""

from contextlib import suppress
from pathlib import Path

from engine.memory.budget import Device


def ram() -> Device:
    """Main memory: MemAvailable or what the tightest cgroup above this process leaves, whichever is less."""
    import psutil  # it takes a while, and a count does without

    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    for limit, used in cgroup_limits():
        free, total = min(free, max(0, limit - used)), min(total, limit)
    return Device("RAM", "ram", free, total)


def cgroup_limits(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[tuple[int, int]]:
    """(limit, use) in bytes of every memory cgroup above this process that sets a limit, versions 1 and 2.

    Use leaves out file cache that the kernel gives back when asked (inactive_file).
    """
    found = []
    with suppress(OSError, ValueError):
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                found += _climb(root, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                found += _climb(root / "memory", path, *names)
    return found


def _climb(root: Path, path: str, limit_name: str, use_name: str, cache_name: str) -> list[tuple[int, int]]:
    """The limits from the process's own group up to the root; inside a container its path may not be visible."""
    found = []
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):
            limit = int((folder / limit_name).read_text())  # "max" is no number: no limit
            if limit < 1 << 60:
                used = int((folder / use_name).read_text()) - _file_cache(folder / "memory.stat", cache_name)
                found.append((limit, max(0, used)))
        if folder == root:
            break
    return found


def _file_cache(stat: Path, name: str) -> int:
    """Bytes under that name in a cgroup's memory.stat, 0 where it does not say."""
    with suppress(OSError, ValueError):
        for key, _, value in (line.partition(" ") for line in stat.read_text().splitlines()):
            if key == name:
                return int(value)
    return 0
