"""Additions: what is read into sessions in threads, seen from outside. The reader stops where a test wants it to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from app.additions import Addition, Additions, Stage
from app.question import Notice
from app.reading import Progress, Tell
from engine.backend import Skipped
from engine.corpus.source import Cause
from engine.errors import DoesNotFit, SessionBusy, SourceRefused
from tests.patience import PATIENCE_S, until

REFUSED = Skipped("a.bin", Cause.BINARY, "binary data")


@dataclass(frozen=True, slots=True)
class Delivered:
    title: str
    has_sources: bool = True
    refused: tuple[Skipped, ...] = ()


class Slow:
    """Reads file after file, each when it is let."""

    def __init__(self, title: str, n_files: int = 3, *, error: Exception | None = None) -> None:
        self.title, self.n_files, self.error = title, n_files, error
        self.begun, self.let, self.over = Event(), Event(), Event()
        self.session: str | None = ""

    def __call__(self, session: str | None, tell: Tell) -> Delivered:
        self.session = session
        try:
            tell(Progress(1, 10, 0.1, "0.txt", self.n_files))
            self.begun.set()
            assert self.let.wait(PATIENCE_S)
            if self.error is not None:
                raise self.error
            for at in range(1, self.n_files):
                tell(Progress(at + 1, 10 * at + 10, 0.1, f"{at}.txt", self.n_files))
            return Delivered(self.title, refused=(REFUSED,))
        finally:
            self.over.set()


@dataclass
class Home:
    """Desk, intake and jobs in one, and what they were told to do, in order."""

    done: list[tuple[Any, ...]] = field(default_factory=list)
    on_add: Callable[[], None] = lambda: None
    busy: Exception | None = None

    def begin_session(self, title: str, *, with_sources: bool = True, session_id: str | None = None) -> None:
        self.done.append(("begin", session_id, title, with_sources))

    def add(self, session_id: str, delivery: Any) -> tuple[Notice, ...]:
        self.on_add()
        self.done.append(("add", session_id, delivery.title))
        return (Notice(f"{delivery.title} is there."),)

    def discard(self, delivery: Any) -> None:
        self.done.append(("discard", delivery.title))

    def ask(self, session_id: str, text: str, *, refused: tuple[Skipped, ...] = ()) -> None:
        if self.busy is not None:
            raise self.busy
        self.done.append(("ask", session_id, text, refused))

    def count(self, session_id: str) -> None:
        self.done.append(("count", session_id))
        raise DoesNotFit("It does not fit.")  # is nobody's concern here

    def additions(self) -> Additions:
        return Additions(self, self, self, count=self.count)


def wait_for(addition: Addition) -> Addition:
    addition.join(PATIENCE_S)
    assert not addition.running
    return addition


def at_rest(additions: Additions) -> None:
    until(lambda: not additions.running())


def test_it_is_read_added_counted_and_what_came_of_it_is_kept() -> None:
    home, slow = Home(), Slow("src")
    addition = home.additions().add("s", "src", slow)
    assert slow.begun.wait(PATIENCE_S)
    assert addition.standing.stage is Stage.READING and addition.running
    assert addition.standing.progress == Progress(1, 10, 0.1, "0.txt", 3)
    slow.let.set()
    standing = wait_for(addition).standing
    assert home.done == [("add", "s", "src"), ("count", "s")] and slow.session == "s"
    assert standing.stage is Stage.DONE and not standing.stopped and standing.error is None
    assert standing.notices == ("src is there.",) and standing.refused == (REFUSED,)
    assert standing.progress is not None and standing.progress.n_files == 3


def test_a_new_session_is_begun_once_it_is_read() -> None:
    home, slow = Home(), Slow("src")
    additions = home.additions()
    addition = additions.add(None, "src", slow)
    assert slow.begun.wait(PATIENCE_S)
    session = addition.session_id
    assert home.done == [] and slow.session is None, "nothing can be looked up of a session that is not there"
    assert additions.is_coming(session) and not additions.has_begun(session) and addition.is_new
    slow.let.set()
    wait_for(addition)
    assert home.done[:2] == [("begin", session, "src", True), ("add", session, "src")]
    assert not additions.is_coming(session) and additions.has_begun(session)


def test_stop_ends_it_at_once_and_nothing_is_added() -> None:
    home, slow = Home(), Slow("src")
    additions = home.additions()
    addition = additions.add(None, "src", slow)
    assert slow.begun.wait(PATIENCE_S)
    addition.stop()
    assert not addition.running and addition.standing.stopped and additions.running() == ()
    assert not slow.over.is_set(), "the reader has not heard of it yet, and nobody waits for that"
    slow.let.set()
    assert slow.over.wait(PATIENCE_S)
    until(lambda: not additions._running)
    assert home.done == [] and addition.standing.error is None
    assert not additions.has_begun(addition.session_id) and not additions.is_coming(addition.session_id)


def test_stopped_after_the_last_file_what_was_copied_is_deleted() -> None:
    home, gate = Home(), Event()
    additions = home.additions()

    def read(session: str | None, tell: Tell) -> Delivered:
        assert gate.wait(PATIENCE_S)
        return Delivered("src")

    addition = additions.add("s", "src", read)
    addition.stop()
    gate.set()
    until(lambda: not additions._running)
    assert home.done == [("discard", "src")]


def test_what_is_being_written_down_cannot_be_stopped() -> None:
    home, slow = Home(), Slow("src")
    writing, gate = Event(), Event()

    def on_add() -> None:
        writing.set()
        assert gate.wait(PATIENCE_S)

    home.on_add = on_add
    addition = home.additions().add("s", "src", slow)
    slow.let.set()
    assert writing.wait(PATIENCE_S)
    addition.stop()
    assert addition.running and addition.standing.stage is Stage.ADDING
    gate.set()
    assert not wait_for(addition).standing.stopped
    assert ("add", "s", "src") in home.done


def test_one_session_reads_in_turn_and_another_does_not_wait() -> None:
    home, one, two, other = Home(), Slow("one"), Slow("two"), Slow("other")
    additions = home.additions()
    first, second = additions.add("s", "one", one), additions.add("s", "two", two)
    third = additions.add("t", "other", other)
    assert one.begun.wait(PATIENCE_S) and other.begun.wait(PATIENCE_S)
    assert second.standing.stage is Stage.WAITING and not two.begun.is_set()
    assert additions.of("s") == (first, second) and additions.running() == (first, second, third)
    other.let.set()
    wait_for(third)
    one.let.set()
    assert two.begun.wait(PATIENCE_S)
    two.let.set()
    wait_for(second)
    assert [each for each in home.done if each[0] == "add"] == [
        ("add", "t", "other"), ("add", "s", "one"), ("add", "s", "two")
    ]  # fmt: skip


def test_a_stop_lets_the_next_one_begin_and_one_that_waits_can_be_stopped() -> None:
    home, one, two, three = Home(), Slow("one"), Slow("two"), Slow("three")
    additions = home.additions()
    first = additions.add(None, "one", one)
    second = additions.add(first.session_id, "two", two)
    third = additions.add(first.session_id, "three", three)
    assert one.begun.wait(PATIENCE_S)
    second.stop()
    first.stop()
    assert three.begun.wait(PATIENCE_S) and third.is_new
    for each in (one, two, three):
        each.let.set()
    wait_for(third)
    until(lambda: not additions._running)
    assert [each[0] for each in home.done] == ["begin", "add", "count"]
    assert home.done[0] == ("begin", first.session_id, "three", True)


def test_a_question_is_asked_once_it_is_read() -> None:
    home, slow = Home(), Slow("src")
    additions = home.additions()
    addition = additions.add("s", "src", slow, question="What is it?")
    assert not additions.ask_after("s", "And that?") and not additions.ask_after("t", "Who waits?")
    slow.let.set()
    wait_for(addition)
    assert home.done[-1] == ("ask", "s", "What is it?", (REFUSED,))


def test_a_question_that_is_asked_while_it_is_read_waits() -> None:
    home, slow = Home(), Slow("src")
    additions = home.additions()
    addition = additions.add("s", "src", slow)
    assert slow.begun.wait(PATIENCE_S)
    assert additions.ask_after("s", "What is it?") and not additions.ask_after("s", "And that?")
    assert addition.standing.question == "What is it?"
    slow.let.set()
    wait_for(addition)
    assert [each[0] for each in home.done] == ["add", "count", "ask"]
    assert not additions.ask_after("s", "And now?")


def test_a_question_is_not_asked_where_its_files_are_stopped() -> None:
    home, slow = Home(), Slow("src")
    additions = home.additions()
    addition = additions.add("s", "src", slow, question="What is it?")
    assert slow.begun.wait(PATIENCE_S)
    addition.stop()
    slow.let.set()
    until(lambda: not additions._running)
    assert home.done == [] and addition.standing.question == "What is it?", "the page gives it back"


def test_errors_become_sentences() -> None:
    home = Home()
    additions = home.additions()
    refused = Slow("src", error=SourceRefused("Nothing in it can be read.", "Give something else."))
    refused.let.set()
    standing = wait_for(additions.add(None, "src", refused)).standing
    assert standing.error == "Nothing in it can be read. Give something else." and home.done == []
    broken = Slow("src", error=ZeroDivisionError("a mistake"))
    broken.let.set()
    standing = wait_for(additions.add("s", "src", broken)).standing
    assert standing.error is not None and "mistake in Longdesk" in standing.error and home.done == []
    at_rest(additions)


def test_a_question_is_asked_even_where_its_files_are_refused() -> None:
    home = Home()
    refused = Slow("src", error=SourceRefused("Nothing in it can be read."))
    refused.let.set()
    addition = wait_for(home.additions().add(None, "src", refused, question="Why?"))
    assert home.done == [
        ("begin", addition.session_id, "New session", False), ("ask", addition.session_id, "Why?", ())
    ]  # fmt: skip
    assert addition.standing.error == "Nothing in it can be read."


def test_why_it_could_not_be_asked_is_said_too() -> None:
    home, slow = Home(busy=SessionBusy("An answer is running.")), Slow("src")
    slow.let.set()
    standing = wait_for(home.additions().add("s", "src", slow, question="Why?")).standing
    assert standing.error == "An answer is running." and standing.notices == ("src is there.",)


def test_a_deleted_session_and_the_end_of_the_program_stop_what_is_read() -> None:
    home, one, two = Home(), Slow("one"), Slow("two")
    additions = home.additions()
    first, second = additions.add("s", "one", one), additions.add("t", "two", two)
    assert one.begun.wait(PATIENCE_S) and two.begun.wait(PATIENCE_S)
    additions.forget("s")
    assert not first.running and second.running
    additions.close()
    assert not second.running
    one.let.set()
    two.let.set()
    until(lambda: not additions._running)
    assert home.done == []
