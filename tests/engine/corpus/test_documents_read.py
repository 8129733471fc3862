"""formats.pdf, image and notebook, and the list of them."""

import io
import json
import logging
import random
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pillow
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen import canvas

from engine.corpus.collect import collect
from engine.corpus.formats import reader
from engine.corpus.formats.format import Format, Incoming, whole_file
from engine.corpus.formats.pdf import read_pdf
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, KeptFile, Picture, Pixels, Skipped, Source, digest_bytes, digest_text
from tests.pdfs import written


def encrypted(data: bytes, user: str, algorithm: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(user, "owner", algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def scan(*, stamp: str = "") -> bytes:
    pixels = io.BytesIO()
    Pillow.new("L", (800, 1000), 200).save(pixels, "PNG")
    out = io.BytesIO()
    from reportlab.lib.utils import ImageReader

    drawing = canvas.Canvas(out, invariant=True)
    for _ in range(2):
        drawing.drawImage(ImageReader(io.BytesIO(pixels.getvalue())), 0, 0, 500, 700)
        drawing.drawString(10, 10, stamp)
        drawing.showPage()
    drawing.save()
    return out.getvalue()


def read(folder: Path, data: bytes, name: str, rules: Rules | None = None) -> Source | Skipped:
    path = folder / name
    path.write_bytes(data)
    corpus = collect([path], rules or Rules())
    (found,) = (*corpus.sources, *corpus.skipped)
    return found


def test_pdf_pages_are_marked(tmp_path: Path) -> None:
    found = read(tmp_path, written("Alpha one", "Beta two\nand more", "Gamma"), "a.pdf")
    assert isinstance(found, Source) and found.kind == "pdf"
    assert found.n_pages == 3
    assert [found.text[start:].splitlines()[0] for start in found.page_starts] == ["[page 1]", "[page 2]", "[page 3]"]
    assert found.page_at(found.text.index("and more")) == 2
    assert found.page_at(found.text.index("Gamma")) == 3
    assert found.notes == ()
    assert found.text.startswith("[page 1]\nAlpha one\n\n[page 2]\n")


def test_a_pdf_is_known_by_its_content(tmp_path: Path) -> None:
    found = read(tmp_path, written("Alpha"), "a.dat")
    assert isinstance(found, Source) and found.kind == "pdf"


def test_pages_without_anything_are_noted(tmp_path: Path) -> None:
    found = read(tmp_path, written("One", "", "Three", "", "", "Six"), "a.pdf")
    assert isinstance(found, Source)
    assert found.notes == ("Pages 2, 4-5 are blank.",)
    assert found.n_pages == 6


@pytest.mark.parametrize("data", [scan(), scan(stamp="Exhibit 12")], ids=["scan", "stamped"])
def test_a_scan_is_said_to_be_one(tmp_path: Path, data: bytes) -> None:
    found = read(tmp_path, data, "a.pdf")
    assert isinstance(found, Skipped) and found.cause is Cause.NO_TEXT
    assert found.reason == "2 pages without text: a scan. Reading scans as images comes with a model that can see"


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_encrypted_pdfs(tmp_path: Path, algorithm: str) -> None:
    open_to_all = read(tmp_path, encrypted(written("Alpha"), "", algorithm), "a.pdf")
    assert isinstance(open_to_all, Source) and "Alpha" in open_to_all.text
    closed = read(tmp_path, encrypted(written("Alpha"), "secret", algorithm), "b.pdf")
    assert isinstance(closed, Skipped) and closed.cause is Cause.ENCRYPTED
    assert closed.reason == "a PDF behind a password; save a copy without one and give that"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n",
        b"%PDF-1.7\nnothing of the kind",
        written("Alpha")[:300],
        b"%PDF-1.7\n" + b"[" * 100_000,
        b"%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer << /Root 1 0 R /Prev 9 >>\nstartxref\n9\n%%EOF",
    ],
    ids=["header", "words", "cut", "nested", "loop"],
)
def test_broken_pdfs(tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    found = read(tmp_path, data, "a.pdf")
    assert isinstance(found, Skipped) and found.cause is Cause.BROKEN
    assert found.reason.startswith("a PDF that is cut short or damaged")
    assert capfd.readouterr() == ("", "")


def test_no_damage_to_a_pdf_raises_or_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = written("Alpha", "Beta")
    chance = random.Random(1)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(8):
            damaged[chance.randrange(8, len(damaged))] = chance.randrange(256)
        read(tmp_path, bytes(damaged), "a.pdf")
    assert not caplog.records
    assert logging.getLogger("pypdf").level == logging.NOTSET


def make_image(format_name: str, size: tuple[int, int] = (60, 20), **options: object) -> bytes:
    out = io.BytesIO()
    picture = Pillow.effect_noise(size, 50).convert("RGB")
    picture.save(out, format_name, **options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA"])
def test_images(tmp_path: Path, format_name: str) -> None:
    data = make_image(format_name)
    found = read(tmp_path, data, "picture.tga" if format_name == "TGA" else "picture")
    assert isinstance(found, Source) and found.kept_file is not None
    assert (found.kind, found.text, found.n_bytes) == ("image", "", len(data))
    assert (found.kept_file.format, found.kept_file.data) == (format_name, data)
    assert found.pictures == (Picture(1, 60, 20),)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_sizes_are_upright(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    found = read(tmp_path, make_image("JPEG", exif=exif), "a.jpg")
    assert isinstance(found, Source)
    assert found.pictures == (Picture(1, *((20, 60) if orientation >= 5 else (60, 20))),)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_images(tmp_path: Path, format_name: str, part: float) -> None:
    data = make_image(format_name, (200, 200))
    found = read(tmp_path, data[: int(len(data) * part)], "a")
    assert isinstance(found, Skipped) and found.cause is Cause.BROKEN


def test_an_image_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    header = struct.pack(">LLBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    found = read(tmp_path, data, "bomb.png")
    assert isinstance(found, Skipped) and found.cause is Cause.TOO_LARGE
    assert found.reason == "50,000 x 50,000 pixels, over the limit of 100,000,000 in all for an image; scale it down"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.png", bytes(50), "named as an image, but nothing but zeros in it; copy it anew"),
        ("a.jpg", b"\x01\x02\x00" * 9, "named as an image, but not in a format that is known; save it as PNG"),
        ("a.png", b"", "0 bytes; copy or save it anew"),
        ("a.png", make_image("PNG")[:8], "a PNG image that is cut short or damaged; copy or save it anew"),
        ("a", make_image("AVIF")[:90], "an AVIF image that is cut short or damaged; copy or save it anew"),
        ("a", make_image("DDS"), "a DirectX texture; save it as PNG"),
        ("a", make_image("QOI"), "a QOI image; save it as PNG"),
        ("a.pcx", make_image("PCX"), "a PCX image; save it as PNG"),
        ("a", b"icns" + bytes(9), "a Mac's icon; save it as PNG"),
        ("a", b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "a HEIC image; save it as JPEG or PNG"),
        ("a", b"\xff\x0a\xfa\x00\x00", "a JPEG XL image; save it as PNG"),
    ],
)
def test_an_image_that_is_not_read_says_what_to_do(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    found = read(tmp_path, data, name)
    assert isinstance(found, Skipped) and found.reason == reason


def test_text_that_only_looks_like_an_image_is_text(tmp_path: Path) -> None:
    for name, text in (
        ("p.txt", "P3 12 12 is a place"),
        ("p.md", "P5 1 2 3\nwords"),
        ("i.c", "icns = 4;"),
        ("q", "qoif"),
    ):
        found = read(tmp_path, text.encode(), name)
        assert isinstance(found, Source) and found.kind == "text" and found.notes == ()
    named = read(tmp_path, b"not an image", "a.PNG")
    assert isinstance(named, Source) and named.kind == "text"
    assert named.notes == ("Named as an image, but it holds text and is sent as text.",)
    plain = read(tmp_path, b"P3\n# by hand\n2 1\n255\n255 0 0 0 0 255\n", "a.ppm")
    assert isinstance(plain, Source) and plain.kept_file is not None and plain.pictures == (Picture(1, 2, 1),)


def test_frames_are_noted_and_files_are_limited(tmp_path: Path) -> None:
    frames = [Pillow.new("L", (9, 9), shade) for shade in (0, 100, 200)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    found = read(tmp_path, out.getvalue(), "a.gif")
    assert isinstance(found, Source) and found.notes == ("3 frames; the first one counts.",)
    limited = read(tmp_path, out.getvalue(), "a.gif", Rules(max_file_bytes=50))
    assert isinstance(limited, Skipped) and limited.reason.endswith("over the limit of 50 bytes for an image")


def test_what_was_filled_into_a_form_is_read() -> None:
    made = io.BytesIO()
    form = canvas.Canvas(made)
    form.drawString(72, 720, "Name:")
    form.acroForm.textfield(name="who", value="Ada Lovelace", x=110, y=715)
    form.acroForm.checkbox(name="agrees", checked=True, x=110, y=600)
    form.acroForm.checkbox(name="declines", checked=False, x=110, y=500)
    form.save()
    read = read_pdf(whole_file("form.pdf", made.getvalue(), Rules()))
    assert isinstance(read, Source)
    assert "[form field who] Ada Lovelace" in read.text and "[form field agrees]" in read.text
    assert "declines" not in read.text


def test_digests_stay_what_they_were(tmp_path: Path) -> None:
    """Sessions, saved KV caches and caches of ids go by them: another digest for the same file loses all three."""

    def digest(name: str, data: bytes, draw_pages: str = "never") -> str:
        found = read(tmp_path, data, name, Rules(draw_pages=draw_pages))
        assert isinstance(found, Source)
        return found.digest

    cells = {"cells": [{"cell_type": "code", "source": "1", "outputs": []}]}
    png, scanned, typed = make_image("PNG"), scan(), written("Some words.")
    tiff = make_image("TIFF", save_all=True, append_images=[Pillow.new("RGB", (60, 20))])
    assert digest("a.py", b"print('x')\n") == digest_bytes(b"print('x')\n")
    assert digest("b.txt", "é\n".encode("utf-16")) == digest_bytes("é\n".encode())
    assert digest("c.ipynb", json.dumps(cells).encode()) == digest_bytes(b"[cell 1, code]\n1\n")
    assert digest("d.png", png) == digest_bytes(png)
    assert digest("e.pdf", typed, "bare") == digest_bytes(b"[page 1]\nSome words.\n\n")
    pages, text = (
        (f"Picture(number={number}, width=713, height=1008)" for number in (1, 2)),
        b"[page 1]\n\n[page 2]\n\n",
    )
    first, second = pages
    both = f"{digest_bytes(text)} ({first}, {second})".encode() + scanned
    assert digest("f.pdf", scanned, "bare") == digest_bytes(both)
    assert digest("f.pdf", scanned, "1") == digest_bytes(f"{digest_bytes(text)} ({first},)".encode() + scanned)
    assert digest("g.tif", tiff, "all") == digest_bytes(tiff)
    assert digest("g.tif", tiff, "2") == digest_bytes(f"{digest_bytes(tiff)} [2]".encode())


def test_a_new_format_is_one_module_and_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognised where it looked like another file, read, and drawn; nobody else has to know of it."""

    def read_docket(file: Incoming) -> Source | Skipped:
        text = zipfile.ZipFile(io.BytesIO(file.data())).read("text").decode()
        drawn = (Picture(1, 20, 10),) if file.rules.draws(1, bare=False) else ()
        kept = KeptFile(file.file_format, file.data(), scalable=True)
        return Source(file.path, "docket", text, file.n_bytes, digest_text(text + str(drawn)), (0,), None, kept, drawn)

    def draw_docket(name: str, file: KeptFile, *, number: int, width: int, height: int, quick: bool) -> Pixels:
        return Pixels(width, height, bytes(3 * width * height))

    docket = Format(
        kind="docket",
        recognise=lambda head: "Docket" if head.is_zip or head.ending == "docket" else None,
        read=read_docket,
        draw=draw_docket,
        drawn_from=frozenset({"Docket"}),
        endings=frozenset({"docket"}),
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("text", "The case is closed.")
    assert isinstance(read(tmp_path, packed.getvalue(), "a.docket"), Skipped)
    monkeypatch.setattr(reader, "FORMATS", (docket, *reader.FORMATS))
    found = read(tmp_path, packed.getvalue(), "a.docket")
    assert isinstance(found, Source) and (found.kind, found.text) == ("docket", "The case is closed.")
    assert not found.pictures and not found.is_wordless
    drawn = reader.redraw(found, Rules(draw_pages="all"))
    assert isinstance(drawn, Source) and drawn.pictures and drawn.kept_file is not None
    assert reader.draw("a", drawn.kept_file, number=1, width=4, height=2) == Pixels(4, 2, bytes(24))
