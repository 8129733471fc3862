"""Uploads: what a browser sent, and how it becomes files below a folder. Reading them is left to `intake`."""

import os
import re
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import psutil

_PASTED = re.compile(r"image( \d+)?\.png")  # what browsers call every picture that is pasted
_MAX_NAME = 200  # of a part of a path, in characters; file systems take 255 bytes


class Upload(Protocol):
    """A file as the browser sent it; name may be a path, with the folders that it lay in."""

    name: str

    def getbuffer(self) -> memoryview: ...


def is_pasted(name: str) -> bool:
    """Whether a browser may have made the name up."""
    return _PASTED.fullmatch(name) is not None


def write(uploads: Sequence[Upload], folder: Path, taken: frozenset[str] = frozenset()) -> list[Path]:
    """Writes every upload below the folder; returns the top files and folders in the order in which they came.

    taken: names that are given to none of them.
    """
    tops: dict[Path, None] = {}
    for upload in uploads:
        path = place(folder, upload.name, taken)
        path.write_bytes(upload.getbuffer())
        tops[folder / path.relative_to(folder).parts[0]] = None
    return list(tops)


def place(folder: Path, name: str, taken: frozenset[str] = frozenset()) -> Path:
    """Where a file that the browser calls so goes below the folder; what it lies in is made. taken: as for write."""
    parts = safe_parts(name)
    path = _unused(folder.joinpath(*parts), taken if len(parts) == 1 and is_pasted(parts[0]) else ())
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def private_folder(home: Path) -> Path:
    """A new folder for copies, mode 0700. Those of processes that are not there any more are deleted."""
    uploads = home / "uploads"
    uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in uploads.iterdir():
        owner = left.name.partition("-")[0]
        if owner.isdecimal() and int(owner) != os.getpid() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=uploads))


def safe_parts(name: str) -> tuple[str, ...]:
    """The parts of a path that a browser sent, without anything that leads out of the folder it is written to."""
    parts = (part.replace("\0", "").strip() for part in name.replace("\\", "/").split("/"))
    kept = tuple(part[-_MAX_NAME:] for part in parts if part not in ("", ".", ".."))
    return kept or ("unnamed",)


def _unused(path: Path, taken: Collection[str] = ()) -> Path:
    """The path, or "name 2.txt" and so on, where a file or folder of that name is there already, or it is taken."""
    for parent in path.parents:
        if parent.is_file():  # "a" and "a/b" in one upload
            return _unused(parent.with_name(parent.name + " 2") / path.relative_to(parent))
    unused, number = path, 2
    while unused.exists() or unused.name in taken:
        unused, number = path.with_name(f"{path.stem} {number}{path.suffix}"), number + 1
    return unused
