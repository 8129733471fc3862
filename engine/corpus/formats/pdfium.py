"""PDF pages as images: how large each is, known before anything is drawn, and its pixels at the size asked for.

PDFium draws (through pypdfium2), scans, fonts, filled-in form fields and annotations alike, and gives the glyphs of a
page's text. It is not thread-safe: one page at a time in this process, behind one lock. Reading a PDF's text is left to
`pdf`, choosing a size to engine.tokens.
"""

import ctypes
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Any
from unicodedata import normalize

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

from engine.corpus.formats.cover import Cover, cover_of
from engine.corpus.formats.glyphs import Glyphs, glyphs_of
from engine.corpus.formats.pdf_tree import lock_in_words, unwrapped
from engine.corpus.readers import limits
from engine.corpus.source import Cause, KeptFile, Pixels, Skipped

# it logs advice on how to build it anew where a form asks for more; a level here needs no lock, see format.quietly
logging.getLogger("pypdfium2").setLevel(logging.CRITICAL + 1)

LONG_SIDE = 1008  # pixels: three of Llama 4's tiles
_MOST_PIXELS = 1 << 25  # of a page; an A4 page at 400 dots an inch has 15 million
_PATIENCE_S = 30.0  # a page; text takes 10 ms, a scan at 300 dots an inch 100 ms
_LOCK = RLock()
_FLAGS = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER  # annotations too; red first
_WHITE = (255, 255, 255, 255)
Box = tuple[float, float, float, float]  # left, top, right, bottom: shares of width and height from the upper left

_FINE = 1 << 20  # steps that a side of a page is measured in
_FEW_OBJECTS = 20  # what an empty page may have: white backgrounds, lines of spaces
_GLANCE_PIXELS = 200  # the longer side at which a page is looked at for being empty


@dataclass(frozen=True, slots=True)
class PageSize:
    """Width and height in points of a 72nd of an inch, upright, what is cropped away left out."""

    width: float
    height: float

    def pixels(self, long_side: int = LONG_SIDE) -> tuple[int, int]:
        """Width and height in pixels at which the longer of them is long_side; at least 1."""
        scale = long_side / max(self.width, self.height)
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))


def find_words(file: KeptFile, *, number: int, words: str, before: str = "") -> Box | None:
    """The box around words on a page of a PDF, from 1; None where they are not found there, or the file is none.

    before: what of the page's text stands before them, which tells one place of the same words from another. Blanks,
    marks, accents and capitals count for nothing; words that no page has as letters, those of a scan, are not found.
    """
    pages = open_pages("", file.data) if file.format == "PDF" else None
    if pages is None or isinstance(pages, Skipped):
        return None
    with pages:
        return pages.find(number, words, before)


def open_pages(path: str, data: bytes) -> "Pages | Skipped":
    """The pages of a PDF, to be closed; Skipped where it is ENCRYPTED, BROKEN, or has no pages."""
    with _LOCK:
        try:
            document = pypdfium2.PdfDocument(unwrapped(data).data)
        except pypdfium2.PdfiumError as error:
            return _unreadable(path, error, data)
        if len(document) > limits.MOST_PAGES:
            reason = f"{len(document):,} pages, over the limit of {limits.MOST_PAGES:,} for a PDF"
            document.close()
            return Skipped(path, Cause.TOO_LARGE, reason, len(data))
        try:
            sizes = tuple(_size(document, number) for number in range(len(document)))
            if document.get_formtype() != pdfium.FORMTYPE_NONE:
                document.init_forms()
        except pypdfium2.PdfiumError as error:
            document.close()
            return _unreadable(path, error, data)
        if not sizes:
            document.close()
            return Skipped(path, Cause.BROKEN, "a PDF without pages", len(data))
        return Pages(path, document, sizes, len(data))


