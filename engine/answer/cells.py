"""Where the cells of a table stand in the sources: each found again by its very words, those of a row near each other.

A short cell such as "5" stands in many places: it has a source only beside the other cells of its row, or where it
stands once. What was not found is not guessed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.answer.citations import Citation, Status
from engine.answer.finding import Finder
from engine.answer.places import Places
from engine.runtime.quotes.text import Place

_FEW_LETTERS = 4  # a cell with fewer letters and digits is short
_NEAR_BYTES = 400  # from the rarest cell of a row: a record may have lines of its own
_MOST_PLACES = 5_000  # of a cell that are looked at
_MOST_ANCHORS = 50  # places of the rarest cell of a row that are tried
_MOST_CELLS = 50_000  # of an answer

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class _Stands:
    """Where a cell's words stand, in order. total: how often, in all."""

    places: tuple[Place, ...]
    total: int
    is_short: bool
    keys: list[tuple[int, int]] = field(default_factory=list)

    def nearest(self, anchor: Place) -> Place | None:
        """The place next to this one in its document; None where it stands in others alone."""
        at = bisect_left(self.keys, (anchor.document, anchor.start))
        beside = [place for place in self.places[max(0, at - 1) : at + 1] if place.document == anchor.document]
        return min(beside, key=lambda place: _apart(place, anchor), default=None)


def cite_cells(
    rows: Sequence[Row], places: Places, finder: Finder, *, placeless: bool = False
) -> list[list[Citation | None]]:
    """For each cell the citation of where it stands, None where it is empty or its place cannot be told.

    finder: of places.documents. Their statements are 0 to 0: a cell is no part of an answer's text here. placeless: of
    words that stand in several places, none of which is likelier, there is a citation without path that says in how
    many.
    """
    known: dict[str, _Stands] = {}
    n_left, cited = _MOST_CELLS, list[list[Citation | None]]()
    for row in rows:
        stands = []
        for cell in row:
            if cell not in known:
                known[cell] = _stands(cell, finder) if n_left > 0 else _Stands((), 0, False)
            stands.append(known[cell])
            n_left -= 1
        found = _settled(stands)
        cited.append([_citation(at, each, places) if at else None for at, each in zip(found, stands, strict=True)])
        if placeless:
            cited[-1] = [one or _placeless(each) for one, each in zip(cited[-1], stands, strict=True)]
    return cited


def _stands(cell: str, finder: Finder) -> _Stands:
    n_letters = sum(map(str.isalnum, cell))
    found = finder.verified(cell, most=_MOST_PLACES)  # a "0" stands a hundred thousand times in a large corpus
    places = tuple(sorted(found.places, key=lambda place: (place.document, place.start)))
    keys = [(place.document, place.start) for place in places]
    return _Stands(places, found.total, n_letters < _FEW_LETTERS, keys)


def _settled(stands: Sequence[_Stands]) -> list[Place | None]:
    """The place of each cell of a row, around the place of its rarest one."""
    there = [each for each in stands if each.places]
    if not there:
        return [None] * len(stands)
    rarest = min(there, key=lambda each: (each.is_short, each.total))
    anchor = min(rarest.places[:_MOST_ANCHORS], key=lambda place: _spread(place, stands))
    is_sure = rarest.total == 1 or not rarest.is_short or _n_near(anchor, stands) > 1
    return [_place(each, anchor if is_sure else None) for each in stands]


def _place(stands: _Stands, anchor: Place | None) -> Place | None:
    """Where a cell of the row at this place stands; anchor: None where the row has none."""
    if not stands.places:
        return None
    near = stands.nearest(anchor) if anchor is not None else None
    if stands.total == 1 or (near is not None and anchor is not None and _apart(near, anchor) <= _NEAR_BYTES):
        return near or stands.places[0]
    return None if stands.is_short else near or stands.places[0]


def _spread(anchor: Place, stands: Sequence[_Stands]) -> int:
    """How far the cells of a row stand from this place."""
    nearest = [each.nearest(anchor) for each in stands if each.places]
    return sum(min(_NEAR_BYTES, _apart(near, anchor)) if near is not None else 2 * _NEAR_BYTES for near in nearest)


def _n_near(anchor: Place, stands: Sequence[_Stands]) -> int:
    nearest = [each.nearest(anchor) for each in stands if each.places]
    return sum(near is not None and _apart(near, anchor) <= _NEAR_BYTES for near in nearest)


def _apart(place: Place, other: Place) -> int:
    return abs(place.start - other.start)


def _citation(place: Place, stands: _Stands, places: Places) -> Citation:
    return places.citation(place, statement=(0, 0), places=stands.total)


def _placeless(stands: _Stands) -> Citation | None:
    if not stands.places:
        return None
    return Citation(statement=(0, 0), status=Status.VERIFIED, places=stands.total)
