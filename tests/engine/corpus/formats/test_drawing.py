"""formats.drawing: what a plan says that drawing takes is no less than what a process grows by, whatever lies in the
file; and what is taken band by band is the same to the bit as it is at once."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from engine.corpus.formats.drawing import drawing_bytes
from engine.corpus.formats.pixels import read_pixels
from engine.corpus.source import Picture, Pixels

WIDTH, HEIGHT = 1_500, 1_400
NEARLY, SMALL, SAME = 0.9, 0.3, 1.0


@cache
def picture(mode: str, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth slopes in every channel, that no format packs to nothing."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [((x * (at + 1) // 7 + y * (at + 2) // 5 + x * y // 999) % 256).astype(np.uint8) for at in range(4)]
    if mode in ("I", "F", "I;16"):
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        return Image.fromarray(channels[0].astype(kind) * (70_000 if mode == "I" else 255))
    if mode == "LA":
        return Image.merge("LA", [Image.fromarray(each) for each in channels[:2]])
    colours = Image.fromarray(np.dstack(channels[:3]))
    if mode == "RGBA":
        colours.putalpha(Image.fromarray(channels[3]))
        return colours
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return cast(Image.Image, ImageCms.profileToProfile(colours, *profiles, outputMode="LAB"))
    return colours.quantize(64) if mode == "P" else colours.convert(mode)


def saved(mode: str, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    options |= {"compress_level": 1} if file_format == "PNG" else {}
    picture(mode).save(file, file_format, **options)
    return file.getvalue()


def turned(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def one_strip(mode: str) -> bytes:
    """A TIFF that is unpacked as a whole."""
    before, TiffImagePlugin.STRIP_SIZE = TiffImagePlugin.STRIP_SIZE, 1 << 30
    try:
        return saved(mode, "TIFF", compression="tiff_lzw")
    finally:
        TiffImagePlugin.STRIP_SIZE = before


def plain_gray() -> bytes:
    """Gray of 16 bits, written out as text."""
    values = np.asarray(picture("I;16")).ravel().tolist()
    return b"P2 %d %d 65535\n" % (WIDTH, HEIGHT) + b" ".join(b"%d" % value for value in values)


def icon() -> bytes:
    """Of one bitmap with its mask, far larger than its directory can say."""
    rgba, mask = picture("RGBA").tobytes(), bytes(((WIDTH + 31) // 32 * 4) * HEIGHT)
    head = b"".join(n.to_bytes(4, "little") for n in (40, WIDTH, 2 * HEIGHT, 1 | 32 << 16, 0, len(rgba), 0, 0, 0, 0))
    length = len(head) + len(rgba) + len(mask)
    entry = bytes([0, 0, 0, 0, 1, 0, 32, 0]) + length.to_bytes(4, "little") + (22).to_bytes(4, "little")
    return bytes([0, 0, 1, 0, 1, 0]) + entry + head + rgba + mask


def scanned(mode: str, **options: Any) -> bytes:
    """A page with a scan of it at 300 dots an inch. options: of its JPEG; without them it is packed without loss."""
    scan, file = picture(mode, 124, 175).resize((2_480, 3_508), Image.Resampling.NEAREST), BytesIO()
    if options:
        jpeg = BytesIO()
        scan.save(jpeg, "JPEG", **options)
        jpeg.seek(0)
        scan = jpeg  # type: ignore[assignment]
    page = Canvas(file, (595, 842))
    page.drawImage(ImageReader(scan), 0, 0, 595, 842)
    page.save()
    return file.getvalue()


Made = tuple[str, Callable[[], bytes], float]
PLAIN: dict[str, Made] = {
    "PNG, see-through": ("PNG", lambda: saved("RGBA", "PNG"), SMALL),
    "JPEG, CMYK, progressive": ("JPEG", lambda: saved("CMYK", "JPEG", progressive=True), SMALL),
    "TIFF, floats": ("TIFF", lambda: saved("F", "TIFF"), SMALL),
    "WebP, see-through": ("WEBP", lambda: saved("RGBA", "WEBP", lossless=True, method=0, quality=0), SMALL),
}
RARE: dict[str, Made] = {
    **{f"PNG, {mode}": ("PNG", lambda mode=mode: saved(mode, "PNG"), SMALL) for mode in ("1", "L", "LA", "RGB")},
    "PNG, 16 bits": ("PNG", lambda: saved("I;16", "PNG"), SMALL),
    "PNG, one colour see-through": ("PNG", lambda: saved("P", "PNG", transparency=bytes(range(64))), SMALL),
    "PNG, turned": ("PNG", lambda: saved("RGBA", "PNG", exif=turned()), SMALL),
    "PNG, nearly as large": ("PNG", lambda: saved("RGBA", "PNG"), NEARLY),
    "PNG, as large": ("PNG", lambda: saved("RGBA", "PNG"), SAME),
    "JPEG": ("JPEG", lambda: saved("RGB", "JPEG"), SMALL),
    "JPEG, turned": ("JPEG", lambda: saved("RGB", "JPEG", exif=turned(8)), SMALL),
    "JPEG, full colours": ("JPEG", lambda: saved("RGB", "JPEG", progressive=True, subsampling=0), SMALL),
    "JPEG, nearly as large": ("JPEG", lambda: saved("RGB", "JPEG"), NEARLY),
    "JPEG, as large": ("JPEG", lambda: saved("RGB", "JPEG"), SAME),
    **{f"TIFF, {m}": ("TIFF", lambda m=m: saved(m, "TIFF"), SMALL) for m in ("LA", "RGBA", "CMYK", "YCbCr", "LAB")},
    "TIFF, numbers": ("TIFF", lambda: saved("I", "TIFF"), SMALL),
    "TIFF, 16 bits": ("TIFF", lambda: saved("I;16", "TIFF"), SMALL),
    "TIFF, floats, turned": ("TIFF", lambda: saved("F", "TIFF", exif=turned()), SMALL),
    "TIFF, one strip": ("TIFF", lambda: one_strip("RGBA"), SMALL),
    "TIFF, floats in one strip": ("TIFF", lambda: one_strip("F"), SMALL),
    "GIF": ("GIF", lambda: saved("P", "GIF", transparency=3), SMALL),
    "GIF, animated": ("GIF", lambda: saved("P", "GIF", save_all=True, append_images=[picture("P").rotate(180)]), SMALL),
    "WebP": ("WEBP", lambda: saved("RGB", "WEBP", method=0), SMALL),
    "WebP, animated": (
        "WEBP",
        lambda: saved("RGBA", "WEBP", method=0, save_all=True, append_images=[picture("RGBA").rotate(180)]),
        SMALL,
    ),
    "AVIF": ("AVIF", lambda: saved("RGB", "AVIF", speed=10), SMALL),
    "AVIF, see-through": ("AVIF", lambda: saved("RGBA", "AVIF", speed=10), SMALL),
    **{f"JPEG 2000, {m}": ("JPEG2000", lambda m=m: saved(m, "JPEG2000"), SMALL) for m in ("LA", "RGB", "RGBA")},
    "BMP": ("BMP", lambda: saved("RGBA", "BMP"), SMALL),
    "PPM, 16 bits": ("PPM", lambda: saved("I;16", "PPM"), SMALL),
    "PPM, text": ("PPM", plain_gray, SMALL),
    "TGA": ("TGA", lambda: saved("RGBA", "TGA", compression="tga_rle"), SMALL),
    "icon": ("ICO", icon, SMALL),
}
PAGES: dict[str, Made] = {
    "PDF, scan": ("PDF", lambda: scanned("RGB", quality=85, progressive=True), SMALL),
    "PDF, scan without loss": ("PDF", lambda: scanned("RGB"), SMALL),
}


def grown(made: dict[str, Made], folder: Path) -> dict[str, tuple[float, float, str]]:
    """For each its growth against what was planned but for what does not depend on the picture, its growth in bytes a
    pixel, and its format."""
    asked = []
    for at, (file_format, data, scale) in enumerate(made.values()):
        (folder / str(at)).write_bytes(data())
        size = (707, 1_000) if file_format == "PDF" else (round(WIDTH * scale), round(HEIGHT * scale))
        asked.append([str(folder / str(at)), file_format, *size])
    done = subprocess.run(
        [sys.executable, "-m", "tests.grown"], input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
    )
    found = {}
    for name, (_, file_format, width, height), (n_grown, _) in zip(made, asked, json.loads(done.stdout), strict=True):
        size = (width, height) if file_format == "PDF" else (WIDTH, HEIGHT)
        planned = drawing_bytes(Picture(1, *size), file_format, 0, width=width, height=height)
        planned -= drawing_bytes(Picture(1, 1, 1), file_format, 0, width=1, height=1) + 9 * width * height
        planned += 1 << 20  # a band
        found[name] = n_grown / planned, n_grown / (size[0] * size[1]), file_format
    return found


def is_more(found: dict[str, tuple[float, float, str]]) -> list[str]:
    """Those that took more than was planned."""
    return [f"{name}: {share:.2f}, {n:.1f} bytes a pixel" for name, (share, n, _) in found.items() if share > 1]


needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")


@needs_proc
def test_a_picture_takes_no_more_than_a_plan_says(tmp_path: Path) -> None:
    found = grown(PLAIN, tmp_path)
    assert not is_more(found)
    assert min(share for share, _, _ in found.values()) > 0.6, found


@needs_proc
@pytest.mark.slow
def test_neither_does_a_rare_one_nor_a_page(tmp_path: Path) -> None:
    found = grown(RARE | PLAIN | PAGES, tmp_path)
    assert not is_more(found)
    formats = {file_format for _, _, file_format in found.values()} - {"PDF"}  # a page may be anything: JPEG takes 0.3
    most = {each: max(share for share, _, of in found.values() if of == each) for each in formats}
    assert min(most.values()) > 0.6, most  # and what is planned is near what the most that there is takes


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "F"])
def test_pixels_are_the_same_at_once_and_band_by_band(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = BytesIO()
    options = {"transparency": bytes(range(64))} if mode == "P" else {}
    picture(mode, 230, 170).save(file, "PNG" if mode == "P" else "TIFF", **options)

    def read() -> Pixels:
        pixels = read_pixels("it", file.getvalue(), "PNG" if mode == "P" else "TIFF", width=61, height=47)
        assert isinstance(pixels, Pixels)
        return pixels

    at_once = read()
    monkeypatch.setattr("engine.corpus.formats.pixels._BAND_PIXELS", 7 * 230)
    assert read() == at_once


def test_a_file_is_held_on_its_way_as_well() -> None:
    def planned(n_file_bytes: int) -> int:
        return drawing_bytes(Picture(1, 900, 600), "PNG", n_file_bytes, width=300, height=200)

    assert planned(50 << 20) - planned(0) == 150 << 20


def test_of_an_unknown_format_the_most_is_planned() -> None:
    """A notebook's pictures may be of any."""

    def planned(file_format: str) -> int:
        return drawing_bytes(Picture(1, 900, 600), file_format, 0, width=300, height=200)

    assert planned("pictures") == planned("JPEG2000") > planned("WEBP") > planned("PNG")
