"""What the user should know of a source, as it is true for the model of now: what is seen of it depends on that.

What holds whatever model reads it (a guessed encoding, pages that are damaged) is kept in Source.notes.
"""

from engine.corpus.source import Kind, Source
from engine.corpus.wording import pages_in_words
from storage.sources import SourceLink


def notes_on(source: Source | SourceLink, *, sees: bool | None) -> tuple[str, ...]:
    """Sentences: which pages of a PDF are sent as images, then what else is to be said.

    sees: whether the model sees, None where no model can be used.
    """
    if source.kind is not Kind.PDF or not source.pictures:
        return source.notes
    one = len(source.pictures) == 1
    pages = pages_in_words([picture.number for picture in source.pictures]).capitalize()
    are, images = ("is", "as an image") if one else ("are", "as images")
    if sees is None:
        return f"{pages} {are} sent {images} to a model that sees.", *source.notes
    if sees:
        return f"{pages} {are} sent {images}.", *source.notes
    return f"{pages} {are} not sent {images}: the model cannot see.", *source.notes
