"""Folders and files on disk, as `folder_walk` sees them: below a folder that is held. Runs nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from engine.corpus.rules import DEFAULT_RULES
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.walk.checkout import EXCLUDE, MAX_IGNORE_BYTES, read_in_git
from engine.corpus.walk.folder_walk import Entry, EntryKind, Take, skip_unreadable
from engine.corpus.walk.git_index import MAX_INDEX_BYTES
from engine.corpus.walk.held import Given, Held, is_link, open_as_it_lay, open_given, status_as_it_lay
from engine.corpus.walk.held import lies_there as lies_there
from engine.corpus.walk.streams import read_up_to
from engine.corpus.wording import size_in_words


@dataclass(frozen=True, slots=True)
class DiskTree:
    """A folder that was given, held by descriptor. `where` is a path as a string, which begins with the folder's own.

    max_bytes: that are read of a file that does not say how large it is. top: see Given.
    """

    held: Held
    max_bytes: int = DEFAULT_RULES.max_file_bytes
    top: str | None = None

    def list_folder(self, where: str) -> list[Entry]:
        before = where.rstrip(os.sep) + os.sep
        return self.held.list_folder(where, lambda entry: Entry(entry.name, _kind_of(entry), before + entry.name))

    def read_ignore(self, where: str) -> bytes | None:
        return self.held.read_small(os.path.join(where, ".gitignore"), MAX_IGNORE_BYTES, cut=True)

    def read_git(self, where: str, name: str) -> bytes | None:
        max_bytes = MAX_IGNORE_BYTES if name == EXCLUDE else MAX_INDEX_BYTES
        git = os.path.join(where, ".git")
        if self.held.has_folder(git) and _is_missing(self.held, os.path.join(git, "commondir")):
            path = os.path.join(git, name)
            return b"" if _is_missing(self.held, path) else self.held.read_small(path, max_bytes)
        within, stays = self.top or self.held.path, self.top is not None
        return read_in_git(where, name, within=within, stays=stays, max_bytes=max_bytes)

    def size(self, where: str) -> int | None:
        try:
            return self.held.status(where).st_size
        except OSError:
            return None

    def modified(self, where: str) -> float | None:
        try:
            return self.held.status(where).st_mtime
        except OSError:
            return None

    def identity(self, where: str) -> object | None:
        return self.held.identity(where)

    def read_file(self, where: str, path: str, take: Take) -> Source | Skipped:
        try:
            descriptor, status = self.held.open_file(where)
            try:
                return _taken(descriptor, status, path, take, self.max_bytes)
            finally:
                os.close(descriptor)
        except OSError as error:
            return skip_unreadable(path, error)


@dataclass(slots=True)
class GivenFile:
    """A file that was given itself. is_open: whether it was not read yet, so that what was opened is read; once more,
    what lies at its place is, behind no link."""

    given: Given
    max_bytes: int
    is_open: bool = True

    def status(self, where: str) -> os.stat_result:
        """Of what was opened, wherever it lies by now. Errors: OSError."""
        return os.fstat(self.given.descriptor)

    def head(self, n_bytes: int) -> bytes:
        """Its first bytes; b"" where they cannot be read."""
        try:
            head = os.read(self.given.descriptor, n_bytes)
            os.lseek(self.given.descriptor, 0, os.SEEK_SET)
        except OSError:
            return b""
        return head

    def read(self, path: str, take: Take) -> Source | Skipped:
        """What `take` makes of it, or why it cannot be read, under `path`."""
        is_open, self.is_open = self.is_open, False
        try:
            if is_open:
                return _taken(self.given.descriptor, self.given.status, path, take, self.max_bytes)
            descriptor, status = open_as_it_lay(self.given.path)
            try:
                return _taken(descriptor, status, path, take, self.max_bytes)
            finally:
                os.close(descriptor)
        except OSError as error:
            return skip_unreadable(path, error)


def _taken(descriptor: int, status: os.stat_result, path: str, take: Take, max_bytes: int) -> Source | Skipped:
    """What `take` makes of a plain file that is open and stands at its beginning. Errors: OSError.

    One of 0 bytes may hold something all the same: those of /proc do, and of some file systems. Of such, max_bytes are
    read.
    """
    if status.st_size:
        return take(status.st_size, partial(_read, descriptor))
    data = read_up_to(descriptor, max_bytes)
    if data is None:
        return Skipped(path, Cause.TOO_LARGE, more_than(max_bytes))
    return take(len(data), BytesIO(data).read)


def _is_missing(held: Held, where: str) -> bool:
    try:
        held.status(where)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


@contextmanager
def tree_at(path: Path, max_bytes: int = DEFAULT_RULES.max_file_bytes) -> Iterator[DiskTree]:
    """A folder of this machine by its path, links followed. Errors: OSError."""
    given = open_given(path)
    with Held(given.path, given.descriptor) as held:
        yield DiskTree(held, max_bytes)


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
    """Whether nothing lies any more where a source was read from, or behind a link that was not there then; False where
    that cannot be told."""
    try:
        status_as_it_lay(origin)
    except FileNotFoundError:
        return True
    except OSError as error:  # no permission; "x.zip/member", of which the disk knows nothing
        return is_link(error)
    except ValueError:
        return False
    return False
