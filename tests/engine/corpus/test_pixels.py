"""formats.pixels: ugly images become upright RGB of the size that was measured, or are skipped with a reason."""

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageFile

from engine.corpus.formats.format import whole_file
from engine.corpus.formats.image import read_image
from engine.corpus.formats.pixels import FrameSize, frame_sizes, read_pixels
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Pixels, Skipped, Source

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
RULES = Rules()


def saved(picture: Pillow.Image, format_name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format_name, **options)
    return out.getvalue()


def decoded(data: bytes, format_name: str, **options: Any) -> npt.NDArray[np.uint8]:
    """Rows of RGB; the size agrees with what the corpus measures."""
    pixels = read_pixels("it", data, format_name, **options)
    assert isinstance(pixels, Pixels), pixels
    assert len(pixels.data) == 3 * pixels.width * pixels.height
    if not options:
        source = read_image(whole_file("it", data, RULES, file_format=format_name))
        assert isinstance(source, Source) and source.kept_file is not None
        assert (source.pictures[0].width, source.pictures[0].height) == (pixels.width, pixels.height)
    return np.frombuffer(pixels.data, dtype=np.uint8).reshape(pixels.height, pixels.width, 3)


def half_red() -> Pillow.Image:
    """40 x 20, the left half red and the right white."""
    picture = Pillow.new("RGB", (40, 20), WHITE)
    picture.paste(RED, (0, 0, 20, 20))
    return picture


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000"])
def test_plain_pixels_come_out_as_they_are(format_name: str) -> None:
    rows = decoded(saved(half_red(), format_name), format_name)
    assert rows.shape == (20, 40, 3)
    assert (rows[:, :20] == RED).all() and (rows[:, 20:] == WHITE).all()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_that_lies_on_its_side_is_turned(orientation: int, format_name: str) -> None:
    """Turned by hand, then marked with the orientation that undoes it: always 40 x 20 with red on the left."""
    undo = {
        2: Pillow.Transpose.FLIP_LEFT_RIGHT,
        3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM,
        5: Pillow.Transpose.TRANSPOSE,
        6: Pillow.Transpose.ROTATE_90,
        7: Pillow.Transpose.TRANSVERSE,
        8: Pillow.Transpose.ROTATE_270,
    }
    picture = half_red() if orientation == 1 else half_red().transpose(undo[orientation])
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    data = saved(picture, format_name, exif=exif)
    rows = decoded(data, format_name)
    assert rows.shape == (20, 40, 3)
    assert rows[10, 5, 1] < 60 and rows[10, 35, 1] > 200
    assert frame_sizes("it", data, format_name) == (FrameSize(40, 20),)


@pytest.mark.parametrize("format_name", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(format_name: str) -> None:
    picture = Pillow.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(decoded(saved(picture, format_name), format_name).astype(int) - RED).max() < 10


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(format_name: str) -> None:
    deep = np.array([[0, 255, 256, 0x1234, 0x8000, 0xFFFF]], dtype=np.uint16)
    rows = decoded(saved(Pillow.fromarray(deep), format_name), format_name)
    assert rows[0, :, 0].tolist() == [0, 0, 1, 0x12, 0x80, 0xFF]


def test_sixteen_bit_colour_is_narrowed() -> None:
    """Written by hand: Pillow writes none."""
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">6H", 0xFFFF, 0, 0x8000, 0, 0x1234, 0xFFFF)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    assert decoded(data, "PNG")[0].tolist() == [[255, 0, 128], [0, 18, 255]]


