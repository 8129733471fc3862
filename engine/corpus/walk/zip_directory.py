"""What lies in a zip, by the directory at its end, read without `zipfile`: that takes a name in another encoding, an
odd extra field or a comment that holds "PK" for damage of the whole. Unpacking a member is left to it.

Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT. What is safe to take is left to `zip_tree`.
"""

import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from engine.corpus.walk.zip_names import RawName, ZipName, decode_names, extra_fields
from engine.corpus.wording import size_in_words

_END = struct.Struct("<4s4H2LH")  # of the end record: disks, entries, bytes and place of the directory, comment
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END_BYTES = _END.size + 65535  # the end record and the longest comment behind it
_MAX_BYTES_PER_ENTRY = 512  # 46 and a name; bounds what is kept in memory
_UTF8_NAME = 0x800
_IN_64_BITS, _NO_DISK = 0xFFFFFFFF, 0xFFFF
_ZIP64 = 0x0001


class SplitZip(Exception):
    """The zip goes on in other files; the message is the reason."""


class TooMuch(Exception):
    """More entries, or a longer directory, than is allowed; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file or folder in a zip. n_bytes, n_packed: as the directory states them. offset: of its own header.

    system: of the machine that it was packed on, 0 for DOS and Windows, 3 for Unix, see APPNOTE 4.4.2. attributes: in
    the manner of that system. moment: year, month, day, hour, minute and second, in local time.
    """

    name: ZipName
    n_bytes: int
    n_packed: int
    method: int
    flags: int
    crc: int
    offset: int
    system: int
    attributes: int
    moment: tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class _End:
    """What the end record says. at: where it, or its 64-bit kind, begins, which is where the directory ends."""

    at: int
    disk: int
    n_entries: int
    n_bytes: int
    offset: int


def read_directory(file: IO[bytes], *, max_entries: int) -> list[Member]:
    """All members, in the order of the directory.

    Errors: SplitZip, TooMuch, zipfile.BadZipFile, struct.error, OSError.
    """
    end, start = _find_directory(file)
    if end.disk not in (0, _NO_DISK):
        raise SplitZip(f"the last of {end.disk + 1:,} parts of a split archive; join them into one zip first")
    if start is None:
        raise zipfile.BadZipFile("its list of files is not where its end says")
    if end.n_entries > max_entries:
        raise TooMuch(_too_many(end.n_entries, max_entries))
    if end.n_bytes > _MAX_BYTES_PER_ENTRY * max_entries:
        raise TooMuch(f"a directory of {size_in_words(end.n_bytes)}, too much for a zip: a bomb")
    file.seek(start)
    data = file.read(end.n_bytes)
    raw: list[tuple[RawName, tuple[int, ...]]] = []
    for name, fields in _entries(data):
        raw.append((name, fields))
        if len(raw) > max_entries:
            raise TooMuch(_too_many(data.count(b"PK\x01\x02"), max_entries))
    names = decode_names([name for name, _ in raw])
    shift = start - end.offset  # of a zip behind a program that unpacks it
    return [_member(each, name, fields, shift) for each, (name, fields) in zip(names, raw, strict=True)]


def _too_many(n_entries: int, max_entries: int) -> str:
    return f"{n_entries:,} entries, over the limit of {max_entries:,} for a zip"


def _find_directory(file: IO[bytes]) -> tuple[_End, int | None]:
    """The end record, and where the directory begins. A comment may hold what looks like an end record: that one counts
    which ends with the file and leads to a directory."""
    n_bytes = file.seek(0, os.SEEK_END)
    tail_at = max(0, n_bytes - _END_BYTES)
    file.seek(tail_at)
    tail = file.read(_END_BYTES)
    found: list[tuple[bool, bool, _End, int | None]] = []
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:  # 16,000 times at most: 50 ms
        if at + _END.size > len(tail):
            continue
        end = _end_at(file, tail, at, tail_at)
        start = _start_of(file, end)
        ends_well = at + _END.size + _END.unpack_from(tail, at)[7] == len(tail)
        found.append((start is not None, ends_well, end, start))
        if found[-1][:2] == (True, True) and end.n_bytes:
            break
    if not found:
        raise zipfile.BadZipFile("the list of its files, at its end, is missing")
    *_, end, start = max(found, key=lambda one: (one[0] and one[2].n_bytes > 0, one[0], one[1]))
    return end, start


