"""Pixels of an image as an encoder takes them: upright, RGB, eight bits, nothing transparent, at a size given.

What `image` measured is decoded here, so width and height agree. Cutting into tiles is the engine's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from engine.corpus.formats.format import go_on, quietly
from engine.corpus.formats.png_chunks import without_stumbling_blocks
from engine.corpus.rules import DEFAULT_RULES, Rules
from engine.corpus.source import Cause, Pixels, Skipped

if TYPE_CHECKING:  # a folder without images does without Pillow: functions import it
    from PIL import Image as Pillow

_TRANSPOSED = frozenset({5, 6, 7, 8})  # the EXIF orientations that lie on their side
_ORIENTATION_TAG = 0x0112
_SEE_THROUGH = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_DEEP = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_MOST_FRAMES = 10_000
_BAND_PIXELS = 1 << 17  # that are turned into other pixels at once
_LANCZOS = 1  # as Pillow's Resampling has it


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Width and height of one frame in pixels, upright."""

    width: int
    height: int


def read_pixels(
    path: str,
    data: bytes,
    format_name: str,
    *,
    width: int | None = None,
    height: int | None = None,
    frame: int = 0,
    quick: bool = False,
    rules: Rules = DEFAULT_RULES,
) -> Pixels | Skipped:
    """One frame of an image file, scaled to width and height where both are given, else at its own size.

    format_name: as Pillow names it. frame: from 0; a page of a TIFF, a picture of an animation. quick: for eyes, not
    for an encoder: a JPEG is decoded at about the size asked for (20 of 12 megapixels to thumbnails: 0.6 s, else 5.5).
    What can be seen through stands on white. More than eight bits are narrowed by what the format holds at most.
    Gives Skipped where it cannot be decoded to the end (BROKEN) or has too many pixels (TOO_LARGE).
    """
    try:
        with opened_image(path, data, format_name) as picture:
            picture.seek(frame)
            too_large = too_many_pixels(path, picture, len(data), rules)
            if too_large is not None:
                return too_large
            if quick and width is not None and height is not None:
                picture.draft(None, (max(width, height),) * 2)  # of both sides: it may yet be turned
            rgb = _in_rgb(_upright(picture))
            if rgb is not picture:
                picture.close()  # four bytes a pixel less from here on
            if width is not None and height is not None and rgb.size != (width, height):
                rgb = rgb.resize((width, height), _LANCZOS, reducing_gap=3.0)
            return Pixels(rgb.width, rgb.height, _packed(rgb))
    except MemoryError:
        raise
    except Exception:  # plugins raise anything on a broken file, SyntaxError and struct.error too
        return broken_image(path, format_name, len(data))


def frame_sizes(
    path: str,
    data: bytes,
    format_name: str,
    *,
    rules: Rules = DEFAULT_RULES,
    decode: bool = False,
    step: Callable[[str, int], bool] = go_on,
) -> tuple[FrameSize | None, ...] | Skipped:
    """The size of every frame: one for most files, one a page for a TIFF. decode: None for one that is not all there.
    step: see Incoming; of a frame that is passed over, None too.

    Gives Skipped where a frame has too many pixels, or the file cannot be read as far as its last frame.
    """
    try:
        with opened_image(path, data, format_name) as picture:
            found = _frame_sizes(path, picture, len(data), rules)
            if isinstance(found, Skipped) or not decode:
                return found
            sizes: list[FrameSize | None] = []
            for frame, size in enumerate(found):
                goes = step("frame", frame + 1)
                if goes:
                    picture.seek(frame)
                sizes.append(size if goes and _decodes(picture) else None)
            return tuple(sizes)
    except MemoryError:
        raise
    except Exception:  # see read_pixels
        return broken_image(path, format_name, len(data))


