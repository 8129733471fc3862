"""A copy of a session without its oldest questions: what it holds, and when it is advised."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event as Flag

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.desk import Desk
from app.question import Question
from app.settings import Settings
from app.verdicts import change
from engine.corpus.source import Corpus, Source, digest_text
from engine.errors import DoesNotFit, UsageError
from tests.fake_backend import FakeBackend


def source(path: str, text: str) -> Source:
    return Source(path, "text", text, len(text), digest_text(text))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path))
    with closing(Desk(Settings(home=tmp_path, model="fake.gguf", reply_tokens=8), backend=FakeBackend())) as desk:
        yield desk


def asked(desk: Desk, *questions: str) -> str:
    """A session of these questions; a source joins with the first one, another with the third."""
    session = desk.begin_session("Bridges").id
    for at, text in enumerate(questions):
        corpus = Corpus((source(f"{at}.txt", f"text {at}"),)) if at in (0, 2) else Corpus()
        list(desk.ask(Question(text=text, session=session, corpus=corpus), cancel=Flag()))
    return session


def test_a_copy_has_all_sources_and_the_last_questions(desk: Desk) -> None:
    session = asked(desk, "one", "two", "three", "four")
    desk.keep_note(session, 0, title="first")
    desk.keep_note(session, 3, title="last")
    before = desk.record(session)
    copy = desk.fork(session, 2)
    record = desk.record(copy.id)
    assert copy.id != session and copy.title == f"{before.session.title} (from question 3)"
    assert [(turn.index, turn.parent, turn.question) for turn in record.turns] == [(0, None, "three"), (1, 0, "four")]
    assert [turn.text for turn in record.turns] == [turn.text for turn in before.turns[2:]]
    assert [turn.reply_ids for turn in record.turns] == [turn.reply_ids for turn in before.turns[2:]]
    assert [(at.source.path, at.turn_index) for at in record.sources] == [("0.txt", 0), ("2.txt", 0)]
    assert [(note.title, note.turn_index) for note in record.kept_notes] == [("first", None), ("last", 1)]
    assert all(turn.receipt is None for turn in record.turns)
    assert desk.record(session) == before, "the session stays as it is"


def test_a_copy_of_the_sources_alone(desk: Desk) -> None:
    session = asked(desk, "one", "two", "three")
    record = desk.record(desk.fork(session, 0).id)
    assert record.turns == () and [at.source.path for at in record.sources] == ["0.txt", "2.txt"]
    assert record.session.title.endswith("(without its questions)")


def test_a_copy_can_be_asked(desk: Desk) -> None:
    session = asked(desk, "one", "two", "three")
    copy = desk.fork(session, 1).id
    list(desk.ask(Question(text="more", session=copy), cancel=Flag()))
    assert [turn.question for turn in desk.turns(copy)] == ["three", "more"]


def test_the_current_branch_is_copied(desk: Desk) -> None:
    session = asked(desk, "one", "two")
    list(desk.ask(Question(text="another", session=session, beside=1), cancel=Flag()))
    record = desk.record(desk.fork(session, 1).id)
    assert [turn.question for turn in record.all_turns] == ["another"]


@pytest.mark.parametrize("last", [2, 3, 100])
def test_a_copy_that_leaves_nothing_behind_is_none(desk: Desk, last: int) -> None:
    with pytest.raises(UsageError, match="Give a smaller --last"):
        desk.fork(asked(desk, "one", "two"), last)


def test_a_full_window_advises_it_and_following_it_fits(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, model="fake.gguf", reply_tokens=8)
    with closing(Desk(settings, backend=FakeBackend())) as wide:
        session = asked(wide, *(f"question {n} " + "word " * 20 for n in range(6)))
        needed = wide.preview(session, "next").plan.prompt_tokens + 8
    with closing(Desk(settings, backend=FakeBackend(window=needed - 30))) as desk:
        plan = desk.preview(session, "next").plan
        [fork] = [advice for advice in plan.advice if advice.without_turns]
        assert fork.saves_tokens >= plan.over_tokens > 0 and fork.without_turns + fork.keeps_turns == 6
        assert f"sessions fork ID --last {fork.keeps_turns}" in change(plan, fork)
        assert "--last" not in change(plan, fork, options=False)
        with pytest.raises(DoesNotFit, match="copy of the session without its .*oldest question.*stays as it is"):
            list(desk.ask(Question(text="next", session=session), cancel=Flag()))
        assert len(desk.turns(session)) == 6, "nothing is dropped"
        copy = desk.fork(session, fork.keeps_turns).id
        assert desk.preview(copy, "next").plan.fits
        assert desk.preview(session, "next", only=frozenset()).plan.over_tokens >= 0


def test_where_the_sources_alone_are_too_much_it_is_not_advised(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, model="fake.gguf", reply_tokens=8)
    with closing(Desk(settings, backend=FakeBackend())) as wide:
        session = asked(wide, "one", "two")
    with closing(Desk(settings, backend=FakeBackend(window=20))) as desk:
        assert not any(advice.without_turns for advice in desk.preview(session, "next").plan.advice)


def test_the_command(desk: Desk) -> None:
    session = asked(desk, "one", "two", "three")
    done = CliRunner().invoke(cli, ["sessions", "fork", session, "--last", "1", "--json"])
    assert done.exit_code == 0, done.exception
    made = json.loads(done.output)
    assert [turn.question for turn in desk.turns(made["id"])] == ["three"]
    assert CliRunner().invoke(cli, ["sessions", "fork", session]).exit_code == 2
