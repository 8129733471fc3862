"""formats.png_chunks: text, colour profiles and comments cost an image nothing, whatever is wrong with them."""

import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pillow

from engine.corpus.collect import collect
from engine.corpus.formats.pixels import read_pixels
from engine.corpus.formats.png_chunks import without_stumbling_blocks
from engine.corpus.source import Cause, Pixels, Skipped, Source

COLOUR = (200, 30, 90)


def chunk(kind: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + data)
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", right if checksum is None else checksum)


def png(*before: bytes, behind: bytes = b"", size: tuple[int, int] = (30, 20)) -> bytes:
    """An image with these chunks before its pixels, and these behind them."""
    width, height = size
    rows = (b"\0" + bytes(COLOUR) * width) * height
    head = chunk(b"IHDR", struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows)) + behind + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + pixels


def read(folder: Path, data: bytes, name: str = "a.png") -> Source | Skipped:
    (folder / name).write_bytes(data)
    corpus = collect([folder / name])
    (found,) = corpus.sources or corpus.skipped
    return found


BOMB = zlib.compress(b"a" * 70_000_000, 9)
LARGE = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0en\0Kommentar\0" + BOMB),
    "iCCP": chunk(b"iCCP", b"icc\0\0" + BOMB),
    "tEXt": chunk(b"tEXt", b"Comment\0" + b"a" * 2_000_000),
    "zTXt, tEXt": chunk(b"zTXt", b"C\0\0" + BOMB) + chunk(b"tEXt", b"C\0" + b"a" * 2_000_000),
}


@pytest.mark.parametrize("where", ["before", "behind"])
@pytest.mark.parametrize("what", LARGE)
def test_large_texts_and_profiles_cost_nothing_and_are_said(tmp_path: Path, what: str, where: str) -> None:
    found = read(tmp_path, png(LARGE[what]) if where == "before" else png(behind=LARGE[what]))
    assert isinstance(found, Source), found
    assert [(each.width, each.height) for each in found.pictures] == [(30, 20)]
    assert found.notes == (f"Text or a colour profile of more than 1 MiB in it was left out ({what}).",)
    drawn = read_pixels("x", (tmp_path / "a.png").read_bytes(), "PNG")
    assert isinstance(drawn, Pixels) and tuple(drawn.data[:3]) == COLOUR


def test_many_texts_that_are_large_together(tmp_path: Path) -> None:
    one = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 900_000))
    found = read(tmp_path, png(*[one] * 100))
    assert isinstance(found, Source) and len(found.notes) == 1


@pytest.mark.parametrize(
    "kind", ["tEXt", "zTXt", "iTXt", "iCCP", "gAMA", "pHYs", "tIME", "cHRM", "sRGB", "bKGD", "prVt", "caBX"]
)
def test_a_wrong_checksum_of_what_is_no_pixel_costs_nothing(tmp_path: Path, kind: str) -> None:
    found = read(tmp_path, png(chunk(kind.encode(), b"Comment\0\0abc", checksum=7)))
    assert isinstance(found, Source)
    assert found.notes == (f"Damaged data beside its pixels was left out ({kind}).",)


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\2", b"a name", b"name\0", b"name\0\0not packed"])
@pytest.mark.parametrize(
    "kind", ["gAMA", "pHYs", "cHRM", "sRGB", "tIME", "iCCP", "zTXt", "iTXt", "tEXt", "acTL", "fcTL", "tRNS", "eXIf"]
)
def test_a_chunk_that_is_not_what_its_kind_says(tmp_path: Path, kind: str, data: bytes) -> None:
    for whole in (png(chunk(kind.encode(), data)), png(behind=chunk(kind.encode(), data))):
        found = read(tmp_path, whole)
        assert isinstance(found, Source), found
        assert [(each.width, each.height) for each in found.pictures] == [(30, 20)]
        drawn = read_pixels("x", whole, "PNG")
        assert isinstance(drawn, Pixels) and tuple(drawn.data[:3]) == COLOUR


def test_damaged_exif_data_may_have_turned_it(tmp_path: Path) -> None:
    found = read(tmp_path, png(chunk(b"eXIf", b"II*\0\x08\0\0\0", checksum=7)))
    assert isinstance(found, Source)
    assert found.notes == ("Damaged data beside its pixels was left out (eXIf): it may lie on its side.",)


def test_exif_data_and_xmp_still_turn_it(tmp_path: Path) -> None:
    tags = struct.pack("<2sHLHHHLHHL", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><r tiff:Orientation="6"/></x:xmpmeta>'
    for turning in (chunk(b"eXIf", tags), chunk(b"iTXt", xmp)):
        found = read(tmp_path, png(LARGE["zTXt"], turning))
        assert isinstance(found, Source) and [(each.width, each.height) for each in found.pictures] == [(20, 30)]


def test_wrong_pixels_are_still_said(tmp_path: Path) -> None:
    whole = png()
    at = whole.index(b"IDAT")
    for data in (whole[: at + 12], whole[: at + 4] + bytes(6) + whole[at + 10 :], whole[:40]):
        found = read(tmp_path, data)
        assert isinstance(found, Skipped) and found.cause is Cause.BROKEN
        assert found.reason == "a PNG image that is cut short or damaged; copy or save it anew"


def test_what_nothing_is_wrong_with_stays_the_same_bytes() -> None:
    out = io.BytesIO()
    image = Pillow.linear_gradient("L")
    image.save(out, "PNG", dpi=(72, 72), icc_profile=b"a profile" * 99, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    data, notes = without_stumbling_blocks(out.getvalue())
    assert data is out.getvalue() or data == out.getvalue()
    assert notes == ()


def test_an_animation_with_a_damaged_part_is_its_first_frame(tmp_path: Path) -> None:
    out = io.BytesIO()
    frames = [Pillow.new("RGB", (30, 20), (shade, 0, 0)) for shade in (200, 100, 50)]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    whole = out.getvalue()
    found = read(tmp_path, whole)
    assert isinstance(found, Source) and found.notes == ("3 frames; the first one counts.",)
    at = whole.rindex(b"fdAT")
    found = read(tmp_path, whole[: at + 6] + bytes([whole[at + 6] ^ 1]) + whole[at + 7 :])
    assert isinstance(found, Source) and found.notes == ("Damaged data beside its pixels was left out (fdAT).",)


def with_exif(kind: str, exif: bytes) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (30, 20), COLOUR).save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0ZZZZZZZZZZ", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 60,
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\2\0\0\0\5\0\0\0\xff", b"Exif\0\0", b"Exif\0\0II",
    ],
    ids=range(6),
)  # fmt: skip
def test_damaged_exif_data_costs_no_image(tmp_path: Path, kind: str, exif: bytes) -> None:
    found = read(tmp_path, with_exif(kind, exif), "a.img")
    assert isinstance(found, Source), found
    assert [(each.width, each.height) for each in found.pictures] == [(30, 20)]


def test_mutated_chunks_never_raise(tmp_path: Path) -> None:
    data = png(
        chunk(b"tEXt", b"Comment\0hello"), chunk(b"zTXt", b"C\0\0" + zlib.compress(b"hello")),
        chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"profile")), chunk(b"gAMA", bytes(4)),
        behind=chunk(b"tIME", bytes(7)),
    )  # fmt: skip
    chance = random.Random(4)
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 5)):
            mutated[chance.randrange(8, len(mutated))] = chance.randrange(256)
        read(tmp_path, bytes(mutated))