def _frame_sizes(path: str, picture: "Pillow.Image", n_bytes: int, rules: Rules) -> tuple[FrameSize, ...] | Skipped:
    """As they are said to be: known before anything is decoded, for frames can share what they are decoded from."""
    from engine.corpus.readers import limits

    sizes: list[FrameSize] = []
    n_pixels, most = 0, limits.FREE_PIXELS + limits.PIXELS_PER_BYTE * n_bytes
    for frame in range(min(getattr(picture, "n_frames", 1), _MOST_FRAMES)):
        picture.seek(frame)
        too_large = too_many_pixels(path, picture, n_bytes, rules)
        if too_large is not None:
            return too_large
        sizes.append(FrameSize(*upright_size(picture)))
        n_pixels += sizes[-1].width * sizes[-1].height
    if n_pixels > most:
        reason = f"{n_pixels:,} pixels on all its pages, over the limit of {most:,} for a file of {n_bytes:,} bytes"
        return Skipped(path, Cause.TOO_LARGE, reason, n_bytes)
    return tuple(sizes)


def upright_size(picture: "Pillow.Image") -> tuple[int, int]:
    """Width and height once the picture is turned as its EXIF data asks. Pillow's TIFF reader turns by itself."""
    width, height = _size(picture)
    if picture.format != "TIFF" and _orientation(picture) in _TRANSPOSED:
        return height, width
    return width, height


def _orientation(picture: "Pillow.Image") -> int | None:
    """As EXIF or XMP data has it; None without, and where that is damaged."""
    try:
        orientation: int | None = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # struct.error, SyntaxError and others
        return None
    return orientation


def is_damaged_exif(picture: "Pillow.Image") -> bool:
    """Whether there is EXIF data that cannot be read. That costs the image nothing but its orientation."""
    try:
        picture.getexif()
    except Exception:  # see _orientation
        return True
    return False


def _size(picture: "Pillow.Image") -> tuple[int, int]:
    """Width and height as they will be decoded: an icon's are not bound to be what its directory says."""
    icon: Any = getattr(picture, "ico", None)
    size: tuple[int, int] = icon.frame(icon.getentryindex(picture.size)).size if icon else picture.size
    return size


@contextmanager
def opened_image(path: str, data: bytes, format_name: str) -> Iterator["Pillow.Image"]:
    """A file in Pillow's format of this name; KeyError for one that Pillow does not read.

    Pillow's own open() complains of large images by a global setting; here the size is looked at by us.
    """
    from PIL import Image as Pillow

    with quietly():
        Pillow.preinit()  # the common formats alone: init() imports all of Pillow's, for 70 ms
        if format_name not in Pillow.OPEN:
            Pillow.init()
        with Pillow.OPEN[format_name][0](BytesIO(as_decoded(data, format_name)[0]), path) as picture:
            yield picture


def as_decoded(data: bytes, format_name: str) -> tuple[bytes, tuple[str, ...]]:
    """A file as Pillow is given it, and notes on what was left out for that."""
    return without_stumbling_blocks(data) if format_name == "PNG" else (data, ())


def too_many_pixels(path: str, picture: "Pillow.Image", n_bytes: int, rules: Rules) -> Skipped | None:
    """Why an image is too large to be decoded; None where it is not."""
    width, height = _size(picture)
    if width * height <= rules.max_image_pixels:
        return None
    size = f"{width:,} x {height:,} pixels"
    reason = f"{size}, over the limit of {rules.max_image_pixels:,} in all for an image; scale it down"
    return Skipped(path, Cause.TOO_LARGE, reason, n_bytes)


def _decodes(picture: "Pillow.Image") -> bool:
    """Whether the frame that is looked at can be decoded to its end."""
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception:  # see read_pixels
        return False
    return True


def shows_plainly(data: bytes, format_name: str, width: int, height: int) -> bool:
    """Whether an image file shows what is meant as it is: one frame, upright, without transparency, in that size."""
    try:
        with opened_image("", data, format_name) as image:
            plain = image.mode in ("RGB", "L") and getattr(image, "n_frames", 1) == 1
            return plain and image.size == (width, height) and image.getexif().get(_ORIENTATION_TAG, 1) == 1
    except Exception:  # see read_pixels
        return False


