"""Images: the upright size, and whether the pixels are all there. What an image costs is left to engine.tokens.

A TIFF of several frames is a document of as many pages; of an animation the first frame counts.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from engine.corpus.choice import none_of_its
from engine.corpus.pixels import (
    FrameSize,
    broken_image,
    frame_sizes,
    opened_image,
    too_many_pixels,
    upright_size,
)
from engine.corpus.rules import BARE_PAGES, NO_PAGES, Rules
from engine.corpus.source import Cause, KeptFile, Kind, Picture, Skipped, Source, digest_bytes
from engine.corpus.wording import pages_in_words

_PAGED = "TIFF"


def read_image(path: str, data: bytes, format_name: str, rules: Rules) -> Source | Skipped:
    """The image as a source, or why not: BROKEN where it cannot be decoded to the end, TOO_LARGE by its pixels.

    format_name: as `sniff` tells it by the first bytes.
    """
    try:
        with opened_image(path, data, format_name) as picture:
            refused = too_many_pixels(path, picture, len(data), rules)
            if refused is not None:
                return refused
            width, height = upright_size(picture)
            n_frames = getattr(picture, "n_frames", 1)
            if n_frames == 1 or format_name != _PAGED:
                picture.load()
    except KeyError:
        return Skipped(
            path, Cause.BINARY, f"an image in {format_name}, which cannot be read here; save it as PNG", len(data)
        )
    except Exception:  # plugins raise anything on a broken file, SyntaxError and struct.error too
        return broken_image(path, format_name, len(data))
    source = Source(path, Kind.IMAGE, "", len(data), digest_bytes(data), kept_file=KeptFile(format_name, data))
    if n_frames > 1 and format_name == _PAGED:
        sizes = frame_sizes(path, data, format_name, rules=rules, decode=True)
        return sizes if isinstance(sizes, Skipped) else _paged(source, sizes, rules)
    notes = (f"{n_frames:,} frames; the first one counts.",) if n_frames > 1 else ()
    return replace(source, pictures=(Picture(1, width, height),), notes=notes)


def _paged(source: Source, sizes: Sequence[FrameSize | None], rules: Rules) -> Source | Skipped:
    """A page for each frame, named in the text as a PDF's are. Those that are damaged have no picture, nor have those
    that were not chosen."""
    if not any(sizes):
        return broken_image(source.path, _PAGED, source.n_bytes)
    pages = [f"[page {number}]\n" for number in range(1, len(sizes) + 1)]
    chosen = [
        number
        for number in range(1, len(sizes) + 1)
        if rules.draw_pages in (NO_PAGES, BARE_PAGES) or rules.draws(number, bare=True)
    ]
    found = [(number, sizes[number - 1]) for number in chosen]
    pictures = tuple(Picture(number, size.width, size.height) for number, size in found if size)
    if not chosen:
        return Skipped(source.path, Cause.NO_PAGE, none_of_its(rules, len(sizes)), source.n_bytes)
    if not pictures:
        reason = f"{pages_in_words(chosen)} cannot be read, and no other was chosen; choose others with --draw-pages"
        return Skipped(source.path, Cause.BROKEN, reason, source.n_bytes)
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
