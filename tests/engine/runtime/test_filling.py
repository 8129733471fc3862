"""The last batch of a prompt is filled up, and gives the logits that a long batch gives."""

import pytest

from engine.memory.budget import Placement
from engine.runtime.filling import filling
from tests.models.cache import cached
from tests.ring import Step, turns
from tests.short_batches import short_batches

SMALL = 10_000_000


@pytest.mark.parametrize(
    ("n_tokens", "changes", "n_parameters", "n_more"),
    [
        (1, {}, SMALL, 63),
        (63, {"kv_type": "f32"}, SMALL, 1),
        (64, {}, SMALL, 0),
        (500, {}, SMALL, 0),
        (10, {"kv_type": "q8_0"}, SMALL, 0),  # llama.cpp has no other way for it
        (1, {"kv_type": "q8_0"}, 17_000_000_000, 1),  # but for a single token's keys and values
        (10, {"kv_type": "bf16"}, SMALL, 0),
        (10, {"n_ubatch": 32}, SMALL, 0),  # all its batches are short
        (10, {"n_gpu_layers": 9}, SMALL, 0),
        (10, {"n_gpu_layers": 9, "kv_on_gpu": False}, SMALL, 54),
        (10, {}, 17_000_000_000, 0),  # 54 more tokens would take seconds
    ],
)
def test_what_is_filled_up(n_tokens: int, changes: dict[str, object], n_parameters: int, n_more: int) -> None:
    placement = Placement(n_ctx=4096, **changes)  # type: ignore[arg-type]
    assert filling(n_tokens, placement, n_parameters=n_parameters) == n_more


@pytest.mark.slow  # 2.0 s
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_a_filled_batch_gives_a_long_ones_logits(name: str) -> None:
    rows = short_batches(cached(name), depth=1_600, sizes=(1, 7, 40, 63))
    assert [row.filled_differs for row in rows] == [0.0] * 4
    assert any(row.plain_differs > 0 for row in rows), "llama.cpp computes them alike: filling is needless"


@pytest.mark.slow  # 6.1 s
@pytest.mark.parametrize("kv_type", ["q8_0", "bf16"])
def test_a_single_token_is_read_as_one_of_several(kv_type: str) -> None:
    """A prompt that is there already but for its last token."""
    steps = [Step("live", n_tokens, common, common) for n_tokens in range(300, 340, 2) for common in (0, n_tokens - 1)]
    taken = turns(cached("llama"), steps, kv_type=kv_type)
    assert all(turn.reused == turn.step.common for turn in taken)
    assert [turn for turn in taken if turn.differs] == []
