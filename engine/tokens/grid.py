"""The cells of a picture in models whose positions have several dimensions (M-RoPE): rows and columns. A pure value.

What positions that makes is left to engine.runtime.positions. The rule is Qwen 2 VL's, and every cell is compared with
what mtmd itself says of it (engine.tokens.image_tokens); a model that places cells otherwise is not asked about images.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Grid:
    """A run of cells, row by row, the first of which is the id at `start`. columns, rows: at least 1.

    All of it has one position in time, the same as its first row and column; what follows stands behind its longer
    side.
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


def grid_at(places: npt.NDArray[np.int64], time: int) -> Grid | None:
    """The grid of cells that stand at these places when the first stands at `time`; None where they follow no grid's
    rule.

    places: of shape [n_cells, 4]: time, column, row and another dimension, which grids leave at 0; n_cells at least 1.
    """
    n_cells, n_first = len(places), int((places[:, 2] == time).sum())
    if not n_first or n_cells % n_first:
        return None
    row, column = np.divmod(np.arange(n_cells), n_first)
    expected = np.stack([np.full(n_cells, time), time + column, time + row, np.zeros(n_cells)], axis=1)
    return Grid(0, n_first, n_cells // n_first) if np.array_equal(places, expected) else None
