"""The files of a folder on their way in, whole or not at all: how a request holds them, what has arrived at its end.

What is wanted of a folder, and for whom it comes, is left to `folders`.
"""

import errno
import json
import os
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from app.uploads import discard, place, safe_parts
from engine.backend import Cause, Skipped
from engine.corpus.rules import DEFAULT_RULES
from engine.corpus.walk.listed_tree import Choice, LeftOut
from engine.corpus.wording import counted, over_limit, printable, size_in_words
from engine.errors import InputRefused, SourceRefused, remedy_of, why

AGAIN = "Nothing was added: give the folder again."
MAX_LIST_BYTES = 64 * 1024 * 1024  # of a list, of all files with rules together, of what the browser says
_MAX_EXTRA_FILES = 500
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
_FRAME = struct.Struct("<IQ")  # a place in the list, and how many bytes follow
_END, _SAID = 0xFFFF_FFFF, 0xFFFF_FFFE  # frames of their own: the last, and what the browser says of what it leaves out


@dataclass(frozen=True, slots=True)
class Arrival:
    """A folder that has arrived: copies below `folder`, which belongs to whoever takes it.

    tops: the folders and files that were dropped, where their copies lie. left_out: by such a path, what was not sent;
    a file that was not sent itself is no top.
    exclude: the patterns that this was decided by.
    """

    id: str
    folder: Path
    tops: tuple[Path, ...]
    left_out: Mapping[Path, tuple[Skipped, ...]]
    exclude: tuple[str, ...]

    def discard(self) -> None:
        discard(self.folder)


@dataclass(slots=True)
class Coming:
    """A folder of which the list is here. begun: whether its files are on their way now."""

    id: str
    files: tuple[str, ...]
    closed: tuple[str, ...]
    exclude: tuple[str, ...]
    rules: Mapping[int, bytes] = field(default_factory=dict)
    chosen: Mapping[str, Choice] = field(default_factory=dict)
    begun: bool = False
    touched: float = field(default_factory=time.monotonic)

    @property
    def left_out(self) -> list[LeftOut]:
        return [one for choice in self.chosen.values() for one in choice.left_out]

    @property
    def wanted(self) -> list[int]:
        return [at for choice in self.chosen.values() for at in choice.wanted]

    @property
    def extras(self) -> Sequence[int]:
        """Files that are left out by a rule, and not many: sent as well, so that one click can bring them back."""
        extras = [one.at for one in self.left_out if one.at is not None and one.skipped.can_include]
        return extras if len(extras) <= _MAX_EXTRA_FILES else ()


class _Nowhere(BytesIO):
    """Takes what cannot be kept."""

    def write(self, data: Any, /) -> int:
        return memoryview(data).nbytes


def _no_copy(error: OSError) -> str:
    return f"no copy could be written ({error.strerror or error})"


