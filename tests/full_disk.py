"""A small disk of a test's own that can be filled to the last byte."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, n_bytes: int = 6 << 20) -> Iterator[Path]:
    """The folder, a file system by itself. Skips where none can be mounted."""
    folder.mkdir(exist_ok=True)
    size = f"size={n_bytes}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def fill(disk: Path) -> None:
    """Until nothing more can be written there."""
    handle = os.open(disk / "all the rest", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for n_bytes in (1 << 16, 1 << 8, 1):
            while True:
                try:
                    os.write(handle, bytes(n_bytes))
                except OSError:
                    break
    finally:
        os.close(handle)


def empty(disk: Path) -> None:
    """Takes away what `fill` wrote."""
    (disk / "all the rest").unlink()
