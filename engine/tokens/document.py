"""A source as a prompt carries it: ids, with those that stand for its pictures. Values only.

How a source becomes one is left to `source_ids`, how a picture does to `sight`, keeping ids to `id_cache`; prompts are
engine.prompt's.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.corpus.source import KeptFile, Picture, Source

Ids = NDArray[np.int32]  # what is decoded: a token of the vocabulary each, or negative, a cell of a picture


def common_prefix(a: Ids, b: Ids) -> int:
    """Length of the longest common prefix of two id arrays."""
    n = min(len(a), len(b))
    differing = np.flatnonzero(a[:n] != b[:n])
    return int(differing[0]) if len(differing) else n


@dataclass(frozen=True, slots=True)
class Grid:
    """A picture's cells in models whose positions have several dimensions (M-RoPE): row by row, the first of which is
    the id at `start`. columns, rows: at least 1.

    All of it has one position in time, the same as its first row and column; what follows stands behind its longer
    side. The rule is Qwen 2 VL's, and every cell is compared with what mtmd itself says of it (`image_tokens`); a model
    that places cells otherwise is not asked about images. What positions that makes is left to engine.runtime.
    """

    start: int
    columns: int
    rows: int

    @property
    def n_cells(self) -> int:
        return self.columns * self.rows

    @property
    def end(self) -> int:
        """Behind its last id."""
        return self.start + self.n_cells

    @property
    def n_positions(self) -> int:
        """How far the next token stands behind its first cell."""
        return max(self.columns, self.rows)

    def moved(self, n_ids: int) -> "Grid":
        """The same, behind n_ids more."""
        return replace(self, start=self.start + n_ids)


@dataclass(frozen=True, slots=True)
class View:
    """A picture as it is sent: drawn at width x height pixels.

    number: the page or frame, see Picture. tiles: columns and rows of its grid, None where the projector has none.
    ids: int32 of shape [n_tokens], cells negative. key: what was seen, for whoever keeps its embeddings.
    n_positions, non_causal: see ImageCount. n_at_once: cells that have to be decoded together, 1 where none do.
    grids: its runs of cells, by their places in ids, in models whose positions have several dimensions; None where it
    is not known how they are placed there.
    """

    number: int
    width: int
    height: int
    tiles: tuple[int, int] | None
    key: str
    ids: Ids = field(repr=False, compare=False)
    n_positions: int
    non_causal: bool = False
    n_at_once: int = 1
    grids: tuple[Grid, ...] | None = ()

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def n_cells(self) -> int:
        """Rows of embeddings."""
        return int((self.ids < 0).sum())


@dataclass(frozen=True, slots=True)
class Shown:
    """A view at its place in ids: its first one is at `start`. picture, file: what it shows of its source, and what
    that is drawn from. number: what it is called. is_page: whether it is a page of its source, not an image whole.
    n_file_bytes: how large the file is, which may not have been read yet."""

    start: int
    view: View
    picture: Picture
    file: KeptFile
    number: int = 1
    is_page: bool = False
    n_file_bytes: int = 0


Content = tuple[str | Shown, ...]  # texts and pictures in order


@dataclass(frozen=True, slots=True)
class Document:
    """A source as the prompt carries it: `<document path="..." folder="...">`, the text, `</document>`; its pictures
    where they stand in it or behind the pages that they show, each below a line such as "[image 2]" by which a question
    can name it.

    ids: int32, shape [n_tokens], wrapper included: what is decoded, see Sight for pictures. shown: those, in order.
    unrepresentable: characters that the vocabulary has no token for, with how often they occur; they are not in the
    ids. unseen: pictures that the model cannot see, which are not in the ids either. first_number: what the first of
    the others is called. pictures, n_pages: the source's own. content: what the ids stand for, wrapper included, for
    engines that are sent text; () for all others.
    """

    path: str
    digest: str
    ids: Ids = field(repr=False, compare=False)
    unrepresentable: Counter[str] = field(default_factory=Counter)
    shown: tuple[Shown, ...] = field(default=(), repr=False, compare=False)
    unseen: int = 0
    first_number: int = 1
    pictures: tuple[Picture, ...] = field(default=(), repr=False, compare=False)
    n_pages: int | None = field(default=None, compare=False)
    content: Content = field(default=(), repr=False, compare=False)

    @property
    def n_tokens(self) -> int:
        return len(self.ids)


def number_pictures(sources: Iterable[Source]) -> dict[str, int]:
    """The number of each source's first picture, by path, counted through all of them from 1."""
    numbers, next_number = {}, 1
    for source in sources:
        if source.pictures:
            numbers[source.path] = next_number
            next_number += len(source.pictures)
    return numbers
