"""Zips written byte by byte, with what `zipfile` does not write: names in any encoding, odd fields and comments."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from engine.corpus.collect import collect
from engine.corpus.source import Corpus

UTF8 = 0x800


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A member, stored. local_name: in its own header, where it is another than in the directory."""

    name: bytes
    data: bytes = b"hello\n"
    flags: int = 0
    extra: bytes = b""
    attributes: int = 0
    system: int = 0
    local_name: bytes | None = None


def raw_zip(*entries: Entry, comment: bytes = b"", disk: int = 0, before: bytes = b"", after: bytes = b"") -> bytes:
    """before: bytes in front of it, of which its places know nothing. after: bytes behind its end."""
    files = directory = b""
    for entry in entries:
        crc, size, data = zlib.crc32(entry.data), len(entry.data), entry.data
        name = entry.name if entry.local_name is None else entry.local_name
        common = (entry.flags, 0, 0, 0x5A21, crc, size, size)
        made_by = entry.system << 8 | 20
        directory += struct.pack("<4sHHHHHHLLL", b"PK\1\2", made_by, 20, *common)
        directory += struct.pack("<5H2L", len(entry.name), len(entry.extra), 0, 0, 0, entry.attributes, len(files))
        directory += entry.name + entry.extra
        files += struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 20, *common, len(name), 0) + name + data
    n_entries = len(entries)
    end = struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, n_entries, n_entries, len(directory), len(files), len(comment))
    return before + files + directory + end + comment + after


def unicode_path(name: str, stands_for: bytes) -> bytes:
    """The extra field 0x7075: a name in UTF-8 in place of another one."""
    content = struct.pack("<BL", 1, zlib.crc32(stands_for)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


def read(folder: Path, *entries: Entry, **how: object) -> Corpus:
    path = folder / "x.zip"
    path.write_bytes(raw_zip(*entries, **how))  # type: ignore[arg-type]
    return collect([path])


def found(corpus: Corpus) -> list[str]:
    return [source.path for source in corpus.sources]
