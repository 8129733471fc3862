"""Quotes behind answers of tiny real models: they stand where they are said to, and the KV cache stays the answer's."""

from typing import Any

import pytest

from tests.models.cache import cached
from tests.models.scout import SMALL
from tests.models.shape import ONE_HEAD
from tests.quoted import Round, rounds

SHAPES: dict[str, dict[str, Any]] = {"llama": ONE_HEAD, "gemma3": ONE_HEAD, "scout": {**SMALL, **ONE_HEAD}}
LLAMA = [400 + 40 * number for number in range(10)]
# windows of 512 tokens on a ring of 768 cells: it ends at 768, 1,536 and 2,304, where nothing is looked for
GEMMA = [300, 500, 640, 700, 744, 760, 770, 900, 1_000, 1_290, 1_500, 1_512, 1_530, 1_560, 2_000, 2_270, 2_300, 2_400]
SCOUT = [8_100, 8_180, 8_300, 8_400, 16_340, 16_390, 16_500]  # chunks of 8,192 tokens
STATES = {"mamba": ("mamba", {}), "lfm2": ("hybrid", {"kind": "lfm2"}), "qwen35": ("hybrid", {"kind": "qwen35"})}
GROWING = [80, 150, 300, 420, 640, 650]


def checked(played: list[Round]) -> list[Round]:
    assert [wrong for each in played for wrong in each.wrong] == []
    assert [each.differs for each in played] == [0.0] * len(played)
    return played


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_model_likes_it_quotes_what_stands_there(seed: int) -> None:
    """And the next answer is that of an engine which quoted nothing, to the bit."""
    played = checked(rounds(cached("llama", **SHAPES["llama"]), lengths=LLAMA, n_statements=8, seed=seed))
    assert sum(each.n_tried for each in played) >= 8 * len(played) * 3 / 4
    assert sum(each.n_found for each in played) >= len(played)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lengths"), [("gemma3", GEMMA), ("scout", SCOUT)])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_windows_stay_what_they_were(name: str, lengths: list[int], kv_type: str) -> None:
    """Wherever the answer ends on the ring of their cells."""
    played = checked(rounds(cached(name, **SHAPES[name]), lengths=lengths, kv_type=kv_type))
    assert sum(each.n_found for each in played) > len(lengths)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma3"])
@pytest.mark.parametrize("stop_after", [1, 3, 12, 40])
def test_a_cancel_leaves_nothing_behind(name: str, stop_after: int) -> None:
    played = checked(rounds(cached(name, **SHAPES[name]), lengths=GEMMA, stop_after=stop_after))
    assert sum(each.n_tried for each in played) < 4 * len(played)


@pytest.mark.slow
def test_a_context_without_room_says_so() -> None:
    [full] = rounds(cached("llama", **SHAPES["llama"]), lengths=[1_230], spare=50)  # contexts are multiples of 256
    assert full.n_tried == 0 and not full.wrong and any("full" in remark for remark in full.remarks)


@pytest.mark.slow
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.parametrize("name", STATES)
def test_a_state_that_cannot_go_back_is_what_it_was(name: str, kv_type: str) -> None:
    """Recurrent and hybrid models: the answer is read again from a copy, and the state at its end put back."""
    model, shape = STATES[name]
    played = checked(rounds(cached(model, **shape), lengths=[*GROWING, 260, 500], n_statements=6, kv_type=kv_type))
    assert all(each.n_tried == 6 and not each.remarks for each in played)
    assert sum(each.n_found for each in played) >= 6 * len(played) // 3


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("stop_after", [0, 1, 2, 3, 5, 12])
def test_a_cancel_puts_the_state_back(name: str, stop_after: int) -> None:
    model, shape = STATES[name]
    played = checked(rounds(cached(model, **shape), lengths=GROWING, stop_after=stop_after, n_statements=8))
    assert sum(each.n_tried for each in played) < 8 * len(played)


@pytest.mark.slow
def test_without_a_copy_that_is_said_and_only_the_end_is_gone_on_from() -> None:
    model, shape = STATES["lfm2"]
    played = checked(rounds(cached(model, **shape), lengths=[300, 420, 600], copies=False, n_statements=8))
    assert any("copy of its state" in remark for each in played for remark in each.remarks)
    assert all(each.n_tried <= 8 for each in played) and sum(each.n_tried for each in played) < 8 * len(played)


@pytest.mark.slow
def test_a_context_without_room_to_read_the_answer_again_says_so() -> None:
    model, shape = STATES["qwen35"]
    [full] = rounds(cached(model, **shape), lengths=[1_230], spare=50)
    assert full.n_tried == 0 and not full.wrong and any("full" in remark for remark in full.remarks)
