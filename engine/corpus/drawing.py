"""A picture of a source as pixels, whatever file it is in: a frame of an image, or a page of a PDF."""

from engine.corpus.page import open_pages
from engine.corpus.pixels import Pixels, read_pixels
from engine.corpus.source import PDF, Skipped


def draw_picture(
    name: str, data: bytes, format_name: str, *, number: int, width: int, height: int, quick: bool = False
) -> Pixels | Skipped:
    """The page or frame of this number, from 1, at width x height pixels; Skipped where it cannot be drawn.

    name: for messages. format_name: see KeptFile. quick: for eyes, see read_pixels.
    """
    if format_name != PDF:
        return read_pixels(name, data, format_name, width=width, height=height, frame=number - 1, quick=quick)
    pages = open_pages(name, data)
    if isinstance(pages, Skipped):
        return pages
    with pages:
        return pages.draw(number, width, height)
