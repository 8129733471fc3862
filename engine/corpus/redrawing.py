"""A source that was read with one choice of pages, as it is with another: from the bytes that it keeps."""

from dataclasses import replace

from engine.corpus.image import read_image
from engine.corpus.pdf import read_pdf
from engine.corpus.rules import Rules
from engine.corpus.source import PDF, Skipped, Source


def redraw(source: Source, rules: Rules) -> Source | Skipped:
    """The source with the pages that Rules.draw_pages names; Skipped where nothing is left of it.

    It keeps its path and its file, also when no page is drawn now: they can be drawn again. One that was never read
    with a page that is drawn has no file and stays as it is.
    """
    if source.image is None or not source.image.is_paged:
        return source
    data, format_name = source.image.data, source.image.format
    is_pdf = format_name == PDF
    read = read_pdf(source.path, data, rules) if is_pdf else read_image(source.path, data, format_name, rules)
    if isinstance(read, Skipped):
        return read
    return replace(read, image=read.image or source.image, origin=source.origin, volatility=source.volatility)
