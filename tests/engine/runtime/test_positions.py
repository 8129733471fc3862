"""engine.runtime.positions: where the cells of pictures stand in models of Qwen VL's kind (M-RoPE).

The engine is compared with mtmd's own helper, to the bit, and with itself, whatever of a prompt it keeps.
"""

from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import numpy as np
import pytest

from engine.errors import EngineFailed
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Prompt
from engine.runtime.events import Sampling
from engine.runtime.pictures import Pictures, pictures_from, pictures_of, positions_of
from engine.runtime.positions import Positions
from engine.runtime.settings import EngineSettings
from engine.tokens.document import Grid, common_prefix
from engine.tokens.image_tokens import grid_at
from tests.engine.runtime.test_vision import AFTER, BEFORE, BETWEEN, LEAST, close, differ, photo, same
from tests.engine.tokens.test_tiles import MODELS
from tests.models.cache import cached
from tests.models.look import look
from tests.sighted import Ask, prompt_of, sight_of, told

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


@pytest.mark.parametrize("time", [0, 1_000])
def test_a_grid_is_one_whose_every_cell_stands_where_it_should(time: int) -> None:
    places = np.array([[time, time + x, time + y, 0] for y in range(3) for x in range(5)])
    assert grid_at(places, time) == Grid(0, 5, 3)
    assert grid_at(places[:1], time) == Grid(0, 1, 1) and grid_at(places[:7], time) is None
    for place in np.ndindex(places.shape):
        odd = places.copy()
        odd[place] += 1
        assert grid_at(odd, time) is None
    line = np.arange(time, time + 15)[:, np.newaxis].repeat(4, axis=1)
    assert grid_at(line, time) is None
    framed = np.stack([line[:, 0], *np.divmod(np.arange(15), 5), np.zeros(15)], axis=1)  # as Hunyuan VL's are
    assert grid_at(framed.astype(np.int64), time) is None


def model_of(kind: str = "qwen2vl") -> tuple[Path, Path]:
    return cached(**MODELS[kind]), cached("mmproj", projector=kind)


def test_grids_of_a_prompt_lie_where_its_cells_do() -> None:
    sight = sight_of(*model_of())
    prompt = prompt_of([BEFORE, photo(640, 480), BETWEEN, photo(90, 700), AFTER], sight)
    sight.close()
    ids, pictures = prompt.ids(), pictures_of(prompt).pictures
    assert [grid for picture in pictures for grid in picture.grids] == [Grid(71, 23, 17), Grid(544, 3, 25)]
    within = np.zeros(len(ids), dtype=bool)
    for grid in positions_of(pictures).grids:
        within[grid.start : grid.end] = True
    np.testing.assert_array_equal(ids < 0, within)
    assert pictures_from(Pictures(pictures).fields()) == pictures


each_kind = pytest.mark.parametrize("kind", ["qwen2vl", "qwen3vl"])
PICTURE = [BEFORE, photo(500, 400), AFTER]
LARGE = [BEFORE, photo(1000, 700, 1), BETWEEN, photo(640, 90, 2), AFTER]


@pytest.mark.slow  # 4.6 s
@each_kind
def test_pictures_are_placed_as_mtmds_own_helper_places_them(kind: str) -> None:
    """One of 900 cells among them, more than are decoded at once, and some that are cut into short batches."""
    sizes = [(90, 700), (700, 90), (60, 90), (30, 30)]
    prompts = [PICTURE, LARGE, *([BEFORE, photo(*size, 3 + at), AFTER] for at, size in enumerate(sizes))]
    theirs = look(*model_of(kind), prompts)
    assert theirs.status == 0 and theirs.logits is not None, theirs.log
    ours = told(*model_of(kind), [Ask(parts=parts) for parts in prompts], fills=False)
    filled = told(*model_of(kind), [Ask(parts=parts) for parts in prompts], n_ubatch=192)
    for one, other, logits, cells in zip(ours, filled, theirs.logits, theirs.cells, strict=True):
        assert one.encoded and one.n_tokens == one.used == cells
        assert one.logits is not None and np.array_equal(one.logits, logits)
        assert close(one, other)
    assert same(ours[0], filled[0])  # 192 cells and a short batch, in place of one


@pytest.mark.slow  # 2.6 s
def test_dimensions_that_a_models_architecture_leaves_to_its_file_are_seen() -> None:
    """With the vocabulary alone llama.cpp takes such a model, GLM's that see among them, for one of one dimension."""
    pair = cached("qwen3vl", architecture="hunyuan_vl"), cached("mmproj", projector="qwen2vl")
    theirs = look(*pair, [LARGE])
    assert theirs.status == 0 and theirs.logits is not None, theirs.log
    (ours,) = told(*pair, [Ask(parts=LARGE)], fills=False)
    assert np.array_equal(ours.logits, theirs.logits[0]) and ours.n_tokens == ours.used == theirs.cells[0]
    assert theirs.positions[0] < theirs.cells[0]


