"""PDFs: the text of every page, each below a line such as "[page 3]" by which an answer can name it. Reading scans as
images is left to whoever has a model that can see."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pypdf import PageObject, PasswordType, PdfReader

from engine.corpus.quiet import quietly
from engine.corpus.source import Cause, Kind, Skipped, Source, digest_text
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


def read_pdf(path: str, data: bytes) -> Source | Skipped:
    """The PDF as a source, or why not: ENCRYPTED, BROKEN, NO_TEXT. pypdf's own limits hold against endless streams."""
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
    if all(page.bare for page in pages):
        return _without_text(path, len(pages), len(data))
    return _as_source(path, pages, len(data))


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


def _as_source(path: str, pages: list[_Page], n_bytes: int) -> Source:
    parts, starts, offset = [], [], 0
    for number, page in enumerate(pages, 1):
        part = f"[page {number}]\n{page.text}\n\n" if page.text else f"[page {number}]\n\n"
        parts.append(part)
        starts.append(offset)
        offset += len(part)
    text = "".join(parts)
    return Source(path, Kind.PDF, text, n_bytes, digest_text(text), page_starts=tuple(starts), notes=_notes_on(pages))


def _notes_on(pages: list[_Page]) -> tuple[str, ...]:
    notes = []
    bare = [number for number, page in enumerate(pages, 1) if page.bare and not page.failed]
    failed = [number for number, page in enumerate(pages, 1) if page.failed]
    if bare:
        notes.append(f"{pages_in_words(bare)} {'has' if len(bare) == 1 else 'have'} no text".capitalize() + ".")
    if failed:
        notes.append(f"{pages_in_words(failed)} could not be read".capitalize() + ".")
    return tuple(notes)