def written(pixels: Pixels, format_name: str, *, quality: int) -> bytes:
    """Pixels as a file, "JPEG" or "PNG". quality: of a JPEG."""
    from PIL import Image as Pillow

    file = BytesIO()
    Pillow.frombytes("RGB", (pixels.width, pixels.height), pixels.data).save(file, format_name, quality=quality)
    return file.getvalue()


def broken_image(path: str, format_name: str, n_bytes: int) -> Skipped:
    """An image that Pillow gave up on. Its words help nobody: "index out of range"."""
    name = "JPEG 2000" if format_name == "JPEG2000" else format_name
    what = f"{'an' if name[:1] in 'AI' else 'a'} {name} image that is cut short or damaged"
    return Skipped(path, Cause.BROKEN, f"{what}; copy or save it anew", n_bytes)


def _upright(picture: "Pillow.Image") -> "Pillow.Image":
    from PIL import ImageOps

    picture.load()
    try:
        ImageOps.exif_transpose(picture, in_place=True)  # a copy less: a photo of 60 million pixels has 180 MB
    except MemoryError:
        raise
    except Exception:  # after turning it, Pillow writes the EXIF data anew, which may be damaged elsewhere
        return picture
    return picture


def _in_rgb(picture: "Pillow.Image") -> "Pillow.Image":
    """Band by band: a whole picture more for each step would take four bytes a pixel, and seeing through takes four."""
    from PIL import Image as Pillow

    is_seen_through = picture.mode in _SEE_THROUGH or (picture.mode not in _DEEP and "transparency" in picture.info)
    if picture.mode == "RGB" and not is_seen_through:
        return picture
    narrow = _narrower(picture) if picture.mode in _DEEP else None
    rgb = Pillow.new("RGB", picture.size)
    for top, band in _bands(picture):
        if narrow is not None:
            band = narrow(band)
        elif is_seen_through:
            band = band.convert("RGBA")
            band = Pillow.alpha_composite(Pillow.new("RGBA", band.size, "white"), band)
        rgb.paste(band.convert("RGB"), (0, top))
    return rgb


def _packed(rgb: "Pillow.Image") -> bytes:
    """Three bytes a pixel; tobytes() holds them twice."""
    packed = BytesIO()
    for _, band in _bands(rgb):
        packed.write(band.tobytes())
    return packed.getvalue()


def _bands(picture: "Pillow.Image") -> "Iterator[tuple[int, Pillow.Image]]":
    """A few rows after another, each time with where they begin."""
    n_rows = max(1, _BAND_PIXELS // max(1, picture.width))
    for top in range(0, picture.height, n_rows):
        yield top, picture.crop((0, top, picture.width, min(top + n_rows, picture.height)))


def _narrower(picture: "Pillow.Image") -> Callable[["Pillow.Image"], "Pillow.Image"]:
    """What makes gray of eight bits of a part of a picture of 16 or 32, or of floats: convert() would cut off what is
    above 255.

    16 bits keep their upper eight. Wider ones do not say what is white: it is what the whole picture holds at most.
    """
    import numpy as np  # 55 ms, and few images need it
    from PIL import Image as Pillow

    def finite(band: "Pillow.Image") -> Any:
        return np.nan_to_num(np.asarray(band).astype(np.float64), posinf=0, neginf=0)

    def upper(band: "Pillow.Image") -> "Pillow.Image":
        return Pillow.fromarray((np.asarray(band).clip(0) >> 8).astype(np.uint8))

    def scaled(band: "Pillow.Image") -> "Pillow.Image":
        return Pillow.fromarray(((finite(band) - low) / (white - low) * 255).round().astype(np.uint8))

    if picture.mode.startswith("I;16"):
        return upper
    low = high = 0.0
    for _, band in _bands(picture):
        values = finite(band)
        low, high = min(low, values.min(initial=0)), max(high, values.max(initial=0))
    white = 255.0 if 1 < high <= 255 else max(high, 1.0)
    return upper if picture.mode == "I" and 255 < high < 1 << 16 else scaled
