"""What a PDF says of its own text: which way up it stands, and the words that marks and structure give for what is
drawn (/ActualText, ISO 32000-2, 14.9.4). Who calls this holds the lock on PDFium, see `pdfium`.

PDFium reads lines in the order in which they lie on the page as it is shown, and loses it where they stand upright only
in the page as it is written; it honours the innermost mark alone, and none that gives no words, as those around hyphens
at line ends and around decoration do: nothing is read there. A page is changed in memory, and only there.
"""

import codecs
import ctypes
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pypdfium2.raw as pdfium

_MOST_OBJECTS = 20_000
_MOST_LOOKED_AT = 200  # texts by which a page's way up is known
_MOST_ELEMENTS = 50_000
_DEEPEST = 20  # forms in forms, marks around marks
_ACTUAL_TEXT = b"ActualText"
_GLANCE_BYTES = 64  # of the words of a mark: enough to know whether there are any
_ENCODINGS = {codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF8: "utf-8", b"": "latin-1"}
_NOT_READ = "\u00ad\u200b\u2060\ufeff"  # a hyphen that is only drawn, and what has no width


@dataclass(frozen=True, slots=True)
class MadeReady:
    """What a page turned out to be. quarter: the quarters by which its text is turned, counted against the clock.
    silent: the addresses of text objects that a mark says are not read."""

    quarter: int
    silent: frozenset[int]


def made_ready(page: Any) -> MadeReady:
    """Turns an open page so that most of its text stands upright, and takes away the marks that keep PDFium from the
    words which a mark around them gives."""
    quarters: Counter[int] = Counter()
    silent: set[int] = set()
    said: dict[int, str | None] = {}
    for found, is_in_form in _texts(page):
        if quarters.total() < _MOST_LOOKED_AT and not is_in_form:
            quarters[_quarter(found)] += 1
        n_marks = pdfium.FPDFPageObj_CountMarks(found)
        if n_marks > 0 and _words_of_marks(found, n_marks, said) == "":
            silent.add(address_of(found))
    quarter = quarters.most_common(1)[0][0] if quarters else pdfium.FPDFPage_GetRotation(page)
    if quarter != pdfium.FPDFPage_GetRotation(page):
        pdfium.FPDFPage_SetRotation(page, quarter)
    return MadeReady(quarter if quarters else 0, frozenset(silent))


def _texts(page: Any) -> Iterator[tuple[Any, bool]]:
    """The text objects of a page and of the forms on it, and whether they are in one."""
    n_left = _MOST_OBJECTS
    counts, gets = [pdfium.FPDFPage_CountObjects(page)], [partial(pdfium.FPDFPage_GetObject, page)]
    at = [0]
    while counts and n_left > 0:
        if at[-1] >= counts[-1]:
            for each in (counts, gets, at):
                each.pop()
            continue
        found = gets[-1](at[-1])
        at[-1] += 1
        n_left -= 1
        kind = pdfium.FPDFPageObj_GetType(found) if found else pdfium.FPDF_PAGEOBJ_UNKNOWN
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            yield found, len(counts) > 1
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and len(counts) < _DEEPEST:
            counts.append(pdfium.FPDFFormObj_CountObjects(found))
            gets.append(partial(pdfium.FPDFFormObj_GetObject, found))
            at.append(0)


def address_of(found: Any) -> int:
    """By which a page object is known among the others of its page."""
    return ctypes.cast(found, ctypes.c_void_p).value or 0


def _quarter(found: Any) -> int:
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(found, ctypes.byref(matrix)):
        return 0
    if abs(matrix.a) >= abs(matrix.b):
        return 0 if matrix.a >= 0 else 2
    return 1 if matrix.b > 0 else 3


def _words_of_marks(found: Any, n_marks: int, said: dict[int, str | None]) -> str | None:
    """What the marks around a text give for it, None where they give nothing, "" where it is not read. The outermost
    one counts; those within it are taken away, for PDFium goes by the innermost. said: what marks give, by address."""
    marks = [pdfium.FPDFPageObj_GetMark(found, at) for at in range(min(n_marks, _DEEPEST))]
    for at, mark in enumerate(marks):
        address = address_of(mark)
        if address not in said:
            said[address] = _words_of_mark(mark)
        words = said[address]
        if words is not None:
            for inner in reversed(marks[at + 1 :]):
                pdfium.FPDFPageObj_RemoveMark(found, inner)
            return words
    return None


def _words_of_mark(mark: Any) -> str | None:
    if pdfium.FPDFPageObjMark_GetParamValueType(mark, _ACTUAL_TEXT) != pdfium.FPDF_OBJECT_STRING:
        return None
    raw, n_bytes = (ctypes.c_ubyte * _GLANCE_BYTES)(), ctypes.c_ulong()
    # as bytes: what PDFium gives as a string is not decoded
    pdfium.FPDFPageObjMark_GetParamBlobValue(mark, _ACTUAL_TEXT, raw, _GLANCE_BYTES, ctypes.byref(n_bytes))
    if n_bytes.value > _GLANCE_BYTES:
        return "..."  # words, whichever
    said = bytes(raw[: n_bytes.value])
    mark = next((mark for mark in _ENCODINGS if said.startswith(mark)), b"")
    return said.decode(_ENCODINGS[mark], "replace").strip(_NOT_READ)


def words_by_structure(page: Any) -> dict[int, tuple[int, str]]:
    """Of each marked content by its number on an open page: which element it is of, and the words that this gives for
    all of its content. Empty for most pages."""
    tree = pdfium.FPDF_StructTree_GetForPage(page)
    if not tree:
        return {}
    given: dict[int, tuple[int, str]] = {}
    try:
        children = range(min(max(0, pdfium.FPDF_StructTree_CountChildren(tree)), _MOST_ELEMENTS))
        stack = [(pdfium.FPDF_StructTree_GetChildAtIndex(tree, at), (0, "")) for at in children]
        n_elements = 0
        while stack and n_elements < _MOST_ELEMENTS:
            element, words = stack.pop()
            if not element:
                continue
            n_elements += 1
            if not words[1]:
                words = (n_elements, _actual_text(element))
            if words[1]:
                for at in range(max(0, pdfium.FPDF_StructElement_GetMarkedContentIdCount(element))):
                    given[pdfium.FPDF_StructElement_GetMarkedContentIdAtIndex(element, at)] = words
            n_children = min(max(0, pdfium.FPDF_StructElement_CountChildren(element)), _MOST_ELEMENTS)
            stack += [(pdfium.FPDF_StructElement_GetChildAtIndex(element, at), words) for at in range(n_children)]
    finally:
        pdfium.FPDF_StructTree_Close(tree)
    given.pop(-1, None)
    return given


def _actual_text(element: Any) -> str:
    n_bytes = pdfium.FPDF_StructElement_GetActualText(element, None, 0)
    if n_bytes <= 2:
        return ""
    buffer = ctypes.create_string_buffer(n_bytes)
    pdfium.FPDF_StructElement_GetActualText(element, buffer, n_bytes)
    return buffer.raw[: n_bytes - 2].decode("utf-16-le", "replace")
