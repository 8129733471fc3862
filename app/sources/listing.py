"""A session's sources as they are listed: in folders, each with what the user should know of it. Parts draw them.

Notes are as they are true for the model of now: what is seen of a source depends on that. What holds whatever model
reads it (a guessed encoding, pages that are damaged) is kept in Source.notes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from app.verdicts import CANNOT_SEE
from engine.backend import Source
from engine.corpus.formats.reader import has_text_pages
from engine.corpus.wording import counted, pages_in_words
from storage.records import SourceLink


@dataclass(frozen=True, slots=True)
class File:
    """A source in its folder. n_tokens is None while it cannot be counted."""

    name: str
    link: SourceLink
    n_tokens: int | None


@dataclass(slots=True)
class Folder:
    """A folder: path ends with a slash, "" is the root. Counts take in everything below."""

    name: str
    path: str
    folders: dict[str, "Folder"] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    n_sources: int = 0
    n_enabled: int = 0
    n_tokens: int = 0
    sent_tokens: int = 0

    def sources(self) -> Iterator[SourceLink]:
        """All sources below."""
        for folder in self.folders.values():
            yield from folder.sources()
        yield from (file.link for file in self.files)


def build_tree(links: Iterable[SourceLink], tokens: Mapping[str, int]) -> Folder:
    """The root folder of these sources, with the tokens of each by its path. What was given with a folder or a zip lies
    below the name of that."""
    root = Folder("", "")
    for link in links:
        *parents, name = link.path.split("/")
        if link.folder and parents[:1] != [link.folder]:
            parents.insert(0, link.folder)
        n_tokens = tokens.get(link.path)
        folder = root
        _count(folder, link, n_tokens or 0)
        for parent in parents:
            path = f"{folder.path}{parent}/"
            folder = folder.folders.setdefault(parent, Folder(parent, path))
            _count(folder, link, n_tokens or 0)
        folder.files.append(File(name, link, n_tokens))
    return root


def _count(folder: Folder, link: SourceLink, n_tokens: int) -> None:
    folder.n_sources += 1
    folder.n_tokens += n_tokens
    if link.enabled:
        folder.n_enabled += 1
        folder.sent_tokens += n_tokens


def notes_on(source: Source | SourceLink, *, sees: bool | None) -> tuple[str, ...]:
    """Sentences: which pages of a PDF and how many pictures of a notebook are sent as images, then what else is to be
    said.

    sees: whether the model sees, None where no model can be used.
    """
    n_pictures = len(source.pictures)
    are, images = ("is", "as an image") if n_pictures == 1 else ("are", "as images")
    if n_pictures and has_text_pages(source.kind):
        pages = pages_in_words([picture.number for picture in source.pictures]).capitalize()
        sent, unsent = f"{pages} {are} sent {images}", f"{pages} {are} not sent {images}"
    elif n_pictures and source.pictures[0].span is not None:
        pictures = counted(n_pictures, "picture")
        sent = f"{pictures} in it {are} sent {images}, {'' if n_pictures == 1 else 'each '}where it stood"
        unsent = f"{pictures} in it {are} left out, with a mark where it stood"
    else:
        return source.notes
    if sees is None:
        return f"{sent} to a model that sees.", *source.notes
    return f"{sent}." if sees else f"{unsent}: {CANNOT_SEE}.", *source.notes


def how_read(source: Source | SourceLink) -> str:
    """What read it or its encoding: "Text read by PDFium.", "Encoding: cp1252."; '' where there is one way only."""
    if source.reader:
        return f"Text read by {source.reader}."
    return f"Encoding: {source.encoding}." if source.encoding not in (None, "utf-8") else ""


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
