"""PDFs: the text of every page, each below a line such as "[page 3]" by which an answer can name it, and the pages
that are to be drawn for a model that sees. How they are drawn is left to `page`."""

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from pypdf import PageObject, PasswordType, PdfReader

from engine.corpus.quiet import quietly
from engine.corpus.rules import DEFAULT_RULES, NO_PAGES, Rules
from engine.corpus.source import PDF, Cause, Image, Kind, Picture, Skipped, Source, digest_bytes, digest_text
from engine.corpus.text import without_surrogates
from engine.corpus.wording import pages_in_words

_MAX_STAMP = 50  # characters of a page number or stamp over a scan
_MIN_SCAN_PIXELS = 500_000  # A4 at 72 dots an inch


@dataclass(frozen=True, slots=True)
class _Page:
    """A page's text; bare: nothing on it, or no more than a stamp over a scan; failed: pypdf gave up on it."""

    text: str
    bare: bool
    failed: bool = False


def read_pdf(path: str, data: bytes, rules: Rules = DEFAULT_RULES) -> Source | Skipped:
    """The PDF as a source, or why not: ENCRYPTED, BROKEN, NO_TEXT. pypdf's own limits hold against endless streams.

    What pypdf cannot read may still be drawn, see Rules.draw_pages.
    """
    read = _read_text(path, data)
    if rules.draw_pages == NO_PAGES or (isinstance(read, Skipped) and read.cause is Cause.ENCRYPTED):
        return _as_source(path, read, len(data)) if isinstance(read, list) else read
    return _with_pictures(path, data, read, rules)


def _read_text(path: str, data: bytes) -> list[_Page] | Skipped:
    """Its pages, at least one of which could be read, or why there are none."""
    with quietly():
        try:
            reader = PdfReader(BytesIO(data))
            if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
                return _encrypted(path, len(data))
            pages = [_read_page(page) for page in reader.pages]
        except Exception as error:  # a broken PDF makes pypdf raise nearly anything, RecursionError too
            return _broken(path, str(error), len(data))
    if not pages:
        return _broken(path, "no pages", len(data))
    if all(page.failed for page in pages):
        return _broken(path, "no page could be read", len(data))
    return pages


def _encrypted(path: str, n_bytes: int) -> Skipped:
    reason = "a PDF behind a password; save a copy without one and give that"
    return Skipped(path, Cause.ENCRYPTED, reason, n_bytes)


def _broken(path: str, detail: str, n_bytes: int) -> Skipped:
    detail = " ".join(detail.split())[:120] or "no detail"
    return Skipped(path, Cause.BROKEN, f"a PDF that is cut short or damaged ({detail})", n_bytes)


def _without_text(path: str, n_pages: int, n_bytes: int) -> Skipped:
    pages = f"{n_pages:,} page{'' if n_pages == 1 else 's'}"
    reason = f"{pages} without text: a scan. Reading scans as images comes with a model that can see"
    return Skipped(path, Cause.NO_TEXT, reason, n_bytes)


def _read_page(page: PageObject) -> _Page:
    try:
        written = page.extract_text() + _form_fields(page)
        text = without_surrogates(written).replace("\x00", "").strip("\n")
    except Exception:  # one bad page must not cost the others
        return _Page("", bare=True, failed=True)
    n_characters = len("".join(text.split()))
    return _Page(text, bare=n_characters == 0 or (n_characters <= _MAX_STAMP and _has_scan(page)))


def _form_fields(page: PageObject) -> str:
    """What was filled in on this page: pypdf leaves it out of the text, and in a contract it is what counts."""
    values: dict[str, str] = {}
    for annotation in page.annotations or ():
        widget = annotation.get_object()
        if widget.get("/Subtype") != "/Widget":
            continue
        field = widget if "/T" in widget or "/Parent" not in widget else widget["/Parent"].get_object()
        name, value = field.get("/T"), widget.get("/V", field.get("/V"))
        if name and isinstance(value, str) and value.strip() and value != "/Off":
            values[str(name)] = value.removeprefix("/")
    return "".join(f"\n[form field {name}] {value}" for name, value in values.items())


def _has_scan(page: PageObject) -> bool:
    """Whether an image of a scan's size lies on the page."""
    try:
        resources: Any = page["/Resources"]
        images = [found.get_object() for found in resources["/XObject"].get_object().values()]
        return any(
            image.get("/Subtype") == "/Image" and int(image["/Width"]) * int(image["/Height"]) >= _MIN_SCAN_PIXELS
            for image in images
        )
    except Exception:  # no resources, or damaged ones: then no scan is known of
        return False


def _with_pictures(path: str, data: bytes, read: list[_Page] | Skipped, rules: Rules) -> Source | Skipped:
    """With a picture for every page that is to be drawn."""
    from engine.corpus.page import open_pages  # here: PDFium takes a while to load

    opened = open_pages(path, data)
    if isinstance(opened, Skipped):
        return _as_source(path, read, len(data)) if isinstance(read, list) else read
    with opened:
        sizes = [size.pixels() if size else None for size in opened.sizes]
    pages = read if isinstance(read, list) else [_Page("", bare=True, failed=True)] * len(sizes)
    pictures = tuple(
        Picture(number, *size)
        for number, (page, size) in enumerate(zip(pages, sizes, strict=False), 1)
        if size is not None and rules.draws(number, bare=page.bare)
    )
    source = _as_source(path, pages, len(data), drawn=frozenset(picture.number for picture in pictures))
    if isinstance(source, Skipped) or not pictures:
        return source
    first = pictures[0]
    return replace(
        source,
        digest=digest_bytes(f"{source.digest} {pictures}".encode() + data),
        image=Image(first.width, first.height, PDF, data),
        pictures=pictures,
    )


def _as_source(path: str, pages: list[_Page], n_bytes: int, drawn: frozenset[int] = frozenset()) -> Source | Skipped:
    if all(page.bare for page in pages) and not drawn:
        return _without_text(path, len(pages), n_bytes)
    parts, starts, offset = [], [], 0
    for number, page in enumerate(pages, 1):
        part = f"[page {number}]\n{page.text}\n\n" if page.text else f"[page {number}]\n\n"
        parts.append(part)
        starts.append(offset)
        offset += len(part)
    text = "".join(parts)
    return Source(
        path, Kind.PDF, text, n_bytes, digest_text(text), page_starts=tuple(starts), notes=_notes_on(pages, drawn)
    )


def _notes_on(pages: list[_Page], drawn: frozenset[int]) -> tuple[str, ...]:
    notes = []
    bare = [number for number, page in enumerate(pages, 1) if page.bare and not page.failed and number not in drawn]
    failed = [number for number, page in enumerate(pages, 1) if page.failed and number not in drawn]
    if bare:
        notes.append(f"{pages_in_words(bare)} {'has' if len(bare) == 1 else 'have'} no text".capitalize() + ".")
    if failed:
        notes.append(f"{pages_in_words(failed)} could not be read".capitalize() + ".")
    return tuple(notes)
