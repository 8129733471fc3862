"""Windowed cells that come back lie where a run from an empty cache has them, so logits are the same to the bit."""

import struct

import numpy as np
import pytest

from engine.runtime.cells import Layers, blank, cells_of
from tests.models.cache import cached
from tests.models.shape import ONE_HEAD
from tests.ring import Step, any_steps, turns

MOST_BY_ROUNDING = 0.1  # in a logit of the small Gemma; cells that are missing make it 0.7 to 16
K, V = (struct.pack("<iQ", 1, 64), 64), (struct.pack("<iQ", 8, 34), 34)
PLAIN = Layers(struct.pack("<II", 0, 2), (K, K, V, V))
TRANSPOSED = Layers(struct.pack("<II", 1, 1), (K, (struct.pack("<iII", 1, 2, 32), 64)))


@pytest.mark.slow
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_ring_of_windowed_cells_gives_a_fresh_runs_logits(kv_type: str) -> None:
    """Whatever was removed, stopped or read back before, at the end of the ring and elsewhere."""
    taken = turns(cached("gemma3", **ONE_HEAD), any_steps(20, longest=3_000), kv_type=kv_type)
    assert [turn for turn in taken if turn.differs] == []
    assert sum(turn.reused > 0 for turn in taken) > len(taken) / 2


@pytest.mark.slow  # 1.5 s
def test_tokens_that_fill_a_batch_up_may_go_over_the_rings_end() -> None:
    """24 of them behind token 1,014, on a ring of 1,024 cells; what follows goes on there."""
    steps = [
        Step("live", 1_054, 0, 974),
        Step("live", 1_014, 974, 974),
        Step("live", 1_600, 1_014, 1_014),
        Step("live", 2_072, 1_600, 2_000),
        Step("live", 2_040, 2_000, 2_000),
        Step("from a file", 2_700, 2_040, 2_600),
    ]
    taken = turns(cached("gemma3", **ONE_HEAD), steps)
    assert [turn.differs for turn in taken] == [0.0] * 6
    assert [turn.reused for turn in taken] == [0, 974, 1_014, 1_600, 2_000, 2_040]


@pytest.mark.slow
def test_a_state_of_a_ring_of_another_length_is_used_all_the_same() -> None:
    """Its cells go into the first free slots, and what follows goes on there: sums are rounded otherwise, no more."""
    steps = [
        Step("live", 1_900, 0, 1_500),
        Step("from another's file", 1_950, 1_500, 1_500),
        Step("live", 2_600, 1_950, 2_300),
        Step("live", 2_700, 2_300, 2_300),
        Step("from another's file", 2_900, 2_300, 2_800),
        Step("after a stop", 2_890, 2_800, 2_800),
    ]
    taken = turns(cached("gemma3"), steps)
    assert [turn.reused > 0 for turn in taken] == [turn.step.common > 0 for turn in taken]
    assert max(turn.differs for turn in taken) < MOST_BY_ROUNDING


@pytest.mark.parametrize("layers", [PLAIN, TRANSPOSED], ids=["plain", "transposed"])
def test_blank_cells_are_written_as_llama_cpp_writes_cells(layers: Layers) -> None:
    data = blank(layers, np.array([7, 8, 9]))
    cells = cells_of(data, 0, len(data))
    assert cells is not None and cells.layers == layers and list(cells.positions) == [7, 8, 9]


@pytest.mark.parametrize("n_bytes", [0, 4, 15, 16, 30, 52, 60, 200])
def test_a_copy_that_ends_early_is_not_understood(n_bytes: int) -> None:
    data = bytearray(blank(PLAIN, np.array([7, 8, 9])))
    assert cells_of(data[:n_bytes], 0, n_bytes) is None
    assert cells_of(data, 0, len(data) - 1) is None


@pytest.mark.parametrize(("offset", "value"), [(8, 2), (12, 0), (12, 2), (20, 2)])
def test_a_copy_of_another_layout_is_not_understood(offset: int, value: int) -> None:
    """Several streams; no cells, or fewer than are there; a cell of two sequences."""
    data = bytearray(blank(PLAIN, np.array([7, 8, 9])))
    struct.pack_into("<i", data, offset, value)
    assert cells_of(data, 0, len(data)) is None
