"""Folders that are held by descriptor, not by name: whatever becomes of a name, what is opened lies below the folder.

Every part of a path is opened by itself, below the part before it, and none through a link. So a folder that is
replaced by a link after it was listed, counted or sent leads nowhere. What is opened is a plain file or it is refused:
a pipe in a file's place is not waited for. Where the system has no such calls, paths are opened by name.

What may be opened at all is left to who holds: the command line what it was given, the page its roots.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from threading import Lock
from typing import Protocol, TypeVar


def _flags(*names: str) -> int:
    return sum(getattr(os, name, 0) for name in names)


_BY_DESCRIPTOR = {os.open, os.stat} <= os.supports_dir_fd and os.scandir in os.supports_fd
_FILE = _flags("O_RDONLY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
_LISTED = _flags("O_RDONLY", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY")
_PASSED = _flags("O_PATH", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY")  # of one that may be passed through alone
_NO_NAMES = frozenset(("", ".", ".."))
_MOST_OPEN = 48  # folders of a path that stay open for what is asked for next
_MOST_BYTES = 4096  # of a path, as the kernel has it: a tree may not be deeper than its paths can be named


_Listed = TypeVar("_Listed")


class NotPlain(OSError):
    """A folder, pipe, socket or device where a file was to be read."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a plain file")


def is_link(error: OSError) -> bool:
    """Whether it was a link that was met where none is followed."""
    return error.errno == errno.ELOOP


def identity_of(status: os.stat_result) -> tuple[int, int] | None:
    """Tells a folder from every other; None where the system does not."""
    return (status.st_dev, status.st_ino) if status.st_ino else None


