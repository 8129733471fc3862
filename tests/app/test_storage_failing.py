"""A disk that is full for a moment: whatever a question was just writing, its session can be asked again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event as Flag

import pytest

from app import record
from app.desk import Desk
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.backend import Corpus
from engine.corpus.source import Cause, Skipped, Source
from storage.schema import Database, StorageFailed
from storage.store import Store
from tests.fake_backend import FakeBackend

FULL = "The disk is full."
CORPUS = Corpus((Source.written("a.txt", "the boat leaves at nine"),), (Skipped("b.bin", Cause.BINARY, "no text"),))
Fails = Callable[[int], bool]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(record, "_FINISHING_S", (0.0, 0.0))
    monkeypatch.setattr(record, "_RETRY_S", 0.0)
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=FakeBackend())
    yield desk
    desk.close()


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, fails: Fails, *, at_the_end: bool = False) -> Iterator[list[str]]:
    """Calls of the database fail by their number; at the end: not when they begin, but when they are committed."""
    lend, calls = Database._lend, []

    @contextmanager
    def lending(self: Database, begin: str, *, reads: bool = False) -> Iterator[object]:
        calls.append(begin)
        is_failing = fails(len(calls) - 1)
        if is_failing and not at_the_end:
            raise StorageFailed(FULL)
        with lend(self, begin, reads=reads) as connection:
            yield connection
            if is_failing:
                raise StorageFailed(FULL)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_lend", lending)
        yield calls


def ask(desk: Desk, text: str, session: str | None, corpus: Corpus = CORPUS) -> list[object]:
    return list(desk.ask(Question(text=text, session=session, corpus=corpus), cancel=Flag()))


def begun(desk: Desk) -> str:
    (answered,) = (event for event in ask(desk, "First?", None) if type(event) is Answered)
    return answered.turn.session_id


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("n_times", [1, 3])
@pytest.mark.parametrize("is_new", [False, True])
def test_after_a_failure_at_any_call_the_session_is_asked_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, n_times: int, at_the_end: bool, is_new: bool
) -> None:
    session = begun(desk)
    at = n_calls = 0
    while at <= n_calls:
        other = Corpus((Source.written(f"{at}.txt", f"other text {at}"),))
        with failing(monkeypatch, lambda n, at=at: at <= n < at + n_times, at_the_end=at_the_end) as calls:  # type: ignore[misc]
            with suppress(StorageFailed):
                ask(desk, f"Number {at}?", None if is_new else session, other)
            n_calls = len(calls)
        ids = [each.id for each in desk.sessions()]
        for each in ids if is_new else [session]:
            events = ask(desk, "Again?", each)
            (answered,) = (event for event in events if type(event) is Answered)
            assert answered.turn.stop == "end"
            assert all(turn.stop is not None for turn in desk.turns(each))
        for each in ids:
            if each != session:
                desk.delete_session(each)
        at += 1
    assert n_calls > 10


def test_what_could_not_be_written_comes_with_what_is_written_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begun(desk)
    append, n_calls = type(desk._store.turns).append_text, 0

    def failing_at_first(*args: object) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls <= 2:
            raise StorageFailed(FULL)
        append(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(type(desk._store.turns), "append_text", failing_at_first)
    events = ask(desk, "What of it?", session)
    (answered,) = (event for event in events if type(event) is Answered)
    assert answered.turn.stop == "end" and answered.turn.text == desk.turns(session)[-1].text != ""
    told = [event.text for event in events if isinstance(event, Notice) and FULL in event.text]
    assert told == [f"The answer could not be written down for a moment: {FULL}"]


def test_an_answer_whose_end_is_never_written_is_one_that_was_interrupted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(desk)

    def full(*_: object) -> None:
        raise StorageFailed(FULL)

    with monkeypatch.context() as patch:
        patch.setattr(type(desk._store.turns), "finish", full)
        with pytest.raises(StorageFailed, match=FULL):
            ask(desk, "What of it?", session)
    left = desk.turns(session)[-1]
    assert (left.stop, bool(left.text)) == ("interrupted", True)
    assert any(type(event) is Answered for event in ask(desk, "And now?", session))


def test_a_release_that_fails_frees_the_session_here_at_once_and_elsewhere_soon(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storage import heartbeats
    from tests.patience import until

    monkeypatch.setattr(heartbeats, "RETRY_S", 0.01)
    session, is_full = begun(desk), Flag()
    is_full.set()
    with failing(monkeypatch, lambda _: is_full.is_set()):
        lease = desk._store.leases.prepared(session)
        is_full.clear()
        lease.release()
        held = desk._store.leases.acquire(session)
        is_full.set()
        held.release()
        is_full.clear()
        assert desk._store.leases.holder(session) is None

        def rows() -> int:
            with desk._store._database.read() as connection:
                return int(connection.execute("SELECT count(*) FROM leases").fetchone()[0])

        until(lambda: rows() == 0)


def test_nothing_or_all_of_what_a_question_begins_with_is_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Session, sources, skipped and turn of one question: no failure leaves a part of them."""
    at = n_calls = 0
    while at <= n_calls:
        with failing(monkeypatch, lambda n, at=at: n == at, at_the_end=True) as calls:  # type: ignore[misc]
            with suppress(StorageFailed):
                ask(desk, "First?", None)
            n_calls = len(calls)
        for each in desk.sessions():
            seen = desk.session(each.id)
            assert len(seen.links) == len(seen.skipped) == len(seen.turns) == 1
            desk.delete_session(each.id)
        with Store(desk.settings.home) as store, store._database.read() as connection:
            left = connection.execute("SELECT count(*) FROM contents").fetchone()[0]
        assert left == 0 or at < n_calls  # what a failing removal leaves goes with the next that is put
        at += 1
