"""What a PDF says of its own text: which way up it stands, and the words that marks and structure give for what is
drawn (/ActualText, ISO 32000-2, 14.9.4). Who calls this holds the lock on PDFium, see `pdfium`.

PDFium reads lines in the order in which they lie on the page as it is shown, and loses it where they stand upright only
in the page as it is written; and it honours the innermost mark alone. A page is changed in memory, and only there.
"""

import ctypes
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pypdfium2.raw as pdfium

_MOST_OBJECTS = 20_000
_MOST_LOOKED_AT = 200  # texts by which a page's way up is known
_MOST_ELEMENTS = 50_000
_ACTUAL_TEXT = b"ActualText"


def made_upright(page: Any) -> int:
    """Turns an open page so that most of its text stands upright, and takes away the marks that keep PDFium from the
    words which a mark around them gives. Gives the quarters by which the text is turned, counted against the clock."""
    quarters: Counter[int] = Counter()
    for found in _texts(page):
        if quarters.total() < _MOST_LOOKED_AT:
            quarters[_quarter(found)] += 1
        if pdfium.FPDFPageObj_CountMarks(found) > 1:
            _lay_open(found)
    quarter = quarters.most_common(1)[0][0] if quarters else pdfium.FPDFPage_GetRotation(page)
    if quarter != pdfium.FPDFPage_GetRotation(page):
        pdfium.FPDFPage_SetRotation(page, quarter)
    return quarter if quarters else 0


def _texts(page: Any) -> Iterator[Any]:
    for at in range(min(pdfium.FPDFPage_CountObjects(page), _MOST_OBJECTS)):
        found = pdfium.FPDFPage_GetObject(page, at)
        if found and pdfium.FPDFPageObj_GetType(found) == pdfium.FPDF_PAGEOBJ_TEXT:
            yield found


def _quarter(found: Any) -> int:
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(found, ctypes.byref(matrix)):
        return 0
    if abs(matrix.a) >= abs(matrix.b):
        return 0 if matrix.a >= 0 else 2
    return 1 if matrix.b > 0 else 3


def _lay_open(found: Any) -> None:
    """Removes the marks within the one that gives the words."""
    marks = [pdfium.FPDFPageObj_GetMark(found, at) for at in range(pdfium.FPDFPageObj_CountMarks(found))]
    is_given = [
        pdfium.FPDFPageObjMark_GetParamValueType(mark, _ACTUAL_TEXT) == pdfium.FPDF_OBJECT_STRING for mark in marks
    ]
    if any(is_given) and not is_given[-1]:
        last = len(marks) - 1 - is_given[::-1].index(True)
        for mark in reversed(marks[last + 1 :]):
            pdfium.FPDFPageObj_RemoveMark(found, mark)


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
