"""PDFs: the text of every page, each below a line such as "[page 3]" by which an answer can name it, and the pages
that are to be drawn for a model that sees.

A PDF is opened once by each of two libraries: by PDFium for its text and for what can be seen, by pypdf for its
objects: form fields, comments, files inside, and the pages that PDFium reads badly. Which reader a page's text is taken
from is left to `pdf_text`, what people put on pages to `pdf_typed`, when a page is to be seen to `pdf_page`. Pages keep
their numbers, whichever are lost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.corpus.formats.format import Format, Incoming, quietly, whole_file, without_surrogates
from engine.corpus.formats.pdf_page import Page, looked_at, nature_in_words, notes_on
from engine.corpus.formats.pdf_tree import Tree, Unwrapped, flat_copy, is_content_lost, is_wrapped, open_tree, unwrapped
from engine.corpus.formats.sniff import Head
from engine.corpus.rules import NO_PAGES
from engine.corpus.source import Cause, KeptFile, Picture, Pixels, Skipped, Source, digest_bytes, digest_text
from engine.corpus.wording import over_limit, size_in_words, with_notes

if TYPE_CHECKING:  # PDFium takes 0.1 s to import, and most folders hold no PDF
    from pypdf import PageObject

    from engine.corpus.formats.pdf_typed import TypedIn
    from engine.corpus.formats.pdfium import Pages

_FORMAT = "PDF"  # what its kept file goes by
_HOLDERS = {"/AcroForm", "/Names", "/AF", "/Collection"}  # of a catalogue: what may hold more than pages


def _recognise(head: Head) -> str | None:
    """Anything may stand before the header; but a program that writes PDFs is text."""
    if head.data.startswith(b"%PDF-"):
        return _FORMAT
    if head.other:
        return None
    if b"%PDF-" in head.data[:1024] and (b"\x00" in head.data or head.ending == "pdf"):
        return _FORMAT
    return _FORMAT if head.ending == "pdf" and is_wrapped(head.data) else None


@dataclass(slots=True)
class _Opened:
    """A PDF as both libraries have it, one of which may have failed. data: what PDFium has it from. is_flat: that is a
    copy, in which an empty page stands for each that is lost. failure: why PDFium could not open it."""

    body: Unwrapped
    seen: "Pages | None"
    tree: Tree | None
    data: bytes = field(repr=False)
    is_flat: bool = False
    failure: Skipped | None = None

    @property
    def n_pages(self) -> int:
        return len(self.seen.sizes) if self.seen else len(self.tree.pages) if self.tree else 0

    def page(self, number: int) -> "PageObject | None":
        """A page (from 1) by pypdf; None where it is lost."""
        pages = self.tree.pages if self.tree else ()
        return pages[number - 1] if number <= len(pages) else None


def read_pdf(file: Incoming) -> Source | Skipped:
    """The PDF as a source, or why not: TOO_LARGE, ENCRYPTED, BROKEN, NO_TEXT, NO_PAGE. pypdf's own limits hold against
    endless streams.

    What cannot be read may still be drawn, see Rules.draw_pages.
    """
    rules = file.rules
    if file.n_bytes > rules.max_file_bytes:
        return file.skipped(Cause.TOO_LARGE, over_limit(file.n_bytes, rules.max_file_bytes, "a PDF"))
    data = file.data()
    with quietly():
        opened = _open(file.path, data, file.step)
        if opened.n_pages == 0:
            return _unopened(file, opened)
        try:
            return _read(file, data, opened)
        finally:
            if opened.seen is not None:
                opened.seen.close()


def _unopened(file: Incoming, opened: _Opened) -> Skipped:
    if opened.failure is not None:
        return replace(opened.failure, n_bytes=file.n_bytes)
    return file.skipped(Cause.BROKEN, "a PDF that is cut short or damaged (no pages)")


def _open(path: str, data: bytes, step: Callable[[str, int], bool]) -> _Opened:
    from engine.corpus.formats.pdfium import open_pages

    step("open", 0)
    body = unwrapped(data)
    seen = open_pages(path, body.data)
    step("open", 0)  # by the other library
    if isinstance(seen, Skipped):
        tree = open_tree(body.data) if seen.cause is not Cause.ENCRYPTED else None
        return _Opened(body, None, tree, data, failure=seen)
    tree = open_tree(body.data) or open_tree(seen.copy())
    if tree is None:
        return _Opened(body, seen, None, data)
    if None in tree.pages:  # PDFium may know where they are
        other = open_tree(seen.copy())
        if other is not None and other.pages.count(None) < tree.pages.count(None):
            tree = other
    n_pages = len(tree.pages)
    if not _is_astray(tree, seen):
        return _Opened(body, seen, tree, data)
    step("open", 0)
    copy = flat_copy(tree)
    again = open_pages(path, copy) if copy else None
    if again is None or isinstance(again, Skipped) or len(again.sizes) != n_pages:
        return _Opened(body, seen, tree, data)
    seen.close()
    return _Opened(body, again, tree, copy, is_flat=True)


def _is_astray(tree: Tree, seen: "Pages") -> bool:
    """Whether PDFium has other pages than lie in the file."""
    if tree.is_tangled or any(size is None and page for size, page in zip(seen.sizes, tree.pages, strict=False)):
        return True
    return len(tree.pages) != len(seen.sizes) and (None not in tree.pages or None in seen.sizes)


def _read(file: Incoming, data: bytes, opened: _Opened) -> Source | Skipped:
    file.step("open", 0)
    typed = _typed_in(opened.tree)
    notes = list(opened.body.notes)
    pages = _pages(file, opened, typed, notes)
    if isinstance(pages, Skipped):
        return pages
    if opened.is_flat:
        notes.append("PDFium does not find every page as the file lies; it was given a copy with the pages in one row.")
    if opened.tree is None:
        notes.append("Form fields, comments and files inside could not be looked for: the file is damaged.")
    elif typed is not None and file.step("inside", 0):
        text, more = _below(file, opened.tree, typed)
        pages[-1] = replace(pages[-1], typed=pages[-1].typed + without_surrogates(text))
        notes += [*typed.left.notes(), *more]
    if opened.seen is not None:
        pages = looked_at(pages, opened.seen, file.step)
    elif all(page.failed and not page.typed for page in pages):
        why = "a PDF that is cut short or damaged (no page could be read)"
        return file.skipped(Cause.BROKEN, with_notes(why, notes))
    return _with_pictures(file, data, opened, pages, notes)


def _typed_in(tree: Tree | None) -> "TypedIn | None":
    """What people put on the pages, None where the file holds nothing of the kind, nor files or forms besides."""
    if tree is None or not (
        any(page is not None and "/Annots" in page for page in tree.pages) or _HOLDERS & tree.root.keys()
    ):
        return None
    from engine.corpus.formats.pdf_typed import TypedIn

    return TypedIn(tree)


def _below(file: Incoming, tree: Tree, typed: "TypedIn") -> tuple[str, list[str]]:
    """What stands below the last page: fields that lie on none, files inside, the data of a form; and notes on it."""
    from engine.corpus.formats.pdf_enclosed import appended

    elsewhere = typed.on_no_page()
    text, notes = appended(tree, typed.values, lambda name, inner: _read_inner(file, name, inner))
    return elsewhere + text, notes


def _pages(file: Incoming, opened: _Opened, typed: "TypedIn | None", notes: list[str]) -> list[Page] | Skipped:
    """All pages as they are read; TOO_LARGE where they have more text than any honest file of this size. notes: to be
    added to."""
    from engine.corpus.readers import limits

    limit = min(limits.MOST_CHARACTERS, limits.FREE_CHARACTERS + limits.CHARACTERS_PER_BYTE * file.n_bytes)
    pages, n_characters = list[Page](), 0
    for number in range(1, opened.n_pages + 1):
        page = _page(opened, typed, number) if file.step("read", number) else _lost_page()
        if (n_of_it := len(page.read.text) + len(page.typed)) > limits.MOST_PAGE_CHARACTERS:
            most = f"over the limit of {limits.MOST_PAGE_CHARACTERS:,} for a page"
            notes.append(f"Page {number} has {n_of_it:,} characters, {most}: it was left out.")
            page, n_of_it = _lost_page(), 0
        n_characters += n_of_it
        if n_characters > limit:
            size = f"from {size_in_words(file.n_bytes)} of file; print it to a new PDF if it is what it should be"
            return file.skipped(Cause.TOO_LARGE, f"more than {limit:,} characters of text {size}")
        pages.append(page)
    return pages


def _lost_page() -> Page:
    from engine.corpus.formats.pdf_text import PageText

    return Page(PageText(reader=""), failed=True, bare=True)


def _page(opened: _Opened, typed: "TypedIn | None", number: int) -> Page:
    from engine.corpus.formats.pdf_text import read_page

    page = opened.page(number)
    is_hybrid = opened.tree is not None and opened.tree.is_hybrid
    read = read_page(opened.seen, page, number, is_hybrid=is_hybrid)
    written = typed.on_page(page, number) if typed is not None and page is not None else ""
    is_lost = not read.reader or (page is None and opened.is_flat)
    failed = is_lost or (not read.text and page is not None and is_content_lost(page))
    return Page(read, without_surrogates(written), failed=failed, bare=not read.text)


def _read_inner(file: Incoming, name: str, data: bytes) -> Source | None:
    """A PDF that lies in another; what lies in that one is named and not read."""
    if "/" in file.file_format:
        return None
    file.step("inside", 0)  # each of them has the time of one
    inner = whole_file(name, data, replace(file.rules, draw_pages=NO_PAGES), file_format=f"{_FORMAT}/{_FORMAT}")
    read = read_pdf(inner)
    return read if isinstance(read, Source) else None


def _with_pictures(
    file: Incoming, data: bytes, opened: _Opened, pages: list[Page], notes: list[str]
) -> Source | Skipped:
    """With a picture for every page that is to be drawn."""
    sizes = [size.pixels() if size else None for size in opened.seen.sizes] if opened.seen is not None else []
    pictures = tuple(
        Picture(number, *size)
        for number, (page, size) in enumerate(zip(pages, sizes, strict=False), 1)
        if size is not None and not page.endless and file.rules.draws(number, bare=page.bare)
    )
    source = _as_source(file, pages, notes, drawn=frozenset(picture.number for picture in pictures))
    if isinstance(source, Skipped) or not (pictures or (file.keep and any(sizes))):
        return source
    source = replace(source, kept_file=KeptFile(_FORMAT, opened.data, scalable=True))
    if not pictures:
        return source
    # saved KV caches and sessions hold this digest, and with it Picture as Python writes it: that is not to change
    digest = digest_bytes(f"{source.digest} {pictures}".encode() + data)
    return replace(source, digest=digest, pictures=pictures)


def _as_source(file: Incoming, pages: list[Page], notes: list[str], drawn: frozenset[int]) -> Source | Skipped:
    if not drawn and all(page.is_wordless for page in pages):
        skipped = _without_text(file, pages)
        return replace(skipped, reason=with_notes(skipped.reason, notes))
    parts, starts, offset = [], [], 0
    for number, page in enumerate(pages, 1):
        part = f"[page {number}]\n{page.text}\n\n" if page.text else f"[page {number}]\n\n"
        parts.append(part)
        starts.append(offset)
        offset += len(part)
    text, notes = "".join(parts), [*notes_on(pages, drawn), *notes]
    nature = nature_in_words(pages) if all(page.is_wordless for page in pages) else ""
    readers = ", ".join(dict.fromkeys(page.read.reader for page in pages if page.read.text and page.read.reader))
    source = Source(file.path, PDF.kind, text, file.n_bytes, digest_text(text), tuple(starts), nature=nature)
    return replace(source, notes=tuple(notes), reader=readers or None)


def _without_text(file: Incoming, pages: Sequence[Page]) -> Skipped:
    """Why nothing is left of a PDF none of whose pages is drawn."""
    rules = file.rules
    n_pages = f"{len(pages):,} page{'' if len(pages) == 1 else 's'}"
    if all(page.blank for page in pages):
        return file.skipped(Cause.NO_TEXT, f"{n_pages} with nothing on {'it' if len(pages) == 1 else 'them'}")
    if not rules.names_any(len(pages)):
        return file.skipped(Cause.NO_PAGE, rules.none_of_its(len(pages)))
    nature = nature_in_words(pages)
    if all(page.failed for page in pages if not page.blank):
        return file.skipped(Cause.BROKEN, f"a PDF that is cut short or damaged ({n_pages}, none of which can be read)")
    if rules.draws_none:
        such = "scans" if nature == "a scan" else "such pages"
        why = f"{nature}. Reading {such} as images comes with a model that can see"
    elif rules.listed_pages:
        why = f"none of those that --draw-pages {rules.draw_pages} names can be drawn; choose others"
    else:
        why = f"{nature}, which cannot be drawn; print it to a new PDF"
    return file.skipped(Cause.NO_TEXT, f"{n_pages} without text: {why}")


def _draw(name: str, file: KeptFile, *, number: int, width: int, height: int, quick: bool) -> Pixels | Skipped:
    from engine.corpus.formats.pdfium import open_pages

    pages = open_pages(name, file.data)
    if isinstance(pages, Skipped):
        return pages
    with pages:
        return pages.draw(number, width, height)


PDF = Format(
    kind="pdf",
    recognise=_recognise,
    read=read_pdf,
    draw=_draw,
    drawn_from=frozenset({_FORMAT}),
    endings=frozenset({"pdf"}),
    has_text_pages=True,
    is_apart=True,
)
