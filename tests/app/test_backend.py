"""What stands behind Backend may be anything: Desk, jobs, command line and page over an engine of words."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag

import pytest
import streamlit as st
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

import app
from app import state
from app.cli import cli
from app.desk import Desk
from app.engines import Engines
from app.jobs import Jobs, Phase
from app.question import Answered, Begun, DeskEvent, Notice, Question
from app.session_settings import asked_with
from app.settings import Settings
from engine.backend import Prefill, Text
from engine.corpus.source import Corpus, Source, digest_text
from engine.errors import DoesNotFit, UsageError
from storage.records import Turn
from tests.fake_backend import FakeBackend, sent
from tests.patience import PATIENCE_S, until

NewDesk = Callable[..., Desk]


def source(path: str, text: str) -> Source:
    return Source(path, "text", text, len(text), digest_text(text))


CORPUS = Corpus((source("src/a.py", "alpha one"), source("src/b.py", "beta two"), source("notes.txt", "gamma three")))


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(backend: FakeBackend, **changes: object) -> Desk:
        settings = Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8, **changes)  # type: ignore[arg-type]
        desks.append(Desk(settings, backend=backend))
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


def events(desk: Desk, text: str, cancel: Flag | None = None, **asked: object) -> list[DeskEvent]:
    return list(desk.ask(Question(text=text, **asked), cancel=cancel or Flag()))  # type: ignore[arg-type]


def ask(desk: Desk, text: str, **asked: object) -> Turn:
    *_, end = events(desk, text, **asked)
    assert isinstance(end, Answered)
    return end.turn


def test_an_answer_begins_is_read_written_and_kept(new_desk: NewDesk) -> None:
    desk = new_desk(FakeBackend())
    begun, read, *words, end = events(desk, "Is it so?", corpus=CORPUS)
    assert isinstance(begun, Begun) and isinstance(read, Prefill) and isinstance(end, Answered)
    assert "".join(word.text for word in words if isinstance(word, Text)) == "So it is" == end.turn.text
    assert [turn.text for turn in desk.turns(end.turn.session_id)] == ["So it is"] and end.turn.stop == "end"


def test_a_follow_up_reads_what_is_new(new_desk: NewDesk) -> None:
    fake = FakeBackend()
    desk = new_desk(fake)
    first = ask(desk, "Is it so?", corpus=CORPUS)
    ahead = desk.preview(first.session_id, "Sure?")
    second = ask(desk, "Sure?", session=first.session_id)
    assert second.reused_tokens == ahead.reused_tokens == (first.prompt_tokens or 0) + (first.reply_tokens or 0)
    assert second.prompt_tokens == ahead.prompt.n_tokens == ahead.corpus_tokens + ahead.chat_tokens
    assert sent(fake.asked[1]) == sent(fake.asked[0])


def test_what_does_not_fit_is_refused_before_it_leaves_a_trace(new_desk: NewDesk) -> None:
    fake = FakeBackend(window=12)
    desk = new_desk(fake)
    with pytest.raises(DoesNotFit, match="tokens over"):
        ask(desk, "Is it so?", corpus=CORPUS)
    assert not fake.asked and desk.sessions() == ()


def test_an_engine_that_breaks_is_an_error_and_the_text_stays(new_desk: NewDesk) -> None:
    desk = new_desk(FakeBackend(breaks_at=2))
    turn = ask(desk, "Is it so?", corpus=CORPUS)
    assert (turn.stop, turn.text) == ("error", "So it") and "as it was told to" in str(turn.error)


def test_a_cancel_keeps_what_was_written(new_desk: NewDesk) -> None:
    desk, cancel, heard = new_desk(FakeBackend()), Flag(), []
    for event in desk.ask(Question(text="Is it so?", corpus=CORPUS), cancel=cancel):
        heard.append(event)
        if isinstance(event, Text):
            cancel.set()
    assert isinstance(heard[-1], Answered) and (heard[-1].turn.stop, heard[-1].turn.text) == ("cancelled", "So")


def test_a_listener_that_leaves_ends_the_turn(new_desk: NewDesk) -> None:
    desk = new_desk(FakeBackend())
    listening = desk.ask(Question(text="Is it so?", corpus=CORPUS), cancel=Flag())
    begun = next(listening)
    assert isinstance(begun, Begun)
    listening.close()
    (turn,) = desk.turns(begun.turn.session_id)
    assert turn.stop == "cancelled"
    assert ask(desk, "Sure?", session=turn.session_id).stop == "end", "and leaves the session to others"


def test_what_the_vocabulary_lacks_is_said(new_desk: NewDesk) -> None:
    told = [event.text for event in events(new_desk(FakeBackend()), "Naïve?") if isinstance(event, Notice)]
    assert told == ["The vocabulary has no token for U+00EF: left out of the question."]


@pytest.mark.parametrize(
    ("only", "paths"),
    [
        ({"notes.txt"}, ["notes.txt"]),
        ({"src/"}, ["src/a.py", "src/b.py"]),
        ({"src/b.py", "notes.txt"}, ["src/b.py", "notes.txt"]),
        (None, ["src/a.py", "src/b.py", "notes.txt"]),
    ],
)
def test_a_question_may_be_asked_of_some_sources(new_desk: NewDesk, only: set[str] | None, paths: list[str]) -> None:
    """The session stays as it was, and the next question is asked of all that it has again."""
    fake = FakeBackend()
    desk = new_desk(fake)
    session = desk.begin_session("t").id
    desk.add_sources(session, CORPUS)
    links, chosen = desk.session(session).links, frozenset(only) if only is not None else None
    ahead = desk.preview(session, "Which?", only=chosen)
    turn = ask(desk, "Which?", session=session, only=chosen)
    assert sorted(sent(fake.asked[0])) == sorted(paths)
    assert ahead.prompt.ids().tolist() == fake.asked[0].prompt.ids().tolist()
    assert asked_with(turn).only == chosen
    assert [(link.path, link.enabled, link.turn_index) for link in desk.session(session).links] == [
        (link.path, link.enabled, link.turn_index) for link in links
    ]
    ask(desk, "And now?", session=session)
    assert sorted(sent(fake.asked[1])) == sorted(link.path for link in links)


def test_a_source_that_is_left_out_may_be_asked_about_alone(new_desk: NewDesk) -> None:
    fake = FakeBackend()
    desk = new_desk(fake)
    session = desk.begin_session("t").id
    desk.add_sources(session, CORPUS)
    desk.send(session, ["notes.txt"], enabled=False)
    ask(desk, "Which?", session=session, only=frozenset({"notes.txt"}))
    ask(desk, "And now?", session=session)
    assert [sorted(sent(case)) for case in fake.asked] == [["notes.txt"], ["src/a.py", "src/b.py"]]


def test_a_new_session_may_be_begun_with_some_sources_asked(new_desk: NewDesk) -> None:
    fake = FakeBackend()
    desk = new_desk(fake)
    turn = ask(desk, "Which?", corpus=CORPUS, only=frozenset({"src/"}))
    assert sorted(sent(fake.asked[0])) == ["src/a.py", "src/b.py"]
    assert len(desk.session(turn.session_id).links) == 3


def test_no_such_source(new_desk: NewDesk) -> None:
    fake = FakeBackend()
    desk = new_desk(fake)
    session = desk.begin_session("t").id
    desk.add_sources(session, CORPUS)
    with pytest.raises(UsageError, match=r"no source lib/\."):
        ask(desk, "Which?", session=session, only=frozenset({"lib/", "src/"}))
    assert not fake.asked and desk.turns(session) == ()


def test_a_job_runs_over_it(new_desk: NewDesk) -> None:
    desk = new_desk(FakeBackend())
    session = desk.begin_session("t").id
    jobs = Jobs(desk)
    job = jobs.ask(session, "Is it so?")
    until(lambda: job.progress.phase is Phase.DONE)
    assert job.progress.text == "So it is" and job.progress.error is None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBackend:
    """Stands behind both doors, whatever model is named."""
    fake = FakeBackend()
    monkeypatch.setattr(Engines, "backend", lambda self, model, apart=False, own=None, lora=None: fake)
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(tmp_path / "none.gguf"))
    return fake


def test_the_command_line_speaks_to_it(fake: FakeBackend, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two three")
    counted = CliRunner().invoke(cli, ["count", str(tmp_path / "a.txt"), "--json"], catch_exceptions=False)
    assert json.loads(counted.stdout)["sources"][0]["tokens"] == 4, "the path and three words"
    asked = CliRunner().invoke(
        cli, ["ask", str(tmp_path / "a.txt"), "-q", "Is it so?", "--json"], catch_exceptions=False
    )
    lines = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["prefill", "text", "text", "text", "answer"], asked.stderr
    assert lines[-1]["text"] == "So it is" and lines[-1]["prompt_tokens"] == lines[0]["total"]


def test_the_page_speaks_to_it(fake: FakeBackend) -> None:
    st.cache_resource.clear()
    page = AppTest.from_file(str(Path(app.__file__).with_name("main.py")), default_timeout=PATIENCE_S).run()
    assert not page.exception
    page.chat_input[0].set_value("Is it so?").run()
    session = str(page.query_params["session"])
    job = state.house().jobs.of(session)
    assert job is not None
    until(lambda: not job.running)
    page.run()
    answers = [str(each.proto) for each in page.get("bidi_component")]
    assert not page.exception and any("So it is" in each for each in answers), answers
    state.house().close()
    st.cache_resource.clear()
