"""The rules by which replies are right or wrong, each by itself."""

import pytest

from app.reach.scoring import (
    dips,
    effective,
    first_named,
    is_above_chance,
    is_named,
    is_refused,
    place_of,
    refusal_at,
    said,
    share,
)


@pytest.mark.parametrize(
    ("reply", "is_right"),
    [
        ("read_stream", True),
        ("`read_stream`", True),
        ("The function is read_stream(), in streams.py.", True),
        ("READ_STREAM", True),
        ("read_streams", False),
        ("_read_stream", False),
        ("read_up_to, not read_stream", False),
        ("read_stream, not read_up_to", True),
        ("", False),
    ],
)
def test_a_name_counts_as_a_whole_word_and_first(reply: str, is_right: bool) -> None:
    assert is_named(reply, "read_stream", ("read_up_to", "is_stdin")) is is_right


def test_of_two_names_at_one_place_the_longer_is_meant() -> None:
    assert first_named("New York it is", ("New", "New York")) == "New York"
    assert first_named("nothing of the kind", ("New", "York")) is None


@pytest.mark.parametrize(
    "reply",
    [
        "Not there.",
        "The documents do not say.",
        "It isn\u2019t mentioned anywhere.",
        "It is not mentioned.",
        "There is no information on that.",
        "I cannot tell.",
        "The colour is not specified in the documents",
        "I don't know.",
    ],
)
def test_words_that_say_it_is_not_there(reply: str) -> None:
    assert refusal_at(reply) is not None and is_refused(reply, ("red",))


@pytest.mark.parametrize("reply", ["red", "The sofa is red.", "", "It is red; more is not said."])
def test_who_names_something_first_has_not_refused(reply: str) -> None:
    assert not is_refused(reply, ("red",))


def test_a_refusal_may_name_what_is_there_afterwards() -> None:
    assert is_refused("Not there. Only a red boat is.", ("red",))


def test_what_was_thought_before_does_not_count() -> None:
    reply = "<think>Is it Marwell? It is not said.</think>\n\nTarnholm"
    assert said(reply) == "tarnholm"
    assert is_named(reply, "Tarnholm", ("Marwell",)) and refusal_at(reply) is None
    assert place_of("Marwell", reply) is None


@pytest.mark.parametrize(
    ("scores", "found", "below"),
    [
        ([], None, ()),
        ([(1024, 0.0), (2048, 1.0)], None, ()),
        ([(1024, 0.8)], 1024, ()),
        ([(1024, 1.0), (2048, 0.9), (4096, 0.85), (8192, 0.84)], 4096, ()),
        ([(8192, 0.5), (1024, 0.6), (2048, 0.51)], 2048, ()),
        ([(1024, 1.0), (2048, 0.5), (4096, 0.9)], 4096, (2048,)),
    ],
)
def test_the_effective_length_keeps_85_percent_of_the_shortest(
    scores: list[tuple[int, float]], found: int | None, below: tuple[int, ...]
) -> None:
    assert effective(scores) == found and dips(scores) == below


@pytest.mark.parametrize(
    ("right", "asked", "chance", "is_above"),
    [(0, 0, 0.2, False), (1, 5, 0.2, False), (2, 5, 0.2, False), (4, 5, 0.2, True), (1, 5, 0.0, True)]
    + [(5, 5, 1.0, False), (10, 25, 0.2, True), (7, 25, 0.2, False)],
)
def test_what_guessing_would_do(right: int, asked: int, chance: float, is_above: bool) -> None:
    assert is_above_chance(right, asked, chance) is is_above


def test_a_share_of_nothing_is_nothing() -> None:
    assert share(0, 0) == 0 and share(1, 4) == 0.25
