"""How far reading in passes has come: shares and times, from what is heard of it."""

from dataclasses import replace

from app.passes.progress import InPasses
from app.question import Passes, Passing
from engine.backend import Prefill

PLAN = Passes(titles=("a", "b", "c"), tokens=(100, 100, 200), n_sources=5)


def begun(number: int, n_tokens: int) -> Passing:
    return Passing(number, 3, "x", n_tokens=n_tokens)


def over(number: int, n_tokens: int, *, n_read: int = 0, kept: bool = False) -> Passing:
    return replace(begun(number, n_tokens), note="- a fact\n", n_facts=1, n_read=n_read, kept=kept)


def test_nothing_is_known_before_the_first_pass_has_read_something() -> None:
    passes = InPasses(plan=PLAN).after(begun(1, 110), 10.0)
    assert passes.share(None) == 0 and passes.left_s(None, 10.0) is None
    assert passes.running is not None and not passes.all_over


def test_the_first_pass_tells_the_time_of_all() -> None:
    passes = InPasses(plan=PLAN).after(begun(1, 110), 10.0)
    prefill = Prefill(55, 110, 0, 5.5)
    assert passes.share(prefill) == 50 / 400
    assert passes.pass_left_s(prefill) == 5.5
    left = passes.left_s(prefill, 15.5)
    assert left is not None and abs(left - (5.5 + 30.0)) < 1e-9, "300 tokens behind it, at ten a second"


def test_later_ones_count_what_a_pass_took_with_its_note() -> None:
    passes = InPasses(plan=PLAN).after(begun(1, 100), 0.0).after(over(1, 100, n_read=100), 20.0)
    passes = passes.after(begun(2, 100), 20.0)
    assert passes.left_s(None, 25.0) == 15.0 + 40.0
    assert passes.left_s(None, 100.0) == 40.0, "never less than nothing for the one that runs"


def test_what_is_kept_takes_no_time_and_says_nothing_of_it() -> None:
    passes = InPasses(plan=PLAN).after(over(1, 100, kept=True), 1.0).after(begun(2, 100), 1.0)
    assert passes.share(None) == 100 / 400 and passes.spent_tokens == 0
    assert len(passes.gave) == 1


def test_all_is_over_when_the_notes_are_merged() -> None:
    passes = InPasses(plan=PLAN)
    for number in (1, 2, 3):
        passes = passes.after(begun(number, 100), 0.0).after(over(number, 100, n_read=100), 1.0)
    assert passes.all_over and passes.share(None) == 1
    merging = passes.after(replace(begun(1, 50), merging=True), 2.0)
    assert not merging.all_over and merging.share(Prefill(25, 50, 0, 1.0)) == 1
    merged = merging.after(replace(over(1, 50, n_read=50), merging=True), 3.0)
    assert merged.all_over and len(merged.gave) == 3
