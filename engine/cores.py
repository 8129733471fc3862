"""How many cores this process may keep busy: of the machine's, by what it is bound to and by its container's quota."""

import os
from pathlib import Path

from engine.cgroups import PROC, ROOT, groups


def usable_cores() -> int:
    """Threads for llama.cpp: physical cores, or fewer where there are fewer for this process: hyperthreads only slow it
    down."""
    import psutil  # it takes a while, and a count does without

    bound = bound_cores()
    return max(1, min(bound, psutil.cpu_count(logical=False) or bound))


def bound_cores(proc: Path = PROC, root: Path = ROOT) -> int:
    """Logical cores that this process may compute on at once: by affinity, cpuset and CPU quota, at least 1.

    Of a quota the whole cores count: with 1.5, two threads that wait for each other use it up while they wait, and
    llama.cpp makes 36 tokens a second where one thread makes 269.
    """
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(affine, *_limits(proc, root), affine)))


def _limits(proc: Path, root: Path) -> list[float]:
    """Of every group above this process that sets one, in cores."""
    found: list[float] = []
    for group in groups("cpu", proc, root):
        quota = _quota_2(group.text("cpu.max")) if group.version == 2 else None
        if group.version == 1:
            taken, period = group.number("cpu.cfs_quota_us"), group.number("cpu.cfs_period_us")
            quota = _share(taken, period)
        if quota is not None:
            found.append(quota)
    for group in groups("cpuset", proc, root):
        names = ("cpuset.cpus.effective",) if group.version == 2 else ("cpuset.effective_cpus", "cpuset.cpus")
        if n_cores := next((n for name in names if (n := _in_list(group.text(name) or ""))), 0):
            found.append(n_cores)
    return found


def _quota_2(text: str | None) -> float | None:
    """Of cpu.max: "150000 100000"; None for "max 100000"."""
    quota, _, period = (text or "").partition(" ")
    return _share(int(quota), int(period)) if quota.isdecimal() and period.isdecimal() else None


def _share(quota_us: int | None, period_us: int | None) -> float | None:
    """In cores; None for no limit, which version 1 writes as -1."""
    return quota_us / period_us if quota_us and period_us and quota_us > 0 and period_us > 0 else None


def _in_list(text: str) -> int:
    """How many cores a list such as "0-3,8" names; 0 for what is no list."""
    n_cores = 0
    for each in text.split(","):
        first, _, last = each.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return 0
        n_cores += int(last or first) - int(first) + 1
    return n_cores
