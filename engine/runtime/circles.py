"""A reply that goes round in circles: the same tokens again and again, which no model comes out of by itself.

Certain rather than eager, for honest text repeats itself too: rows of a table, lines of code, lists of zeros. What is
ended said the same word for word, eight times and for 768 tokens at least; where it is made of fewer than eight
different tokens, as zeros and rules are, for 1,536.
"""

from collections.abc import Sequence

import numpy as np

from engine.runtime.events import Sampling
from engine.tokens.document import Ids

MOST_CYCLE = 1_024  # tokens: longer ones are not looked for
LEAST_TIMES, LEAST_TOKENS = 8, 768
FEW_DIFFERENT, FEW_TOKENS = 8, 1_536
EVERY = 32  # tokens between two looks, which take 0.1 ms


def cycle_of(ids: Sequence[int]) -> int:
    """Tokens of the circle that a reply goes round at its end; 0 where it goes round none."""
    if len(ids) < LEAST_TOKENS:
        return 0
    end = np.array(ids[-MOST_CYCLE * LEAST_TIMES :], dtype=np.int32)
    before = end[-MOST_CYCLE - 1 : -1]
    for cycle in (np.flatnonzero(before[::-1] == end[-1]) + 1).tolist():
        if not _is_round(end, cycle, LEAST_TOKENS):
            continue
        if _is_round(end, cycle, _least(end[-cycle:])):
            return int(cycle)
        if 2 * cycle <= LEAST_TOKENS:  # longer ones are the same, some times over
            return 0
    return 0


def _least(cycle: Ids) -> int:
    """Tokens at the end that have to go round it."""
    is_plain = len(np.unique(cycle)) < FEW_DIFFERENT
    return max(LEAST_TIMES * len(cycle), FEW_TOKENS if is_plain else LEAST_TOKENS)


def _is_round(end: Ids, cycle: int, n_tokens: int) -> bool:
    """Whether each of the last n_tokens is the one that stands a cycle before it, where there is one."""
    return n_tokens <= len(end) and np.array_equal(end[-n_tokens:-cycle], end[len(end) - n_tokens + cycle :])


def in_circles(ids: Sequence[int], sampling: Sampling) -> str:
    """The sentence on a reply that was ended for that, and how to go on."""
    cycle = cycle_of(ids)
    times = _times_round(ids, cycle)
    what = (
        f"the same {cycle:,} tokens came {times:,} times in a row" if cycle > 1 else f"one token came {times:,} times"
    )
    warmer = "a temperature of 0.6, or " if sampling.temperature == 0 else ""
    more = "a higher repeat penalty" if sampling.repeat_penalty > 1 else "a repeat penalty of 1.1"
    return f"The model repeats itself: {what}, and its reply was ended there. Ask again with {warmer}{more}."


def _times_round(ids: Sequence[int], cycle: int) -> int:
    """How often the last `cycle` tokens stand at the end of a reply, whole and in a row."""
    last, times = list(ids[-cycle:]), 1
    while len(ids) >= (times + 1) * cycle and list(ids[-(times + 1) * cycle : -times * cycle]) == last:
        times += 1
    return times
