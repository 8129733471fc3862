"""Jobs: answers in threads, seen from outside. The asker is a script of events, so that every order can be had."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event as Flag
from threading import Thread
from types import SimpleNamespace
from typing import cast

import pytest

from app.jobs import Job, Jobs, Phase, Progress, advance
from app.question import Begun, DeskEvent, Notice, Question, Waiting
from engine.backend import Plan
from engine.errors import DoesNotFit, SessionBusy
from engine.runtime.events import Checking, Loading, Prefill, Text
from storage.records import Turn
from storage.schema import StorageFailed
from tests.patience import until

Script = Callable[[Question, Flag], Iterator[DeskEvent]]


class Scripted:
    """An asker that says what it was told to."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.n_closed = 0

    def ask(self, question: Question, *, cancel: Flag) -> Iterator[DeskEvent]:
        return self._script(question, cancel)

    def close(self) -> None:
        self.n_closed += 1


def wait_for(job: Job) -> Progress:
    until(lambda: not job.running)
    return job.progress


def endless(question: Question, cancel: Flag) -> Iterator[DeskEvent]:
    yield Prefill(10, 10, 0, 1.0)
    n_tokens = 0
    while not cancel.wait(0.005):
        n_tokens += 1
        yield Text("word ", n_tokens)


def test_a_job_gathers_what_its_answer_says() -> None:
    def script(question: Question, cancel: Flag) -> Iterator[DeskEvent]:
        yield Loading(1.0)
        yield Prefill(5, 10, 2, 0.5)
        yield Text("Hello ", 1)
        yield Notice("The KV cache was not kept.")
        yield Text(question.text, 2)

    progress = wait_for(Jobs(Scripted(script)).ask("a", "world"))
    assert progress.text == "Hello world"
    assert progress.notices == ("The KV cache was not kept.",)
    assert progress.phase is Phase.DONE


def test_it_goes_on_while_nobody_looks_and_stops_when_told() -> None:
    jobs = Jobs(Scripted(endless))
    job = jobs.ask("a", "?")
    until(lambda: len(job.progress.text) > 50)
    assert jobs.of("a") is job
    assert jobs.running() == (job,)
    job.stop()
    assert "word" in wait_for(job).text
    assert jobs.running() == ()


def test_one_answer_a_session_but_several_sessions_at_once() -> None:
    jobs = Jobs(Scripted(endless))
    first = jobs.ask("a", "?")
    with pytest.raises(SessionBusy):
        jobs.ask("a", "again?")
    second = jobs.ask("b", "?")
    first.stop()
    wait_for(first)
    third = jobs.ask("a", "again?")
    assert jobs.of("a") is third
    jobs.close()
    assert not (second.running or third.running)


def test_an_error_before_the_turn_is_kept_as_its_sentence() -> None:
    def script(question: Question, cancel: Flag) -> Iterator[DeskEvent]:
        yield Waiting()
        raise DoesNotFit("12 tokens over.", "Leave something out.")

    jobs = Jobs(Scripted(script))
    progress = wait_for(jobs.ask("a", "?"))
    assert (progress.error, progress.turn) == ("12 tokens over. Leave something out.", None)
    jobs.forget("a")
    assert jobs.of("a") is None


def test_what_was_refused_is_asked_again_as_its_template_made_it() -> None:
    """And a question that is asked as it is calls no template, whatever it begins with."""
    heard: list[Question] = []

    def script(question: Question, cancel: Flag) -> Iterator[DeskEvent]:
        heard.append(question)
        raise DoesNotFit("Too long.", "Leave something out.")
        yield

    jobs = Jobs(Scripted(script), fill=lambda question, filled: replace(question, text="Made", kinds=("pdf",)))
    refused = jobs.ask("a", "/mine")
    wait_for(refused)
    wait_for(jobs.again(refused))
    wait_for(jobs.ask("a", "/mine", beside=0, as_it_is=True))
    assert [(each.text, each.kinds) for each in heard] == [("Made", ("pdf",)), ("Made", ("pdf",)), ("/mine", ())]


def test_a_bug_ends_the_job_and_not_the_page(caplog: pytest.LogCaptureFixture) -> None:
    def script(question: Question, cancel: Flag) -> Iterator[DeskEvent]:
        yield Text("half ", 1)
        raise ZeroDivisionError

    progress = wait_for(Jobs(Scripted(script)).ask("a", "?"))
    assert progress.error is not None and "Ask again" in progress.error
    assert progress.text == "half "
    assert "ZeroDivisionError" in caplog.text


