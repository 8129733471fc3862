"""Slices: the parts of a corpus that one pass reads each. Every source is in exactly one of them, or, where it is too
large for that, in some that follow each other."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonprefix
from typing import Any

from app.passes.cutting import Mark, cut, found_again, mark_of, piece_of
from engine.backend import Source
from engine.corpus.wording import counted

_MOST_WASTE = 1.5  # times as many slices as are needed: more, and what was kept is planned anew


@dataclass(frozen=True, slots=True)
class Piece:
    """A source as a pass reads it, or a part of one: characters of its text, from and to. n_tokens: as a document.
    number: of the n_parts that the source is cut into, from 1. first_byte: of the text in UTF-8, where it begins."""

    source: Source
    n_tokens: int
    start: int
    end: int
    number: int = 1
    n_parts: int = 1
    first_byte: int = 0

    @property
    def is_whole(self) -> bool:
        return self.n_parts == 1

    def as_source(self) -> Source:
        """What is sent of it."""
        return piece_of(self.source, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Slice:
    """What one pass reads, in the order of the prompt."""

    pieces: tuple[Piece, ...] = field(repr=False)

    @property
    def n_tokens(self) -> int:
        return sum(piece.n_tokens for piece in self.pieces)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(piece.source.path for piece in self.pieces)

    @property
    def joined(self) -> tuple[Piece, ...]:
        """Its pieces; those of one source that follow each other as one."""
        joined = list[Piece]()
        for piece in self.pieces:
            if joined and joined[-1].source is piece.source and joined[-1].end == piece.start:
                before = joined.pop()
                piece = replace(piece, start=before.start, first_byte=before.first_byte)
            joined.append(piece)
        return tuple(joined)

    @property
    def title(self) -> str:
        """What is in it, in a few words."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(set(self.paths)) > 1:
            return title_of(self.paths)
        which = f"part {first.number}" if first is last else f"parts {first.number} to {last.number}"
        return first.source.path if first.is_whole else f"{first.source.path}, {which} of {first.n_parts}"


def title_of(paths: Sequence[str]) -> str:
    """What sources are called together, by where they lie: "src/, 12 files", "docs/ to src/, 40 files"."""
    paths = list(dict.fromkeys(paths))  # parts of one are one
    places = list(dict.fromkeys(places_of(paths)))
    where = places[0]
    if len(places) > 1:
        where += (" and " if len(places) == 2 else " to ") + places[-1]
    return where if len(paths) == 1 else f"{where}, {counted(len(paths), 'file')}"


def places_of(paths: Sequence[str]) -> list[str]:
    """Of each path, the folder that tells it from the others, with a slash at its end; the path itself where it lies
    beside such folders."""
    folders = [path.split("/")[:-1] for path in paths]
    shared = len(commonprefix(folders))
    if len(paths) > 1 and shared and all(len(folder) == shared for folder in folders):
        return ["/".join(folder) + "/" for folder in folders]
    return [
        "/".join(folder[: shared + 1]) + "/" if len(folder) > shared else path
        for path, folder in zip(paths, folders, strict=True)
    ]


TokensOf = Callable[[Sequence[Source]], Sequence[int]]


def slices_of(
    sources: Sequence[Source],
    room: int,
    tokens_of: TokensOf,
    *,
    kept: Sequence[Mapping[str, Any]] = (),
    kept_room: int | None = None,
) -> tuple[Slice, ...]:
    """A corpus in slices of at most `room` tokens, in its order; a source that cannot be cut may take more.

    tokens_of: what sources take as documents. kept: an earlier plan of the same sources, as `to_json` gives it: what
    did not change stays in its slice, so that what was read of it serves again. kept_room: what its slices may take.
    """
    costs = dict(zip((source.path for source in sources), tokens_of(sources), strict=True))
    fresh = _filled([pieces for source in sources for pieces in _pieces(source, costs, room, tokens_of)], room)
    by_path = {source.path: source for source in sources}
    again = _as_before(by_path, costs, kept_room or room, tokens_of, kept) if kept else ()
    return _numbered(again if again and len(again) <= _MOST_WASTE * len(fresh) + 1 else fresh)