class Pages:
    """One open PDF. sizes: of each page, None where a page cannot be read or has no area. A context manager."""

    def __init__(self, path: str, document: Any, sizes: tuple[PageSize | None, ...], n_bytes: int) -> None:
        self._path, self._document, self._n_bytes = path, document, n_bytes
        self.sizes = sizes

    def draw(
        self, number: int, width: int, height: int, *, stopped: Callable[[], bool] = lambda: False
    ) -> Pixels | Skipped:
        """A page (from 1) at exactly width x height pixels, on white.

        Gives Skipped where it cannot be drawn (BROKEN), would be too many pixels (TOO_LARGE), takes longer than half a
        minute, or `stopped` says so while it is drawn.
        """
        if width < 1 or height < 1 or width * height > _MOST_PIXELS:
            reason = f"page {number} at {width:,} x {height:,} pixels, over the limit of {_MOST_PIXELS:,} in all"
            return Skipped(self._path, Cause.TOO_LARGE, reason, self._n_bytes)
        if not 1 <= number <= len(self.sizes) or self.sizes[number - 1] is None:
            return self._failed(number, "it is damaged or has no area")
        with _LOCK:
            try:
                page = self._document[number - 1]
            except pypdfium2.PdfiumError:
                return self._failed(number, "it is damaged")
            bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_BGR, rev_byteorder=True)
            try:
                bitmap.fill_rect(_WHITE, 0, 0, width, height)
                if not _draw(page, bitmap, _Deadline(stopped)):
                    return self._failed(number, "it takes too long to draw, or was stopped")
                rows = bitmap.to_numpy()  # with padding at their ends
                return Pixels(width, height, np.ascontiguousarray(rows).tobytes())
            finally:
                bitmap.close()
                page.close()

    def cover(self, number: int) -> Cover | None:
        """What lies on a page (from 1), looked at but not drawn; None where it cannot be read."""
        with _LOCK, suppress(pypdfium2.PdfiumError, IndexError):
            page = self._document[number - 1]
            try:
                return cover_of(page)
            finally:
                page.close()
        return None

    def glyphs(self, number: int) -> Glyphs | None:
        """The text of a page (from 1); None where the page cannot be read."""
        with _LOCK, suppress(pypdfium2.PdfiumError, IndexError):
            page = self._document[number - 1]
            try:
                return glyphs_of(page)
            finally:
                page.close()
        return None

    def find(self, number: int, words: str, before: str) -> Box | None:
        """Where words stand on a page (from 1), see `find_words`."""
        if not 1 <= number <= len(self.sizes) or self.sizes[number - 1] is None:
            return None
        with _LOCK, suppress(pypdfium2.PdfiumError, IndexError):
            page = self._document[number - 1]
            try:
                return _find(page, _letters(words), _letters(before))
            finally:
                page.close()
        return None

    def copy(self) -> bytes:
        """The PDF as PDFium writes it: its tables anew, its lock off. b"" where it cannot."""
        out = BytesIO()
        with _LOCK, suppress(pypdfium2.PdfiumError, OSError):
            self._document.save(out, flags=pdfium.FPDF_REMOVE_SECURITY)
            return out.getvalue()
        return b""

    def is_blank(self, number: int, cover: Cover) -> bool:
        """Whether there is nothing to see on a page: no object, or a few, no images, that all have one colour."""
        if cover.largest is not None or cover.n_objects > _FEW_OBJECTS:
            return False
        size = self.sizes[number - 1]
        drawn = self.draw(number, *size.pixels(_GLANCE_PIXELS)) if size is not None and cover.n_objects else None
        if not isinstance(drawn, Pixels):
            return size is not None and not cover.n_objects
        return drawn.data == drawn.data[:3] * (drawn.width * drawn.height)

    def close(self) -> None:
        with _LOCK:
            self._document.close()

    def __enter__(self) -> "Pages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failed(self, number: int, why: str) -> Skipped:
        return Skipped(self._path, Cause.BROKEN, f"page {number} cannot be drawn: {why}", self._n_bytes)


