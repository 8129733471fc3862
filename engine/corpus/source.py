"""The values that a corpus is made of. Reading is left to the modules beside this one, counting to engine.tokens."""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any

MOST_BYTES = 1 << 53  # of a file that there may be; what claims more would fit into no database
DAMAGED = "damaged"  # a Source's nature: what there is of it cannot be read
LEFT_OUT = ", left out"  # at the end of a mark, such as "[plot, left out]", for what is not in the text


class Cause(StrEnum):
    """Why something was skipped; `Skipped.reason` says it in words."""

    EMPTY = "empty"
    BINARY = "binary"
    TOO_LARGE = "too large"
    ENCRYPTED = "encrypted"
    BROKEN = "broken"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"  # by .gitignore
    EXCLUDED = "excluded"  # by --exclude or unchecked by the user
    GENERATED = "generated"  # lock files, minified files, source maps, build and dependency folders
    LINK = "link"
    UNSAFE = "unsafe"  # an archive member that would leave the archive, or a bomb
    NO_TEXT = "no text"  # a scanned PDF, a notebook without cells
    NO_PAGE = "no page"  # a scan without any of the pages that --draw-pages names
    NO_VISION = "no vision"  # an image, and a model that cannot see
    GONE = "gone"  # was a source, and is not there any more


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A source's file as it lay: what its pictures are drawn from.

    format: "PDF", "TIFF", "PNG", by which it is known how to draw it. scalable: whether it has no pixels of its own and
    is drawn at any size alike.
    """

    format: str
    data: bytes = field(repr=False, compare=False)
    scalable: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Something in a source to look at: width and height in pixels, upright (EXIF orientation applied).

    number: of the page, frame or picture of its file that it is, from 1.
    span: of one that stands within the text, characters from where the text says that it is left out, in the word of
    LEFT_OUT, up to where it stands; None for one that stands behind the text of its page.
    digest: hex blake2b-128 of what it is drawn from, "" where that is the file as a whole.
    """

    number: int
    width: int
    height: int
    # Digests of PDFs are made of this as Python writes it: what was added since is not to stand in it.
    span: tuple[int, int] | None = field(default=None, repr=False)
    digest: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture that was drawn: width x height pixels in rows from the top, three bytes each: red, green, blue."""

    width: int
    height: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the corpus as the model reads it.

    kind: the format that it came in, as `count --json` names it: "text", "notebook", "pdf", "image".
    path: relative to what was given, POSIX, unique in its corpus.
    text: decoded to str, line ends as in the file; empty for an image. A PDF's pages are joined in order.
    n_bytes: of the file as it lies.
    digest: hex blake2b-128 of what the model reads (text in UTF-8, the image file's bytes, or both): equal ones cost
    alike.
    page_starts: character offset of each page's first character in text, ascending; empty when there are no pages.
    encoding: of a text file as Python names it; None where it does not apply.
    reader: the library that its text was read with, where there are several: "PDFium", "pypdf", "PDFium, pypdf".
    pictures: what a model that sees is shown, by ascending number; each stands behind the text of its page, or where
    its span ends. What says in the text that it is left out is not given to who sees it.
    kept_file: what they are drawn from, None where there is nothing to draw. It may be there without any picture: one
    that is not shown now can be drawn by another choice of pages.
    notes: sentences the user should see: pages without text, a guessed encoding, bytes replaced. Which pages are sent
    as pictures is up to the model, and not among them.
    folder: the name of the folder or zip that was given and that it lies in, so that a question can speak of it; None
    of a file that was given itself.
    origin: where it lies on this machine, absolute, links resolved; a member of a zip below the zip's own place. None
    for what came from elsewhere, such as an upload. It tells a source from another one of the same path.
    volatility: how often it may be expected to change, against the others of its corpus; 0 where nothing is known.
    nature: what its pages are where none of them has words ("a scan"); "" where it is not known, as after storing.
    is_partial: whether a page was left out that took too long to read: the next reading may have it.
    What a source is does not depend on these four, nor on folder.
    """

    path: str
    kind: str
    text: str = field(repr=False)
    n_bytes: int
    digest: str
    page_starts: tuple[int, ...] = ()
    encoding: str | None = None
    kept_file: KeptFile | None = None
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    reader: str | None = None
    folder: str | None = field(default=None, compare=False)
    origin: str | None = field(default=None, repr=False, compare=False)
    volatility: float = field(default=0.0, repr=False, compare=False)
    nature: str = field(default="", repr=False, compare=False)
    is_partial: bool = field(default=False, repr=False, compare=False)

    @property
    def n_pages(self) -> int | None:
        return len(self.page_starts) or None

    @property
    def n_characters(self) -> int:
        """Of its text."""
        return len(self.text)

    @property
    def is_wordless(self) -> bool:
        """Whether it is pictures and nothing else: an image, a scan. There is nothing in it for who cannot see."""
        if self.kept_file is None and not self.pictures:
            return False
        starts = self.page_starts or (0,)
        pages = enumerate(zip(starts, (*starts[1:], len(self.text)), strict=True), 1)
        return all(not self.text[start:end].removeprefix(f"[page {n}]").strip() for n, (start, end) in pages)

    def span_of(self, picture: Picture) -> tuple[int, int]:
        """Characters of the text that say that a picture is left out, if any do; it stands where they end."""
        if picture.span is not None:
            return picture.span
        starts = self.page_starts
        end = starts[picture.number] if picture.number < len(starts) else len(self.text)
        return end, end

    def changed(self, **changes: Any) -> "Source":
        """The same with other values of some fields. Nothing is read for that, see `readings`."""
        return replace(self, **changes)

    def with_text(
        self, text: str, *, pictures: tuple[Picture, ...] = (), page_starts: tuple[int, ...] = ()
    ) -> "Source":
        """A part of it as a source of its own, with the pictures that stand in that. It may keep nothing to draw."""
        digest, kept_file = (self.digest, self.kept_file) if pictures else (digest_text(text), None)
        return self.changed(text=text, digest=digest, pictures=pictures, page_starts=page_starts, kept_file=kept_file)

    @staticmethod
    def written(path: str, text: str) -> "Source":
        """One of a text that was not read from a file."""
        data = text.encode("utf-8", "surrogatepass")
        return Source(path=path, kind="text", text=text, n_bytes=len(data), digest=digest_bytes(data))

    @property
    def text_digest(self) -> str:
        """Of its text alone."""
        return digest_text(self.text) if self.pictures else self.digest

    def page_at(self, offset: int) -> int | None:
        """1-based number of the page that holds the character at `offset`; None without pages."""
        return bisect_right(self.page_starts, offset) or None if self.page_starts else None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not in the corpus, and why.

    reason: a short clause for the user, with the number that decided ("2.0 GiB, over the limit of 64.0 MiB a file").
    can_include: whether the user can bring it back by naming it (Rules.include); False where it cannot be read at all.
    n_bytes: as the file system, an archive or a browser states it; None where it is not known, or cannot be true.
    """

    path: str
    cause: Cause
    reason: str
    n_bytes: int | None = None
    can_include: bool = False

    def __post_init__(self) -> None:
        if self.n_bytes is not None and not 0 <= self.n_bytes <= MOST_BYTES:
            object.__setattr__(self, "n_bytes", None)


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was read and what was skipped. Both in stable order: by path, folder by folder, in the order given.

    roots: the folders and zips that were read, each as the origin of what lies in it begins; none for uploads.
    given: the origins of files that were named by themselves, not found in one of those; none for uploads.
    survey: tells what was come across, see `walk.survey`; None where that cannot be told, or nobody asked.
    """

    sources: tuple[Source, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    roots: tuple[str, ...] = field(default=(), compare=False)
    given: frozenset[str] = field(default=frozenset(), compare=False)
    survey: str | None = field(default=None, compare=False)


def digest_text(text: str) -> str:
    """Hex blake2b-128 of a text in UTF-8: the key under which its ids are cached and its content is stored once."""
    return digest_bytes(text.encode("utf-8", "surrogatepass"))


def digest_bytes(data: bytes) -> str:
    """Hex blake2b-128 of bytes."""
    return blake2b(data, digest_size=16).hexdigest()
