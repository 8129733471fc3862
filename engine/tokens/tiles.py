"""What an image costs a Llama 4 model: the tiles that llama.cpp cuts it into.

At most 3 x 3 tiles; Meta's reference, which other engines follow, has up to 16 in any grid. A tile is 336 by 336
pixels, 24 by 24 patches of which two by two make a token: 144. More than one tile are followed by the whole image once
more, scaled into one tile: the overview. Meta's format puts marks around, between and behind them; llama.cpp writes the
first and the last alone. Other projectors count otherwise: engine.tokens.image_tokens asks mtmd.

Arithmetic from width and height alone, in the single precision that llama.cpp uses.
Sources: llama.cpp 0c1e57098, tools/mtmd/mtmd-image.cpp (llava_uhd) and clip.cpp (set_llava_uhd_res_candidates);
llama-models 0.3.0, llama4/chat_format.py (_encode_image).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

SIDE = 336  # pixels of a tile
TILE_TOKENS = 144
MOST_TILES = 9  # by llama.cpp's rule
_MOST_A_SIDE = 3


class Mark(StrEnum):
    """The tokens of Llama 4's vocabulary around an image's tiles."""

    START = "<|image_start|>"
    BESIDE = "<|tile_x_separator|>"
    BELOW = "<|tile_y_separator|>"
    WHOLE = "<|image|>"
    END = "<|image_end|>"


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile by its place in the grid, from 0; the overview, or an image that is one tile, stands in no row."""

    column: int
    row: int

    @property
    def is_whole(self) -> bool:
        return self.row < 0


WHOLE_IMAGE = Tile(-1, -1)
Piece = Mark | Tile


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tiling:
    """The grid that an image is cut into. tile_tokens: embeddings that a tile becomes."""

    columns: int
    rows: int
    tile_tokens: int = TILE_TOKENS

    @property
    def n_tiles(self) -> int:
        """Tiles of the grid; the overview is not among them."""
        return self.columns * self.rows

    @property
    def n_encoded(self) -> int:
        """Images of a tile's size that the encoder sees: the tiles and, behind more than one, the overview."""
        return self.n_tiles + (self.n_tiles > 1)

    @property
    def n_separators(self) -> int:
        """Marks between the first and the last, which llama.cpp drops: beside, below, and before the whole image."""
        return self.n_tiles + 1 if self.n_tiles > 1 else 1

    def n_tokens(self, *, separators: bool) -> int:
        """Cells that the image takes of the KV cache, its first and last mark among them."""
        return self.tile_tokens * self.n_encoded + 2 + separators * self.n_separators

    def pieces(self, *, separators: bool) -> Iterator[Piece]:
        """What is decoded, in order: tiles row by row, the whole image last.

        With separators as Meta's format has it: a mark beside each tile but a row's last, one below each row, and one
        before the whole image, also where that is all there is. Without them as mtmd gives its chunks.
        """
        yield Mark.START
        if self.n_tiles > 1:
            for row in range(self.rows):
                for column in range(self.columns):
                    yield Tile(column, row)
                    if separators:
                        yield Mark.BESIDE if column < self.columns - 1 else Mark.BELOW
        if separators:
            yield Mark.WHOLE
        yield WHOLE_IMAGE
        yield Mark.END


def llama_cpp_tiling(width: int, height: int, *, side: int = SIDE, tile_tokens: int = TILE_TOKENS) -> Tiling:
    """How mtmd cuts an image for the projector 'llama4'. width and height in pixels, at least 1.

    One tile where both sides fit in it. Else the grid of up to 3 by 3 in which most of the image's own pixels survive,
    of such the one with least left over, of such the first by columns, then rows.
    """
    columns, rows = 1, 1
    if width > side or height > side:
        columns, rows = min(_grids(_MOST_A_SIDE), key=lambda grid: _loss(width, height, grid, side))
    return Tiling(columns, rows, tile_tokens)


def size_within(width: int, height: int, *, max_tiles: int, side: int = SIDE) -> Size:
    """What to scale an image down to, so that llama.cpp cuts it into `max_tiles` at most; its own size where it does.

    The largest such size of the image's own shape, and at least one pixel a side. Fewer tiles are fewer tokens.
    """
    if llama_cpp_tiling(width, height, side=side).n_tiles <= max_tiles:
        return Size(width, height)
    sizes = [
        _shrunk(width, height, grid, max_tiles, side)
        for grid in [(1, 1), *_grids(_MOST_A_SIDE)]
        if grid[0] * grid[1] <= max(1, max_tiles)
    ]
    return max(sizes, key=lambda size: size.width * size.height)


def size_filling(
    width: float, height: float, *, max_tiles: int = MOST_TILES, side: int = SIDE, enough: float = 0.85
) -> Size:
    """What to draw a page of this shape at, so that llama.cpp's tiles carry most of it. width, height: in any unit.

    Among the grids, the one of fewest tiles in which the page has `enough` of the pixels that it could have at most:
    A4 at 672 x 951 takes 2 x 3 tiles and 1,010 tokens, at 713 x 1,008 3 x 3 tiles and 1,442.
    """
    fitting = []
    for columns, rows in [(1, 1), *_grids(_MOST_A_SIDE)]:
        if columns * rows > max(1, max_tiles):
            continue
        scale = min(columns * side / width, rows * side / height)
        size = Size(max(1, int(width * scale)), max(1, int(height * scale)))
        fitting.append((llama_cpp_tiling(size.width, size.height, side=side).n_tiles, size))
    most = max(size.width * size.height for _, size in fitting)
    large = [(n_tiles, size) for n_tiles, size in fitting if size.width * size.height >= enough * most]
    return min(large, key=lambda each: (each[0], -each[1].width * each[1].height))[1]


def _shrunk(width: int, height: int, grid: tuple[int, int], max_tiles: int, side: int) -> Size:
    """The image's size in a grid, or a little less, where rounding would give it more tiles."""
    scale = min(1.0, grid[0] * side / width, grid[1] * side / height)
    while True:
        size = Size(max(1, int(width * scale)), max(1, int(height * scale)))
        if llama_cpp_tiling(size.width, size.height, side=side).n_tiles <= max_tiles or size == Size(1, 1):
            return size
        scale *= 1 - 1 / max(size.width, size.height)


@cache
def _grids(most_a_side: int) -> tuple[tuple[int, int], ...]:
    """Columns and rows up to as many a side, but 1 x 1, in llama.cpp's order."""
    sides = range(1, most_a_side + 1)
    return tuple((columns, rows) for columns in sides for rows in sides if columns * rows > 1)


def _loss(width: int, height: int, grid: tuple[int, int], side: int) -> tuple[int, int]:
    """The image's pixels that a grid keeps, negative, and the grid's pixels that are left over: less is better."""
    columns, rows = grid
    scale = min(_quotient(columns * side, width), _quotient(rows * side, height))
    kept = min(int(_single(_single(width) * scale)) * int(_single(_single(height) * scale)), width * height)
    return -kept, columns * rows * side * side - kept


def _quotient(part: int, whole: int) -> float:
    return _single(_single(part) / _single(whole))


def _single(number: float) -> float:
    """In single precision. A product or quotient of two such is rounded as in C: a double has more than twice the bits.

    Without numpy, which takes longer to import than all that asks this module for a constant."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded
