"""Where a source that is too large for a pass is cut: at its own pages, cells, sections and functions; in the middle of
a line only where there is no other way."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from engine.backend import Picture, Source
from engine.corpus.source import digest_text

_MOST_NAME = 0.75  # of a piece's room: what stands around its text, its path above all; each piece has it
_LEAST_FILLED = 0.5  # of a piece's room: a weaker boundary behind that is taken before a stronger one ahead of it
# from the strongest on; each matches where a piece may begin
_BOUNDARIES = (
    re.compile(r"(?m)^(?=\[cell \d+, )"),  # of a notebook
    re.compile(r"(?m)^(?=#{1,2} |\S[^\n]*\n[=-]{3,}$)"),  # a heading
    re.compile(  # what begins something at the left margin, behind an empty line
        r"(?m)(?<=\n\n)(?=(?:@|async |def |class |func |fn |pub |impl |struct |enum |interface |type |export |function "
        r"|public |private |protected |static |module |namespace |package |template|#{1,6} )\S)"
    ),
    re.compile(r"(?m)(?<=\n\n)(?=\S)"),  # behind an empty line
    re.compile(r"(?m)^(?=.)"),  # a line
    re.compile(r"(?<=[ \t.,;])(?=\S)"),
)


_BEGINNING = 48  # characters by which it is found where a piece may have moved to
_MOST_LIKE_IT = 16  # places that begin so are looked at


@dataclass(frozen=True, slots=True)
class Mark:
    """What a piece of a text is known by: characters from and to, as it stood, its digest, and what it begins with."""

    start: int
    end: int
    digest: str
    beginning: int


def mark_of(text: str, start: int, end: int) -> Mark:
    """Of a piece of a text."""
    return Mark(start, end, digest_text(text[start:end]), _beginning(text, start))


def found_again(text: str, marks: Sequence[Mark]) -> tuple[int | None, ...]:
    """Where pieces that stood in a row stand in what became of their text, in the same order; None for those that were
    edited. Where much was put in or taken out, they are looked for at beginnings of lines."""
    places, behind, moved = list[int | None](), 0, 0
    at_end = len(text) - marks[-1].end if marks else 0
    lines: dict[int, list[int]] | None = None
    for mark in marks:
        likely = [mark.start + moved, mark.start + at_end]
        place = next((at for at in likely if at >= behind and _stands(text, at, mark)), None)
        if place is None:
            lines = lines if lines is not None else _lines(text)
            like_it = [at for at in lines.get(mark.beginning, ()) if at >= behind]
            place = next((at for at in like_it[:_MOST_LIKE_IT] if _stands(text, at, mark)), None)
        if place is not None:
            behind, moved = place + mark.end - mark.start, place - mark.start
        places.append(place)
    return tuple(places)


def _stands(text: str, at: int, mark: Mark) -> bool:
    end = at + mark.end - mark.start
    return end <= len(text) and digest_text(text[at:end]) == mark.digest


def _lines(text: str) -> dict[int, list[int]]:
    """The beginnings of all lines, by what stands there."""
    found: dict[int, list[int]] = {}
    at = 0
    while at < len(text):
        found.setdefault(_beginning(text, at), []).append(at)
        at = (text.find("\n", at) + 1) or len(text)
    return found


def _beginning(text: str, at: int) -> int:
    return crc32(text[at : at + _BEGINNING].encode("utf-8", "surrogatepass"))


def cut(source: Source, room: int, tokens_of: Callable[[Source], int]) -> tuple[tuple[int, int], ...]:
    """Characters of a source's text, from and to, of pieces in a row that are the whole of it; each takes at most
    `room` tokens as a source of its own, as far as that is possible. One whose name leaves next to no room stays whole.

    tokens_of: what such a source takes.
    """
    if tokens_of(source.with_text("")) > _MOST_NAME * room:
        return ((0, len(source.text)),)
    pieces, start, length = list[tuple[int, int]](), 0, len(source.text)
    boundaries = _boundaries(source)
    a_token = max(1.0, length / max(1, tokens_of(source)))  # characters, on the average
    while start < length:
        reach = int(room * a_token)
        while True:
            end = length if start + reach >= length else _end(boundaries, start, start + reach)
            taken = tokens_of(piece_of(source, start, end))
            if taken <= room or end - start <= 1:
                break
            reach = max(1, min(end - start - 1, int((end - start) * room / taken * 0.98)))
        pieces.append((start, end))
        start = end
    return tuple(pieces) or ((0, 0),)


def piece_of(source: Source, start: int, end: int) -> Source:
    """A part of a source as a source of its own, with the pictures that stand in it."""
    if (start, end) == (0, len(source.text)):
        return source
    text = source.text[start:end]
    pictures = tuple(_pictures(source, start, end))
    pages = [at - start for at in source.page_starts if start < at < end]
    begins = bisect_right(source.page_starts, start) > 0
    return source.with_text(text, pictures=pictures, page_starts=(*((0,) if begins else ()), *pages))


def _pictures(source: Source, start: int, end: int) -> Iterator[Picture]:
    """Those that stand in a part, each at its place there."""
    for picture in source.pictures:
        says, at = source.span_of(picture)
        if start < at <= end or start == at == 0:
            yield replace(picture, span=(max(0, says - start), at - start))


def _boundaries(source: Source) -> tuple[Sequence[int], ...]:
    """Where pieces may begin, in ascending order, from the strongest kind of place to the weakest."""
    found = ([match.start() for match in kind.finditer(source.text)] for kind in _BOUNDARIES)
    return (source.page_starts, *found)


def _end(boundaries: Sequence[Sequence[int]], start: int, limit: int) -> int:
    """Where a piece from `start` that may reach up to `limit` ends: at the last of the strongest boundaries that leave
    it well filled."""
    for kind in boundaries:
        at = bisect_right(kind, limit)
        if at and kind[at - 1] > start + _LEAST_FILLED * (limit - start):
            return kind[at - 1]
    return limit
