"""formats.text and sniff: nothing that is no text becomes one, also where most of it looks like text."""

import array
import bz2
import gzip
import importlib.util
import io
import lzma
import marshal
import math
import os
import pickle
import random
import sqlite3
import struct
import sys
import tarfile
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.corpus.formats.reader import read_content
from engine.corpus.rules import Rules
from engine.corpus.source import Skipped, Source

WORDS = b"Some words of a text that comes again. " * 100
CHANCE = random.Random(7)


def noise(n_bytes: int) -> bytes:
    return CHANCE.randbytes(n_bytes)


def numbers(code: str, values: list[float]) -> bytes:
    return array.array(code, [int(value) if code not in "fd" else value for value in values]).tobytes()  # type: ignore[arg-type]


def tar(*, is_old: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as file:
        entry = tarfile.TarInfo("a.txt")
        entry.size = len(WORDS)
        file.addfile(entry, io.BytesIO(WORDS))
    data = bytearray(out.getvalue())
    if is_old:  # as before 1988: no name of the format in it
        data[257:265] = bytes(8)
        data[148:156] = b"%06o\0 " % (sum(data[:148]) + 256 + sum(data[156:512]))
    return bytes(data)


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(numbers("h", [9000 * math.sin(at / 9) for at in range(3000)]))
    return out.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (words)")
    connection.executemany("insert into t values (?)", [("some words",)] * 50)
    return connection.serialize()


def binaries() -> Iterator[tuple[str, bytes]]:
    waves = [40 * math.sin(at / 5) for at in range(2000)]
    for n_bytes in (24, 64, 300, 5000):
        yield f"{n_bytes} random bytes", noise(n_bytes)
    for protocol in (2, 3, 4, 5):
        yield f"pickle {protocol}", pickle.dumps({"a": [1, "text", 2.5] * 9}, protocol)
        yield f"pickle {protocol} of a long string", pickle.dumps("words and words " * 400, protocol)
    yield "program", Path(sys.executable).read_bytes()[:400_000]
    yield "program without its head", Path(sys.executable).read_bytes()[4000:90_000]
    yield "shared library", Path(next(iter(Path(array.__file__ or math.__file__).parent.glob("*.so")))).read_bytes()
    yield "compiled Python", Path(importlib.util.cache_from_source(os.__file__)).read_bytes()
    yield "marshal", marshal.dumps(compile("def f(x): return [x, 'word', 5.5]", "a", "exec"))
    yield "gzip", gzip.compress(WORDS)
    yield "bzip2", bz2.compress(WORDS)
    yield "xz", lzma.compress(WORDS)
    yield "lzma", lzma.compress(WORDS, format=lzma.FORMAT_ALONE)
    yield "zlib", zlib.compress(Path(__file__).read_bytes())
    yield "deflate", zlib.compress(Path(__file__).read_bytes())[2:-4]
    yield "sqlite", database()
    yield "a page of sqlite", database()[4096:]
    yield "tar", tar()
    yield "old tar", tar(is_old=True)
    yield "wav", sound()
    yield "cpio", b"070701" + b"0" * 104 + b"a.txt\0\0\0" + WORDS
    yield "class file", b"\xca\xfe\xba\xbe\0\0\0\x34\0\x1d\x0a\0\6\0\x0f" + b"\x01\0\6<init>\x01\0\3()V\x01\0\4Code" * 9
    yield "object file", b"\x7fELF\2\1\1" + bytes(57) + WORDS
    yield "font", b"\0\1\0\0\0\x0c\0\x80\0\3\0\x40" + noise(900)
    yield "font without its head", b"\0\x0c\0\x80\0\3\0\x40" + noise(900)
    yield "compiled translations", b"\xde\x12\4\x95" + struct.pack("<6i", 0, 2, 28, 44, 0, 60) + b"yes\0oui\0" * 90
    yield "swap file", b"b0VIM 9.0\0\0\0\0\x10" + bytes(90) + b"root" + bytes(900) + b"a line\0another line\0" * 90
    yield "serialized Java", b"\xac\xed\0\5sr\0\x11java.util.HashMap" + WORDS
    yield "Mac property list", b"bplist00\xd1\1\2Tname" + WORDS
    yield "shell script with an archive", b"#!/bin/sh\ntail -n +3 $0 | tar xz\nexit\n" + gzip.compress(noise(9000))
    yield "long script with an archive", b"#!/bin/sh\n" + b"echo install\n" * 900 + gzip.compress(noise(30_000))
    yield "PostScript with an image", b"%!PS-Adobe\n" + noise(4000)
    yield (
        "mesh",
        b"made by a program".ljust(80)
        + struct.pack("<I", 90)
        + b"".join(struct.pack("<12fH", *(CHANCE.gauss(0, 20) for _ in range(12)), 0) for _ in range(90)),
    )
    for code in "hHiIlqfd":
        yield f"array of {code}", numbers(code, [abs(each) + 60 for each in waves])
    yield "small whole numbers", struct.pack("<200i", *range(200))
    yield "numbers, big end first", struct.pack(">500h", *range(-250, 250))
    yield "sound samples", numbers("h", [9000 * math.sin(at / 9) + CHANCE.gauss(0, 300) for at in range(3000)])
    yield "quiet sound samples", numbers("h", [90 * math.sin(at / 9) for at in range(3000)])
    yield "sound samples of a byte", bytes(int(128 + 100 * math.sin(at / 7)) for at in range(3000))
    yield "heights", struct.pack(">4000H", *(0x4E00 + at * 37 % 20_000 for at in range(4000)))
    yield "records", b"".join(struct.pack("<16sIf", b"name %d" % at, at, at * 1.5) for at in range(99))
    yield "logins", struct.pack("<hi32s4s32s", 7, 1234, b"pts/0", b"ts/0", b"root") * 9
    yield (
        "dBase",
        b"\3\x79\1\1" + struct.pack("<IHH", 90, 97, 21) + bytes(20) + b"NAME" + bytes(24) + b"\r" + b" Ann   " * 90,
    )
    yield "protocol buffers", b"".join(b"\x0a%c\x10%c" % (len(WORDS[:at]), at) + WORDS[:at] for at in range(3, 30))
    yield "zeros", bytes(5000)
    yield "zeros and noise", bytes(5000) + noise(2000) + bytes(5000)
    yield "one byte, always the same", b"\xff" * 3000
    yield "all bytes", bytes(range(256)) * 8
    yield "pixels", bytes([255, 128, 7, 255] * 600)


BINARIES = dict(binaries())


@pytest.mark.parametrize("name", BINARIES)
def test_no_binary_becomes_text(name: str) -> None:
    data = BINARIES[name]
    found = read_content("file", len(data), io.BytesIO(data).read, Rules())
    assert isinstance(found, Skipped), found
    assert found.reason


def test_what_begins_as_one_and_is_text_is_read() -> None:
    for text in ("070701 is a number.\n", "LZIP is short.\n", "Obj\n", "dex\n0 1\n", "PACK it\n", "BC is far\n"):
        data = text.encode()
        found = read_content("file", len(data), io.BytesIO(data).read, Rules())
        assert isinstance(found, Source) and found.text == text
