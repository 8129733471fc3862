"""engine.runtime.positions: where the cells of pictures stand in models of Qwen VL's kind (M-RoPE).

The engine is compared with mtmd's own helper, to the bit, and with itself, whatever of a prompt it keeps.
"""

import numpy as np

from engine.runtime.pictures import Pictures, pictures_from, pictures_of, positions_of
from engine.runtime.positions import Positions
from engine.tokens.grid import Grid
from tests.models.cache import cached
from tests.models.look import look
from tests.sighted import Ask, prompt_of, sight_of, told
from tests.test_tiles import MODELS
from tests.test_vision import AFTER, BEFORE, BETWEEN, close, photo, same

WIDE, TALL = Grid(10, 4, 2), Grid(30, 1, 5)  # positions 10 to 13, and 26 to 30
POSITIONS = Positions((WIDE, TALL))


def test_without_pictures_an_id_stands_at_its_index() -> None:
    assert [Positions().of(at) for at in (0, 7, 1_000)] == [0, 7, 1_000] and Positions().cut(7) == 7
    np.testing.assert_array_equal(Positions().places(5, 3, 2), [[5, 6, 7, 8, 9]])


def test_cells_of_a_picture_share_a_position_and_what_follows_stands_behind_its_longer_side() -> None:
    assert [POSITIONS.of(at) for at in (0, 9, 10, 13, 17)] == [0, 9, 10, 10, 10]
    assert [POSITIONS.of(at) for at in (18, 29, 30, 34)] == [14, 25, 26, 26]
    assert [POSITIONS.of(at) for at in (35, 36, 100)] == [31, 32, 96]
    assert [POSITIONS.cut(at) for at in (10, 11, 17, 18, 34, 35)] == [10, 10, 10, 18, 30, 35]


def test_places_are_time_row_column_and_nothing() -> None:
    np.testing.assert_array_equal(
        POSITIONS.places(12, 5, 2),
        [[10, 10, 10, 10, 10, 11, 11], [10, 10, 11, 11, 11, 11, 11], [12, 13, 10, 11, 12, 11, 11], [0] * 5 + [11] * 2],
    )
    np.testing.assert_array_equal(POSITIONS.places(30, 3), [[26] * 3, [26, 27, 28], [26] * 3, [0] * 3])


def test_grids_of_a_prompt_lie_where_its_cells_do() -> None:
    sight = sight_of(*MODEL)
    prompt = prompt_of([BEFORE, photo(640, 480), BETWEEN, photo(90, 700), AFTER], sight)
    sight.close()
    ids, pictures = prompt.ids(), pictures_of(prompt).pictures
    assert [grid for picture in pictures for grid in picture.grids] == [Grid(71, 23, 17), Grid(544, 3, 25)]
    within = np.zeros(len(ids), dtype=bool)
    for grid in positions_of(pictures).grids:
        within[grid.start : grid.end] = True
    np.testing.assert_array_equal(ids < 0, within)
    assert pictures_from(Pictures(pictures).fields()) == pictures


MODEL = cached(**MODELS["qwen2vl"]), cached("mmproj", projector="qwen2vl")
PICTURE = [BEFORE, photo(500, 400), AFTER]
LARGE = [BEFORE, photo(1000, 700, 1), BETWEEN, photo(640, 90, 2), AFTER]


def test_pictures_are_placed_as_mtmds_own_helper_places_them() -> None:
    """One of 900 cells among them, more than are decoded at once, and some that are cut into short batches."""
    sizes = [(90, 700), (700, 90), (60, 90), (30, 30)]
    prompts = [PICTURE, LARGE, *([BEFORE, photo(*size, 3 + at), AFTER] for at, size in enumerate(sizes))]
    theirs = look(*MODEL, prompts)
    assert theirs.status == 0 and theirs.logits is not None, theirs.log
    ours = told(*MODEL, [Ask(parts=parts) for parts in prompts], fills=False)
    filled = told(*MODEL, [Ask(parts=parts) for parts in prompts], n_ubatch=192)
    for one, other, logits, cells in zip(ours, filled, theirs.logits, theirs.cells, strict=True):
        assert one.encoded and one.n_tokens == one.used == cells
        assert one.logits is not None and np.array_equal(one.logits, logits)
        assert close(one, other)
    assert same(ours[0], filled[0])  # 192 cells and 60, in place of 252


def test_a_reply_goes_on_at_the_position_behind_the_prompt() -> None:
    longer = told(*MODEL, [Ask(parts=PICTURE)], max_tokens=9, fills=False)[0]
    for n_replied in (1, 4, 8):
        parts = [*PICTURE[:-1], AFTER + longer.reply[:n_replied]]
        anew = told(*MODEL, [Ask(parts=parts)], fills=False)[0]
        assert anew.reply[0] == longer.reply[n_replied]
