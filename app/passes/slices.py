"""Slices: the parts of a corpus that one pass reads each. Every source is in exactly one of them, or, where it is too
large for that, in some that follow each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonprefix
from typing import Any

from app.passes.cutting import cut, piece_of
from engine.backend import Source
from engine.corpus.wording import counted

_MOST_WASTE = 1.5  # times as many slices as are needed: more, and what was kept is planned anew


@dataclass(frozen=True, slots=True)
class Piece:
    """A source as a pass reads it, or a part of one: characters of its text, from and to. n_tokens: as a document.
    number: of the n_parts that the source is cut into, from 1."""

    source: Source
    n_tokens: int
    start: int
    end: int
    number: int = 1
    n_parts: int = 1

    @property
    def is_whole(self) -> bool:
        return self.n_parts == 1

    def as_source(self) -> Source:
        """What is sent of it."""
        return piece_of(self.source, self.start, self.end)

    @property
    def first_byte(self) -> int:
        """Of the source's text in UTF-8, where it begins."""
        return len(self.source.text[: self.start].encode("utf-8", "surrogatepass"))


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
                piece = replace(piece, start=joined.pop().start)
            joined.append(piece)
        return tuple(joined)

    @property
    def title(self) -> str:
        """What is in it, in a few words."""
        first = self.pieces[0]
        if len(self.pieces) == 1:
            part = "" if first.is_whole else f", part {first.number} of {first.n_parts}"
            return f"{first.source.path}{part}"
        return title_of(self.paths)


def title_of(paths: Sequence[str]) -> str:
    """What sources are called together, by where they lie: "src/, 12 files", "docs/ to src/, 40 files"."""
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
    return again if again and len(again) <= _MOST_WASTE * len(fresh) + 1 else fresh


def to_json(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """A plan as it is kept: of each slice its pieces, path, digest, from and to."""
    return [
        {"pieces": [[piece.source.path, piece.source.digest, piece.start, piece.end] for piece in each.pieces]}
        for each in slices
    ]


def _pieces(source: Source, costs: Mapping[str, int], room: int, tokens_of: TokensOf) -> tuple[Piece, ...]:
    n_tokens, length = costs[source.path], len(source.text)
    if n_tokens <= room or length < 2:
        return (Piece(source, n_tokens, 0, length),)
    spans = cut(source, room, lambda part: tokens_of([part])[0])
    return tuple(
        Piece(source, tokens_of([piece_of(source, start, end)])[0], start, end, number, len(spans))
        for number, (start, end) in enumerate(spans, 1)
    )


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
    parts: dict[str, list[tuple[int, int]]] = {}  # of sources that are cut, as they were
    for each in kept:
        for path, digest, start, end in each["pieces"]:
            source = sources.get(path)
            if source is not None and source.digest == digest and (start, end) != (0, len(source.text)):
                parts.setdefault(path, []).append((start, end))
    for each in kept:
        now: list[Piece] = []
        for path, _, start, end in each["pieces"]:
            source = sources.get(path)
            if source is None:
                continue
            if (start, end) in parts.get(path, ()):
                number, n_parts = parts[path].index((start, end)) + 1, len(parts[path])
                n_tokens = tokens_of([piece_of(source, start, end)])[0]
                now.append(Piece(source, n_tokens, start, end, number, n_parts))
            elif path not in known and path not in parts:
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
    return whole if _is_complete(whole, sources) else ()


def _is_complete(slices: Sequence[Slice], sources: Mapping[str, Source]) -> bool:
    """Whether every character of every source is in exactly one place."""
    reached: dict[str, int] = {}
    for each in slices:
        for piece in each.pieces:
            if reached.get(piece.source.path, 0) != piece.start:
                return False
            reached[piece.source.path] = piece.end
    return all(reached.get(path, -1) == len(source.text) for path, source in sources.items())