@pytest.mark.slow  # 4.0 s
def test_a_reply_goes_on_at_the_position_behind_the_prompt() -> None:
    longer = told(*model_of(), [Ask(parts=PICTURE)], max_tokens=9, fills=False)[0]
    for n_replied in (1, 4, 8):
        parts = [*PICTURE[:-1], AFTER + longer.reply[:n_replied]]
        anew = told(*model_of(), [Ask(parts=parts)], fills=False)[0]
        assert anew.reply[0] == longer.reply[n_replied]


FOLLOW_UP = [*LARGE[:-1], AFTER + BETWEEN]
EDITED = [*LARGE[:2], BETWEEN[:-5] + BEFORE[:40], *LARGE[3:]]


@pytest.mark.slow  # 4.9 s
@each_kind
def test_a_prompt_that_changes_keeps_what_it_shares_and_encodes_nothing_twice(kind: str) -> None:
    moved = [BEFORE[:-9] + BETWEEN, *LARGE[1:]]  # all of it stands elsewhere, and so is read again
    swapped = [BEFORE, LARGE[3], BETWEEN, LARGE[1], AFTER]
    asks = [Ask(parts=parts) for parts in (LARGE, FOLLOW_UP, LARGE, EDITED, moved, swapped)]
    asks += [Ask(parts=parts, fresh=True) for parts in (LARGE, FOLLOW_UP, LARGE, EDITED, moved, swapped)]
    answers = told(*model_of(kind), asks)
    assert [answer.encoded for answer in answers] == [2] + 11 * [0]
    assert all(map(same, answers[:6], answers[6:])) and differ(answers[3], answers[4]) > LEAST
    sight = sight_of(*model_of(kind))
    n_edited = common_prefix(prompt_of(LARGE, sight).ids(), prompt_of(EDITED, sight).ids())
    sight.close()
    n_tokens = answers[0].n_tokens
    assert n_edited > len(BEFORE) + 600 + len(BETWEEN) - 6
    assert [answer.reused for answer in answers[:5]] == [0, n_tokens, n_tokens - 1, n_edited, len(BEFORE) - 9]


@pytest.mark.slow  # 4.5 s
@each_kind
def test_a_kept_state_goes_on_as_what_was_kept(kind: str) -> None:
    parts = [LARGE, LARGE, FOLLOW_UP, LARGE, EDITED]
    answers = told(*model_of(kind), [Ask(parts=each, kept=at > 0) for at, each in enumerate(parts)])
    fresh = told(*model_of(kind), [Ask(parts=each, fresh=True) for each in parts])
    assert all(map(same, answers, fresh))
    assert all(answer.encoded == 0 and answer.reused > 700 for answer in answers[1:])


@pytest.mark.slow  # 5.5 s
@pytest.mark.parametrize("how", ["stop_at", "abort_at"])
def test_a_picture_that_is_cancelled_within_is_gone_on_with(how: str) -> None:
    """Between two batches of it what was read stays; llama.cpp takes an aborted batch back with all of the picture."""
    within = 583
    cut = Ask(parts=LARGE, fresh=True, emptied=True, **{how: within})
    asks = [Ask(parts=LARGE), cut, Ask(parts=LARGE), cut, Ask(parts=LARGE, kept=True), cut, Ask(parts=FOLLOW_UP)]
    whole, stopped, on, _, restarted, _, longer = told(*model_of(), asks)
    (fresh,) = told(*model_of(), [Ask(parts=FOLLOW_UP)])
    begun = len(BEFORE) + 1
    assert stopped.stop == "cancelled" and stopped.done[-1] == within and stopped.encoded == 1
    assert stopped.used == on.reused == restarted.reused == (within if how == "stop_at" else begun)
    assert on.encoded == restarted.encoded == 1
    assert same(whole, on) and same(whole, restarted) and same(fresh, longer)


def test_a_count_that_knows_nothing_of_a_models_dimensions_is_an_error_and_no_wrong_answer() -> None:
    sight = sight_of(*model_of())
    prompt = prompt_of(PICTURE, sight)
    sight.close()
    (shown,) = prompt.shown
    flat = replace(shown, start=0, view=replace(shown.view, grids=()))
    prompt = Prompt((prompt.segments[0], replace(prompt.segments[1], shown=(flat,)), prompt.segments[2]))
    engine = EngineProcess(
        EngineSettings(model=model_of()[0], placement=Placement(n_ctx=2_048), projector=model_of()[1])
    )
    with pytest.raises(EngineFailed, match=r"not known where .* image 1: .* several dimensions \(M-RoPE\)"):
        list(engine.generate(prompt, Sampling(max_tokens=1), cancel=Flag()))
    engine.close()
