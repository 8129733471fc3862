"""The tests' own projectors, run by mtmd with the models they belong to: what they cost is what the cache grows by."""

import random

import numpy as np
import pytest

from engine.errors import InputRefused
from engine.tokens.image_tokens import ImageCounter
from engine.tokens.tiles import llama_cpp_tiling
from tests.engine.tokens.test_tiles import MODELS
from tests.models.cache import cached
from tests.models.look import Picture, look

BEFORE, AFTER = list(range(300, 370)), list(range(400, 470))  # 70 tokens: larger batches give the same to the bit


def photo(width: int, height: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def with_a_black_block(picture: Picture) -> Picture:
    changed = picture.copy()
    changed[-picture.shape[0] // 4 :, -picture.shape[1] // 4 :] = 0
    return changed


@pytest.mark.slow  # 3.6 s
@pytest.mark.parametrize(
    "projector", [pytest.param(name, marks=pytest.mark.slow if name == "idefics3" else ()) for name in MODELS]
)
def test_every_projector_runs_and_costs_what_is_counted(projector: str) -> None:
    model, path = cached(**MODELS[projector]), cached("mmproj", projector=projector)
    first, small = photo(500, 400), photo(60, 90)
    shown = [[first], [first], [with_a_black_block(first)], [small], [small, small]]
    seen = look(model, path, [[BEFORE, *pictures, AFTER] for pictures in shown])
    assert seen.status == 0, seen.log
    assert seen.logits is not None and np.isfinite(seen.logits).all() and (seen.logits.std(axis=1) > 1).all()
    counter = ImageCounter(model, path)
    large, little = counter.count([(500, 400), (60, 90)])
    counter.close()
    cost = [large, large, large, little, little]
    times = [len(pictures) for pictures in shown]
    assert seen.cells == [140 + n * each.n_tokens for n, each in zip(times, cost, strict=True)]
    assert seen.positions == [140 + n * each.n_positions for n, each in zip(times, cost, strict=True)]
    np.testing.assert_array_equal(seen.logits[0], seen.logits[1])
    for other in (2, 3, 4):
        assert np.abs(seen.logits[0] - seen.logits[other]).max() > 0.02, other


@pytest.mark.slow  # 5.2 s
def test_separators_cost_what_is_counted_and_change_the_answer() -> None:
    pictures = [photo(300, 300), photo(900, 300), photo(1000, 1000)]
    prompts = [[BEFORE, picture, AFTER] for picture in pictures]
    without = look(cached(**MODELS["llama4"]), cached("mmproj"), prompts)
    between = look(cached(**MODELS["llama4"]), cached("mmproj"), prompts, separators=True)
    assert without.logits is not None and between.logits is not None, between.log
    for place, picture in enumerate(pictures):
        tiling = llama_cpp_tiling(picture.shape[1], picture.shape[0])
        assert without.cells[place] == without.positions[place] == 140 + tiling.n_tokens(separators=False)
        assert between.cells[place] == between.positions[place] == 140 + tiling.n_tokens(separators=True)
        assert np.abs(without.logits[place] - between.logits[place]).max() > 0.02
    assert without.cells[-1] == 140 + 1_442 and between.cells[-1] == 140 + 1_452


@pytest.mark.slow  # 1.9 s
def test_two_images_may_not_be_swapped_unseen() -> None:
    one, other = photo(400, 300, seed=1), photo(400, 300, seed=2)
    seen = look(
        cached(**MODELS["llama4"]), cached("mmproj"), [[BEFORE, one, other, AFTER], [BEFORE, other, one, AFTER]]
    )
    assert seen.logits is not None and np.abs(seen.logits[0] - seen.logits[1]).max() > 0.02


@pytest.mark.slow  # 1.4 s
def test_a_projector_of_another_width_is_refused_by_mtmd_too() -> None:
    assert look(cached(**MODELS["llama4"]), cached("mmproj", projector="qwen2vl"), [[[1]]]).status == 5


@pytest.mark.parametrize("projector", MODELS)
def test_no_size_ends_the_child(projector: str) -> None:
    draw = random.Random(0)
    sizes = [(1, 1), (1, 100_000), (100_000, 1), (32_000, 32_000), (65_535, 32_767), (7, 5_000)]
    sizes += [(round(2 ** draw.uniform(0, 16)), round(2 ** draw.uniform(0, 14))) for _ in range(100)]
    counter = ImageCounter(cached(**MODELS[projector]), cached("mmproj", projector=projector))
    for size in sizes:
        try:
            assert counter.count([size])[0].n_tokens > 2
        except InputRefused:  # not ModelRefused, which a dead child would be
            assert max(size) > 10_000
    counter.close()
