"""A reply that goes round in circles: the same tokens again and again, which no model comes out of by itself.

Certain rather than eager, for honest text repeats itself too: rows of a table, lines of code, lists of zeros. What is
ended said the same word for word, eight times and for 768 tokens at least; where it is made of fewer than eight
different tokens, as zeros and rules are, for 1,536. An engine elsewhere tells no tokens: its pieces of text are taken
for them, and where these are cut anyhow, the characters are looked at, four for a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.runtime.events import Sampling
from engine.tokens.document import Ids

MOST_CYCLE = 1_024  # tokens: longer ones are not looked for
LEAST_TIMES, LEAST_TOKENS = 8, 768
FEW_DIFFERENT, FEW_TOKENS = 8, 1_536
_CHARACTERS = 4  # for a token, of which there are so many
_FEW_CHARACTERS = 12  # different ones
EVERY = 32  # tokens between two looks, which take 0.1 ms


def cycle_of(ids: Sequence[int] | Ids, *, n_each: int = 1, few: int = FEW_DIFFERENT) -> int:
    """Tokens of the circle that a reply goes round at its end; 0 where it goes round none. n_each: of what it is given
    that stand for a token; few: different ones, of which more have to go round."""
    least_tokens = LEAST_TOKENS * n_each
    if len(ids) < least_tokens:
        return 0
    end = np.array(ids[-MOST_CYCLE * n_each * LEAST_TIMES :], dtype=np.int32)
    before = end[-MOST_CYCLE * n_each - 1 : -1]
    for cycle in (np.flatnonzero(before[::-1] == end[-1]) + 1).tolist():
        if not _is_round(end, cycle, least_tokens):
            continue
        is_plain = len(np.unique(end[-cycle:])) < few
        least = max(LEAST_TIMES * cycle, FEW_TOKENS * n_each if is_plain else least_tokens)
        if _is_round(end, cycle, least):
            return int(cycle)
        if 2 * cycle <= least_tokens:  # longer ones are the same, some times over
            return 0
    return 0


def _is_round(end: Ids, cycle: int, n_tokens: int) -> bool:
    """Whether each of the last n_tokens is the one that stands a cycle before it, where there is one."""
    return n_tokens <= len(end) and np.array_equal(end[-n_tokens:-cycle], end[len(end) - n_tokens + cycle :])


def in_circles(ids: Sequence[int], sampling: Sampling) -> str:
    """The sentence on a reply that was ended for that, and how to go on."""
    cycle = cycle_of(ids)
    return _sentence(cycle, _times_round(ids, cycle), "token", sampling)


def _sentence(cycle: int, times: int, unit: str, sampling: Sampling) -> str:
    many = f"the same {cycle:,} {unit}s came {times:,} times in a row"
    what = many if cycle > 1 else f"one {unit} came {times:,} times"
    warmer = "a temperature of 0.6, or " if sampling.temperature == 0 else ""
    more = "a higher repeat penalty" if sampling.repeat_penalty > 1 else "a repeat penalty of 1.1"
    return f"The model repeats itself: {what}, and its reply was ended there. Ask again with {warmer}{more}."


def _times_round(ids: Sequence[int], cycle: int) -> int:
    """How often the last `cycle` tokens stand at the end of a reply, whole and in a row."""
    last, times = list(ids[-cycle:]), 1
    while len(ids) >= (times + 1) * cycle and list(ids[-(times + 1) * cycle : -times * cycle]) == last:
        times += 1
    return times


@dataclass(slots=True)
class Pieces:
    """What an engine elsewhere has said, thoughts too, piece by piece."""

    _numbers: dict[str, int] = field(default_factory=dict)  # by what a piece says
    _said: list[int] = field(default_factory=list)
    _text: str = ""
    _looked_at: tuple[int, int] = (0, 0)  # pieces, characters
    _circle: str = ""

    def add(self, piece: str) -> None:
        """The next one."""
        if piece:
            self._said.append(self._numbers.setdefault(piece, len(self._numbers)))
            self._text += piece

    @property
    def is_due(self) -> bool:
        """Whether enough has come to look at it again."""
        n_pieces, n_characters = self._looked_at
        return len(self._said) - n_pieces >= EVERY or len(self._text) - n_characters >= EVERY * _CHARACTERS * 4

    def go_round(self) -> bool:
        """Whether they go round in circles."""
        self._looked_at = len(self._said), len(self._text)
        if cycle := cycle_of(self._said):
            texts = list(self._numbers)
            self._circle = "".join(texts[number] for number in self._said[-cycle:])
        elif cycle := cycle_of(self._letters, n_each=_CHARACTERS, few=_FEW_CHARACTERS):
            self._circle = self._text[-cycle:]
        return bool(cycle)

    @property
    def _letters(self) -> Ids:
        most = MOST_CYCLE * _CHARACTERS * LEAST_TIMES
        return np.frombuffer(self._text[-most:].encode("utf-32-le", "surrogatepass"), dtype=np.int32)

    def sentence(self, sampling: Sampling) -> str:
        """On a reply that was ended for that; see in_circles."""
        times, n = 0, len(self._circle)
        while self._text.endswith(self._circle, 0, len(self._text) - times * n):
            times += 1
        return _sentence(n, times, "character", sampling)
