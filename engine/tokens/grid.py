"""The cells of a picture in models whose positions have several dimensions (M-RoPE): rows and columns. A pure value.

What positions that makes is left to engine.runtime.positions. The rule is Qwen 2 VL's, and every cell is compared with
what mtmd itself says of it (engine.tokens.image_tokens); a model that places cells otherwise is not asked about images.
"""

from dataclasses import dataclass, replace


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
