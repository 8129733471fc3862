"""A source that was read with one choice of pages, as it is with another: from the bytes that it keeps."""

from collections.abc import Sequence
from dataclasses import replace

from engine.corpus.choice import refuse_absent
from engine.corpus.image import read_image
from engine.corpus.pdf import read_pdf
from engine.corpus.rules import BARE_PAGES, Rules
from engine.corpus.source import PDF, Kind, Skipped, Source


def redraw_all(sources: Sequence[Source], rules: Rules) -> list[Source | Skipped]:
    """Each source redrawn. Errors: UsageError where none of them has a page that is named."""
    refuse_absent(sources, (), rules)
    return [redraw(source, rules) for source in sources]


def redraw(source: Source, rules: Rules) -> Source | Skipped:
    """The source with the pages that Rules.draw_pages names; Skipped where nothing is left of it.

    It keeps its path and its file, also when no page is drawn now: they can be drawn again. One that was never read
    with a page that is drawn has no file and stays as it is.
    """
    if source.kept_file is None or not source.n_pages:
        return source
    data, format_name = source.kept_file.data, source.kept_file.format
    is_pdf = format_name == PDF
    read = read_pdf(source.path, data, rules) if is_pdf else read_image(source.path, data, format_name, rules)
    if isinstance(read, Skipped):
        return read
    return replace(
        read, kept_file=read.kept_file or source.kept_file, origin=source.origin, volatility=source.volatility
    )


def losses(old: Source, new: Source | Skipped, rules: Rules) -> tuple[str, ...]:
    """Sentences on what of a source is not sent now that it was redrawn, or could not be drawn."""
    if isinstance(new, Skipped):
        return (f"{old.path} is not sent any more: {new.reason}.",)
    if old.kind is Kind.PDF and old.kept_file is None and rules.draw_pages != BARE_PAGES:
        return (f"{old.path} is sent as text alone: its file was not kept. Give it again to have its pages drawn.",)
    return tuple(f"{old.path}: {note}" for note in new.notes if note not in old.notes)
