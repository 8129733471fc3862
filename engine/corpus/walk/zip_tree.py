"""Zips, read in memory and never unpacked to disk. The inside becomes a tree that is walked through like a folder.

Owns what makes a zip unsafe: names that lead out of it, links, and bombs. A bomb is stopped by what is really read,
not by what the zip claims of itself; members that share bytes are refused before anything is read.
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from calendar import timegm
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.walk.checkout import MAX_IGNORE_BYTES
from engine.corpus.walk.folder_walk import Entry, EntryKind, Take
from engine.corpus.wording import MIB, printable, size_in_words

_DRIVE = re.compile(r"[A-Za-z]:")
_END_BYTES = 22 + 65535  # the end record and the longest comment behind it
_MAX_DIRECTORY_BYTES_PER_ENTRY = 512  # 46 and a name; bounds what zipfile keeps in memory
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # zipfile unpacks the others without a bound on memory
_MAX_NAME = 4096
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # what a zip has that was made without times
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800
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
    """The inside of a zip. `where` is a node for a folder, a ZipInfo for a file. State: how much was unpacked so far.

    refused: members that are not safe to take, with the path they go by before it is made unique.
    """

    file: zipfile.ZipFile
    rules: Rules
    root: _Node
    refused: tuple[Skipped, ...]
    n_unpacked: int = 0

    def list_folder(self, where: _Node) -> list[Entry]:
        return [*(Entry(name, EntryKind.FOLDER, node) for name, node in where.folders.items()), *where.files]

    def read_ignore(self, where: _Node) -> bytes | None:
        return self._read_small(where, ".gitignore")

    def read_exclude(self, where: _Node) -> bytes | None:
        git = where.folders.get(".git")
        info = git.folders.get("info") if git else None
        return self._read_small(info, "exclude") if info else None

    def size(self, where: zipfile.ZipInfo) -> int | None:
        return where.file_size

    def modified(self, where: zipfile.ZipInfo) -> float | None:
        try:  # local time of wherever it was packed; taken as UTC, it is the same everywhere
            return float(timegm(where.date_time)) if where.date_time > _NO_TIME else None
        except ValueError:  # a month of 0
            return None

    def identity(self, where: _Node) -> object | None:
        return None

    def read_file(self, where: zipfile.ZipInfo, path: str, take: Take) -> Source | Skipped:
        skipped = self._why_not(where, path)
        if skipped is not None:
            return skipped
        try:
            with self.file.open(where) as member:
                return take(where.file_size, lambda n_bytes: self._read(member, where, n_bytes))
        except _Bomb as bomb:
            return Skipped(path, Cause.UNSAFE, str(bomb), where.file_size)
        except _FAILURES as error:
            return Skipped(path, Cause.BROKEN, f"damaged in the archive ({error})", where.file_size)

    def read_bytes(self, where: zipfile.ZipInfo, path: str) -> bytes | Skipped:
        """A whole member, as a zip within the zip needs it."""
        skipped = self._why_not(where, path)
        if skipped is not None:
            return skipped
        try:
            with self.file.open(where) as member:
                return self._read(member, where, where.file_size)
        except _Bomb as bomb:
            return Skipped(path, Cause.UNSAFE, str(bomb), where.file_size)
        except _FAILURES as error:
            return Skipped(path, Cause.BROKEN, f"damaged in the archive ({error})", where.file_size)

    def _read_small(self, where: _Node, name: str) -> bytes | None:
        info = next((entry.where for entry in where.files if entry.name == name), None)
        if info is None or info.file_size > MAX_IGNORE_BYTES:
            return None
        data = self.read_bytes(info, name)
        return data if isinstance(data, bytes) else None

    def _why_not(self, info: zipfile.ZipInfo, path: str) -> Skipped | None:
        """What can be told from the directory of the zip, before any reading."""
        if info.flag_bits & _ENCRYPTED:
            reason = "behind a password; make the zip anew without one"
            return Skipped(path, Cause.ENCRYPTED, reason, info.file_size)
        if info.compress_type not in _METHODS:
            reason = "packed in a way other than deflate; make the zip anew with the usual settings"
            return Skipped(path, Cause.BINARY, reason, info.file_size)
        bomb = self._why_bomb(info, info.file_size)
        return Skipped(path, Cause.UNSAFE, bomb, info.file_size) if bomb else None

    def _why_bomb(self, info: zipfile.ZipInfo, n_bytes: int) -> str | None:
        if n_bytes > max(_RATIO_FROM_BYTES, self.rules.max_archive_ratio * info.compress_size):
            ratio = f"{n_bytes / max(info.compress_size, 1):,.0f} times its packed size"
            return f"unpacks to {ratio}, over the limit of {self.rules.max_archive_ratio:,}: a zip bomb"
        return None

    def _read(self, member: IO[bytes], info: zipfile.ZipInfo, n_bytes: int) -> bytes:
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


@contextmanager
def open_zip(source: Path | IO[bytes], path: str, rules: Rules) -> Iterator[ZipTree | Skipped]:
    """The inside of a zip, open until the block ends; or why it cannot be read, under `path`."""
    try:
        file: IO[bytes] = open(source, "rb") if isinstance(source, Path) else source  # noqa: SIM115
    except OSError as error:
        yield Skipped(path, Cause.UNREADABLE, f"cannot be read ({error.strerror or error})")
        return
    with file:
        opened = _open(file, path, rules)
        yield opened
        if isinstance(opened, ZipTree):
            opened.file.close()


def _open(file: IO[bytes], path: str, rules: Rules) -> ZipTree | Skipped:
    n_bytes = file.seek(0, os.SEEK_END)
    try:
        n_entries, n_directory_bytes = _claimed(file, n_bytes)
        if n_entries > rules.max_archive_entries:
            return _too_many(path, n_entries, rules, n_bytes)
        if n_directory_bytes > _MAX_DIRECTORY_BYTES_PER_ENTRY * rules.max_archive_entries:
            reason = f"a directory of {size_in_words(n_directory_bytes)}, too much for a zip: a bomb"
            return Skipped(path, Cause.UNSAFE, reason, n_bytes)
        opened = zipfile.ZipFile(file)
        infos = opened.infolist()
    except _FAILURES as error:
        return Skipped(path, Cause.BROKEN, f"a zip that is cut short or damaged ({error})", n_bytes)
    if len(infos) > rules.max_archive_entries:
        return _too_many(path, len(infos), rules, n_bytes)
    n_sharing = _count_sharing(infos)
    if n_sharing:
        reason = f"{n_sharing:,} of its {len(infos):,} files share their bytes with others: a zip bomb"
        return Skipped(path, Cause.UNSAFE, reason, n_bytes)
    layout = _Layout()
    for info in infos:
        layout.place(info)
        if layout.n_folders > rules.max_archive_entries:
            return _too_many(path, layout.n_folders, rules, n_bytes)
    return ZipTree(opened, rules, layout.root, tuple(layout.refused))


def _too_many(path: str, n_entries: int, rules: Rules, n_bytes: int) -> Skipped:
    reason = f"{n_entries:,} entries, over the limit of {rules.max_archive_entries:,} for a zip"
    return Skipped(path, Cause.UNSAFE, reason, n_bytes)


def _claimed(file: IO[bytes], n_bytes: int) -> tuple[int, int]:
    """Entries and bytes of the directory, as the end record has them. zipfile would read all of it at once."""
    start = max(0, n_bytes - _END_BYTES)
    file.seek(start)
    tail = file.read(_END_BYTES)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return 0, 0  # zipfile will say what is wrong
    n_entries, n_directory_bytes = struct.unpack_from("<HL", tail, at + 10)
    if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":  # the locator of the 64-bit end record
        file.seek(struct.unpack_from("<Q", tail, at - 12)[0])
        record = file.read(56)
        if record[:4] == b"PK\x06\x06" and len(record) == 56:
            n_entries, n_directory_bytes = struct.unpack_from("<QQ", record, 32)
    return n_entries, n_directory_bytes


def _count_sharing(infos: list[zipfile.ZipInfo]) -> int:
    """How many members begin before the one ahead of them ends; in an honest zip none does."""
    n_sharing, end = 0, 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        n_sharing += info.header_offset < end
        end = max(end, info.header_offset + 30 + info.compress_size)
    return n_sharing


@dataclass(slots=True)
class _Layout:
    """The folders of a zip in the making. Counted, for a few long names can stand for millions of folders."""

    root: _Node = field(default_factory=_Node)
    refused: list[Skipped] = field(default_factory=list)
    n_folders: int = 0

    def place(self, info: zipfile.ZipInfo) -> None:
        """Puts a member in its folder, or among the refused."""
        name = _name_of(info)
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        why = _why_unsafe(name, parts, stat.S_IFMT(info.external_attr >> 16))
        if why is not None:
            self.refused.append(Skipped(printable(name[:_MAX_NAME]), Cause.UNSAFE, why, info.file_size))
            return
        is_folder = name.endswith(("/", "\\"))
        node = self.root
        for part in parts if is_folder else parts[:-1]:
            if part not in node.folders:
                node.folders[part] = _Node()
                self.n_folders += 1
            node = node.folders[part]
        if not is_folder and parts:
            node.files.append(Entry(parts[-1], EntryKind.FILE, info))


def _why_unsafe(name: str, parts: list[str], mode: int) -> str | None:
    if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts:
        return "a path that leads out of the archive"
    if len(name) > _MAX_NAME:
        return f"a path of {len(name):,} characters, over the limit of {_MAX_NAME:,}"
    if mode == stat.S_IFLNK:
        return "a link in an archive"
    return None if mode in (0, stat.S_IFREG, stat.S_IFDIR) else "a pipe, socket or device in an archive"


def _name_of(info: zipfile.ZipInfo) -> str:
    """The name, NULs and all. Many zips hold UTF-8 without saying so, and zipfile takes that for code page 437."""
    name = info.orig_filename
    if info.flag_bits & _UTF8_NAME or name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name
