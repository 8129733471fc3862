"""A real memory cgroup with a limit, for tests: the container of whoever runs Longdesk in one. Versions 1 and 2."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_ROOT = Path("/sys/fs/cgroup")


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[list[str]]:
    """The beginning of a command line: what follows runs in a new group. Skips where none can be made."""
    group = _parent() / f"longdesk-test-{os.getpid()}"
    try:
        group.mkdir()
        name = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
        (group / name).write_text(str(limit_bytes))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        with suppress(OSError):  # a process may still be in it
            group.rmdir()


def _parent() -> Path:
    """The group of this process, where it is visible. Skips on systems without a memory controller."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(",") and (_ROOT / "memory").is_dir():
                own = _ROOT / "memory" / path.strip("/")
                return own if own.is_dir() else _ROOT / "memory"
            if not controllers and "memory" in _text(_ROOT / "cgroup.subtree_control"):
                return _ROOT  # a group that holds processes cannot have limited children in version 2
    pytest.skip("there is no memory cgroup controller here")


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