class Held:
    """A folder, and the way to what lies below it. Any thread may ask for a file or its status.

    path: what it goes by, absolute: paths that are asked for begin with it. descriptor: of the folder, which is closed
    with it. Of the folders on the way to what was asked for last, some stay open.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._before = path.rstrip(os.sep) + os.sep
        self._parts: list[str] = []
        self._open: list[int] = [descriptor]  # of each part's folder, behind the held one's; -1 where closed
        self._at = path
        self._one = Lock()  # at a time stands in a folder

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """What is asked for from then on is opened as by `open_as_it_lay`."""
        for descriptor in self._open:
            _close(descriptor)
        self._open, self._parts, self._at = [], [], self.path

    def list_folder(self, where: str, of: "Callable[[os.DirEntry[str]], _Listed]") -> "list[_Listed]":
        """What `of` makes of each entry of a folder, in any order. Errors: OSError."""
        try:
            with os.scandir(self._folder(where) if _BY_DESCRIPTOR else where) as entries:
                return [of(entry) for entry in entries]
        except OSError as error:
            if error.errno == errno.EBADF:  # one that may be passed through alone
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
            raise

    def identity(self, where: str) -> tuple[int, int] | None:
        """Tells a folder from every other; None where the system does not. Errors: OSError."""
        return identity_of(os.fstat(self._folder(where)) if _BY_DESCRIPTOR else os.stat(where))

    def status(self, where: str) -> os.stat_result:
        """Of what lies there, a link not followed. Errors: OSError."""
        above, _, name = where.rpartition(os.sep)
        with self._one:
            if above == self._at and self._open and name not in _NO_NAMES:  # as it is for all but the first of a folder
                return os.stat(name, dir_fd=self._open[-1], follow_symlinks=False)
            folder, name = self._place(where)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def open_file(self, where: str) -> tuple[int, os.stat_result]:
        """A plain file: its descriptor, which the caller closes, and its status. Errors: OSError, NotPlain among it."""
        with self._one:
            if self._open:
                folder, name = self._place(where)
                return _plain(name, folder)
        return open_as_it_lay(where)

    def read_small(self, where: str, max_bytes: int, *, cut: bool = False) -> bytes | None:
        """The bytes of a plain file of up to max_bytes; None for anything else. Waits for nothing. cut: of one that is
        larger, one byte more than that."""
        with suppress(OSError, ValueError):
            return _read_small(*self.open_file(where), max_bytes, cut=cut)
        return None

    def has_folder(self, where: str) -> bool:
        """Whether a folder lies there itself, not behind a link."""
        with suppress(OSError, ValueError):
            return S_ISDIR(self.status(where).st_mode)
        return False

    def _place(self, where: str) -> tuple[int | None, str]:
        """The folder that something lies in, and its name there."""
        above, _, name = where.rpartition(os.sep)
        if not _BY_DESCRIPTOR:
            return None, where
        if name in _NO_NAMES:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return self._folder(above or os.sep), name

    def _folder(self, where: str) -> int:
        """The descriptor of a folder, which stays ours."""
        if where == self._at and self._open:
            return self._open[-1]
        if not self._open:
            self._open = [open_folder_as_it_lay(self.path)]
        parts = self._below(where)
        n_same = 0
        for mine, wanted in zip(self._parts, parts, strict=False):
            if mine != wanted:
                break
            n_same += 1
        self._go_up(n_same)
        for part in parts[len(self._parts) :]:
            self._open.append(_pass(part, self._open[-1]))
            self._parts.append(part)
            if (far := len(self._open) - 1 - _MOST_OPEN) > 0:
                _close(self._open[far])
                self._open[far] = -1
        self._at = where
        return self._open[-1]

    def _below(self, where: str) -> list[str]:
        """The parts of a path below the held folder. Raises OSError for one that does not lie there."""
        if where == self.path:
            return []
        parts = where[len(self._before) :].split(os.sep)
        if not where.startswith(self._before) or any(part in _NO_NAMES for part in parts):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if len(os.fsencode(where)) > _MOST_BYTES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return parts

    def _go_up(self, n_parts: int) -> None:
        """Up to the folder of the first n_parts, or higher, to one that is open."""
        self._at = ""  # until it is somewhere again
        while len(self._parts) > n_parts or self._open[-1] < 0:
            _close(self._open.pop())
            self._parts.pop()


@dataclass(frozen=True, slots=True)
class Given:
    """What was named, opened once: from here on it is what it was then.

    path: where it lies, absolute, links resolved. top: the folder above which nothing is read, which may be itself;
    None where there is none.
    """

    path: str
    descriptor: int
    status: os.stat_result
    top: str | None = None

    @property
    def is_folder(self) -> bool:
        return S_ISDIR(self.status.st_mode)


class Opener(Protocol):
    """What opens a path that was named. Errors: OSError, NotPlain for a pipe, socket or device."""

    def __call__(self, path: Path) -> Given: ...


def open_given(path: Path) -> Given:
    """What the user of this machine named; a link is followed here and nowhere else. Errors: see Opener."""
    real = os.path.realpath(path, strict=True)
    mode = os.stat(real).st_mode  # a pipe is not opened: who writes into it would be heard
    if not (S_ISREG(mode) or S_ISDIR(mode)):
        raise NotPlain
    return given_at(real, os.open(real, _FILE))


def given_at(path: str, descriptor: int, top: str | None = None) -> Given:
    """A descriptor as what was given; closed where it is of no file and no folder. Errors: NotPlain."""
    status = os.fstat(descriptor)
    if S_ISREG(status.st_mode) or S_ISDIR(status.st_mode):
        return Given(path, descriptor, status, top)
    _close(descriptor)
    raise NotPlain


def open_below(folder: int, path: str, within: str) -> int:
    """A file or folder of any kind by its path, which lies in the folder `within` that the descriptor is of. Errors:
    OSError."""
    if not _BY_DESCRIPTOR:
        return os.open(path, _FILE)
    if path == within:
        return os.open(".", _LISTED, dir_fd=folder)
    with Held(within, os.dup(folder)) as held:
        above, name = held._place(path)
        return _unlinked(name, above)


def open_as_it_lay(path: str) -> tuple[int, os.stat_result]:
    """A plain file by an absolute path that had no links in it when it was read: none is followed now. The caller
    closes it. Errors: OSError, NotPlain among it."""
    with _all() as everything:
        folder, name = everything._place(os.path.abspath(path))
        return _plain(name, folder)


def open_folder_as_it_lay(path: str) -> int:
    """The same of a folder, which may be passed through, but not listed."""
    if not _BY_DESCRIPTOR:
        return -1
    with _all() as everything:
        return os.dup(everything._folder(os.path.abspath(path)))


def status_as_it_lay(path: str) -> os.stat_result:
    """Of what lies there, by a path of which no part is a link. Errors: OSError."""
    with _all() as everything:
        return everything.status(os.path.abspath(path))


def lies_there(path: str) -> bool:
    """Whether a plain file lies there, by a path of which no part is a link."""
    with suppress(OSError, ValueError):
        return S_ISREG(status_as_it_lay(path).st_mode)
    return False


def read_as_it_lay(path: str, max_bytes: int) -> bytes | None:
    """The bytes of a plain file of up to max_bytes; None for anything else, and where a part of its path is a link."""
    with suppress(OSError, ValueError):  # ValueError: a NUL in a path
        return _read_small(*open_as_it_lay(path), max_bytes)
    return None


def real_path(path: str) -> str | None:
    """Where a path leads, its links followed; None where that cannot be told."""
    with suppress(OSError, ValueError):
        return os.path.realpath(path)
    return None


@contextmanager
def _all() -> Iterator[Held]:
    """All of this machine."""
    with Held(os.sep, os.open(os.sep, _LISTED) if _BY_DESCRIPTOR else -1) as everything:
        yield everything


def _pass(name: str, folder: int) -> int:
    """The descriptor of a folder in another. Errors: OSError, as of a link where it is one."""
    try:
        return os.open(name, _LISTED, dir_fd=folder)
    except PermissionError:
        if not hasattr(os, "O_PATH"):
            raise
        return os.open(name, _PASSED, dir_fd=folder)
    except NotADirectoryError:
        if S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


def _unlinked(name: str, folder: int | None) -> int:
    """Whatever lies there. Errors: OSError; NotPlain for a socket, which cannot be opened."""
    try:
        return os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENODEV):
            raise NotPlain from None
        raise


def _plain(name: str, folder: int | None) -> tuple[int, os.stat_result]:
    descriptor = _unlinked(name, folder)
    status = os.fstat(descriptor)
    if S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    raise NotPlain


def _read_small(descriptor: int, status: os.stat_result, max_bytes: int, *, cut: bool = False) -> bytes | None:
    """Closes it."""
    with open(descriptor, "rb") as file:
        if status.st_size > max_bytes and not cut:
            return None
        data = file.read(max_bytes + 1)
    return data if cut or len(data) <= max_bytes else None


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
