"""A reply of an engine elsewhere that goes round in circles: it is noticed in what comes, however that is cut."""

from random import Random

import pytest

from engine.backend import Sampling, Stop, Text, Wanted
from engine.prompt.prompt import Prompt
from engine.remote.compatible import Piece, Request
from engine.remote.hearing import Heard
from engine.runtime.circles import Pieces
from tests.engine.remote import stubs
from tests.engine.remote.test_engines import end_of, heard, opened, prompt_of, text_of
from tests.engine.remote.test_thoughts import ASKED

LOOP = [" the", " model", " says", " this", " once", " more", " and", " then", ","]
BEFORE = [f"It is {number * 37 % 101} so far. " for number in range(60)]


def cut(text: str, least: int, most: int) -> list[str]:
    drawn, at, pieces = Random(len(text)), 0, list[str]()
    while at < len(text):
        n = drawn.randint(least, most)
        pieces.append(text[at : at + n])
        at += n
    return pieces


def noticed_at(pieces: list[str]) -> int:
    """The piece with which it was noticed; 0 for never."""
    said = Pieces()
    for number, piece in enumerate(pieces, 1):
        said.add(piece)
        if said.is_due and said.go_round():
            return number
    return 0


@pytest.mark.parametrize(
    "pieces",
    [
        BEFORE + LOOP * 200,
        [*BEFORE, *cut("".join(LOOP * 400), 1, 9)],  # cut anyhow
        [*BEFORE, *cut("".join(LOOP * 400), 200, 300)],
        ["".join(LOOP)] * 900,
        ["!"] * 1_700,
        [*BEFORE, *["ha"] * 4_000],
        ["\u597d\u7684\uff0c", "\u6211\u518d\u8bf4\u4e00\u904d\u3002"] * 900,
        [*BEFORE, *cut("x" * 9_000, 1, 30)],
    ],
)
def test_it_is_noticed_before_all_has_come(pieces: list[str]) -> None:
    assert 0 < noticed_at(pieces) < len(pieces)


@pytest.mark.parametrize(
    "pieces",
    [
        ["0", ", "] * 500,
        ["-"] * 1_000,
        [f"| {number:03} | yes | no | 1,024 MiB | 2,048 MiB |\n" for number in range(700)],
        cut("".join(f"assert values[{number}] == {number * 7}\n" for number in range(400)), 2, 5),
        cut("All rights reserved, whatever happens to this text. " * 40, 3, 6),  # 2,080 characters
        BEFORE * 7,
    ],
)
def test_honest_text_is_left_alone(pieces: list[str]) -> None:
    assert noticed_at(pieces) == 0


def test_the_sentence_is_that_of_an_engine_here() -> None:
    said = Pieces()
    for piece in [*BEFORE, *LOOP * 100]:
        said.add(piece)
    assert said.go_round()
    n = len("".join(LOOP))
    told = said.sentence(Sampling())
    assert told.startswith(f"The model repeats itself: the same {n} characters came 100 times in a row, and its reply")
    assert "temperature of 0.6, or a repeat penalty of 1.1" in told
    line = Pieces()
    for _ in range(1_600):
        line.add("=")
    assert line.go_round() and "one character came 1,600 times" in line.sentence(Sampling(temperature=0.7))


@pytest.mark.parametrize("field", ["text", "reasoning"])
def test_thoughts_are_looked_at_as_the_answer_is(field: str) -> None:
    listening = Heard(Prompt(()), Request(**ASKED), 0.0)
    for piece in LOOP * 200:
        list(listening.take(Piece(**{field: piece})))
        if listening.in_circles:
            break
    assert listening.in_circles and listening.finish is None


def test_a_request_is_ended_and_what_came_is_kept() -> None:
    stub = stubs.vllm()
    stub.routes["/v1/chat/completions"] = stubs.chat(words=tuple(BEFORE + LOOP * 400))
    with opened(stub) as backend:
        events = heard(backend, backend.consider(prompt_of(backend), Wanted(reply_tokens=64)))
    end = end_of(events)
    assert end.stop is Stop.ERROR and end.error is not None and "The model repeats itself" in end.error
    assert text_of(events).startswith("".join(BEFORE + LOOP)) and sum(isinstance(each, Text) for each in events) < 1_000
