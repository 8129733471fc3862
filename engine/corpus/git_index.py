"""Which files of a git checkout somebody works on: those that git does not know yet, or not as they are now.

Read from the checkout's index, without git, and from the size and time of each file; their content is not looked at.
"""

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import new

from engine.corpus.checkout import git_folders

_MAX_BYTES = 64 * 2**20  # some 500,000 files
_STAT = struct.Struct(">8x2I20xI")  # of an entry's first 40 bytes: the time of change in s and ns, and the size
_EXTENDED = 0x4000


@dataclass(frozen=True, slots=True)
class Known:
    """A file as git last saw it: modification time in s and ns, and its size modulo 2**32."""

    seconds: int
    nanoseconds: int
    n_bytes: int


def in_work(checkout: str, files: Sequence[str]) -> list[bool]:
    """Of these files of a checkout: whether each is new to git, or was written since git last looked at it.

    All False where the index cannot be read or knows none of them. Where more than half were written they came some
    other way, such as by a copy of the whole checkout; then only those count that are new. The paths are absolute.
    """
    index = read_index(checkout)
    if index is None:
        return [False] * len(files)
    known = [index.get(os.fsencode(os.path.relpath(file, checkout).replace(os.sep, "/"))) for file in files]
    if not any(known):
        return [False] * len(files)
    written = [each is not None and _is_written(file, each) for file, each in zip(files, known, strict=True)]
    if 2 * sum(written) > len(files):
        written = [False] * len(files)
    return [each is None or new for each, new in zip(known, written, strict=True)]


def _is_written(file: str, known: Known) -> bool:
    try:
        status = os.lstat(file)
    except OSError:
        return False
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    same_time = seconds & 0xFFFFFFFF == known.seconds and known.nanoseconds in (0, nanoseconds)
    return not same_time or status.st_size & 0xFFFFFFFF != known.n_bytes


def read_index(checkout: str) -> dict[bytes, Known] | None:
    """The entries of a checkout's index by path; None without one, for one that is damaged, and for one that git has
    split over two files."""
    folders = git_folders(checkout)
    try:
        if folders is None:
            return None
        path = os.path.join(folders[0], "index")
        if os.path.islink(path) or os.path.getsize(path) > _MAX_BYTES:
            return None
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES)
    except (OSError, ValueError):  # ValueError: a NUL in a path that a .git file points to
        return None
    for n_digest, name in ((20, "sha1"), (32, "sha256")):
        digest = new(name, data[:-n_digest], usedforsecurity=False).digest()
        if data[-n_digest:] in (digest, bytes(n_digest)):  # 0: git was told to skip it
            with suppress(struct.error, IndexError):
                return _parse(data, n_digest)
    return None


def _parse(data: bytes, n_digest: int) -> dict[bytes, Known] | None:
    """https://git-scm.com/docs/index-format, versions 2 to 4. None where the entries lead nowhere."""
    signature, version, n_entries = struct.unpack_from(">4s2I", data)
    if signature != b"DIRC" or version not in (2, 3, 4):
        return None
    entries: dict[bytes, Known] = {}
    at, path = 12, b""
    for _ in range(n_entries):
        if at + 42 + n_digest > len(data):
            return None
        known = Known(*_STAT.unpack_from(data, at))
        (flags,) = struct.unpack_from(">H", data, at + 40 + n_digest)
        name_at = at + 42 + n_digest + (2 if flags & _EXTENDED else 0)
        n_kept = 0
        if version == 4:  # a path is told by what it shares with the one before
            n_dropped, name_at = _variable(data, name_at)
            n_kept = len(path) - n_dropped
        end = data.find(b"\0", name_at)
        if end < 0 or n_kept < 0:
            return None
        path = path[:n_kept] + data[name_at:end]
        entries[path] = known
        at = end + 1 if version == 4 else at + (end - at + 8) // 8 * 8  # padded to 8, with 1 NUL at least
    return entries if _ends_well(data, at, n_digest) else None


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A number of git's variable width, and where it ends."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


def _ends_well(data: bytes, at: int, n_digest: int) -> bool:
    """Whether extensions follow up to the digest at the end, and none of them says that there is more elsewhere."""
    while at + 8 <= len(data) - n_digest:
        name, n_bytes = struct.unpack_from(">4sI", data, at)
        if name == b"link":
            return False
        at += 8 + n_bytes
    return at == len(data) - n_digest
