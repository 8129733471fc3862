"""Images: the upright size, and whether the pixels are all there. What an image costs is left to engine.tokens.

A TIFF of several frames is a document of as many pages; of an animation the first frame counts.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from engine.corpus.formats.format import Format, Incoming
from engine.corpus.formats.pixels import (
    FrameSize,
    as_decoded,
    broken_image,
    frame_sizes,
    is_damaged_exif,
    opened_image,
    read_pixels,
    too_many_pixels,
    upright_size,
)
from engine.corpus.formats.raw_photo import RawPhoto, find_raw_photo, is_signed_raw, without_smaller_copies
from engine.corpus.formats.sniff import IMAGE_ENDINGS, RAW_ENDINGS, Head, looks_like_text
from engine.corpus.source import Cause, KeptFile, Picture, Pixels, Skipped, Source, digest_bytes
from engine.corpus.wording import over_limit, pages_in_words

_PAGED = "TIFF"
_RAW = "raw photo"  # one that is no TIFF
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51\x00", "JPEG2000"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_FIRST_BYTES = frozenset(signature[0] for signature, _ in _SIGNATURES)
_FORMATS = frozenset({*(name for _, name in _SIGNATURES), "WEBP", "AVIF", "BMP", "PPM", "ICO", "TGA"})
_NETPBM = re.compile(rb"P([1-6])\s(?:\s*#[^\n]*\n)*\s*\d+\s(?:\s*#[^\n]*\n)*\s*\d+\s")
_NETPBM_ENDINGS = frozenset({"ppm", "pgm", "pbm", "pnm"})
_TGA_KINDS, _TGA_DEPTHS = (1, 2, 3, 9, 10, 11), (8, 15, 16, 24, 32)


def _recognise(head: Head) -> str | None:
    """The name that Pillow has for the image's format."""
    data = head.data
    if data[:1] and data[0] in _FIRST_BYTES:
        found = next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)
        if found is not None:
            return found
    if is_signed_raw(data) and not looks_like_text(data):
        return _RAW
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4]), 256)]  # "mif1" may come first
        return "AVIF" if data[8:12] in (b"avif", b"avis") or b"avif" in brands else None
    if data.startswith(b"BM") and data[6:10] == bytes(4):
        return "BMP"
    return None if head.other else _by_layout(data, head.ending)


def _by_layout(data: bytes, end: str) -> str | None:
    """An image in a format that begins with nothing of its own: what stands in its header must make sense."""
    netpbm = _NETPBM.match(data)
    if netpbm and (end in _NETPBM_ENDINGS or (netpbm[1] >= b"4" and not looks_like_text(data))):
        return "PPM"
    if data.startswith(b"\x00\x00\x01\x00") and data[4:6] != bytes(2) and data[9:10] == b"\x00":
        return "ICO"
    if end == "tga" and len(data) > 18 and data[1] < 2 and data[2] in _TGA_KINDS and data[16] in _TGA_DEPTHS:
        return "TGA"
    return None


def read_image(file: Incoming) -> Source | Skipped:
    """The image as a source, or why not: BROKEN where it cannot be decoded to the end, TOO_LARGE by bytes or pixels."""
    if file.n_bytes > file.rules.max_file_bytes:
        return file.skipped(Cause.TOO_LARGE, over_limit(file.n_bytes, file.rules.max_file_bytes, "an image"))
    data, name = file.data(), file.file_format
    raw = find_raw_photo(data, file.head.ending) if name in (_PAGED, _RAW) else None
    if raw is not None:
        return _read_raw(file, raw)
    if name != _PAGED:
        return _read(file, data, name)
    data, n_copies = without_smaller_copies(data)
    read = _read(file, data, name)
    if not n_copies or isinstance(read, Skipped):
        return read
    were = (
        "A smaller copy of a picture in it was"
        if n_copies == 1
        else f"{n_copies:,} smaller copies of pictures in it were"
    )
    return replace(read, notes=(*read.notes, f"{were} left out."))


