"""What is drawn of a source beside the chat: a PDF's page with the passage boxed, an image under the tiles of a model.

As JSON for `source.js`: pixels as a JPEG, boxes as shares of what is shown.
"""

from collections.abc import Sequence
from typing import Any

from app.found_again import file_of
from app.images.jpegs import Drawing, draw, draw_page
from engine.answer.citations import Citation
from engine.backend import Source, View

_LONGEST = 1600  # pixels of a page or image


def page_of(source: Source, number: int, n_pages: int, citation: Citation | None) -> dict[str, Any] | str:
    """A PDF's page (from 1), with the passage boxed where it is cited; or why it cannot be shown."""
    file = file_of(source)
    if file is None:
        return "Its pages cannot be drawn, for the file was not kept and is not where it was: this is its text."
    drawing = draw_page(source.path, file.data, number, _LONGEST)
    if not isinstance(drawing, Drawing):
        said = (
            drawing.reason if drawing.reason.startswith("page ") else f"page {number} cannot be drawn: {drawing.reason}"
        )
        return f"{said[0].upper()}{said[1:]}. This is its text."
    boxes = [each.box for each in (citation.boxes or () if citation is not None else ()) if each.page == number]
    if not boxes and citation is not None and citation.box and number == citation.page:
        boxes = [citation.box]
    return {"page": {"number": number, "of": n_pages}, "image": _image(drawing), "boxes": boxes}


def figure_of(
    source: Source, page: int, view: View | None, tile_tokens: int, citation: Citation | None
) -> dict[str, Any] | str:
    """A picture of a source, by its page or frame, under the tiles that a model is shown it in; lit are those that the
    box of its citation touches. A str says why it cannot be shown."""
    drawing = draw(source, page, _LONGEST)
    if not isinstance(drawing, Drawing):
        return f"It cannot be shown: {drawing.reason}."
    tiles = view.tiles if view is not None else None
    place = placed(drawing.width, drawing.height, tiles) if tiles else (0.0, 0.0, 1.0, 1.0)
    boxes = [within(citation.box, place)] if citation is not None and citation.box else []
    return {
        "image": _image(drawing),
        "boxes": boxes,
        "whole": citation is not None and not boxes,
        "tiles": [*tiles, tile_tokens] if tiles and tiles[0] * tiles[1] > 1 else None,
        "lit_tiles": touched(boxes[0], tiles) if boxes and tiles else [],
    }


def placed(width: int, height: int, tiles: tuple[int, int]) -> tuple[float, float, float, float]:
    """Where an image lies on its tiles, as shares of them: scaled into their middle whole."""
    shape, room = width / height, tiles[0] / tiles[1]
    wide, high = (1.0, room / shape) if shape >= room else (shape / room, 1.0)
    return (1 - wide) / 2, (1 - high) / 2, (1 + wide) / 2, (1 + high) / 2


def within(box: Sequence[float], place: Sequence[float]) -> tuple[float, float, float, float]:
    """A box on an image as shares of what the image lies on."""
    left, top, right, bottom = place
    wide, high = right - left, bottom - top
    return left + box[0] * wide, top + box[1] * high, left + box[2] * wide, top + box[3] * high


def touched(box: Sequence[float], tiles: tuple[int, int]) -> list[int]:
    """The tiles that a box lies on, row by row from 0."""
    (columns, rows), (left, top, right, bottom) = tiles, box
    across = [at for at in range(columns) if at < right * columns and left * columns < at + 1]
    down = [at for at in range(rows) if at < bottom * rows and top * rows < at + 1]
    return [row * columns + column for row in down for column in across]


def _image(drawing: Drawing) -> dict[str, Any]:
    return {"address": drawing.address, "width": drawing.width, "height": drawing.height}
