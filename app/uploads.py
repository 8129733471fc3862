"""Uploads: what a browser sent, and how it becomes files below a folder. Reading them is left to `intake`."""

import re
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import SourceRefused
from storage.hosts import is_of_the_dead, own_mark

_PASTED = re.compile(r"image( \d+)?\.png")  # what browsers call every picture that is pasted
_MAX_NAME = 255  # of a part of a path, in bytes: what file systems take; NTFS takes 255 characters
_MAX_PATH = 3000  # of the whole path below the folder that it is written to, in bytes; Linux takes 4,096 in all
_MAX_ENDING = 20


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
        if is_of_the_dead(left.name):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=own_mark(), dir=uploads))


def safe_parts(name: str) -> tuple[str, ...]:
    """The parts of a path that a browser sent, without anything that leads out of the folder it is written to."""
    parts = (part.replace("\0", "").strip() for part in name.replace("\\", "/").split("/"))
    kept = tuple(fitting(part) for part in parts if part not in ("", ".", ".."))
    n_bytes = sum(len(part.encode()) + 1 for part in kept)
    if n_bytes > _MAX_PATH:
        fact = f"{fitting(kept[-1])} lies too deep: its path has {n_bytes:,} bytes, over the limit of {_MAX_PATH:,}."
        raise SourceRefused(fact, "Give the folder as a zip.")
    return kept or ("unnamed",)


def fitting(name: str, more: str = "") -> str:
    """The name with `more` before its ending, as a file system takes it: cut between two characters where it is too
    long, with a sign for what is missing. The ending stays: it says what a file is."""
    name = name.encode(errors="replace").decode()  # half a pair of surrogates is no character
    ending = Path(name).suffix
    if len(ending.encode()) > _MAX_ENDING:
        ending = ""
    stem = name.removesuffix(ending)
    if len(f"{stem}{more}{ending}".encode()) > _MAX_NAME:
        more = f"\u2026{more}"
        stem = stem.encode()[: _MAX_NAME - len(f"{more}{ending}".encode())].decode(errors="ignore")
    return f"{stem}{more}{ending}"


def _unused(path: Path, taken: Collection[str] = ()) -> Path:
    """The path, or "name 2.txt" and so on, where a file or folder of that name is there already, or it is taken."""
    for parent in path.parents:
        if parent.is_file():  # "a" and "a/b" in one upload
            return _unused(parent.with_name(fitting(parent.name, " 2")) / path.relative_to(parent))
    unused, number = path, 2
    while unused.exists() or unused.name in taken:
        unused, number = path.with_name(fitting(path.name, f" {number}")), number + 1
    return unused