class _Deadline:
    """What PDFium asks between the objects of a page: whether to pause. It has paused for good once the time is up."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._until = monotonic() + _PATIENCE_S
        self.value = pdfium.IFSDK_PAUSE()
        self.value.version = 1
        self._asked = type(self.value.NeedToPauseNow)(self._is_over)  # kept: PDFium holds but its address
        self.value.NeedToPauseNow = self._asked

    def _is_over(self, _: object) -> bool:
        return monotonic() > self._until or self._stopped()


def _draw(page: Any, bitmap: Any, deadline: _Deadline) -> bool:
    """Whether all of the page was drawn into the bitmap."""
    place = (0, 0, bitmap.width, bitmap.height, 0)
    status = pdfium.FPDF_RenderPageBitmap_Start(bitmap, page, *place, _FLAGS, ctypes.byref(deadline.value))
    pdfium.FPDF_RenderPage_Close(page)
    if status != pdfium.FPDF_RENDER_DONE:
        return False
    if page.formenv is not None:
        pdfium.FPDF_FFLDraw(page.formenv, bitmap, page, *place, _FLAGS)
    return True


def _letters(text: str) -> str:
    """The letters and digits of a text in their plainest form: by these it is found again."""
    return "".join(letter for letter in normalize("NFKD", text).casefold() if letter.isalnum())


def _find(page: Any, words: str, before: str) -> Box | None:
    text = pdfium.FPDFText_LoadPage(page)
    if not words or not text:
        return None
    try:
        n_glyphs = max(0, pdfium.FPDFText_CountChars(text))
        plain, glyphs = _plain_glyphs(text, n_glyphs)
        at = _nth(plain, words, _times(before, words))
        return None if at < 0 else _box_around(page, text, sorted(set(glyphs[at : at + len(words)])))
    finally:
        pdfium.FPDFText_ClosePage(text)


def _plain_glyphs(text: Any, n_glyphs: int) -> tuple[str, list[int]]:
    """The letters and digits of a page, and which glyph each is of."""
    plain, glyphs = [], []
    for at in range(n_glyphs):
        code = pdfium.FPDFText_GetUnicode(text, at)
        for letter in _letters(chr(code)) if 0 < code <= 0x10FFFF else "":
            plain.append(letter)
            glyphs.append(at)
    return "".join(plain), glyphs


def _times(text: str, words: str) -> int:
    """How often words stand in a text, over each other too."""
    n_times, at = 0, text.find(words)
    while at >= 0:
        n_times, at = n_times + 1, text.find(words, at + 1)
    return n_times


def _nth(plain: str, words: str, n_before: int) -> int:
    """Where words stand for the time after so many; the last time before that where they do not; -1 where never."""
    found = plain.find(words)
    for _ in range(n_before):
        following = plain.find(words, found + 1)
        if found < 0 or following < 0:
            break
        found = following
    return found


def _box_around(page: Any, text: Any, glyphs: list[int]) -> Box | None:
    """Around these glyphs, as shares of the page as it is drawn."""
    corners: list[tuple[float, float]] = []
    x, y = ctypes.c_int(), ctypes.c_int()
    for at in glyphs:
        box = pdfium.FS_RECTF()
        if not pdfium.FPDFText_GetLooseCharBox(text, at, box):
            continue
        for across, up in ((box.left, box.top), (box.right, box.bottom)):
            if pdfium.FPDF_PageToDevice(page, 0, 0, _FINE, _FINE, 0, across, up, x, y):
                corners.append((x.value / _FINE, y.value / _FINE))
    if not corners:
        return None
    across, down = ([min(1.0, max(0.0, each)) for each in values] for values in zip(*corners, strict=True))
    return (min(across), min(down), max(across), max(down)) if max(across) > min(across) else None


def _size(document: Any, number: int) -> PageSize | None:
    with suppress(pypdfium2.PdfiumError):
        width, height = document.get_page_size(number)
        if 0 < width < float("inf") and 0 < height < float("inf"):
            return PageSize(width, height)
    return None


def _unreadable(path: str, error: Exception, data: bytes) -> Skipped:
    if getattr(error, "err_code", None) in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
        return Skipped(path, Cause.ENCRYPTED, lock_in_words(data), len(data))
    return Skipped(path, Cause.BROKEN, "a PDF that is cut short or damaged; copy or download it anew", len(data))
