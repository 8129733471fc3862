"""The index of a git checkout: which files git tracks, and as what it last saw them. git is never asked.

Format: https://git-scm.com/docs/index-format, versions 2 to 4. Where the index lies is left to `checkout`.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import new

from engine.corpus.walk.checkout import read_in_git

MAX_INDEX_BYTES = 64 * 2**20  # some 500,000 files
_STAT = struct.Struct(">8x2I20xI")  # of an entry's first 40 bytes: the time of change in s and ns, and the size
_EXTENDED = 0x4000


@dataclass(frozen=True, slots=True)
class Known:
    """A file as git last saw it: modification time in s and ns, and its size modulo 2**32."""

    seconds: int
    nanoseconds: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Index:
    """An index file. files: by path below the checkout, folders of a sparse one with a slash at their end.

    shared: hex id of the index file that holds the others, of one that git has split over two; else "".
    """

    files: dict[bytes, Known]
    shared: str = ""


@dataclass(slots=True)
class Tracked:
    """What git tracks in a checkout. Its index is read when it is first asked: most checkouts ignore nothing that the
    default rules let through.

    read: gives a file of the checkout's .git, b"" where it is not there, None where that cannot be told. n_base: how
    much of a path that is asked about stands before those of the checkout, in bytes.
    """

    read: Callable[[str], bytes | None]
    n_base: int = 0
    _files: frozenset[bytes] | None = None
    _folders: frozenset[bytes] = frozenset()
    _is_read: bool = field(default=False)

    def has(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether git tracks this file, this submodule, or something in this folder."""
        self._load()
        below = path[self.n_base :]
        return below in (self._files or ()) or (is_folder and below in self._folders)

    @property
    def is_known(self) -> bool:
        """False where the index cannot be read."""
        self._load()
        return self._files is not None

    def _load(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        files = _names(self.read)
        if files is None:
            return
        folders: set[bytes] = set()
        for path in files:
            at = path.rfind(b"/")
            while at > 0 and path[:at] not in folders:
                folders.add(path[:at])
                at = path.rfind(b"/", 0, at)
        self._files, self._folders = files, frozenset(folders)


def _names(read: Callable[[str], bytes | None]) -> frozenset[bytes] | None:
    """All paths of an index, of a split one too; those that its second half takes back are not worth telling apart."""
    data = read("index")
    if not data:
        return None if data is None else frozenset()
    index = parse_index(data)
    if index is None:
        return None
    if not index.shared:
        return frozenset(index.files)
    data = read(f"sharedindex.{index.shared}")
    shared = parse_index(data) if data else None
    return None if shared is None else frozenset((*index.files, *shared.files)) - {b""}


def read_index(checkout: str, *, within: str | None = None, stays: bool = False) -> dict[bytes, Known] | None:
    """The entries of a checkout's index by path; None without one, for one that is damaged, and for one that git has
    split over two files. within, stays: see `checkout.git_folders`."""
    data = read_in_git(checkout, "index", within=within, stays=stays, max_bytes=MAX_INDEX_BYTES)
    index = parse_index(data) if data else None
    return None if index is None or index.shared else index.files


def tracked_in(checkout: str, *, within: str | None = None, stays: bool = False) -> Tracked:
    """What git tracks in the checkout whose root is this folder. within, stays: see `checkout.git_folders`."""
    return Tracked(partial(read_in_git, checkout, within=within, stays=stays, max_bytes=MAX_INDEX_BYTES))


def parse_index(data: bytes) -> Index | None:
    """An index from its bytes; None for one that is damaged."""
    for n_digest, name in ((20, "sha1"), (32, "sha256")):
        digest = new(name, data[:-n_digest], usedforsecurity=False).digest()
        if data[-n_digest:] in (digest, bytes(n_digest)):  # 0: git was told to skip it
            with suppress(struct.error, IndexError):
                return _parse(data, n_digest)
    return None


def _parse(data: bytes, n_digest: int) -> Index | None:
    """None where the entries lead nowhere."""
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
    shared = _shared(data, at, n_digest)
    return None if shared is None else Index(entries, shared)


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A number of git's variable width, and where it ends."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


def _shared(data: bytes, at: int, n_digest: int) -> str | None:
    """The id of the index that an extension says is the other half, "" without one; None where no extensions follow up
    to the digest at the end."""
    shared = ""
    while at + 8 <= len(data) - n_digest:
        name, n_bytes = struct.unpack_from(">4sI", data, at)
        if name == b"link":
            shared = data[at + 8 : at + 8 + n_digest].hex()
        at += 8 + n_bytes
    return shared if at == len(data) - n_digest else None
