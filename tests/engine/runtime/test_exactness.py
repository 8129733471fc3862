"""What the engine keeps of a KV cache gives a fresh run's logits: live, from a file, after edits, on three attentions.

The walks are short here, and what two fresh runs differ by is no excuse; `python -m tests.bench exactness` takes longer
ones, and holds them against that.
"""

import pytest

from tests.exactness import Point, points
from tests.walks import GROUNDS, UBATCHES, walk

WALKS = [
    *(("llama", "f16", 5), ("llama", "q8_0", 5), ("gemma3", "f16", 5), ("gemma3", "q8_0", 5)),
    *(("scout", "f16", 5), ("scout", "q8_0", 2)),  # the second point goes on from a file
]
_walked: dict[tuple[str, str, int], list[Point]] = {}


@pytest.fixture(params=WALKS, ids=str)
def walked(request: pytest.FixtureRequest) -> list[Point]:
    name, kv_type, n_steps = request.param
    if request.param not in _walked:
        _walked[request.param] = points(name, kv_type=kv_type, n_steps=n_steps, floors=False)
    return _walked[request.param]


@pytest.mark.slow  # a walk takes 3 to 22 s, once for all three tests
def test_what_is_kept_is_exact(walked: list[Point]) -> None:
    assert [point for point in walked if not point.exact] == []


@pytest.mark.slow
def test_on_a_cpu_it_is_the_same_to_the_bit(walked: list[Point]) -> None:
    """More than is asked for: cells lie where the fresh run has them, and are summed in the same order."""
    assert [point for point in walked if point.ours] == []


@pytest.mark.slow
def test_going_back_as_llama_cpp_lets_it_is_seen_to_be_wrong(walked: list[Point]) -> None:
    """Or these walks would prove nothing."""
    wrong = [point for point in walked if point.naive_is_wrong]
    assert all(point.naive > point.limit for point in wrong)
    if walked[0].windowed:
        assert wrong and any(point.reused for point in walked)
    else:
        assert not wrong and all(point.reused == point.common for point in walked)


@pytest.mark.parametrize("name", GROUNDS)
def test_no_batch_of_a_walk_is_short(name: str) -> None:
    """Shorter ones than 64 tokens would be compared with what llama.cpp computes another way."""
    ground = GROUNDS[name]
    before = None
    for step in walk(ground, n_steps=30, seed=1):
        assert 0 < step.anchor < len(step.ids) <= ground.longest
        if before is not None:
            shared = (step.ids[: step.common] == before.ids[: step.common]).all()
            assert shared and step.ids[step.common] != before.ids[step.common]
        for n_ubatch in UBATCHES:
            assert all(end % n_ubatch >= 64 or end % n_ubatch == 0 for end in (step.anchor, len(step.ids)))
        before = step
