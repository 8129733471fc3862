"""Where the ids of a prompt stand: what llama.cpp takes as their positions. Pure arithmetic.

In most models an id's position is its index. In those with M-RoPE the cells of a picture share one position in time,
differ by row and column, and the tokens behind them lag: ids count the cells of the KV cache, positions do not. Ids
decide: those of a picture's cells are made of what is seen, so that equal prefixes of ids stand at equal positions.
Source: llama.cpp 0c1e57098, tools/mtmd/mtmd.cpp (mtmd_image_tokens_get_decoder_pos, MTMD_POS_TYPE_MROPE).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.tokens.document import Grid

N_DIMS = 4  # of M-RoPE in llama.cpp: time, row, column, and one that pictures leave at 0

Places = npt.NDArray[np.int32]
"""Positions of a batch, of shape [dimensions, cells]."""


@dataclass(frozen=True)
class Positions:
    """Of a prompt's ids and of all that follow. grids: its pictures' in order, none where an id stands at its index."""

    grids: tuple[Grid, ...] = ()

    @cached_property
    def _bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where each grid begins, and by how much positions lag behind indices there and, last, behind all of them."""
        lost = [grid.n_cells - grid.n_positions for grid in self.grids]
        return np.array([grid.start for grid in self.grids]), np.cumsum([0, *lost])

    def of(self, index: int) -> int:
        """The position in time of the id there."""
        if not self.grids:
            return index
        starts, lags = self._bounds
        n_begun = int(np.searchsorted(starts, index, side="right"))
        if n_begun and index < self.grids[n_begun - 1].end:
            return self.grids[n_begun - 1].start - int(lags[n_begun - 1])
        return index - int(lags[n_begun])

    def grid_at(self, index: int) -> Grid | None:
        """The grid that the id there is a cell of."""
        return next((grid for grid in self.grids if grid.start <= index < grid.end), None)

    def cut(self, index: int) -> int:
        """The nearest index, from there on backwards, that a sequence can be cut at: a grid shares one position, and
        goes whole."""
        grid = self.grid_at(index)
        return grid.start if grid is not None else index

    def places(self, at: int, n_cells: int, n_more: int = 0) -> Places:
        """The positions of cells of a picture, the first of them the id `at`, and of n_more that fill their batch up.

        In one dimension where there is no grid. In a grid, those that fill up stand behind its time and go by that.
        """
        grid = self.grid_at(at)
        if grid is None:
            return np.arange(self.of(at), self.of(at) + n_cells + n_more, dtype=np.int32)[np.newaxis]
        time = self.of(at)
        cells = np.arange(at - grid.start, at - grid.start + n_cells)
        places = np.full((N_DIMS, n_cells + n_more), time + 1, dtype=np.int32)
        places[0, :n_cells] = time
        places[1, :n_cells] = time + cells // grid.columns
        places[2, :n_cells] = time + cells % grid.columns
        places[3, :n_cells] = 0
        return places
