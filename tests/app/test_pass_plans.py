"""Plans of passes in threads: whoever asks never waits, and what changed meanwhile is worked out anew."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Event as Flag

from app.pass_plans import Outlook, PassPlans
from app.passes.outline import Outline, PlannedPiece, PlannedSlice
from engine.errors import DoesNotFit
from tests.patience import until


def outline(n_slices: int) -> Outline:
    each = PlannedSlice("a", (PlannedPiece("a", 10),))
    return Outline(slices=(each,) * n_slices, n_sources=1, room=100)


class Planner:
    """Plans what it is told to, once it may."""

    def __init__(self) -> None:
        self.n_slices, self.may, self.n_planned = 1, Flag(), 0

    def __call__(self, session_id: str, resumed: int | None) -> Iterator[Outline]:
        self.n_planned += 1
        planned = outline(self.n_slices)
        self.may.wait()
        if self.n_slices == 0:
            raise DoesNotFit("A pass has no room.", "Leave something out.")
        yield planned
        yield replace(planned, is_sure=True)


def ready(plans: PassPlans, key: object) -> Outlook:
    until(lambda: plans.of("s", key).is_ready)
    return plans.of("s", key)


def test_nobody_waits_and_it_is_worked_out_once() -> None:
    planner = Planner()
    plans = PassPlans(planner)
    assert plans.of("s", 1) == Outlook() and plans.is_busy("s")
    planner.may.set()
    found = ready(plans, 1)
    assert found.outline is not None and found.outline.is_sure and found.error is None
    assert plans.of("s", 1) is found and plans.last("s") == found and planner.n_planned == 1
    until(lambda: not plans.is_busy("s"))


def test_what_changed_meanwhile_is_worked_out_anew() -> None:
    planner = Planner()
    plans = PassPlans(planner)
    plans.of("s", 1)
    until(lambda: planner.n_planned == 1)
    planner.n_slices = 2
    plans.of("s", 2)
    planner.may.set()
    found = ready(plans, 2)
    assert found.outline is not None and len(found.outline.slices) == 2
    planner.may.clear()
    planner.n_slices = 3
    old = plans.of("s", 3)
    assert old.is_old and not old.is_ready and old.outline is not None and len(old.outline.slices) == 2
    planner.may.set()
    assert len((ready(plans, 3).outline or outline(0)).slices) == 3


def test_an_error_and_a_bug_are_sentences() -> None:
    planner = Planner()
    planner.n_slices = 0
    planner.may.set()
    found = ready(PassPlans(planner), 1)
    assert found.outline is None and "no room" in str(found.error)

    def broken(session_id: str, resumed: int | None) -> Iterator[Outline]:
        raise ZeroDivisionError

    assert "mistake in Longdesk" in str(ready(PassPlans(broken), 1).error)


def test_an_error_is_not_remembered() -> None:
    """Memory that was missing may be there by now. Until that is known, the error stands."""
    planner = Planner()
    planner.n_slices = 0
    planner.may.set()
    plans = PassPlans(planner, retry_s=0.0)
    assert ready(plans, 1).error is not None or plans.last("s").error is not None
    planner.may.clear()
    until(lambda: not plans.of("s", 1).is_ready)
    again = plans.of("s", 1)
    assert again.error is not None and again.is_old and not again.is_ready
    planner.n_slices = 2
    planner.may.set()
    until(lambda: plans.of("s", 1).outline is not None)
    assert ready(plans, 1).error is None


def test_closing_gives_up_what_is_worked_out() -> None:
    planner = Planner()
    plans = PassPlans(planner)
    plans.of("s", 1)
    until(lambda: planner.n_planned == 1)
    planner.may.set()
    plans.close()
    assert not plans.is_busy("s")
