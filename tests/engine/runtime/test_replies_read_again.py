"""A next question stands on the cells that a fresh reading of all before it would make: no logit differs, ten turns on.

A reply's own cells, made token by token, would differ by up to 0.4 here. `python -m tests.bench exactness` has more
models and more turns.
"""

from typing import Any

import pytest

from tests.conversing import Turn, turns
from tests.models.scout import SMALL
from tests.models.shape import ONE_HEAD

CONVERSATIONS: dict[str, dict[str, Any]] = {
    "full": {"model": "llama", **ONE_HEAD},
    "quantized": {"model": "llama", "kv_type": "q8_0", **ONE_HEAD},
    "repacked": {"model": "llama", "quantized": "Q4_K_M", "n_embd": 256, **ONE_HEAD},
    "sliding": {"model": "gemma3", "longest_reply": 700, "n_turns": 4, **ONE_HEAD},  # over the window's slack
    "chunked": {"model": "scout", **SMALL, **ONE_HEAD},
}


def _talked(kind: str, **how: Any) -> list[Turn]:
    return turns(**{"n_turns": 6, **CONVERSATIONS[kind], **how})


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_once_it_is_read_again_nothing_of_a_reply_need_be_read(kind: str) -> None:
    spoken = _talked(kind)
    together = 4 if kind == "repacked" else 1
    assert [turn.ours for turn in spoken] == [0.0] * len(spoken)
    assert all(turn.same == turn.n_reply for turn in spoken)
    assert all(turn.shared - turn.reused < together for turn in spoken)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "repacked", "sliding"])
def test_a_question_that_comes_before_that_reads_the_reply_with_it(kind: str) -> None:
    spoken = _talked(kind, settles=False)
    assert [turn.ours for turn in spoken] == [0.0] * len(spoken)
    assert any(turn.shared - turn.reused > 4 for turn in spoken)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["quantized", "sliding", "chunked"])
@pytest.mark.parametrize("settles", [True, False])
def test_from_a_file_too(kind: str, settles: bool) -> None:
    """Where there was no time to read the reply again, it is not saved with the rest."""
    spoken = _talked(kind, settles=settles, saves=True)
    assert [turn.ours for turn in spoken] == [0.0] * len(spoken)
    assert all(turn.shared == turn.reused for turn in spoken) == settles
