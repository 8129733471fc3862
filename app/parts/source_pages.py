"""What is drawn of a source beside the chat: a PDF's page with the passage boxed, an image under the tiles of a model.

As JSON for `source.js`: pixels as a JPEG, boxes as shares of what is shown.
"""

from collections.abc import Sequence
from typing import Any

from app import state
from app.found_again import file_of
from app.images.jpegs import Drawing, draw, draw_page
from app.parts.viewer import Seen, cost_of
from app.sources.library import Volume
from engine.answer.citations import Citation
from engine.backend import About
from storage.records import SourceLink

_LONGEST = 1600  # pixels of a page or image


def page_of(opened: state.Opened, link: SourceLink, volume: Volume, citation: Citation | None) -> dict[str, Any] | str:
    """A PDF's page with the passage boxed; or why it cannot be shown."""
    n_pages = link.n_pages or 1
    cited = citation.page if citation is not None and citation.page else None
    number = min(opened.page or cited or 1, n_pages)
    file = file_of(volume.source)
    if file is None:
        return "Its pages cannot be drawn, for the file was not kept and is not where it was: this is its text."
    drawing = draw_page(link.path, file.data, number, _LONGEST)
    if not isinstance(drawing, Drawing):
        return f"Page {number} cannot be drawn: {drawing.reason}. This is its text."
    boxes = [citation.box] if citation is not None and citation.box and number == cited else []
    return {"page": {"number": number, "of": n_pages}, "image": _image(drawing), "boxes": boxes, "cited": cited}


def picture_of(
    pictures: Sequence[Seen], opened: state.Opened, link: SourceLink, citation: Citation | None
) -> tuple[int, Seen] | None:
    """The picture of the source that is looked at, and which of its pictures it is."""
    own = [each for each in pictures if each.link.path == link.path]
    wanted = citation.image if citation is not None and opened.page is None else None
    page = opened.page or (citation.page if citation is not None else None)
    for at, seen in enumerate(own):
        if (wanted is not None and seen.number == wanted) or (wanted is None and page == at + 1):
            return at, seen
    return (0, own[0]) if own else None


def figure_of(
    volume: Volume, citation: Citation | None, found: tuple[int, Seen] | None, about: About | None
) -> dict[str, Any] | str:
    """A picture as the model is shown it, under its tiles, those lit that the box touches; or why it cannot be."""
    if found is None:
        return "This source has no picture that could be shown."
    at, seen = found
    drawing = draw(volume.source, seen.page, _LONGEST)
    if not isinstance(drawing, Drawing):
        return f"It cannot be shown: {drawing.reason}."
    is_cited = citation is not None and (citation.image in (None, seen.number))
    box = citation.box if is_cited and citation is not None else None
    tiles = seen.view.tiles if seen.view is not None and seen.view.tiles else None
    place = placed(drawing.width, drawing.height, tiles) if tiles else (0.0, 0.0, 1.0, 1.0)
    boxes = [within(box, place)] if box else []
    return {
        "page": {"number": at + 1, "of": len(seen.link.pictures)},
        "image": _image(drawing),
        "boxes": boxes,
        "whole": is_cited and not boxes,
        "tiles": [*tiles, about.tile_tokens if about else 0] if tiles and tiles[0] * tiles[1] > 1 else None,
        "lit_tiles": touched(boxes[0], tiles) if boxes and tiles else [],
        "cost": cost_of(seen, about),
        "name": f"Image {seen.number}" if seen.number else "",
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
