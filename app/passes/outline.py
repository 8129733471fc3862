"""How a corpus would be read in passes, as people look at it before anything runs: what each slice holds and costs, and
what of it is kept already. Values without the sources' texts, so that they can be kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.passes import notes
from app.passes.reading import excerpts_of, key_of, numbered
from app.passes.setting import PassPlan
from app.passes.slices import Piece, Slice, places_of
from engine.backend import Cost

_MOST_NAMED = 6  # files, or folders, of a slice


@dataclass(frozen=True, slots=True)
class PlannedPiece:
    """A source, or a part of one: number of n_parts, from 1. n_tokens: as a document."""

    path: str
    n_tokens: int
    number: int = 1
    n_parts: int = 1


@dataclass(frozen=True, slots=True)
class PlannedSlice:
    """What one pass would read. n_kept: of its tokens, in a saved KV cache. is_noted: its note of this very question is
    kept, so that nothing of it is read."""

    title: str
    pieces: tuple[PlannedPiece, ...]
    n_kept: int = 0
    is_noted: bool = False

    @property
    def n_tokens(self) -> int:
        return sum(piece.n_tokens for piece in self.pieces)

    @property
    def n_left(self) -> int:
        """Tokens that are to be read."""
        return 0 if self.is_noted else self.n_tokens - self.n_kept

    @property
    def contents(self) -> tuple[str, ...]:
        """Its files, with the part that it is of one that is cut; many of them by their folders."""
        if len(self.pieces) <= _MOST_NAMED:
            return tuple(map(_name, self.pieces))
        groups: dict[str, list[PlannedPiece]] = {}
        for piece, place in zip(self.pieces, places_of([piece.path for piece in self.pieces]), strict=True):
            groups.setdefault(place, []).append(piece)
        named = [_group(name, pieces) for name, pieces in groups.items()]
        if len(named) <= _MOST_NAMED:
            return tuple(named)
        n_more = sum(map(len, list(groups.values())[_MOST_NAMED - 1 :]))
        return (*named[: _MOST_NAMED - 1], f"{n_more:,} more files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A plan of passes. room: tokens that a pass has for sources. is_sure: whether it was looked what is kept.
    tokens_per_s, cost: see PassPlan."""

    slices: tuple[PlannedSlice, ...]
    n_sources: int
    room: int
    tokens_per_s: float | None = None
    cost: Cost | None = None
    is_sure: bool = False

    @property
    def n_tokens(self) -> int:
        return sum(each.n_tokens for each in self.slices)

    @property
    def n_left(self) -> int:
        """Tokens that are to be read."""
        return sum(each.n_left for each in self.slices)

    @property
    def n_noted(self) -> int:
        """Slices whose note is kept."""
        return sum(each.is_noted for each in self.slices)


def outlines_of(plan: PassPlan) -> Iterator[Outline]:
    """The outline of a plan: at once without what is kept, then with it, which takes a look at the disk for each."""
    slices = [PlannedSlice(each.title, tuple(map(_piece, each.pieces))) for each in plan.slices]
    outline = Outline(
        slices=tuple(slices),
        n_sources=plan.n_sources,
        room=plan.room,
        tokens_per_s=plan.tokens_per_s,
        cost=plan.cost,
    )
    yield outline
    for at, each in enumerate(plan.slices):
        slices[at] = _looked_up(slices[at], each, plan)
    yield replace(outline, slices=tuple(slices), is_sure=True)


def _name(piece: PlannedPiece) -> str:
    return piece.path if piece.n_parts == 1 else f"{piece.path}, part {piece.number:,} of {piece.n_parts:,}"


def _group(folder: str, pieces: list[PlannedPiece]) -> str:
    return _name(pieces[0]) if len(pieces) == 1 else f"{folder} {len(pieces):,} files"


def _piece(piece: Piece) -> PlannedPiece:
    return PlannedPiece(piece.source.path, piece.n_tokens, piece.number, piece.n_parts)


def _looked_up(planned: PlannedSlice, each: Slice, plan: PassPlan) -> PlannedSlice:
    """With what is kept of it. What stands before the sources counts as well: a few tokens of the template."""
    excerpts = excerpts_of(each)
    setting = numbered(plan.setting, excerpts)
    case = setting.case([excerpt.source for excerpt in excerpts], notes.asking(setting.question))
    n_kept = min(planned.n_tokens, case.reuse.n_tokens or 0)
    is_noted = setting.store.notes.get(key_of(case.prompt, setting, excerpts)) is not None
    return replace(planned, n_kept=n_kept if n_kept >= planned.n_tokens // 10 else 0, is_noted=is_noted)
