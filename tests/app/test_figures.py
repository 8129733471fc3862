"""Figures that a file makes up of itself: checked before anybody counts on them, and before they reach the database."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from app.arrival import Coming, Receiving
from app.desk import Desk
from app.intake import Intake
from app.settings import Settings
from engine.corpus.formats import pdfium
from engine.corpus.rules import Rules
from engine.corpus.walk.listed_tree import choose
from tests.engine.corpus.formats.pdf_builder import build, many
from tests.fake_backend import FakeBackend


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


def drawn(format_: str, **more: object) -> bytes:
    data = BytesIO()
    Image.new("RGB", (2, 2)).save(data, format_, **more)
    return data.getvalue()


def tiff(width: int) -> bytes:
    return (
        drawn("TIFF")
        .replace(struct.pack("<HHIHH", 256, 3, 1, 2, 0)[:8], struct.pack("<HHI", 256, 4, 1), 1)
        .replace(struct.pack("<HHIHH", 256, 4, 1, 2, 0), struct.pack("<HHII", 256, 4, 1, width), 1)
    )


def bmp(height: int) -> bytes:
    data = bytearray(drawn("BMP"))
    struct.pack_into("<i", data, 22, height)
    return bytes(data)


def claiming_zip(n_bytes: int, n_packed: int = 6) -> bytes:
    """A member that says of itself, in 64 bits, that it is as large."""
    name, data, extra = b"a.txt", b"hello\n", struct.pack("<HHQQ", 1, 16, n_bytes, n_packed)
    local = struct.pack("<4sHHHHHLLLHH", b"PK\3\4", 45, 0, 0, 0, 0x21, zlib.crc32(data), 0xFFFFFFFF, 0xFFFFFFFF, 5, 20)
    entry = struct.pack("<4sHHHHHHLLL", b"PK\1\2", 45, 45, 0, 0, 0, 0x21, zlib.crc32(data), 0xFFFFFFFF, 0xFFFFFFFF)
    entry += struct.pack("<5H2L", 5, 20, 0, 0, 0, 0, 0) + name + extra
    files = local + name + extra + data
    return files + entry + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(files), 0)


def notebook(**fields: object) -> bytes:
    code = {"cell_type": "code", "source": "1", "outputs": [], "metadata": {}, **fields}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [code]}).encode()


FILES: dict[str, Callable[[], tuple[str, bytes]]] = {
    "a zip of 2^63": lambda: ("x.zip", claiming_zip(1 << 63)),
    "a zip of 2^64": lambda: ("x.zip", claiming_zip((1 << 64) - 1)),
    "a zip packed into 2^63": lambda: ("x.zip", claiming_zip(6, 1 << 63)),
    "a PDF of 10^9 pages": lambda: ("x.pdf", build(many(2)).replace(b"/Count 2", b"/Count 1000000000")),
    "a PDF of -1 pages": lambda: ("x.pdf", build(many(2)).replace(b"/Count 2", b"/Count -1")),
    "a PDF of 10^30 pages": lambda: ("x.pdf", build(many(2)).replace(b"/Count 2", b"/Count 1" + b"0" * 30)),
    "a PDF page of 10^30 points": lambda: ("x.pdf", build(many(2)).replace(b"612", b"612" + b"0" * 30)),
    "a PNG of 2^31 pixels": lambda: ("x.png", png(1 << 16, 1 << 15)),
    "a PNG of 2^62 pixels": lambda: ("x.png", png((1 << 31) - 1, (1 << 31) - 1)),
    "a PNG of 2^32 - 1": lambda: ("x.png", png((1 << 32) - 1, 1)),
    "a PNG of nothing": lambda: ("x.png", png(0, 0)),
    "a TIFF of 2^32 - 1": lambda: ("x.tif", tiff((1 << 32) - 1)),
    "a BMP of -2^31": lambda: ("x.bmp", bmp(-(1 << 31))),
    "a BMP of 2^31 - 1": lambda: ("x.bmp", bmp((1 << 31) - 1)),
    "a notebook's count of -1": lambda: ("x.ipynb", notebook(execution_count=-1)),
    "a notebook's count of 10^400": lambda: ("x.ipynb", notebook(execution_count=10**400)),
    "a notebook's count of nothing": lambda: ("x.ipynb", notebook(execution_count=float("nan"))),
    "a notebook of version -1": lambda: ("x.ipynb", notebook().replace(b'"nbformat": 4', b'"nbformat": -1')),
    "a notebook of version 10^30": lambda: ("x.ipynb", notebook().replace(b'format": 4', b'format": 1' + b"0" * 30)),
}


class Sent(BytesIO):
    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home"), backend=FakeBackend())
    yield desk
    desk.close()


@pytest.mark.parametrize("what", FILES)
def test_a_figure_that_is_made_up_reaches_no_database(desk: Desk, tmp_path: Path, what: str) -> None:
    name, data = FILES[what]()
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.txt").write_text("good")
    session = desk.begin_session("t").id
    desk.add_sources(session, desk.read([tmp_path / name, tmp_path / "good.txt"]))
    intake = Intake(desk)
    intake.add(session, intake.read_uploads([Sent(name, data), Sent("other.txt", b"good")]))
    found = {link.path for link in desk.session(session).links}
    assert {"good.txt", "other.txt"} <= found
    assert all(0 <= link.n_bytes < 1 << 40 and (link.n_pages or 0) < 1_000 for link in desk.session(session).links)


def test_pages_that_a_pdf_merely_claims_are_not_looked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [0]
    real = pdfium._size

    def counting(*given: object) -> object:
        asked[0] += 1
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pdfium, "_size", counting)
    pages = pdfium.open_pages("x", build(many(2)).replace(b"/Count 2", b"/Count 1000000000"))
    assert asked[0] < 10_000, pages


@pytest.mark.parametrize("claimed", [10**30, -5, 1 << 63])
def test_a_size_that_a_browser_says_reaches_no_database(desk: Desk, tmp_path: Path, claimed: int) -> None:
    files = ("top/a.txt", "top/b.txt")
    coming = Coming("id", files, (), (), {}, choose(files, {}, Rules()))
    (tmp_path / "copies").mkdir()
    arrived = []
    receiving = Receiving(coming, tmp_path / "copies", 1 << 20, lambda arrival: arrived.append(arrival) or True)
    said = json.dumps({"too_large": [[1, claimed]]}).encode()
    frame = struct.Struct("<IQ")
    receiving.feed(frame.pack(0, 1) + b"a" + frame.pack(0xFFFF_FFFE, len(said)) + said + frame.pack(0xFFFF_FFFF, 0))
    assert receiving.finish() == 1
    intake, session = Intake(desk), desk.begin_session("t").id
    intake.add(session, intake.read_arrival(arrived[0]))
    assert [link.path for link in desk.session(session).links] == ["a.txt"]
