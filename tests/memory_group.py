"""A real cgroup with a limit of memory or of cores, for tests: the container of whoever runs Longdesk in one.

Versions 1 and 2.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_ROOT = Path("/sys/fs/cgroup")


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[list[str]]:
    """The beginning of a command line: what follows runs in a new group. Skips where none can be made."""
    with _group("memory", {"memory.max": str(limit_bytes), "memory.limit_in_bytes": str(limit_bytes)}) as prefix:
        yield prefix


@contextmanager
def cpu_group(n_cores: float) -> Iterator[list[str]]:
    """The same with a quota of CPU time."""
    quota = int(n_cores * 100_000)
    with _group("cpu", {"cpu.max": f"{quota} 100000", "cpu.cfs_quota_us": str(quota)}) as prefix:
        yield prefix


@contextmanager
def _group(controller: str, limits: dict[str, str]) -> Iterator[list[str]]:
    """limits: what is written into which of its files, where it has that."""
    group = _parent(controller) / f"longdesk-test-{os.getpid()}"
    try:
        group.mkdir()
        for name in filter(lambda name: (group / name).exists(), limits):
            (group / name).write_text(limits[name])
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no {controller} cgroup can be made here: {error}")
    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        with suppress(OSError):  # a process may still be in it
            group.rmdir()


def _parent(controller: str) -> Path:
    """The group of this process, where it is visible. Skips on systems without that controller."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(",") and (_ROOT / controller).is_dir():
                own = _ROOT / controller / path.strip("/")
                return own if own.is_dir() else _ROOT / controller
            if not controllers and controller in _text(_ROOT / "cgroup.subtree_control"):
                return _ROOT  # a group that holds processes cannot have limited children in version 2
    pytest.skip(f"there is no {controller} cgroup controller here")


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
