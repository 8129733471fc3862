"""Replies that go round in circles are known for certain; honest text that repeats itself is left alone."""

from random import Random

import pytest

from engine.runtime.circles import FEW_TOKENS, LEAST_TIMES, LEAST_TOKENS, MOST_CYCLE, cycle_of, in_circles
from engine.runtime.events import Sampling

HONEST = [7 * n % 911 for n in range(400)]  # a text before it


def row(number: int) -> list[int]:
    """A row of a table: its own number in two digits, and what all rows have."""
    return [1, 10 + number // 10 % 10, 10 + number % 10, *(1, 30, 31, 1, 32, 33, 1, 34, 2)]


@pytest.mark.parametrize("cycle", [8, 12, 31, 77, 200, MOST_CYCLE])
def test_words_that_come_again_and_again(cycle: int) -> None:
    words = Random(cycle).sample(range(50_000), cycle)
    least = max(LEAST_TIMES * cycle, LEAST_TOKENS)
    ids = HONEST + words * (least // cycle + 1)
    assert cycle_of(ids) == cycle
    assert cycle_of(HONEST[:-1] + [-1] + (words * (least // cycle + 1))[-least:]) == cycle
    assert not cycle_of(HONEST[:-1] + [-1] + (words * (least // cycle + 1))[-least + 1 :]), "one token too few"


@pytest.mark.parametrize("cycle", [1, 2, 3, 7])
def test_few_tokens_take_longer(cycle: int) -> None:
    ids = HONEST[:-1] + [-1] + ([*range(cycle)] * FEW_TOKENS)[-FEW_TOKENS:]
    assert cycle_of(ids) == cycle and not cycle_of(HONEST[:-1] + [-1] + ids[-FEW_TOKENS + 1 :])


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [0, 1] * 512,  # 512 zeros with commas
        ([0, 1] * 16 + [2]) * 31,  # a matrix of them
        [5] * 1_000,  # a ruler
        [token for number in range(400) for token in row(number)],  # a table whose rows have numbers
        [token for number in range(200) for token in [*range(40, 60), 100 + number]],  # code with a counter
        [9, *([8] * 12)] * 100,  # rules below headings
        [token for _ in range(7) for token in range(1_000, 1_160)],  # a licence, seven times
    ],
)
def test_honest_text_is_left_alone(ids: list[int]) -> None:
    for end in range(len(ids) - 8, len(ids) + 1):
        assert not cycle_of(HONEST + ids[: max(0, end)])


def test_what_comes_out_of_it_is_left_alone() -> None:
    words = Random(1).sample(range(50_000), 40)
    assert cycle_of(words * 30) == 40 and not cycle_of([*words * 30, 3]) and not cycle_of([*words * 30, *HONEST])


def test_the_sentence_says_how_to_go_on() -> None:
    words = Random(2).sample(range(50_000), 40)
    said = in_circles(words * 20, Sampling())
    assert "the same 40 tokens came 20 times in a row" in said
    assert "temperature of 0.6" in said and "repeat penalty of 1.1" in said
    warm = in_circles([4] * FEW_TOKENS, Sampling(temperature=0.7, repeat_penalty=1.1))
    assert f"one token came {FEW_TOKENS:,} times" in warm and "temperature" not in warm
    assert "a higher repeat penalty" in warm
