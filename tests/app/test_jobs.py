"""Jobs: answers in threads, seen from outside. The asker is a script of events, so that every order can be had."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event as Flag
from threading import Thread

import pytest

from app.jobs import Job, Jobs, Phase, Progress, advance
from app.question import DeskEvent, Notice, Question, Waiting
from engine.errors import DoesNotFit, SessionBusy
from engine.runtime.events import Checking, Loading, Prefill, Text
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