def test_floats_and_wide_integers_are_scaled_to_what_they_hold() -> None:
    floats = Pillow.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32))
    assert decoded(saved(floats, "TIFF"), "TIFF")[0, :, 0].tolist() == [0, 128, 255, 0]
    wide = Pillow.fromarray(np.array([[0, 1 << 19, 1 << 20]], dtype=np.int32))
    assert decoded(saved(wide, "TIFF"), "TIFF")[0, :, 0].tolist() == [0, 128, 255]
    negative = Pillow.fromarray(np.array([[-100.0, 0.0, 300.0]], dtype=np.float32))
    assert decoded(saved(negative, "TIFF"), "TIFF")[0, :, 0].tolist() == [0, 64, 255]
    black = Pillow.fromarray(np.zeros((2, 2), dtype=np.float32))
    assert (decoded(saved(black, "TIFF"), "TIFF") == 0).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_can_be_seen_through_stands_on_white(mode: str) -> None:
    picture = Pillow.new(mode, (2, 1))
    picture.putpixel((0, 0), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 128) if mode == "RGBA" else (0, 128))
    assert decoded(saved(picture, "PNG"), "PNG")[0].tolist() == [[255, 255, 255], [127, 127, 127]]


@pytest.mark.parametrize("format_name", ["PNG", "GIF"])
def test_a_palette_with_transparency_stands_on_white(format_name: str) -> None:
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([*BLACK, *RED])
    picture.putpixel((1, 0), 1)
    rows = decoded(saved(picture, format_name, transparency=0), format_name)
    assert rows[0].tolist() == [list(WHITE), list(RED)]


def test_gray_and_colours_that_are_named_transparent_stand_on_white() -> None:
    gray = saved(Pillow.fromarray(np.array([[0, 7]], dtype=np.uint8)), "PNG", transparency=0)
    assert decoded(gray, "PNG")[0].tolist() == [[255, 255, 255], [7, 7, 7]]
    colour = saved(half_red(), "PNG", transparency=RED)
    assert (decoded(colour, "PNG") == 255).all()


def test_black_and_white_and_other_colour_spaces() -> None:
    assert decoded(saved(Pillow.new("1", (9, 3), 1), "PNG"), "PNG").min() == 255
    ycc = half_red().convert("YCbCr")
    assert np.abs(decoded(saved(ycc, "TIFF"), "TIFF")[0, 0].astype(int) - RED).max() < 6


def test_the_first_frame_of_an_animation_is_taken_and_any_other_on_request() -> None:
    frames = [Pillow.new("RGB", (8, 4), colour) for colour in (RED, WHITE, BLACK)]
    for format_name in ("GIF", "TIFF", "PNG"):
        data = saved(frames[0], format_name, save_all=True, append_images=frames[1:])
        assert (decoded(data, format_name)[0, 0] == RED).all()
        assert (decoded(data, format_name, frame=2)[0, 0] == BLACK).all()
        assert frame_sizes("it", data, format_name) == (FrameSize(8, 4),) * 3
        beyond = read_pixels("it", data, format_name, frame=3)
        assert isinstance(beyond, Skipped) and beyond.cause is Cause.BROKEN


def test_pages_of_a_tiff_have_their_own_sizes() -> None:
    pages = [Pillow.new("RGB", (8, 4), RED), Pillow.new("L", (5, 9), 3)]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert frame_sizes("it", data, "TIFF") == (FrameSize(8, 4), FrameSize(5, 9))
    assert decoded(data, "TIFF", frame=1).shape == (9, 5, 3)


def test_a_size_that_is_given_is_the_size_that_comes() -> None:
    data = saved(half_red(), "PNG")
    for width, height in ((336, 168), (10, 5), (1, 1), (40, 20)):
        assert decoded(data, "PNG", width=width, height=height).shape == (height, width, 3)
    small = decoded(data, "PNG", width=10, height=5)
    assert (small[:, 0] == RED).all() and (small[:, -1] == WHITE).all()


def test_a_strip_of_1_by_20000_pixels_is_an_image() -> None:
    rows = decoded(saved(Pillow.new("RGB", (1, 20_000), RED), "PNG"), "PNG")
    assert rows.shape == (20_000, 1, 3)
    assert decoded(saved(Pillow.new("RGB", (20_000, 1), RED), "PNG"), "PNG", width=1008, height=1).shape == (1, 1008, 3)


