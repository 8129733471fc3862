"""Zips, read in memory and never unpacked to disk. The inside becomes a tree that is walked through like a folder.

Owns what makes a zip unsafe: names that lead out of it, links, and bombs. A bomb is stopped by what is really read,
not by what the zip claims of itself; members that share bytes are refused before anything is read.
"""

import re
import stat
import struct
import zipfile
import zlib
from calendar import timegm
from dataclasses import dataclass, field, replace
from typing import IO

from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.walk.checkout import MAX_IGNORE_BYTES
from engine.corpus.walk.folder_walk import Entry, EntryKind, Take
from engine.corpus.walk.git_index import MAX_INDEX_BYTES
from engine.corpus.walk.zip_directory import Member, SplitZip, TooMuch, open_member, read_directory
from engine.corpus.wording import MIB, printable, size_in_words

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")  # a colon without a slash behind it leads nowhere: "Q: what.txt" is a name
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # zipfile unpacks the others without a bound on memory
_MAX_NAME = 4096
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # what a zip has that was made without times
_ENCRYPTED = 0x1
_DOS_FOLDER = 0x10
_UNIX = frozenset({3, 19})  # systems whose attributes are a mode; others may hold anything there
_PIECE_BYTES = 64 * 1024
_RATIO_FROM_BYTES = MIB
# what zipfile raises on a damaged or odd zip
_FAILURES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    struct.error,
    RuntimeError,
)


class _Bomb(Exception):
    """Raised while reading a member; the message is the reason."""


@dataclass(slots=True)
class _Node:
    """A folder in the zip."""

    folders: dict[str, "_Node"] = field(default_factory=dict)
    files: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class ZipTree:
    """The inside of a zip. `where` is a node for a folder, a Member for a file. State: how much was unpacked so far.

    refused: members that are not safe to take, with the path they go by before it is made unique.
    """

    file: IO[bytes]
    rules: Rules
    root: _Node
    refused: tuple[Skipped, ...]
    n_unpacked: int = 0

    def list_folder(self, where: _Node) -> list[Entry]:
        return [*(Entry(name, EntryKind.FOLDER, node) for name, node in where.folders.items()), *where.files]

    def read_ignore(self, where: _Node) -> bytes | None:
        return self._read_small(where, ".gitignore", cut=True)

    def read_git(self, where: _Node, name: str) -> bytes | None:
        *folders, last = name.split("/")
        node = where.folders.get(".git")
        if node is None:
            return None  # a .git file: what it points to is not in the archive
        for folder in folders:
            node = node.folders.get(folder) if node else None
        if node is None or all(entry.name != last for entry in node.files):
            return b""
        return self._read_small(node, last, MAX_INDEX_BYTES)

    def size(self, where: Member) -> int | None:
        return where.n_bytes

    def modified(self, where: Member) -> float | None:
        try:  # local time of wherever it was packed; taken as UTC, it is the same everywhere
            return float(timegm(where.moment)) if where.moment > _NO_TIME else None
        except ValueError:  # a month of 0
            return None

    def identity(self, where: _Node) -> object | None:
        return None

    def read_file(self, where: Member, path: str, take: Take) -> Source | Skipped:
        skipped = self._why_not(where, path)
        if skipped is not None:
            return skipped
        try:
            with open_member(self.file, where) as member:
                taken = take(where.n_bytes, lambda n_bytes: self._read(member, where, n_bytes))
        except _Bomb as bomb:
            return Skipped(path, Cause.UNSAFE, str(bomb), where.n_bytes)
        except _FAILURES as error:
            return _damaged(path, where, error)
        if where.name.guess and isinstance(taken, Source):
            note = f"Its name in the zip was read as {where.name.guess}, a guess."
            return replace(taken, notes=(*taken.notes, note))
        return taken

    def read_bytes(self, where: Member, path: str, max_bytes: int | None = None) -> bytes | Skipped:
        """A whole member, as a zip within the zip needs it, or its beginning."""
        skipped = self._why_not(where, path)
        if skipped is not None:
            return skipped
        try:
            with open_member(self.file, where) as member:
                return self._read(member, where, min(where.n_bytes, max_bytes or where.n_bytes))
        except _Bomb as bomb:
            return Skipped(path, Cause.UNSAFE, str(bomb), where.n_bytes)
        except _FAILURES as error:
            return _damaged(path, where, error)

    def _read_small(
        self, where: _Node, name: str, max_bytes: int = MAX_IGNORE_BYTES, *, cut: bool = False
    ) -> bytes | None:
        """cut: of a larger one, one byte more."""
        info = next((entry.where for entry in where.files if entry.name == name), None)
        if info is None or (info.n_bytes > max_bytes and not cut):
            return None
        data = self.read_bytes(info, name, max_bytes + 1)
        return data if isinstance(data, bytes) else None

    def _why_not(self, info: Member, path: str) -> Skipped | None:
        """What can be told from the directory of the zip, before any reading."""
        if info.flags & _ENCRYPTED:
            reason = "behind a password; make the zip anew without one"
            return Skipped(path, Cause.ENCRYPTED, reason, info.n_bytes)
        if info.method not in _METHODS:
            reason = "packed in a way other than deflate; make the zip anew with the usual settings"
            return Skipped(path, Cause.BINARY, reason, info.n_bytes)
        bomb = self._why_bomb(info, info.n_bytes)
        return Skipped(path, Cause.UNSAFE, bomb, info.n_bytes) if bomb else None

    def _why_bomb(self, info: Member, n_bytes: int) -> str | None:
        if n_bytes > max(_RATIO_FROM_BYTES, self.rules.max_archive_ratio * info.n_packed):
            ratio = f"{n_bytes / max(info.n_packed, 1):,.0f} times its packed size"
            return f"unpacks to {ratio}, over the limit of {self.rules.max_archive_ratio:,}: a zip bomb"
        return None

    def _read(self, member: zipfile.ZipExtFile, info: Member, n_bytes: int) -> bytes:
        """The next bytes of a member, piece by piece, so that no bomb unpacks further than the limit."""
        pieces, n_read = [], 0
        while n_read < n_bytes and (piece := member.read(min(_PIECE_BYTES, n_bytes - n_read))):
            pieces.append(piece)
            n_read += len(piece)
            self.n_unpacked += len(piece)
            if self.n_unpacked > self.rules.max_archive_bytes:
                limit = size_in_words(self.rules.max_archive_bytes)
                raise _Bomb(f"the archive unpacks to more than the limit of {limit}; from here on it is not read")
            if bomb := self._why_bomb(info, n_read):
                raise _Bomb(bomb)
        return b"".join(pieces)


