"""What the benchmark of abuse counts is counted: a loss is one, a place is read, growth is seen, inputs come again."""

import random
from pathlib import Path

import pytest

from app.parts.turns import waits_line
from tests.abuse.growth import Held, rows_of
from tests.abuse.heard import Heard
from tests.abuse.inputs import seen_of
from tests.abuse.kinds import kinds
from tests.abuse.tabs import place_in


@pytest.mark.parametrize(
    ("kept", "is_lost"),
    [
        ("one two three four", False),  # written, and not heard yet
        ("one two three", False),
        ("one two", False),  # of the last second
        ("one", True),
        ("", True),
        ("one two thrice", True),  # another text
    ],
)
def test_what_was_heard_a_second_before_must_be_kept(kept: str, is_lost: bool) -> None:
    heard = Heard([(10.0, "one"), (11.0, "one two"), (12.5, "one two three")])
    assert bool(heard.lost(kept, killed=13.0)) is is_lost


def test_of_an_engine_nothing_is_lost() -> None:
    heard = Heard([(10.0, "one"), (12.9, "one two")])
    assert heard.lost("one", killed=13.0, may_lose_s=0.0) and not heard.lost("one", killed=13.0)
    assert not Heard().lost("", killed=1.0)


@pytest.mark.parametrize("before", [1, 2, 19, 1_000])
def test_a_place_is_read_as_the_page_says_it(before: int) -> None:
    assert place_in(waits_line(before)) == before
    assert place_in("Writing · 12 tokens") is None


@pytest.mark.parametrize(("grown", "holds"), [(0.0, True), (0.002, True), (0.3, False)])
def test_growth_is_seen_and_setting_up_is_none(grown: float, holds: bool) -> None:
    samples = [Held(100 * (1 + grown * at / 50) if at > 5 else 20.0, 9, 4) for at in range(50)]
    assert all(row.holds for row in rows_of("it", samples)) is holds
    assert not all(row.holds for row in rows_of("it", [Held(1.0, 9 + at, 4) for at in range(50)]))


@pytest.mark.slow  # 5 s: a parent, and what it reads with
def test_inputs_of_every_kind_come_again_and_are_no_fault(tmp_path: Path) -> None:
    (first := tmp_path / "a").mkdir()
    (second := tmp_path / "b").mkdir()
    every, again = kinds(first), kinds(second)
    assert len({kind.name for kind in every}) == len(every) > 15
    for one, other in zip(every, again, strict=True):
        if one.name != "session.json":  # its session has an id of its own
            assert one.spoil(random.Random(3)) == other.spoil(random.Random(3))
    seen = seen_of(range(len(every) * 2), seed=11)
    assert (seen.died, seen.hung, seen.faults, seen.n_read) == ([], [], [], len(every) * 2)
