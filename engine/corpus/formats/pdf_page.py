"""A page of a PDF as it was read, whether it is to be seen rather than read, and what to say of how it was read.

A page is bare, and drawn unless told otherwise, where there is something to see and little to read: no text, a stamp
over an image, few words on a page that is mostly image, or words that cannot be read as text. What lies on a page is
told by `cover`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.corpus.source import DAMAGED
from engine.corpus.wording import pages_in_words, ranges_in_words

if TYPE_CHECKING:
    from engine.corpus.formats.cover import Cover
    from engine.corpus.formats.pdf_text import PageText
    from engine.corpus.formats.pdfium import Pages

# Characters are counted without white space; a page of text has 1,500 to 3,000 of them.
STAMP = 50  # a page number, a Bates number: over a tenth of a page of image, such as a receipt, it is the image's
_STAMP_SHARE = 0.1
_SHORT = 300  # a court's stamp has 75, a library's notice on each page 170, three stamps on a page 250: four lines
_SHORT_SHARE = 0.5
FULL = 1_500  # from here on a page is text, whatever lies below it
_FULL_SHARE = 0.8  # below that, and so much of it image, it is worth a note: a scanned form that was filled in
_UNREAD_SHARE = 0.05  # of a page's words: fewer are signs between words


@dataclass(frozen=True, slots=True)
class Page:
    """A page's text, and what people put on it besides (typed). failed: it is lost or damaged. bare: see above. blank:
    there is nothing on it at all. imaged: there is text, and the page is mostly an image all the same. scanned: images
    lie on it. drawn: shapes and no image do. endless: drawing it takes too long."""

    read: "PageText"
    typed: str = ""
    failed: bool = False
    bare: bool = False
    blank: bool = False
    imaged: bool = False
    scanned: bool = False
    drawn: bool = False
    endless: bool = False
    n_characters: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_characters", len("".join(self.read.text.split())))

    @property
    def text(self) -> str:
        """What is sent of it: its own text, then what was put on it, each on a line of its own."""
        return f"{self.read.text}{self.typed}".strip("\n")

    @property
    def is_unread(self) -> bool:
        """Whether too much of it cannot be read as text for those who can see it to go without."""
        n_words = max(1, len(self.read.text.split()))
        return self.read.is_unreadable or self.read.n_unread > max(2.0, _UNREAD_SHARE * n_words)

    @property
    def is_wordless(self) -> bool:
        """Whether it has nothing to read but what goes with an image."""
        return not self.typed and (self.blank or (self.bare and self.n_characters <= STAMP))


def looked_at(pages: list[Page], opened: "Pages", step: Callable[[str, int], bool]) -> list[Page]:
    """The pages with what can be seen on them; those that are full of text are not looked at. step: see Incoming."""
    covers: list[Cover | None] = []
    for at, page in enumerate(pages, 1):
        is_looked_at = page.n_characters <= FULL and not page.failed
        endless = is_looked_at and not step("look", at)
        covers.append(opened.cover(at) if is_looked_at and not endless else None)
        pages[at - 1] = replace(page, endless=endless, failed=page.failed or (endless and not page.n_characters))
    n_uses = Counter(cover.largest for cover in covers if cover)
    looked = []
    for number, (page, cover) in enumerate(zip(pages, covers, strict=True), 1):
        if cover is None or page.failed:
            looked.append(replace(page, bare=page.bare or page.is_unread))
            continue
        page = replace(page, scanned=cover.share >= _STAMP_SHARE, drawn=not cover.share and cover.n_objects > 0)
        if not page.n_characters:
            may_be = not page.typed and not page.is_unread and step("look", number)
            blank = may_be and opened.is_blank(number, cover)
            looked.append(
                replace(page, bare=not blank and (not page.typed or page.scanned or page.is_unread), blank=blank)
            )
        else:
            bare = _is_bare(page.n_characters, cover) or page.is_unread
            imaged = bare or (n_uses[cover.largest] == 1 and _is_imaged(page.n_characters, cover))
            looked.append(replace(page, bare=bare, imaged=imaged and (page.scanned or not page.is_unread)))
    return looked


def _is_bare(n_characters: int, cover: "Cover") -> bool:
    """Whether the text is no more than what goes with the image. What a recogniser laid over a scan is its text."""
    if n_characters <= STAMP:
        return cover.share >= _STAMP_SHARE
    return n_characters <= _SHORT and cover.share >= _SHORT_SHARE and cover.n_invisible <= STAMP


def _is_imaged(n_characters: int, cover: "Cover") -> bool:
    """Whether a page of some text is nearly all image, and not one that its own text lies hidden over or behind."""
    hidden = cover.n_invisible + cover.n_behind
    return n_characters > _SHORT and cover.share >= _FULL_SHARE and hidden * 2 < n_characters


def nature_in_words(pages: Sequence[Page]) -> str:
    """What pages without text are: "a scan" only where there are images on them."""
    kinds = []
    if any(page.scanned for page in pages):
        kinds.append("a scan")
    if any(page.read.n_silent for page in pages):
        kinds.append("signs that the file says are not read")
    if any(page.drawn and not page.is_unread and not page.read.n_silent for page in pages):
        kinds.append("a drawing (a plan or a map, or letters turned into shapes)")
    if any(page.is_unread for page in pages):
        kinds.append("letters in fonts that do not say which they are")
    if not kinds and any(page.failed for page in pages):
        kinds.append(DAMAGED)
    return " and ".join(kinds) or "nothing that can be read"


def notes_on(pages: Sequence[Page], drawn: frozenset[int]) -> list[str]:
    """Notes on the pages. drawn: those that are sent as images. The sentences begin with a capital."""
    notes = [*_on_what_is_missing(pages, drawn), *_on_readers(pages), *_on_characters(pages)]
    return [note[0].upper() + note[1:] + "." for note in notes]


def _on_what_is_missing(pages: Sequence[Page], drawn: frozenset[int]) -> list[str]:
    def left(is_meant: Callable[[Page], bool]) -> list[int]:
        return [number for number, page in enumerate(pages, 1) if number not in drawn and is_meant(page)]

    notes = []
    bare = left(lambda page: page.bare and not page.imaged and not page.failed and not page.is_unread)
    blank = left(lambda page: page.blank)
    imaged = left(lambda page: page.imaged and not page.is_unread)
    failed = [number for number, page in enumerate(pages, 1) if page.failed]
    if bare:
        notes.append(f"{pages_in_words(bare)} {'has' if len(bare) == 1 else 'have'} no text")
    if blank:
        notes.append(f"{pages_in_words(blank)} {'is' if len(blank) == 1 else 'are'} blank")
    if imaged:
        are = "is mostly an image that is" if len(imaged) == 1 else "are mostly images that are"
        wanted = ranges_in_words(sorted(drawn | set(imaged))).replace(" ", "")
        notes.append(f"{pages_in_words(imaged)} {are} not sent (--draw-pages {wanted})")
    if failed:
        notes.append(f"{pages_in_words(failed)} could not be read")
    return notes


def _on_readers(pages: Sequence[Page]) -> list[str]:
    by_reason: dict[str, list[int]] = defaultdict(list)
    for number, page in enumerate(pages, 1):
        if page.read.why:
            by_reason[page.read.why].append(number)
    return [
        f"{pages_in_words(numbers)} {'was' if len(numbers) == 1 else 'were'} read by pypdf: {why}"
        for why, numbers in by_reason.items()
    ]


def _on_characters(pages: Sequence[Page]) -> list[str]:
    """Notes on what is a guess or a replacement."""

    def said(words: str, count: Callable[[Page], int]) -> list[str]:
        counts = {number: count(page) for number, page in enumerate(pages, 1)}
        found = [number for number, n in counts.items() if n]
        return [words.format(pages=pages_in_words(found), n=f"{sum(counts.values()):,}")] if found else []

    return [
        *said(
            "{pages} cannot be read as text: the fonts there do not say which characters they hold",
            lambda page: page.read.is_unreadable,
        ),
        *said(
            "characters that cannot be read stand as \ufffd, the fonts do not say which they are ({n} on {pages})",
            lambda page: 0 if page.read.is_unreadable else page.read.n_unread,
        ),
        *said(
            "characters that are a guess, for their fonts do not say which they are: {n} on {pages}",
            lambda page: page.read.n_guessed,
        ),
        *said(
            "the fonts' maps to characters make no words on {pages}, the names of their letters do: those were taken, "
            "which is a guess",
            lambda page: page.read.is_renamed,
        ),
        *said(
            "characters for private use, such as icons, of which nobody knows what they are: {n} on {pages}",
            lambda page: page.read.n_private,
        ),
        *said(
            "spaces were put where letters stand apart, or taken out where they do not: {n} on {pages}",
            lambda page: page.read.n_spaces,
        ),
        *said(
            "signs that the file says are not read, such as hyphens at line ends, were left out: {n} on {pages}",
            lambda page: page.read.n_silent,
        ),
        *said("accents were put on the letters that they stand over: {n} on {pages}", lambda page: page.read.n_accents),
        *said(
            "lines of Hebrew or Arabic were put into the order of reading by where their letters stand: {n} on {pages}",
            lambda page: page.read.n_turned,
        ),
        *said(
            "it is a guess whether a number stands before or behind the Latin word beside it, in lines from right to "
            "left: {n} on {pages}",
            lambda page: page.read.n_unsure,
        ),
    ]
