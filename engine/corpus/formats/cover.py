"""How much of a PDF page its images cover, and what else lies on it, by the bounds that PDFium gives. Nothing is drawn
and no image is decoded: 40 scanned pages take 10 ms. Who calls this holds the lock on PDFium, see `pdfium`."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium

_CELLS = 100  # a side: images are laid over a grid, so that those in strips or layers count once
_MOST_OBJECTS = 20_000  # a page of a map has more; a scan lies among the first ones
_MOST_CHARACTERS = 5_000
_DEEPEST = 8  # forms in forms
_SILENT_ANNOTATIONS = frozenset({pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP})

_Matrix = tuple[float, float, float, float, float, float]
_Box = tuple[float, float, float, float]  # left, bottom, right, top
_UNIT: _Matrix = (1, 0, 0, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Cover:
    """What lies on a page.

    share: of its area that is under images, 0 to 1. n_objects: texts, images, paths, shadings and annotations that
    show, 20,000 at most. n_invisible: characters without white space in invisible ink, as a text recogniser lays them
    over a scan. n_behind: visible ones that a large image was laid over. largest: width and height in pixels and bytes
    of the largest image, by which a background is known on the next page; None without images.
    """

    share: float
    n_objects: int
    n_invisible: int
    n_behind: int
    largest: tuple[int, int, int] | None


def cover_of(page: Any) -> Cover:
    """What lies on an open page of pypdfium2's, within its box."""
    box = page.get_bbox()
    grid = np.zeros((_CELLS, _CELLS), dtype=bool)
    texts: list[int] = []  # addresses, in the order of drawing
    n_behind = n_objects = largest_cells = 0
    largest = None
    for found, matrix in _objects(page):
        n_objects += 1
        kind = pdfium.FPDFPageObj_GetType(found)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            texts.append(_address(found))
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            cells = _cells(_bounds(found, matrix), box)
            grid[cells] = True
            n_cells = grid[cells].size
            if n_cells > largest_cells:
                largest, largest_cells = found, n_cells
            if n_cells * 2 >= grid.size:
                n_behind = len(texts)
    share = float(grid.mean())
    invisible, behind = _count_hidden(page, frozenset(texts[:n_behind])) if texts and share else (0, 0)
    n_annotations = sum(kind not in _SILENT_ANNOTATIONS for kind in _annotations(page))
    return Cover(share, n_objects + n_annotations, invisible, behind, _key(largest) if largest else None)


def _objects(page: Any) -> Iterator[tuple[Any, _Matrix]]:
    """Objects in the order of drawing, those in forms in their place, each with what takes it to the page."""
    n_left = _MOST_OBJECTS
    stack = [(_on_page(page), _UNIT)]
    while stack and n_left > 0:
        found = next(stack[-1][0], None)
        matrix = stack[-1][1]
        if found is None:
            stack.pop()
        elif pdfium.FPDFPageObj_GetType(found) != pdfium.FPDF_PAGEOBJ_FORM:
            n_left -= 1
            yield found, matrix
        elif len(stack) < _DEEPEST:
            n_left -= 1
            stack.append((_in_form(found), _after(_matrix_of(found), matrix)))


def _on_page(page: Any) -> Iterator[Any]:
    return (pdfium.FPDFPage_GetObject(page, at) for at in range(pdfium.FPDFPage_CountObjects(page)))


def _in_form(form: Any) -> Iterator[Any]:
    return (pdfium.FPDFFormObj_GetObject(form, at) for at in range(pdfium.FPDFFormObj_CountObjects(form)))


def _matrix_of(found: Any) -> _Matrix:
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(found, ctypes.byref(matrix)):
        return _UNIT
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _after(first: _Matrix, then: _Matrix) -> _Matrix:
    """The matrix that does what `first` does, then what `then` does."""
    a, b, c, d, e, f = first
    return (
        a * then[0] + b * then[2],
        a * then[1] + b * then[3],
        c * then[0] + d * then[2],
        c * then[1] + d * then[3],
        e * then[0] + f * then[2] + then[4],
        e * then[1] + f * then[3] + then[5],
    )


def _bounds(found: Any, matrix: _Matrix) -> _Box:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(found, left, bottom, right, top):
        return 0.0, 0.0, 0.0, 0.0
    a, b, c, d, e, f = matrix
    corners = [(x, y) for x in (left.value, right.value) for y in (bottom.value, top.value)]
    across = [a * x + c * y + e for x, y in corners]
    upward = [b * x + d * y + f for x, y in corners]
    return min(across), min(upward), max(across), max(upward)


def _cells(bounds: _Box, box: _Box) -> tuple[slice, slice]:
    """The cells of the grid over the box that the bounds cover, rows first; none where they lie beside it."""
    width, height = box[2] - box[0], box[3] - box[1]
    if not (0 < width < float("inf") and 0 < height < float("inf")):
        return slice(0, 0), slice(0, 0)
    spans = (
        (_cell(bounds[1] - box[1], height), _cell(bounds[3] - box[1], height)),
        (_cell(bounds[0] - box[0], width), _cell(bounds[2] - box[0], width)),
    )
    return slice(*spans[0]), slice(*spans[1])


def _cell(at: float, length: float) -> int:
    share = at / length if at == at else 0.0  # a NaN is not equal to itself
    return round(min(max(share, 0.0), 1.0) * _CELLS)


def _count_hidden(page: Any, behind: frozenset[int]) -> tuple[int, int]:
    """Characters in invisible ink, and visible ones of the text objects that lie behind."""
    words = pdfium.FPDFText_LoadPage(page)
    if not words:
        return 0, 0
    n_invisible = n_behind = 0
    try:
        for at in range(min(pdfium.FPDFText_CountChars(words), _MOST_CHARACTERS)):
            found = pdfium.FPDFText_GetTextObject(words, at)
            if not found or pdfium.FPDFText_GetUnicode(words, at) in _WHITE:
                continue
            if pdfium.FPDFTextObj_GetTextRenderMode(found) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
                n_invisible += 1
            else:
                n_behind += _address(found) in behind
    finally:
        pdfium.FPDFText_ClosePage(words)
    return n_invisible, n_behind


_WHITE = frozenset(map(ord, " \t\n\r\x00\xa0"))


def _annotations(page: Any) -> Iterator[int]:
    """The kind of each annotation."""
    for at in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MOST_OBJECTS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, at)
        if annotation:
            yield pdfium.FPDFAnnot_GetSubtype(annotation)
            pdfium.FPDFPage_CloseAnnot(annotation)


def _key(image: Any) -> tuple[int, int, int]:
    width, height = ctypes.c_uint(), ctypes.c_uint()
    pdfium.FPDFImageObj_GetImagePixelSize(image, width, height)
    return width.value, height.value, pdfium.FPDFImageObj_GetImageDataRaw(image, None, 0)


def _address(found: Any) -> int:
    return ctypes.cast(found, ctypes.c_void_p).value or 0