def to_json(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """A plan as it is kept: of each slice its pieces, path, digest, from and to; of parts, what they are known by."""
    return [{"pieces": [_piece_json(piece) for piece in each.pieces]} for each in slices]


def _piece_json(piece: Piece) -> list[Any]:
    placed = [piece.source.path, piece.source.digest, piece.start, piece.end]
    if piece.is_whole:
        return placed
    mark = mark_of(piece.source.text, piece.start, piece.end)
    return [*placed, mark.digest, mark.beginning]


def _pieces(source: Source, costs: Mapping[str, int], room: int, tokens_of: TokensOf) -> tuple[Piece, ...]:
    n_tokens, length = costs[source.path], len(source.text)
    if n_tokens <= room or length < 2:
        return (Piece(source, n_tokens, 0, length),)
    return _cut(source, 0, length, room, tokens_of)


def _cut(source: Source, start: int, end: int, room: int, tokens_of: TokensOf) -> tuple[Piece, ...]:
    """These characters of a source in pieces that a pass can read."""
    spans = cut(piece_of(source, start, end), room, lambda part: tokens_of([part])[0])
    return tuple(_piece(source, start + begin, start + behind, tokens_of) for begin, behind in spans)


def _piece(source: Source, start: int, end: int, tokens_of: TokensOf) -> Piece:
    return Piece(source, tokens_of([piece_of(source, start, end)])[0], start, end)


def _numbered(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """The same, each part with its number and its first byte: every text is gone through once."""
    n_parts = Counter(piece.source.path for each in slices for piece in each.pieces)
    number, n_bytes = Counter[str](), Counter[str]()
    numbered = []
    for each in slices:
        pieces = []
        for piece in each.pieces:
            path = piece.source.path
            number[path] += 1
            pieces.append(replace(piece, number=number[path], n_parts=n_parts[path], first_byte=n_bytes[path]))
            if n_parts[path] > 1:
                n_bytes[path] += len(piece.source.text[piece.start : piece.end].encode("utf-8", "surrogatepass"))
        numbered.append(Slice(tuple(pieces)))
    return tuple(numbered)


def _filled(pieces: Sequence[Piece], room: int) -> tuple[Slice, ...]:
    """In their order, each slice as full as it can be."""
    filled: list[list[Piece]] = []
    used = 0
    for piece in pieces:
        if not filled or used + piece.n_tokens > room:
            filled.append([])
            used = 0
        filled[-1].append(piece)
        used += piece.n_tokens
    return tuple(Slice(tuple(each)) for each in filled)


def _as_before(
    sources: Mapping[str, Source],
    costs: Mapping[str, int],
    room: int,
    tokens_of: TokensOf,
    kept: Sequence[Mapping[str, Any]],
) -> tuple[Slice, ...]:
    """The kept plan with what is there now; () where it does not serve: a slice would be too large."""
    known: set[str] = set()
    slices: list[list[Piece]] = []
    parts = {path: iter(found) for path, found in _parts_as_before(sources, room, tokens_of, kept).items()}
    for each in kept:
        now: list[Piece] = []
        for path, *_ in each["pieces"]:
            source = sources.get(path)
            if source is None:
                continue
            if path in parts:
                now += next(parts[path])
            elif path not in known:
                now += _pieces(source, costs, room, tokens_of)
            known.add(path)
        slices += [list(some.pieces) for some in _filled(now, room)]
    unknown = [source for path, source in sources.items() if path not in known]
    new = [piece for source in unknown for piece in _pieces(source, costs, room, tokens_of)]
    if slices and new:  # behind what the last one has
        *slices, last = slices
        slices += [list(some.pieces) for some in _filled([*last, *new], room)]
    elif new:
        slices += [list(some.pieces) for some in _filled(new, room)]
    whole = tuple(Slice(tuple(each)) for each in slices if each)
    return whole if _is_complete(whole, sources) and all(each.n_tokens <= room for each in whole) else ()


def _parts_as_before(
    sources: Mapping[str, Source], room: int, tokens_of: TokensOf, kept: Sequence[Mapping[str, Any]]
) -> dict[str, list[tuple[Piece, ...]]]:
    """Of each source that was cut and still can be as it was: what stands now in the place of each of its parts."""
    marks: dict[str, list[Mark]] = {}
    changed, unmarked = set[str](), set[str]()
    for path, digest, start, end, *known in (piece for each in kept for piece in each["pieces"]):
        if path in sources:
            marks.setdefault(path, []).append(Mark(start, end, *known) if known else Mark(start, end, "", 0))
            changed |= {path} if sources[path].digest != digest else set()
            unmarked |= set() if known else {path}
    return {
        path: _recut(sources[path], found, room, tokens_of, is_changed=path in changed)
        for path, found in marks.items()
        if (len(found) > 1 or path not in unmarked) and not (path in changed and path in unmarked)
    }


def _recut(
    source: Source, marks: Sequence[Mark], room: int, tokens_of: TokensOf, *, is_changed: bool
) -> list[tuple[Piece, ...]]:
    """What stands in the place of each part: itself where its text did not change; what was edited is cut anew."""
    places = found_again(source.text, marks) if is_changed else tuple(mark.start for mark in marks)
    now: list[tuple[Piece, ...]] = [() for _ in marks]
    behind, first = 0, 0  # characters, and parts, that are done
    for at, (mark, place) in enumerate(zip(marks, places, strict=True)):
        if place is None:
            continue
        if place > behind:
            now[first] = _cut(source, behind, place, room, tokens_of)
        behind, first = place + mark.end - mark.start, at + 1
        now[at] = (*now[at], _piece(source, place, behind, tokens_of))
    if behind < len(source.text):
        last = min(first, len(marks) - 1)
        now[last] = (*now[last], *_cut(source, behind, len(source.text), room, tokens_of))
    return now


def _is_complete(slices: Sequence[Slice], sources: Mapping[str, Source]) -> bool:
    """Whether every character of every source is in exactly one place."""
    reached: dict[str, int] = {}
    for each in slices:
        for piece in each.pieces:
            if reached.get(piece.source.path, 0) != piece.start:
                return False
            reached[piece.source.path] = piece.end
    return all(reached.get(path, -1) == len(source.text) for path, source in sources.items())