def test_closing_stops_everything_and_takes_nothing_new() -> None:
    asker = Scripted(endless)
    jobs = Jobs(asker)
    running = [jobs.ask(session, "?") for session in "abc"]
    jobs.close()
    assert not any(job.running for job in running)
    assert asker.n_closed == 1
    with pytest.raises(SessionBusy):
        jobs.ask("d", "?")


def test_progress_never_changes_under_a_reader() -> None:
    jobs = Jobs(Scripted(endless))
    job = jobs.ask("a", "?")
    until(lambda: job.progress.n_tokens > 3)
    torn: list[Progress] = []

    def look() -> None:
        for _ in range(2000):
            progress = job.progress
            if progress.text != "word " * progress.n_tokens:
                torn.append(progress)

    readers = [Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    jobs.close()
    assert not torn


@pytest.mark.parametrize(
    ("event", "phase"),
    [
        (Waiting(), Phase.WAITING),
        (Checking(0.5), Phase.CHECKING),
        (Loading(0.5), Phase.LOADING),
        (Prefill(1, 2, 0, 0.1), Phase.READING),
        (Text("a", 1), Phase.WRITING),
        (Notice("n"), Phase.STARTING),
    ],
)
def test_every_event_has_its_phase(event: DeskEvent, phase: Phase) -> None:
    assert advance(Progress(), event).phase is phase


class Drafts:
    """Drafts in memory, and every one that there was."""

    def __init__(self, **drafts: str) -> None:
        self.now, self.every = drafts, list[str]()

    def draft(self, session_id: str) -> str:
        return self.now.get(session_id, "")

    def keep_draft(self, session_id: str, text: str) -> None:
        self.now[session_id] = text
        self.every.append(text)


def begun(question: Question) -> Begun:
    turn = SimpleNamespace(question=question.text, text="", thought=None, stop=None)
    return Begun(cast(Turn, turn), cast(Plan, None))


def held_in_line(go: Flag, *, begins: bool = True) -> Script:
    def script(question: Question, cancel: Flag) -> Iterator[DeskEvent]:
        yield Waiting(2)
        yield Waiting(1)
        go.wait()
        if begins and not cancel.is_set():
            yield begun(question)
            yield Text("So", 1)

    return script


@pytest.mark.parametrize("how", ["its turn comes", "it is stopped", "it is refused"])
def test_a_question_that_waits_is_its_sessions_draft_until_its_turn(how: str) -> None:
    """So that it is not lost with the program."""
    go, drafts = Flag(), Drafts()
    jobs = Jobs(Scripted(held_in_line(go, begins=how == "its turn comes")), drafts=drafts)
    job = jobs.ask("a", "Where is it?")
    until(lambda: job.parked and job.progress.before == 1)
    assert drafts.draft("a") == "Where is it?"
    if how == "it is stopped":
        job.stop()
    go.set()
    wait_for(job)
    assert drafts.every == ["Where is it?", ""] and job.parked == ""


def test_what_calls_a_template_waits_as_it_was_typed() -> None:
    go, drafts = Flag(), Drafts()
    made = Jobs(Scripted(held_in_line(go)), fill=lambda question, _: replace(question, text="Made"), drafts=drafts)
    job = made.ask("a", "/mine")
    until(lambda: job.parked)
    assert drafts.draft("a") == "/mine"
    go.set()
    wait_for(job)


def test_another_draft_is_left_alone() -> None:
    go, drafts = Flag(), Drafts(a="half a thought")
    job = Jobs(Scripted(held_in_line(go)), drafts=drafts).ask("a", "Where is it?")
    until(lambda: job.progress.phase is Phase.WAITING)
    go.set()
    wait_for(job)
    assert drafts.now == {"a": "half a thought"} and drafts.every == []


def test_what_was_typed_while_it_waited_stays() -> None:
    go, drafts = Flag(), Drafts()
    job = Jobs(Scripted(held_in_line(go)), drafts=drafts).ask("a", "Where is it?")
    until(lambda: job.parked)
    drafts.keep_draft("a", "and more")
    go.set()
    wait_for(job)
    assert drafts.draft("a") == "and more"


def test_a_disk_that_is_full_keeps_no_question_from_being_asked() -> None:
    class Full(Drafts):
        def keep_draft(self, session_id: str, text: str) -> None:
            raise StorageFailed("The disk is full.")

    go = Flag()
    go.set()
    assert wait_for(Jobs(Scripted(held_in_line(go)), drafts=Full()).ask("a", "?")).text == "So"


def test_a_reply_that_goes_on_has_no_text_to_keep() -> None:
    go, drafts = Flag(), Drafts()
    go.set()
    wait_for(Jobs(Scripted(held_in_line(go)), drafts=drafts).ask("a", "", goes_on=0))
    assert drafts.every == []
