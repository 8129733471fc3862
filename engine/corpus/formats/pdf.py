"""PDFs: the text of every page, each below a line such as "[page 3]" by which an answer can name it, and the pages
that are to be drawn for a model that sees.

A page is bare, and drawn unless told otherwise, where there is something to see and little to read: no text, a stamp
over an image, or few words on a page that is mostly image. What lies on a page is told by `cover`, how it is drawn is
left to `pdfium`. A PDF is opened once by each of two libraries: by pypdf for its text, by PDFium for what can be seen.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from engine.corpus.formats.format import Format, Incoming, quietly, without_surrogates
from engine.corpus.formats.sniff import Head
from engine.corpus.source import Cause, KeptFile, Picture, Pixels, Skipped, Source, digest_bytes, digest_text
from engine.corpus.wording import over_limit, pages_in_words, ranges_in_words

if TYPE_CHECKING:  # both libraries take 0.1 s to import, and most folders hold no PDF
    from pypdf import PageObject

    from engine.corpus.formats.cover import Cover
    from engine.corpus.formats.pdfium import Pages

_FORMAT = "PDF"  # what its kept file goes by
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


def _recognise(head: Head) -> str | None:
    """Anything may stand before the header; but a program that writes PDFs is text."""
    if head.data.startswith(b"%PDF-"):
        return _FORMAT
    is_within = not head.other and b"%PDF-" in head.data[:1024]
    return _FORMAT if is_within and (b"\x00" in head.data or head.ending == "pdf") else None


def read_pdf(file: Incoming) -> Source | Skipped:
    """The PDF as a source, or why not: TOO_LARGE, ENCRYPTED, BROKEN, NO_TEXT, NO_PAGE. pypdf's own limits hold against
    endless streams.

    What pypdf cannot read may still be drawn, see Rules.draw_pages.
    """
    rules = file.rules
    if file.n_bytes > rules.max_file_bytes:
        return file.skipped(Cause.TOO_LARGE, over_limit(file.n_bytes, rules.max_file_bytes, "a PDF"))
    data = file.data()
    read = _read_text(file, data)
    if isinstance(read, Skipped) and (rules.draws_none or read.cause is Cause.ENCRYPTED):
        return read
    is_full = isinstance(read, list) and all(page.n_characters > _FULL for page in read)
    if isinstance(read, list) and is_full and rules.draws_none and not file.keep:
        return _as_source(file, read)  # PDFium need not be asked
    return _with_pictures(file, data, read)


def _read_text(file: Incoming, data: bytes) -> list[_Page] | Skipped:
    """Its pages, at least one of which could be read, or why there are none."""
    from pypdf import PasswordType, PdfReader

    with quietly():
        try:
            reader = PdfReader(BytesIO(data))
            if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
                reason = "a PDF behind a password; save a copy without one and give that"
                return file.skipped(Cause.ENCRYPTED, reason)
            pages = [_read_page(page) for page in reader.pages]
        except Exception as error:  # a broken PDF makes pypdf raise nearly anything, RecursionError too
            return _broken(file, str(error))
    if not pages:
        return _broken(file, "no pages")
    if all(page.failed for page in pages):
        return _broken(file, "no page could be read")
    return pages


def _broken(file: Incoming, detail: str) -> Skipped:
    detail = " ".join(detail.split())[:120] or "no detail"
    return file.skipped(Cause.BROKEN, f"a PDF that is cut short or damaged ({detail})")


def _read_page(page: "PageObject") -> _Page:
    try:
        written = page.extract_text() + _form_fields(page)
        text = without_surrogates(written).replace("\x00", "").strip("\n")
    except Exception:  # one bad page must not cost the others
        return _Page("", failed=True, bare=True)
    return _Page(text, bare=not text.split())


def _form_fields(page: "PageObject") -> str:
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


def _with_pictures(file: Incoming, data: bytes, read: list[_Page] | Skipped) -> Source | Skipped:
    """With a picture for every page that is to be drawn."""
    from engine.corpus.formats.pdfium import open_pages

    opened = open_pages(file.path, data)
    if isinstance(opened, Skipped):
        return _as_source(file, read) if isinstance(read, list) else read
    with opened:
        sizes = [size.pixels() if size else None for size in opened.sizes]
        pages = _looked_at(read, opened) if isinstance(read, list) else [_Page("", True, True)] * len(sizes)
    pictures = tuple(
        Picture(number, *size)
        for number, (page, size) in enumerate(zip(pages, sizes, strict=False), 1)
        if size is not None and file.rules.draws(number, bare=page.bare)
    )
    source = _as_source(file, pages, drawn=frozenset(picture.number for picture in pictures))
    if isinstance(source, Skipped) or not (pictures or (file.keep and any(sizes))):
        return source
    source = replace(source, kept_file=KeptFile(_FORMAT, data, scalable=True))
    if not pictures:
        return source
    # saved KV caches and sessions hold this digest, and with it Picture as Python writes it: that is not to change
    digest = digest_bytes(f"{source.digest} {pictures}".encode() + data)
    return replace(source, digest=digest, pictures=pictures)


def _looked_at(pages: list[_Page], opened: "Pages") -> list[_Page]:
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


def _is_bare(n_characters: int, cover: "Cover") -> bool:
    """Whether the text is no more than what goes with the image. What a recogniser laid over a scan is its text."""
    if n_characters <= _STAMP:
        return cover.share >= _STAMP_SHARE
    return n_characters <= _SHORT and cover.share >= _SHORT_SHARE and cover.n_invisible <= _STAMP


def _is_imaged(n_characters: int, cover: "Cover") -> bool:
    """Whether a page of some text is nearly all image, and not one that its own text lies hidden over or behind."""
    hidden = cover.n_invisible + cover.n_behind
    return n_characters > _SHORT and cover.share >= _FULL_SHARE and hidden * 2 < n_characters


def _as_source(file: Incoming, pages: list[_Page], drawn: frozenset[int] = frozenset()) -> Source | Skipped:
    if not drawn and all(page.blank or (page.bare and page.n_characters <= _STAMP) for page in pages):
        return _without_text(file, pages)
    parts, starts, offset = [], [], 0
    for number, page in enumerate(pages, 1):
        part = f"[page {number}]\n{page.text}\n\n" if page.text else f"[page {number}]\n\n"
        parts.append(part)
        starts.append(offset)
        offset += len(part)
    text, notes = "".join(parts), _notes_on(pages, drawn)
    return Source(file.path, PDF.kind, text, file.n_bytes, digest_text(text), page_starts=tuple(starts), notes=notes)


def _without_text(file: Incoming, pages: Sequence[_Page]) -> Skipped:
    """Why nothing is left of a PDF none of whose pages is drawn."""
    rules = file.rules
    n_pages = f"{len(pages):,} page{'' if len(pages) == 1 else 's'}"
    if all(page.blank for page in pages):
        return file.skipped(Cause.NO_TEXT, f"{n_pages} with nothing on {'it' if len(pages) == 1 else 'them'}")
    if not rules.names_any(len(pages)):
        return file.skipped(Cause.NO_PAGE, rules.none_of_its(len(pages)))
    if rules.draws_none:
        why = "a scan. Reading scans as images comes with a model that can see"
    elif rules.listed_pages:
        why = f"none of those that --draw-pages {rules.draw_pages} names can be drawn; choose others"
    else:
        why = "a scan, which cannot be drawn; print it to a new PDF"
    return file.skipped(Cause.NO_TEXT, f"{n_pages} without text: {why}")


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
)