def test_a_decompression_bomb_is_skipped_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    data += struct.pack(">I", zlib.crc32(b"IHDR" + header)) + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4
    for skipped in (read_pixels("bomb.png", data, "PNG"), frame_sizes("bomb.png", data, "PNG")):
        assert isinstance(skipped, Skipped) and skipped.cause is Cause.TOO_LARGE
        assert "100,000 x 100,000 pixels, over the limit" in skipped.reason


def test_a_bomb_behind_a_harmless_first_page_is_skipped_too() -> None:
    pages = [Pillow.new("1", (8, 4)), Pillow.new("1", (300, 300))]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    rules = Rules(max_image_pixels=1_000)
    assert isinstance(read_pixels("it", data, "TIFF", rules=rules), Pixels)
    skipped = read_pixels("it", data, "TIFF", frame=1, rules=rules)
    assert isinstance(skipped, Skipped) and skipped.cause is Cause.TOO_LARGE
    assert isinstance(frame_sizes("it", data, "TIFF", rules=rules), Skipped)


def test_an_icon_is_as_large_as_the_image_in_it_whatever_its_directory_says() -> None:
    data = bytearray(saved(Pillow.new("RGB", (48, 32), RED), "ICO", sizes=[(48, 32)]))
    assert decoded(bytes(data), "ICO").shape == (32, 48, 3)
    data[6:8] = b"\x10\x10"  # 16 x 16
    assert decoded(bytes(data), "ICO").shape == (32, 48, 3)
    few = Rules(max_image_pixels=1_000)
    for skipped in (read_pixels("it", bytes(data), "ICO", rules=few),
                    read_image(whole_file("it", bytes(data), few, file_format="ICO"))):  # fmt: skip
        assert isinstance(skipped, Skipped) and skipped.reason.startswith("48 x 32 pixels, over the limit of 1,000")


def test_a_jpeg_2000_whose_headers_disagree_is_not_decoded() -> None:
    data = bytearray(saved(Pillow.new("L", (4_000, 4_000)), "JPEG2000"))
    at = data.index(b"ihdr") + 4
    data[at : at + 8] = struct.pack(">II", 10, 10)
    skipped = read_pixels("it", bytes(data), "JPEG2000")
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "a JPEG 2000 image that is cut short or damaged; copy or save it anew"


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "TGA"])
def test_truncated_images_are_skipped(format_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    noise = Pillow.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    data = saved(noise, format_name)
    for share in (0.0, 0.01, 0.3, 0.6):
        skipped = read_pixels("it", data[: int(len(data) * share)], format_name)
        assert isinstance(skipped, Skipped) and skipped.cause is Cause.BROKEN, (format_name, share)
        assert skipped.reason == f"a {format_name} image that is cut short or damaged; copy or save it anew"


def test_garbage_never_raises() -> None:
    whole = saved(half_red(), "JPEG"), saved(half_red(), "PNG"), saved(half_red(), "TIFF")
    draw = random.Random(0)
    for _ in range(150):
        for data, format_name in zip(whole, ("JPEG", "PNG", "TIFF"), strict=True):
            damaged = bytearray(data)
            for _ in range(draw.randrange(1, 8)):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            assert isinstance(read_pixels("it", bytes(damaged), format_name), Pixels | Skipped)
            frame_sizes("it", bytes(damaged), format_name)


def test_a_format_that_pillow_does_not_know_is_skipped() -> None:
    assert isinstance(read_pixels("it.svg", b"<svg/>", "SVG"), Skipped)


def test_of_a_tiff_the_whole_pages_are_read() -> None:
    """A page that is not all there is said at once, and not when the engine draws it."""
    pages = [Pillow.effect_noise((300, 200), spread) for spread in (30, 60, 90)]
    whole = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")
    with Pillow.open(io.BytesIO(whole)) as opened:
        opened.seek(1)
        at = opened.tag_v2[273][0]  # where the second page's data begins
    data = whole[:at] + bytes(100) + whole[at + 100 :]
    source = read_image(whole_file("scan.tiff", data, RULES, file_format="TIFF"))
    assert isinstance(source, Source)
    assert [picture.number for picture in source.pictures] == [1, 3] and source.n_pages == 3
    assert source.notes == ("Page 2 could not be read.",)
