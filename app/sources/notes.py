"""What the user should know of a source, as it is true for the model of now: what is seen of it depends on that.

What holds whatever model reads it (a guessed encoding, pages that are damaged) is kept in Source.notes.
"""

from engine.backend import Source
from engine.corpus.formats.reader import format_of
from engine.corpus.wording import pages_in_words
from storage.records import SourceLink


def notes_on(source: Source | SourceLink, *, sees: bool | None) -> tuple[str, ...]:
    """Sentences: which pages of a PDF are sent as images, then what else is to be said.

    sees: whether the model sees, None where no model can be used.
    """
    if not (source.pictures and format_of(source.kind).has_text_pages):
        return source.notes
    one = len(source.pictures) == 1
    pages = pages_in_words([picture.number for picture in source.pictures]).capitalize()
    are, images = ("is", "as an image") if one else ("are", "as images")
    if sees is None:
        return f"{pages} {are} sent {images} to a model that sees.", *source.notes
    if sees:
        return f"{pages} {are} sent {images}.", *source.notes
    return f"{pages} {are} not sent {images}: the model cannot see.", *source.notes


def pages_sent(source: Source | SourceLink) -> str:
    """ "14 of 40 pages sent as images"; '' where all are, or none is and none has to be."""
    if not source.n_pages or len(source.pictures) == source.n_pages:
        return ""
    if source.pictures:
        images = "as an image" if len(source.pictures) == 1 else "as images"
        return f"{len(source.pictures):,} of {source.n_pages:,} pages sent {images}"
    return "no page sent as an image" if lacks_pages(source) else ""


def lacks_pages(source: Source | SourceLink) -> bool:
    """Whether there are pages that are sent neither as text nor as images, as its notes have it."""
    return bool(source.n_pages) and any("no text" in note or "not sent" in note for note in source.notes)