def _read_raw(file: Incoming, raw: RawPhoto) -> Source | Skipped:
    """A raw photo by the picture of its full size that most cameras put beside it; never by a smaller one."""
    preview = raw.preview
    if preview is None:
        return file.skipped(Cause.BINARY, "a raw photo; export it as JPEG")
    size = f"{preview.width:,} x {preview.height:,} pixels"
    if not raw.is_whole:
        return file.skipped(Cause.BINARY, f"a raw photo, in which the largest picture has {size}; export it as JPEG")
    read = _read(file, preview.data, "JPEG")
    if isinstance(read, Skipped):
        return read if read.cause is Cause.TOO_LARGE else file.skipped(Cause.BINARY, "a raw photo; export it as JPEG")
    note = f"A raw photo: what is shown is the JPEG of {size} in it, as the camera developed it."
    return replace(read, notes=(note, *read.notes))


def _read(file: Incoming, data: bytes, name: str) -> Source | Skipped:
    path = file.path
    try:
        with opened_image(path, data, name) as picture:
            refused = too_many_pixels(path, picture, len(data), file.rules)
            if refused is not None:
                return refused
            n_frames = getattr(picture, "n_frames", 1)
            if n_frames == 1 or name != _PAGED:
                picture.load()  # before its EXIF data is asked for: that of a PNG may stand behind the pixels
            width, height = upright_size(picture)
            notes = as_decoded(data, name)[1]
            if is_damaged_exif(picture):
                notes = (*notes, "Its EXIF data is damaged: it may lie on its side.")
    except MemoryError:
        raise
    except KeyError:
        return file.skipped(Cause.BINARY, f"an image in {name}, which cannot be read here; save it as PNG")
    except Exception:  # plugins raise anything on a broken file, SyntaxError and struct.error too
        return broken_image(path, name, len(data))
    source = Source(path, IMAGE.kind, "", file.n_bytes, digest_bytes(data), kept_file=KeptFile(name, data))
    if n_frames > 1 and name == _PAGED:
        sizes = frame_sizes(path, data, name, rules=file.rules, decode=True, step=file.step)
        return sizes if isinstance(sizes, Skipped) else _paged(file, source, sizes)
    if n_frames > 1:
        notes = (*notes, f"{n_frames:,} frames; the first one counts.")
    return replace(source, pictures=(Picture(1, width, height),), notes=notes)


def _paged(file: Incoming, source: Source, sizes: Sequence[FrameSize | None]) -> Source | Skipped:
    """A page for each frame, named in the text as a PDF's are. Those that are damaged have no picture, nor have those
    that were not chosen."""
    rules = file.rules
    if not any(sizes):
        return broken_image(file.path, _PAGED, file.n_bytes)
    pages = [f"[page {number}]\n" for number in range(1, len(sizes) + 1)]
    chosen = [number for number in range(1, len(sizes) + 1) if rules.draws_none or rules.draws(number, bare=True)]
    found = [(number, sizes[number - 1]) for number in chosen]
    pictures = tuple(Picture(number, size.width, size.height) for number, size in found if size)
    if not chosen:
        return file.skipped(Cause.NO_PAGE, rules.none_of_its(len(sizes)))
    if not pictures:
        reason = f"{pages_in_words(chosen)} cannot be read, and no other was chosen; choose others with --draw-pages"
        return file.skipped(Cause.BROKEN, reason)
    damaged = [number for number in chosen if sizes[number - 1] is None]
    others = sorted(set(range(1, len(sizes) + 1)) - set(chosen))
    notes = [f"{pages_in_words(damaged)} could not be read"] if damaged else []
    notes += [f"{pages_in_words(others)} {'is' if len(others) == 1 else 'are'} not sent"] if others else []
    return replace(
        source,
        text="".join(pages),
        digest=digest_bytes(f"{source.digest} {chosen}".encode()) if others else source.digest,
        page_starts=tuple(accumulate(map(len, pages[:-1]), initial=0)),
        pictures=pictures,
        notes=tuple(note.capitalize() + "." for note in notes),
    )


def _draw(name: str, file: KeptFile, *, number: int, width: int, height: int, quick: bool) -> Pixels | Skipped:
    return read_pixels(name, file.data, file.format, width=width, height=height, frame=number - 1, quick=quick)


IMAGE = Format(
    kind="image",
    recognise=_recognise,
    read=read_image,
    draw=_draw,
    drawn_from=_FORMATS,
    endings=IMAGE_ENDINGS | RAW_ENDINGS,
    is_apart=True,
)
