"""How a model that sees reads a picture: the ids that stand for it in a prompt, and what they cost.

The encoder's cells of an image have no token. In the ids they are negative numbers made of what is seen, so that two
prompts share a prefix exactly where they show the same picture, at the same size, to the same projector. The marks
around and between an image's tiles are tokens of the vocabulary. Encoding pixels is left to engine.runtime.
"""

from collections.abc import Mapping
from copy import copy
from hashlib import shake_128
from pathlib import Path

import numpy as np

from engine.corpus.source import KeptFile, Picture
from engine.tokens.document import Grid, Ids, View
from engine.tokens.image_tokens import RULE, ImageCount, ImageCounter
from engine.tokens.tiles import MOST_TILES, Mark, Size, Tiling, llama_cpp_tiling, size_filling, size_within


class Sight:
    """What one projector makes of pictures. Safe to use from several threads.

    projector: its file. rule: whose rule counts, in words. has_tiles: whether images are cut into a grid that is known
    here: Llama 4's, and its vocabulary has the marks for them. separators: whether the marks between tiles are sent,
    which llama.cpp's own programs leave out; False where the vocabulary has none. max_tiles: images are scaled down to
    that many tiles at most.
    """

    def __init__(
        self,
        model: Path,
        projector: Path,
        *,
        is_tiled: bool,
        digest: str,
        side: int,
        tile_tokens: int,
        specials: Mapping[str, int],
        separators: bool = True,
        max_tiles: int = MOST_TILES,
    ) -> None:
        """is_tiled: whether the projector is Llama 4's. side, tile_tokens: of its tiles, in pixels and in embeddings.
        digest: tells it from others. specials: token texts."""
        self.projector, self._digest = projector, digest
        self._side, self._tile_tokens, self._max_tiles = side, tile_tokens, max_tiles
        self._marks = {mark: specials.get(mark.value, -1) for mark in Mark}
        self.has_tiles = is_tiled and min(self._marks[Mark.START], self._marks[Mark.END]) >= 0
        self.separators = self.has_tiles and separators and min(self._marks.values()) >= 0
        self._counter = None if self.has_tiles else ImageCounter(model, projector)
        self.rule = "llama.cpp's tiles" if self.has_tiles else RULE

    def view(self, file: KeptFile, digest: str, picture: Picture) -> View:
        """A picture of a source with this digest, drawn from this file. One that has a digest of its own is the same
        wherever it lies.

        Raises InputRefused for a size that cannot be read, ModelRefused when llama.cpp does not take the projector.
        """
        size, tiling = self._size(picture, scalable=file.scalable)
        seen = f"{picture.digest} 1" if picture.digest else f"{digest} {picture.number}"
        key = f"{self._digest} {seen} {size.width}x{size.height}"
        counted = None if tiling else self._count(size)
        pieces = self._tile_pieces(tiling) if tiling else list(counted.pieces) if counted else []
        n_cells = sum(piece for piece in pieces if isinstance(piece, int))
        cells, at, parts = _cells(key, n_cells), 0, []
        for piece in pieces:
            if isinstance(piece, int):
                parts.append(cells[at : at + piece])
                at += piece
            else:
                parts.append(np.array(piece, dtype=np.int32))
        ids = np.concatenate(parts)
        non_causal = counted is not None and counted.non_causal
        return View(
            number=picture.number,
            width=size.width,
            height=size.height,
            tiles=(tiling.columns, tiling.rows) if tiling else None,
            key=key,
            ids=ids,
            n_positions=counted.n_positions if counted else len(ids),
            non_causal=non_causal,
            n_at_once=max(piece for piece in pieces if isinstance(piece, int)) if non_causal else 1,
            grids=_grids(counted) if counted else (),
        )

    def limited(self, max_tiles: int) -> "Sight":
        """The same, but images are scaled down to that many tiles at most."""
        other = copy(self)
        other._max_tiles = max_tiles
        return other

    def close(self) -> None:
        """Ends the child that counts, if one runs."""
        if self._counter is not None:
            self._counter.close()

    def _size(self, picture: Picture, *, scalable: bool) -> tuple[Size, Tiling | None]:
        """What to draw it at: a page at what its tiles carry most of, an image at its own size or less."""
        if not self.has_tiles:
            return Size(picture.width, picture.height), None
        fit = size_filling if scalable else size_within
        size = fit(picture.width, picture.height, max_tiles=self._max_tiles, side=self._side)
        tiling = llama_cpp_tiling(size.width, size.height, side=self._side, tile_tokens=self._tile_tokens)
        return size, tiling

    def _tile_pieces(self, tiling: Tiling) -> list[tuple[int, ...] | int]:
        return [
            (self._marks[piece],) if isinstance(piece, Mark) else tiling.tile_tokens
            for piece in tiling.pieces(separators=self.separators)
        ]

    def _count(self, size: Size) -> ImageCount:
        assert self._counter is not None
        return self._counter.count([(size.width, size.height)])[0]


def _grids(counted: ImageCount) -> tuple[Grid, ...] | None:
    """An image's grids among its ids."""
    if not counted.grids:
        return None if counted.grids is None else ()
    grids, sizes, at = [], iter(counted.grids), 0
    for piece in counted.pieces:
        if isinstance(piece, int):
            grids.append(Grid(at, *next(sizes)))
        at += piece if isinstance(piece, int) else len(piece)
    return tuple(grids)


def _cells(key: str, n_cells: int) -> Ids:
    """Negative numbers, 31 bits of a hash each."""
    words = np.frombuffer(shake_128(key.encode()).digest(4 * n_cells), dtype="<u4")
    return (-1 - (words >> 1).astype(np.int64)).astype(np.int32)
