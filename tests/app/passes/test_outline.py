"""How a session would be read in passes: through Desk, with an engine of words."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.passes.outline import Outline, PlannedPiece, PlannedSlice
from app.question import Answered, Cited, Notice, Passes, Passing, Question
from app.settings import Settings
from engine.errors import DoesNotFit
from tests.slow_reader import SlowReader

N_SOURCES = 120


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", reply_tokens=60), backend=SlowReader())) as made:
        yield made


@pytest.fixture
def session(desk: Desk, tmp_path: Path) -> str:
    for number in range(N_SOURCES):
        path = tmp_path / "corpus" / f"p{number % 3}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Wagon {number} carries {number + 3} crates of apples and {number + 5} of pears " * 3)
    begun = desk.begin_session("New session")
    desk.add_sources(begun.id, desk.read([tmp_path / "corpus"]))
    return begun.id


def outlined(desk: Desk, session: str, resumed: int | None = None) -> Outline:
    *_, last = desk.outlines(session, resumed)
    return last


def ask(desk: Desk, question: Question, *, stop_after: int | None = None) -> list[object]:
    """What is heard of it. stop_after: passes that leave a note, then it is stopped."""
    cancel, heard, n_over = Flag(), list[object](), 0
    for event in desk.ask(question, cancel=cancel):
        heard.append(event)
        n_over += isinstance(event, Passing) and event.note is not None
        if n_over == stop_after:
            cancel.set()
    return heard


def test_the_plan_is_there_before_it_is_looked_what_is_kept(desk: Desk, session: str) -> None:
    first, last = desk.outlines(session)
    assert not first.is_sure and last.is_sure and first.n_tokens == last.n_tokens
    assert first.n_sources == N_SOURCES and len(first.slices) > 3
    assert all(each.n_tokens <= first.room for each in first.slices)
    assert last.n_noted == 0 and last.n_left == last.n_tokens


def test_a_session_that_is_set_so_is_read_as_planned(desk: Desk, session: str) -> None:
    with pytest.raises(DoesNotFit):
        ask(desk, Question(text="Which wagon?", session=session))
    planned = outlined(desk, session)
    desk.read_in_passes(session, True)
    heard = ask(desk, Question(text="Which wagon?", session=session))
    [passes] = [event for event in heard if isinstance(event, Passes)]
    assert list(passes.tokens) == [each.n_tokens for each in planned.slices]
    answered = [event for event in heard if isinstance(event, Answered)][-1]
    assert answered.turn.stop == "end" and answered.turn.receipt is not None
    assert answered.turn.receipt["passes"]["n_passes"] == len(planned.slices)
    desk.read_in_passes(session, False)
    with pytest.raises(DoesNotFit):
        ask(desk, Question(text="Which wagon?", session=session))


def test_what_was_stopped_is_planned_with_what_is_kept(desk: Desk, session: str) -> None:
    desk.read_in_passes(session, True, pass_tokens=600)
    heard = ask(desk, Question(text="Which wagon?", session=session), stop_after=2)
    assert [event.turn.stop for event in heard if isinstance(event, Answered)][0] == "cancelled"
    left = outlined(desk, session, resumed=0)
    assert left.room == 600 and left.n_noted == 2
    assert [each.is_noted for each in left.slices[:3]] == [True, True, False]
    assert left.n_left == sum(each.n_tokens for each in left.slices[2:])
    heard = ask(desk, Question(text="", session=session, goes_on=0))
    over = [event for event in heard if isinstance(event, Passing) and event.note is not None and not event.merging]
    assert [event.kept for event in over] == [True, True] + [False] * (len(over) - 2)
    assert len(over) == len(left.slices)
    assert not [event for event in heard if isinstance(event, Notice)]
    assert [event.turn.stop for event in heard if isinstance(event, Answered | Cited)][-1] == "end"


def test_no_room_is_a_sentence(desk: Desk, session: str) -> None:
    desk.read_in_passes(session, True, pass_tokens=10)
    with pytest.raises(DoesNotFit, match="room"):
        outlined(desk, session)


def test_many_files_are_told_by_their_folders() -> None:
    def planned(*paths: str) -> tuple[str, ...]:
        return PlannedSlice("", tuple(PlannedPiece(path, 1) for path in paths)).contents

    assert planned("a.py", "b.py") == ("a.py", "b.py")
    src = [f"src/{name}.py" for name in "abcdefg"]
    assert planned(*src) == ("src/ 7 files",)
    assert planned("README.md", *src) == ("README.md", "src/ 7 files")
    assert planned(*(f"{number}.txt" for number in range(9)))[-1] == "4 more files"
    cut = PlannedSlice("", (PlannedPiece("big.py", 1, 2, 3),))
    assert cut.contents == ("big.py, part 2 of 3",)


def test_the_next_question_has_the_same_slices(desk: Desk, session: str) -> None:
    desk.read_in_passes(session, True)
    before = outlined(desk, session)
    ask(desk, Question(text="Which wagon?", session=session))
    after = outlined(desk, session)
    assert [each.pieces for each in after.slices] == [each.pieces for each in before.slices]
    assert after.n_noted == 0
