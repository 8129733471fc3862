"""A folder of files that only save work, such as the count cache: whole or not there, checked before they are believed,
the least recently used out first.

What is damaged, cut short, of another version or under another file's name counts as not there and is removed, so that
it is made anew. Where nothing can be written, nothing is kept, and all else goes on. Several processes may use one
folder at once: a file is written beside and renamed in. What stands in the files is left to who writes them.
"""

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from xxhash import xxh3_128, xxh3_128_digest

from engine.file_clock import now_at

_MARK = b"longdesk kept 1\n"
_FRONT = struct.Struct("<16sQ16s16s")  # the mark, bytes of the head, xxh3 of name and head, xxh3 of the body
_PART = ".part"
_ABANDONED_S = 3600.0

Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """A folder whose files together take at most `budget` bytes; 0 keeps nothing.

    A file has a head, which can be read alone, and a body.
    """

    folder: Path
    budget: int

    def sizes(self, beginning: str, ending: str) -> dict[str, int]:
        """The bytes of the files that are there and called so, by name, sorted."""
        found = {}
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(beginning) and entry.name.endswith(ending):
                    with suppress(OSError):
                        found[entry.name] = entry.stat(follow_symlinks=False).st_size
        return dict(sorted(found.items()))

    def read_head(self, name: str) -> bytes | None:
        """The head of a file; None where it is not there or not whole. It counts as used."""
        with suppress(OSError), open(self.folder / name, "rb") as file:
            front, head = _read_front(file, name)
            if front is not None:
                with suppress(OSError):
                    os.utime(self.folder / name)
                return head
            self.remove(name)
        return None

    def read_body(self, name: str) -> bytes | None:
        """The body of a file; None where it is not there or not whole."""
        with suppress(OSError), open(self.folder / name, "rb") as file:
            front, _ = _read_front(file, name)
            body = file.read() if front is not None else b""
            if front is not None and xxh3_128_digest(body) == front:
                return body
            self.remove(name)
        return None

    def write(self, name: str, head: bytes, body: Sequence[Bytes] = ()) -> bool:
        """Puts a file in its place and removes what the budget has no room for; whether it is there."""
        n_bytes = _FRONT.size + len(head) + sum(memoryview(part).nbytes for part in body)
        if n_bytes > self.budget:
            return False
        check = xxh3_128()
        for part in body:
            check.update(part)
        front = _FRONT.pack(_MARK, len(head), _check_of_head(name, head), check.digest())
        try:
            _make_folder(self.folder)
            self._make_room(n_bytes, but=name)
            write_whole(self.folder / name, front, head, *body)
        except OSError:
            return False
        return True

    def remove(self, name: str) -> None:
        """A file that is not needed or not whole."""
        with suppress(OSError):
            os.unlink(self.folder / name)

    def _make_room(self, n_bytes: int, *, but: str) -> None:
        """Removes the least recently used files, and what writers that died have left."""
        files = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if not entry.name.endswith(_PART):
                        files.append((status.st_mtime_ns, status.st_size, entry.name))
                    elif now_at(self.folder) - status.st_mtime > _ABANDONED_S:
                        os.unlink(entry.path)
        left = self.budget - n_bytes - sum(size for _, size, name in files if name != but)
        for _, size, name in sorted(files):
            if left >= 0:
                break
            if name != but:
                self.remove(name)
                left += size


def write_whole(path: Path, *parts: Bytes, replaces: bool = True) -> None:
    """Puts a file in its place, for its owner alone, or leaves nothing behind: whoever looks meanwhile finds it whole.

    Raises OSError, as on a full disk; FileExistsError where one is there and it replaces none.
    """
    with NamedTemporaryFile(dir=path.parent, suffix=_PART, delete=False) as file:  # mode 0600
        try:
            for part in parts:
                file.write(part)
            file.flush()
            if replaces:
                os.replace(file.name, path)
            else:
                _name_first(file.name, path)
        except BaseException:  # Ctrl-C too
            with suppress(OSError):
                os.unlink(file.name)
            raise


def _name_first(written: str, path: Path) -> None:
    """Gives a file its name where none has it. Raises OSError."""
    try:
        os.link(written, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without a second name for a file
        if path.exists():
            raise FileExistsError(str(path)) from None
        os.replace(written, path)
    else:
        os.unlink(written)


def _make_folder(folder: Path) -> None:
    """With those above it that are not there, the user's alone: a home may be made by whatever writes first."""
    for each in reversed((folder, *folder.parents)):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def _read_front(file: IO[bytes], name: str) -> tuple[bytes | None, bytes]:
    """What the body's check must be, and the head; None where they are not whole. The file then stands at the body."""
    front = file.read(_FRONT.size)
    if len(front) != _FRONT.size:
        return None, b""
    mark, n_head, check_of_head, check_of_body = _FRONT.unpack(front)
    if mark != _MARK or n_head > os.fstat(file.fileno()).st_size:
        return None, b""
    head = file.read(n_head)
    return (check_of_body, head) if check_of_head == _check_of_head(name, head) else (None, b"")


def _check_of_head(name: str, head: bytes) -> bytes:
    return xxh3_128_digest(b"%d %b " % (len(name), name.encode()) + head)
