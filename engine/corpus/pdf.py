"""PDFs: the text of every page, each below a line such as "[page 3]" by which an answer can name it, and the pages
that are to be drawn for a model that sees.

A page is bare, and drawn unless told otherwise, where there is something to see and little to read: no text, a stamp
over an image, or few words on a page that is mostly image. What lies on a page is told by `cover`, how it is drawn is
left to `page`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from pypdf import PageObject, PasswordType, PdfReader

from engine.corpus.choice import names_any, none_of_its
from engine.corpus.cover import Cover
from engine.corpus.page import Pages, open_pages
from engine.corpus.quiet import quietly
from engine.corpus.rules import DEFAULT_RULES, NO_PAGES, Rules
from engine.corpus.source import PDF, Cause, KeptFile, Kind, Picture, Skipped, Source, digest_bytes, digest_text
from engine.corpus.text import without_surrogates
from engine.corpus.wording import pages_in_words, ranges_in_words

# Characters are counted without white space; a page of text has 1,500 to 3,000 of them.
_STAMP = 50  # a page number, a Bates number: over a tenth of a page of image, such as a receipt, it is the image's
_STAMP_SHARE = 0.1
_SHORT = 300  # a court's stamp has 75, a library's notice on each page 170, three stamps on a page 250: four lines
_SHORT_SHARE = 0.5
_FULL = 1_500  # from here on a page is text, whatever lies below it
_FULL_SHARE = 0.8  # below that, and so much of it image, it is worth a note: a scanned form that was filled in


@dataclass(frozen=True, slots=True)
class _Page:
    """A page's text. failed: pypdf gave up on it. bare: see above. blank: there is nothing on it at all.
    imaged: there is text, and the page is mostly an image all the same."""

    text: str
    failed: bool = False
    bare: bool = False
    blank: bool = False
    imaged: bool = False

    @property
    def n_characters(self) -> int:
        return len("".join(self.text.split()))


def read_pdf(path: str, data: bytes, rules: Rules = DEFAULT_RULES) -> Source | Skipped:
    """The PDF as a source, or why not: ENCRYPTED, BROKEN, NO_TEXT, NO_PAGE. pypdf's own limits hold against endless
    streams.

    What pypdf cannot read may still be drawn, see Rules.draw_pages.
    """
    read = _read_text(path, data)
    if isinstance(read, Skipped) and (rules.draw_pages == NO_PAGES or read.cause is Cause.ENCRYPTED):
        return read
    if isinstance(read, list) and rules.draw_pages == NO_PAGES and all(page.n_characters > _FULL for page in read):
        return _as_source(path, read, len(data), rules)  # PDFium need not be asked
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


def _read_page(page: PageObject) -> _Page:
    try:
        written = page.extract_text() + _form_fields(page)
        text = without_surrogates(written).replace("\x00", "").strip("\n")
    except Exception:  # one bad page must not cost the others
        return _Page("", failed=True, bare=True)
    return _Page(text, bare=not text.split())


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


def _with_pictures(path: str, data: bytes, read: list[_Page] | Skipped, rules: Rules) -> Source | Skipped:
    """With a picture for every page that is to be drawn."""
    opened = open_pages(path, data)
    if isinstance(opened, Skipped):
        return _as_source(path, read, len(data), rules) if isinstance(read, list) else read
    with opened:
        sizes = [size.pixels() if size else None for size in opened.sizes]
        pages = _looked_at(read, opened) if isinstance(read, list) else [_Page("", True, True)] * len(sizes)
    pictures = tuple(
        Picture(number, *size)
        for number, (page, size) in enumerate(zip(pages, sizes, strict=False), 1)
        if size is not None and rules.draws(number, bare=page.bare)
    )
    source = _as_source(path, pages, len(data), rules, drawn=frozenset(picture.number for picture in pictures))
    if isinstance(source, Skipped) or not pictures:
        return source
    # the digests of sources in sessions and caches hold the pictures as Python writes them: Picture is not to change
    digest = digest_bytes(f"{source.digest} {pictures}".encode() + data)
    return replace(source, digest=digest, kept_file=KeptFile(PDF, data, scalable=True), pictures=pictures)


def _looked_at(pages: list[_Page], opened: Pages) -> list[_Page]:
    """The pages with what can be seen on them; those that are full of text are not looked at."""
    covers = [opened.cover(at) if page.n_characters <= _FULL else None for at, page in enumerate(pages, 1)]
    n_uses = Counter(cover.largest for cover in covers if cover)
    looked = []
    for number, (page, cover) in enumerate(zip(pages, covers, strict=True), 1):
        if cover is None or page.failed:
            looked.append(page)
        elif not page.n_characters:
            blank = opened.is_blank(number, cover)
            looked.append(replace(page, bare=not blank, blank=blank))
        else:
            bare = _is_bare(page.n_characters, cover)
            imaged = bare or (n_uses[cover.largest] == 1 and _is_imaged(page.n_characters, cover))
            looked.append(replace(page, bare=bare, imaged=imaged))
    return looked


def _is_bare(n_characters: int, cover: Cover) -> bool:
    """Whether the text is no more than what goes with the image. What a recogniser laid over a scan is its text."""
    if n_characters <= _STAMP:
        return cover.share >= _STAMP_SHARE
    return n_characters <= _SHORT and cover.share >= _SHORT_SHARE and cover.n_invisible <= _STAMP


def _is_imaged(n_characters: int, cover: Cover) -> bool:
    """Whether a page of some text is nearly all image, and not one that its own text lies hidden over or behind."""
    hidden = cover.n_invisible + cover.n_behind
    return n_characters > _SHORT and cover.share >= _FULL_SHARE and hidden * 2 < n_characters


def _as_source(
    path: str, pages: list[_Page], n_bytes: int, rules: Rules, drawn: frozenset[int] = frozenset()
) -> Source | Skipped:
    if not drawn and all(page.blank or (page.bare and page.n_characters <= _STAMP) for page in pages):
        return _without_text(path, pages, n_bytes, rules)
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


def _without_text(path: str, pages: Sequence[_Page], n_bytes: int, rules: Rules) -> Skipped:
    """Why nothing is left of a PDF none of whose pages is drawn."""
    n_pages = f"{len(pages):,} page{'' if len(pages) == 1 else 's'}"
    if all(page.blank for page in pages):
        return Skipped(path, Cause.NO_TEXT, f"{n_pages} with nothing on {'it' if len(pages) == 1 else 'them'}", n_bytes)
    if not names_any(rules, len(pages)):
        return Skipped(path, Cause.NO_PAGE, none_of_its(rules, len(pages)), n_bytes)
    if rules.draw_pages == NO_PAGES:
        why = "a scan. Reading scans as images comes with a model that can see"
    elif rules.listed_pages:
        why = f"none of those that --draw-pages {rules.draw_pages} names can be drawn; choose others"
    else:
        why = "a scan, which cannot be drawn; print it to a new PDF"
    return Skipped(path, Cause.NO_TEXT, f"{n_pages} without text: {why}", n_bytes)


def _notes_on(pages: list[_Page], drawn: frozenset[int]) -> tuple[str, ...]:
    left = [(number, page) for number, page in enumerate(pages, 1) if number not in drawn]
    bare = [number for number, page in left if page.bare and not page.imaged and not page.failed]
    blank = [number for number, page in left if page.blank]
    imaged = [number for number, page in left if page.imaged]
    failed = [number for number, page in left if page.failed]
    notes = []
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
    return tuple(note[0].upper() + note[1:] + "." for note in notes)
