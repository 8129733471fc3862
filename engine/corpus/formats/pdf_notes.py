"""What the user should know of a PDF that was read: its pages by the reader they went through, and what is not sent."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from engine.corpus.formats.pdf_page import Page
from engine.corpus.formats.pdf_typed import Left
from engine.corpus.wording import listed, pages_in_words, ranges_in_words


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
            "characters for private use, such as icons, of which nobody knows what they are: {n} on {pages}",
            lambda page: page.read.n_private,
        ),
        *said(
            "spaces were put where letters stand apart, or taken out where they do not: {n} on {pages}",
            lambda page: page.read.n_spaces,
        ),
        *said("accents were put on the letters that they stand over: {n} on {pages}", lambda page: page.read.n_accents),
        *said(
            "lines of Hebrew or Arabic were put into the order of reading by where their letters stand: {n} on {pages}",
            lambda page: page.read.n_turned,
        ),
    ]


def notes_on_annotations(left: Left) -> list[str]:
    """Notes on what people put on the pages and is not sent, or was hidden."""
    notes = []
    on_pages, n_elsewhere = {number: n for number, n in left.damaged.items() if number}, left.damaged.get(0, 0)
    if on_pages:
        n_damaged = sum(on_pages.values())
        are = "annotation is" if n_damaged == 1 else "annotations are"
        notes.append(f"{n_damaged:,} {are} damaged and left out, on {pages_in_words(sorted(on_pages))}.")
    if n_elsewhere:
        notes.append(f"Form fields that are damaged and left out: {n_elsewhere:,}.")
    if left.marks:
        marks = [f"{name} ({n:,})" if n > 1 else name for name, n in sorted(left.marks.items())]
        notes.append(f"Marks without words are not sent: {listed(marks)}.")
    if left.hidden:
        notes.append(f"Hidden in the PDF, and read all the same: {listed(left.hidden)}.")
    if left.passwords:
        notes.append(
            f"What was typed as a password was left out: {listed([name or 'a field' for name in left.passwords])}."
        )
    if left.n_links:
        are = "link's address is" if left.n_links == 1 else "links' addresses are"
        notes.append(f"{left.n_links:,} {are} not sent.")
    return notes
