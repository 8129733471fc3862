"""What reading again costs, in words, and when it is not worth a word."""

from dataclasses import fields
from typing import Any

import pytest

from app.next_turn import reading_speed, tokens_read
from app.verdicts import rereading
from storage.records import Turn


def turn(**known: Any) -> Turn:
    """A turn of which nothing else is known."""
    known = {"text": "an answer", "settings": {"model": "m"}} | known
    return Turn(**{each.name: known.get(each.name) for each in fields(Turn)})


@pytest.mark.parametrize(
    ("prompt", "reused", "speed", "read", "sentence"),
    [
        (61_240, 40, 170.0, 61_240, "Re-reading 61,200 tokens, about 6 min"),
        (61_240, 40, None, 61_240, "Re-reading 61,200 tokens"),
        (61_240, 61_000, 170.0, 61_240, None),  # a question further on
        (90_000, 61_200, 170.0, 61_240, None),  # much that is new, nothing that is lost
        (90_000, 1_200, 1_000.0, 61_200, "Re-reading 60,000 tokens, about 60 s"),  # what is new is not read again
        (20_000, 10_000, 100.0, 61_240, "Re-reading 10,000 tokens, about 2 min"),
        (61_240, 0, 170.0, 0, None),  # the first question
        (61_240, None, 170.0, 61_240, None),
        (10_000, 0, 6_000.0, 10_000, None),  # under two seconds
        (900, 0, None, 900, None),
        (1_000_000, 0, 100.0, 1_000_000, "Re-reading 1,000,000 tokens, about 2.8 h"),
    ],
)
def test_what_is_lost_is_said_where_it_takes_a_while(
    prompt: int, reused: int | None, speed: float | None, read: int, sentence: str | None
) -> None:
    assert rereading(prompt, reused, speed, read_tokens=read) == sentence


def test_what_a_session_has_had_read() -> None:
    answered = turn(prompt_tokens=1_000, reply_tokens=20, prefill_done=1_000)
    assert tokens_read([], "m") == 0
    assert tokens_read([answered], "m") == 1_020
    assert tokens_read([answered, turn()], "m") == 1_020, "one that failed before it began reads nothing"
    assert tokens_read([answered, turn(text="", prompt_tokens=3_000, prefill_done=1_500)], "m") == 1_500
    assert tokens_read([answered], "another") == 0
    assert tokens_read([answered, turn(prompt_tokens=9, settings={"model": "another"})], "m") == 0


def test_how_fast_it_reads() -> None:
    fast = turn(prompt_tokens=2_000, reused_tokens=1_000, prefill_s=2.0)
    assert reading_speed([fast], "m") == 500
    assert reading_speed([fast, turn(prompt_tokens=2_100, reused_tokens=2_000, prefill_s=1.0)], "m") == 500
    assert reading_speed([fast], "another") is None
    assert reading_speed([turn()], "m") is None
    assert reading_speed([turn(text="", prompt_tokens=9_000, prefill_s=0.5)], "m") is None, "it was stopped on the way"