def _damaged(path: str, member: Member, error: Exception) -> Skipped:
    what = str(error) or "it ends too early"
    return Skipped(path, Cause.BROKEN, f"damaged in the archive ({what})", member.n_bytes)


def open_zip(file: IO[bytes], path: str, rules: Rules) -> ZipTree | Skipped:
    """The inside of a zip, which can be read as long as the file is open; or why it cannot be read, under `path`."""
    n_bytes = file.seek(0, 2)
    try:
        members = read_directory(file, max_entries=rules.max_archive_entries)
    except TooMuch as error:
        return Skipped(path, Cause.UNSAFE, str(error), n_bytes)
    except SplitZip as error:
        return Skipped(path, Cause.BROKEN, str(error), n_bytes)
    except _FAILURES as error:
        reason = f"a zip that is cut short or damaged ({error}); copy or download it anew"
        return Skipped(path, Cause.BROKEN, reason, n_bytes)
    n_sharing = _count_sharing(members)
    if n_sharing:
        reason = f"{n_sharing:,} of its {len(members):,} files share their bytes with others: a zip bomb"
        return Skipped(path, Cause.UNSAFE, reason, n_bytes)
    layout = _Layout()
    for member in members:
        layout.place(member)
        if layout.n_folders > rules.max_archive_entries:
            reason = f"{layout.n_folders:,} entries, over the limit of {rules.max_archive_entries:,} for a zip"
            return Skipped(path, Cause.UNSAFE, reason, n_bytes)
    return ZipTree(file, rules, layout.root, tuple(layout.refused))


def _count_sharing(members: list[Member]) -> int:
    """How many members begin before the one ahead of them ends; in an honest zip none does."""
    n_sharing, end = 0, 0
    for member in sorted(members, key=lambda member: member.offset):
        n_sharing += member.offset < end
        end = max(end, member.offset + 30 + member.n_packed)
    return n_sharing


@dataclass(slots=True)
class _Layout:
    """The folders of a zip in the making. Counted, for a few long names can stand for millions of folders."""

    root: _Node = field(default_factory=_Node)
    refused: list[Skipped] = field(default_factory=list)
    n_folders: int = 0

    def place(self, member: Member) -> None:
        """Puts a member in its folder, or among the refused."""
        name = member.name.text
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        is_folder = _is_folder(member)
        why = _why_unsafe(name, parts, member)
        if why is None and member.n_bytes and (is_folder or not parts):
            why = "a folder with content of its own, or a file without a name"
        if why is not None:
            path = printable(name[:_MAX_NAME]) or "unnamed"
            self.refused.append(Skipped(path, Cause.UNSAFE, why, member.n_bytes))
            return
        node = self.root
        for part in parts if is_folder else parts[:-1]:
            if part not in node.folders:
                node.folders[part] = _Node()
                self.n_folders += 1
            node = node.folders[part]
        if not is_folder and parts:
            node.files.append(Entry(parts[-1], EntryKind.FILE, member))


def _is_folder(member: Member) -> bool:
    """By a slash at the end of its name, or as DOS or Unix mark it; some packers write no slash."""
    if member.name.text.endswith(("/", "\\")):
        return True
    marked = member.attributes & _DOS_FOLDER or stat.S_ISDIR(member.attributes >> 16)
    return bool(marked) and member.n_bytes == 0


def _why_unsafe(name: str, parts: list[str], member: Member) -> str | None:
    if name.startswith(("/", "\\")) or _DRIVE.match(name) or _climbs_out(parts):
        return "a path that leads out of the archive"
    if ".." in parts:
        return 'a path with ".." in it; make the zip anew with plain paths'
    if len(name) > _MAX_NAME:
        return f"a path of {len(name):,} characters, over the limit of {_MAX_NAME:,}"
    mode = stat.S_IFMT(member.attributes >> 16)
    if mode == stat.S_IFLNK:
        return "a link in an archive"
    if member.system not in _UNIX or mode in (0, stat.S_IFREG, stat.S_IFDIR):
        return None
    return "a pipe, socket or device in an archive"


def _climbs_out(parts: list[str]) -> bool:
    depth = 0
    for part in parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