class Frames:
    """Files one behind the other, each behind its place in a list and its length, cut into any pieces.

    open_sink: takes place and length, gives what its bytes are written to, which is closed by whoever gave it.
    """

    def __init__(self, open_sink: Callable[[int, int], IO[bytes]]) -> None:
        self._open_sink = open_sink
        self._head = b""
        self._sink: IO[bytes] | None = None
        self._n_left = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Errors: InputRefused, and those of the sinks."""
        view = memoryview(data)
        while view:
            if self._ended:
                raise InputRefused("There is more behind the end of the folder.", AGAIN)
            if self._n_left:
                assert self._sink is not None
                piece = view[: self._n_left]
                self._sink.write(piece)
                self._n_left -= len(piece)
            else:
                piece = view[: _FRAME.size - len(self._head)]
                self._head += piece
                if len(self._head) == _FRAME.size:
                    at, self._n_left = _FRAME.unpack(self._head)
                    self._head = b""
                    self._ended = at == _END
                    self._sink = None if self._ended else self._open_sink(at, self._n_left)
            view = view[len(piece) :]

    def finish(self) -> None:
        """Errors: SourceRefused where the end is missing."""
        if not self._ended:
            raise SourceRefused("The folder was cut short on its way.", AGAIN)


class Receiving:
    """The files of one folder, written as they come. Ends with `finish` or `abort`."""

    def __init__(self, coming: Coming, folder: Path, max_bytes: int, end: Callable[[Arrival | None], bool]) -> None:
        self._coming = coming
        self._folder = folder
        self._max_bytes = max_bytes
        self._end = end
        self._frames = Frames(self._open_sink)
        self._wanted = frozenset(coming.wanted)
        self._extras = frozenset(coming.extras)
        self._arrived: set[int] = set()
        self._lost: dict[int, str] = {}  # why no copy of it could be made
        self._n_bytes = 0
        self._said = BytesIO()
        self._file: IO[bytes] | None = None
        self._tops: dict[str, Path] = {}
        self._folders: dict[str, str] = {}  # where the files of a folder of the list go

    def feed(self, data: bytes) -> None:
        """The next bytes. Errors: InputRefused; OSError becomes one."""
        try:
            self._frames.feed(data)
        except OSError as error:
            raise SourceRefused(f"The folder could not be written ({why(error)}).", remedy_of(error, AGAIN)) from error

    def finish(self) -> int:
        """Everything is here, or nothing is. Returns the number of files. Errors: SourceRefused, after an abort."""
        try:
            self._frames.finish()
            said = _Said.parse(self._said.getvalue())
            n_missing = len(self._wanted - self._arrived - said.unreadable - said.too_large.keys())
            if n_missing:
                raise SourceRefused(f"{n_missing:,} of {counted(len(self._wanted), 'file')} did not arrive.", AGAIN)
            for at, content in self._coming.rules.items():
                if at not in self._arrived:
                    self._open_sink(at, len(content), is_rule=True).write(content)
            self._close_file()
            arrival = self._arrival(said)
        except OSError as error:
            self.abort()
            raise SourceRefused(f"The folder could not be written ({why(error)}).", remedy_of(error, AGAIN)) from error
        except BaseException:
            self.abort()
            raise
        if not self._end(arrival):
            arrival.discard()
            raise SourceRefused("The folder was cancelled.", "Nothing was added.")
        return len(self._wanted & self._arrived - self._lost.keys())

    def abort(self) -> None:
        """Deletes what came."""
        self._close_file()
        self._end(None)
        discard(self._folder)

    def _open_sink(self, at: int, n_bytes: int, *, is_rule: bool = False) -> IO[bytes]:
        self._close_file()
        if at == _SAID:
            if n_bytes > MAX_LIST_BYTES:
                raise InputRefused("The browser sent what Longdesk does not understand.", AGAIN)
            return self._said
        if at in self._arrived or not (is_rule or at in self._wanted or at in self._extras):
            raise InputRefused("The browser sent a file that was not asked for.", AGAIN)
        self._n_bytes += n_bytes
        if self._n_bytes > self._max_bytes:
            limit = size_in_words(self._max_bytes)
            raise SourceRefused(f"The folder is over the limit of {limit}.", "Leave some of it out.")
        if not is_rule:
            self._arrived.add(at)
        name = self._coming.files[at]
        try:
            path = self._place(name)
            self._file = path.open("wb")
        except (OSError, SourceRefused) as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise  # so do all that follow
            self._lost[at] = error.fact.rstrip(".") if isinstance(error, SourceRefused) else _no_copy(error)
            return _Nowhere()
        if (top := name.split("/")[0]) not in self._tops:
            self._tops[top] = self._folder / path.relative_to(self._folder).parts[0]
        return self._file

    def _place(self, name: str) -> Path:
        """As `place`, which asks a lot of the disk, once a folder."""
        above, _, last = name.rpartition("/")
        parts = safe_parts(last)
        if above in self._folders and len(parts) == 1:
            path = os.path.join(self._folders[above], parts[0])
            if not os.path.lexists(path):
                return Path(path)
        placed = place(self._folder, name)
        self._folders[above] = str(placed.parent)
        return placed

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _arrival(self, said: "_Said") -> Arrival:
        """Also a folder has a copy of which nothing is wanted: it has reasons to show."""
        left_out: dict[Path, tuple[Skipped, ...]] = {}
        tops = []
        for name, choice in self._coming.chosen.items():
            top = self._tops.get(name) or self._folder / name
            is_folder = not any(self._coming.files[at] == name for at in choice.wanted[:1])
            if is_folder and name not in self._tops:
                top = place(self._folder, name)
                top.mkdir(exist_ok=True)
            if is_folder or name in self._tops:
                tops.append(top)
            skipped = [one.not_sent() for one in choice.left_out if one.at is None or one.at not in self._arrived]
            failed = [at for at in choice.wanted if at not in self._arrived or at in self._lost]
            left_out[top] = (*skipped, *(self._failed(at, said) for at in failed))
        return Arrival(self._coming.id, self._folder, tuple(tops), left_out, self._coming.exclude)

    def _failed(self, at: int, said: "_Said") -> Skipped:
        """A file that is wanted, and that the browser said it cannot or need not send."""
        name = self._coming.files[at]
        path = printable(name.partition("/")[2] or name)
        if at in self._lost:
            return Skipped(path, Cause.UNREADABLE, self._lost[at])
        if at in said.too_large:
            n_bytes = said.too_large[at]
            limit = DEFAULT_RULES.max_file_bytes
            return Skipped(path, Cause.TOO_LARGE, over_limit(n_bytes, limit, "a file of a folder"), n_bytes)
        reason = "the browser could not read it: no permission, or it was changed or deleted meanwhile"
        return Skipped(path, Cause.UNREADABLE, reason)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the browser says of files that it does not send. unreadable: the user was told, and wants the others.

    too_large: bytes by place.
    """

    unreadable: frozenset[int]
    too_large: Mapping[int, int]

    @classmethod
    def parse(cls, data: bytes) -> "_Said":
        if not data:
            return cls(frozenset(), {})
        try:
            said = json.loads(data)
            return cls(
                frozenset(int(at) for at in said.get("unreadable", ())),
                {int(at): int(n_bytes) for at, n_bytes in said.get("too_large", ())},
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise InputRefused("The browser sent what Longdesk does not understand.", AGAIN) from None
