"""Folders and files on disk, as `folder_walk` sees them. Opens plain files only, follows no link, runs nothing."""

import os
import stat
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from engine.corpus.rules import DEFAULT_RULES
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.walk.checkout import EXCLUDE, MAX_IGNORE_BYTES, read_in_git, read_small
from engine.corpus.walk.folder_walk import Entry, EntryKind, Take, skip_special, skip_unreadable
from engine.corpus.walk.git_index import MAX_INDEX_BYTES
from engine.corpus.walk.streams import read_up_to
from engine.corpus.wording import size_in_words

# O_NONBLOCK: should a fifo take a file's place between listing and opening, opening it must not wait for a writer
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


@dataclass(frozen=True, slots=True)
class DiskTree:
    """The file system. `where` is a path as a string.

    root: the folder that the user gave; a .git may point to what lies in it. max_bytes: that are read of a file that
    does not say how large it is.
    """

    root: str | None = None
    max_bytes: int = DEFAULT_RULES.max_file_bytes

    def list_folder(self, where: str) -> list[Entry]:
        with os.scandir(where) as entries:
            return [Entry(entry.name, _kind_of(entry), entry.path) for entry in entries]

    def read_ignore(self, where: str) -> bytes | None:
        return read_small(os.path.join(where, ".gitignore"))

    def read_git(self, where: str, name: str) -> bytes | None:
        max_bytes = MAX_IGNORE_BYTES if name == EXCLUDE else MAX_INDEX_BYTES
        return read_in_git(where, name, within=self.root, max_bytes=max_bytes)

    def size(self, where: str) -> int | None:
        try:
            return os.lstat(where).st_size
        except OSError:
            return None

    def modified(self, where: str) -> float | None:
        try:
            return os.lstat(where).st_mtime
        except OSError:
            return None

    def identity(self, where: str) -> object | None:
        status = os.stat(where)
        return (status.st_dev, status.st_ino) if status.st_ino else None

    def read_file(self, where: str, path: str, take: Take) -> Source | Skipped:
        try:
            descriptor = os.open(where, _FLAGS)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    return skip_special(path)
                if status.st_size == 0:
                    return self._read_sizeless(descriptor, path, take)
                return take(status.st_size, partial(_read, descriptor))
            finally:
                os.close(descriptor)
        except OSError as error:
            return skip_unreadable(path, error)

    def _read_sizeless(self, descriptor: int, path: str, take: Take) -> Source | Skipped:
        """A file of 0 bytes, which may hold something all the same: those of /proc do, and of some file systems."""
        data = read_up_to(descriptor, self.max_bytes)
        if data is None:
            return Skipped(path, Cause.TOO_LARGE, more_than(self.max_bytes))
        return take(len(data), BytesIO(data).read)


def more_than(max_bytes: int) -> str:
    """The reason for something whose size is known only once it is read."""
    return f"more than {size_in_words(max_bytes)}, which is the limit for a file"


def _kind_of(entry: "os.DirEntry[str]") -> EntryKind:
    """Costs no call to the system where the file system tells kinds while listing, as the usual ones do."""
    try:
        if entry.is_symlink():
            return EntryKind.LINK
        if entry.is_file(follow_symlinks=False):
            return EntryKind.FILE
        return EntryKind.FOLDER if entry.is_dir(follow_symlinks=False) else EntryKind.SPECIAL
    except OSError:
        return EntryKind.FILE  # reading it will say what is wrong


def _read(descriptor: int, n_bytes: int) -> bytes:
    data = os.read(descriptor, n_bytes)
    if len(data) == n_bytes or not data:
        return data
    pieces = [data]
    n_left = n_bytes - len(data)
    while n_left and (data := os.read(descriptor, n_left)):
        pieces.append(data)
        n_left -= len(data)
    return b"".join(pieces)


def is_gone(origin: str) -> bool:
    """Whether nothing lies any more where a source was read from; False where that cannot be told."""
    try:
        os.lstat(origin)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # no permission; "x.zip/member", of which the disk knows nothing
        return False
    return False
