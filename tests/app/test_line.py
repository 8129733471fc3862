"""The line in which questions wait for the one engine: first come, first served, each told its place."""

from collections.abc import Generator
from threading import Event as Flag
from threading import Thread
from time import sleep

import pytest

from app.jobs import Phase, Progress, advance
from app.parts.turns import line_of
from app.question import Hold, Line, Waiting
from app.summaries import Making
from app.views.summary import _line
from tests.patience import until


class Waiter:
    """One that waits in a thread: the places that it was told, and whether it has had its turn."""

    def __init__(self, line: Line, served: list[int], number: int) -> None:
        self.cancel, self.places, self.has = Flag(), list[int](), Flag()
        self._line, self._served, self._number = line, served, number
        self.done = Flag()
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()
        until(lambda: self.places or self.has.is_set())

    def _run(self) -> None:
        if (yes := self._heard(self._line.wait(self.cancel))) is True:
            self._served.append(self._number)
            self.has.set()
            self.done.wait()
            self._line.engine.release()
        assert yes in (True, False)

    def _heard(self, waiting: Generator[Waiting, None, bool]) -> bool:
        while True:
            try:
                self.places.append(next(waiting).before)
            except StopIteration as ended:
                return bool(ended.value)


def crowd(n: int) -> tuple[list[Waiter], list[int]]:
    line, served = Line(), list[int]()
    return [Waiter(line, served, number) for number in range(n)], served


def test_they_are_served_in_the_order_in_which_they_came_and_told_their_place() -> None:
    waiters, served = crowd(8)
    for at, waiter in enumerate(waiters):
        assert waiter.places[:1] == ([at] if at else [])
    for at, waiter in enumerate(waiters):
        waiter.has.wait()
        for behind, other in enumerate(waiters[at + 1 :], 1):
            until(lambda behind=behind, other=other: other.places[-1] == behind)  # type: ignore[misc]
        waiter.done.set()
    assert served == list(range(8))
    for at, waiter in enumerate(waiters):
        assert waiter.places == list(range(at, 0, -1))


def test_one_that_is_given_up_lets_those_behind_it_move_up() -> None:
    waiters, served = crowd(5)
    waiters[2].cancel.set()
    until(lambda: (waiters[3].places[-1], waiters[4].places[-1]) == (2, 3))
    for number in (0, 1, 3, 4):
        waiters[number].has.wait()
        waiters[number].done.set()
    for waiter in waiters:
        waiter.thread.join()
    assert served == [0, 1, 3, 4] and waiters[2].places == [2]


def test_a_new_one_does_not_pass_those_that_wait() -> None:
    """Also where the engine is free for the moment in which it comes."""
    line, served = Line(), list[int]()
    line.engine.acquire()
    first = Waiter(line, served, 0)
    late = line.wait(Flag())
    assert next(late) == Waiting(2)
    line.engine.release()
    first.has.wait()
    first.done.set()
    late.close()
    first.thread.join()
    assert not line.is_long and line.engine.acquire(blocking=False)


def test_one_that_is_closed_while_it_waits_leaves_no_place_behind() -> None:
    line = Line()
    line.engine.acquire()
    waiting = line.wait(Flag())
    next(waiting)
    assert line.is_long
    waiting.close()
    assert not line.is_long


def test_two_with_one_flag_are_two() -> None:
    line, flag = Line(), Flag()
    line.engine.acquire()
    first, second = line.wait(flag), line.wait(flag)
    assert (next(first), next(second)) == (Waiting(1), Waiting(2))
    flag.set()
    assert list(first) == list(second) == [] and not line.is_long


def test_long_work_lets_all_that_wait_go_first_and_has_the_engine_again() -> None:
    line, served = Line(), list[int]()
    assert line.take(Flag())
    hold = Hold(line, Flag())
    waiters = [Waiter(line, served, number) for number in range(3)]
    for waiter in waiters:
        waiter.done.set()
    list(hold.give_way())
    sleep(0)
    assert served == [0, 1, 2] and line.engine.locked()
    hold.release()
    assert not line.engine.locked()


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (1, "Waits for another answer"),
        (2, "Waits · 2 questions before this one"),
        (19, "Waits · 19 questions before this one"),
        (1_200, "Waits · 1,200 questions before this one"),
    ],
)
def test_the_page_says_how_many_come_first(before: int, line: str) -> None:
    progress = advance(Progress(), Waiting(before))
    assert progress.phase is Phase.WAITING and line_of(progress) == line


@pytest.mark.parametrize(
    ("waiting", "line"),
    [
        (0, "Looking at the sources"),
        (1, "Waiting until another question is answered"),
        (3, "Waiting until 3 other questions are answered"),
    ],
)
def test_a_summary_says_it_too(waiting: int, line: str) -> None:
    assert _line(Making(waiting=waiting)) == line
