"""Uploads: what a browser sent, and how it becomes files below a folder. Reading them is left to `intake`."""

import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil

from engine.backend import Cause, Skipped
from engine.corpus.wording import printable
from engine.errors import SourceRefused

_PASTED = re.compile(r"image( \d+)?\.png")  # what browsers call every picture that is pasted
_MAX_NAME = 255  # of a part of a path, in bytes: what file systems take; NTFS takes 255 characters
_MAX_PATH = 3000  # of the whole path below the folder that it is written to, in bytes; Linux takes 4,096 in all
_MAX_ENDING = 20
_OURS, _GONE = "copies-", "gone-"  # how private folders are called, and those that are being deleted
_WAIT_S, _POLL_S = 10.0, 0.02
_HELD: dict[Path, int] = {}  # this process's, each with the descriptor that its lock is on


class Upload(Protocol):
    """A file as the browser sent it; name may be a path, with the folders that it lay in."""

    name: str

    def getbuffer(self) -> memoryview: ...


def is_pasted(name: str) -> bool:
    """Whether a browser may have made the name up."""
    return _PASTED.fullmatch(name) is not None


def write(
    uploads: Sequence[Upload],
    folder: Path,
    taken: frozenset[str] = frozenset(),
    *,
    lost: dict[Path, tuple[Skipped, ...]] | None = None,
) -> list[Path]:
    """Writes every upload below the folder; returns the top files and folders in the order in which they came.

    taken: names that are given to none of them. lost: takes, by its top, each that cannot be written, and why; without
    it that is raised: SourceRefused, OSError.
    """
    tops: dict[Path, None] = {}
    for upload in uploads:
        try:
            path = place(folder, upload.name, taken)
            _put(path, upload.getbuffer())
        except (OSError, SourceRefused) as error:
            if lost is None:
                raise
            top, one = _lost(upload, folder, error)
            lost[top] = (*lost.get(top, ()), one)
        else:
            tops[folder / path.relative_to(folder).parts[0]] = None
    return list(tops)


def _put(path: Path, data: memoryview) -> None:
    """The whole file, or nothing of it. Raises OSError."""
    try:
        path.write_bytes(data)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def _lost(upload: Upload, folder: Path, error: OSError | SourceRefused) -> tuple[Path, Skipped]:
    """An upload that cannot be written, and the top that it would have lain in."""
    names = [fitting(part) for part in upload.name.replace("\\", "/").replace("\0", "").split("/")]
    parts = [name for name in names if name not in ("", ".", "..")] or ["unnamed"]
    why = error.fact.rstrip(".") if isinstance(error, SourceRefused) else f"no copy could be written ({_why(error)})"
    path = printable("/".join(parts[1:]) or parts[0])
    return folder / parts[0], Skipped(path, Cause.UNREADABLE, why, upload.getbuffer().nbytes)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def place(folder: Path, name: str, taken: frozenset[str] = frozenset()) -> Path:
    """Where a file that the browser calls so goes below the folder; what it lies in is made. taken: as for write."""
    parts = safe_parts(name)
    path = _unused(folder.joinpath(*parts), taken if len(parts) == 1 and is_pasted(parts[0]) else ())
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def private_folder(home: Path) -> Path:
    """A new folder for copies, mode 0700, which is this process's until it is given to `discard`. Those of processes
    that are not there any more are deleted. Raises SourceRefused where there is no place for it."""
    uploads = home / "uploads"
    try:
        uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(home)
        with _locked(uploads):
            folder = Path(tempfile.mkdtemp(prefix=_OURS, dir=uploads))
            _HELD[folder] = _open(folder)
            with suppress(OSError):  # where the file system has no locks nothing is swept
                fcntl.flock(_HELD[folder], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise SourceRefused(
            f"There is no place for copies in {uploads} ({_why(error)}).", "Make room there, or give a path."
        ) from error
    return folder


def discard(folder: Path) -> None:
    """Deletes a private folder."""
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _HELD.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def sweep(home: Path) -> None:
    """Deletes the copies of processes that ended without doing so: killed, or by a crash of the machine.

    Whose process lives holds a lock on its folder, which the kernel lets go however that ends; a process id would be
    another's by and by. Two sweep at once, and while a folder is made, in turn.
    """
    uploads, gone = home / "uploads", list[Path]()
    with suppress(OSError), _locked(uploads):
        for left in uploads.iterdir():
            if left.name.startswith(_GONE):
                gone.append(left)
            elif _is_left(left):
                gone.append(left.rename(left.with_name(f"{_GONE}{secrets.token_hex(4)}")))
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    if not folder.name.startswith(_OURS):  # as an older Longdesk names them
        owner = folder.name.partition("-")[0]
        return owner.isdecimal() and not psutil.pid_exists(int(owner))
    if folder in _HELD:
        return False
    with suppress(OSError):
        descriptor = _open(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(descriptor)
    return False


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def _locked(uploads: Path) -> Iterator[None]:
    """One at a time makes or sweeps folders there. Raises OSError, also where another does so for long."""
    descriptor, deadline = _open(uploads), time.monotonic() + _WAIT_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
            except OSError:  # a file system without locks
                break
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


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