def _end_at(file: IO[bytes], tail: bytes, at: int, tail_at: int) -> _End:
    _, disk, _, _, n_entries, n_bytes, offset, _ = _END.unpack_from(tail, at)
    end_at = tail_at + at
    if at >= _LOCATOR.size:
        mark, _, place, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        if mark == b"PK\x06\x07":
            for where in (place, end_at - _LOCATOR.size - _END_64.size):  # behind a program the first is too small
                if 0 <= where < end_at:
                    file.seek(where)
                    record = file.read(_END_64.size)
                    if len(record) == _END_64.size and record[:4] == b"PK\x06\x06":
                        _, _, _, _, disk, _, _, n_entries, n_bytes, offset = _END_64.unpack(record)
                        return _End(where, disk, n_entries, n_bytes, offset)
    return _End(end_at, disk, n_entries, n_bytes, offset)


def _start_of(file: IO[bytes], end: _End) -> int | None:
    """Where the directory begins: right before its end, or where the end record says; None where neither is one."""
    for start in (end.at - end.n_bytes, end.offset):
        if start < 0 or start > end.at:
            continue
        if end.n_bytes == 0 and end.n_entries == 0:
            return start
        file.seek(start)
        if file.read(4) == b"PK\x01\x02":
            return start
    return None


def _entries(data: bytes) -> Iterator[tuple[RawName, tuple[int, ...]]]:
    at = 0
    while data[at : at + 4] == b"PK\x01\x02":
        if at + _ENTRY.size > len(data):
            raise zipfile.BadZipFile("its list of files is cut short")
        fields: tuple[int, ...] = _ENTRY.unpack_from(data, at)[1:]
        n_name, n_extra, n_comment = fields[9:12]
        name_at = at + _ENTRY.size
        extra_at = name_at + n_name
        at = extra_at + n_extra + n_comment
        if at > len(data):
            raise zipfile.BadZipFile("its list of files is cut short")
        name, extra = data[name_at:extra_at], data[extra_at : extra_at + n_extra]
        yield RawName(name, bool(fields[2] & _UTF8_NAME), extra), fields
    if data[at : at + 4] not in (b"", b"PK\x05\x05", b"PK\x06\x06"):
        raise zipfile.BadZipFile("its list of files is damaged")


def _member(name: ZipName, raw: RawName, fields: tuple[int, ...], shift: int) -> Member:
    made_by, _, flags, method, time, date, crc, n_packed, n_bytes = fields[:9]
    attributes, offset = fields[14], fields[15]
    if _IN_64_BITS in (n_packed, n_bytes, offset):
        wide = next((data for kind, data in extra_fields(raw.extra) if kind == _ZIP64), b"")
        given = iter(struct.unpack(f"<{len(wide) // 8}Q", wide[: len(wide) // 8 * 8]))
        n_bytes, n_packed, offset = (
            next(given, value) if value == _IN_64_BITS else value for value in (n_bytes, n_packed, offset)
        )
    day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    moment = (*day, time >> 11, time >> 5 & 63, (time & 31) * 2)
    return Member(name, n_bytes, n_packed, method, flags, crc, offset + shift, made_by >> 8, attributes, moment)


def open_member(file: IO[bytes], member: Member) -> zipfile.ZipExtFile:
    """A member's content, unpacked while it is read; its checksum is held against it at its end.

    Errors: zipfile.BadZipFile, struct.error, OSError, and while reading zlib.error and EOFError.
    """
    file.seek(member.offset)
    mark, *_, n_name, n_extra = _LOCAL.unpack(file.read(_LOCAL.size))
    if mark != b"PK\x03\x04":
        raise zipfile.BadZipFile("it does not begin where the list of files says")
    file.seek(n_name + n_extra, os.SEEK_CUR)
    info = zipfile.ZipInfo(member.name.text)
    info.compress_type, info.compress_size = member.method, member.n_packed
    info.file_size, info.CRC = member.n_bytes, member.crc
    return zipfile.ZipExtFile(file, "r", info)
