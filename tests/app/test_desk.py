"""Desk in one process, on a tiny real model: what both doors rely on."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest
from PIL import Image

from app.desk import Desk
from app.question import Answered, Begun, DeskEvent, Notice, Question
from app.settings import Settings
from engine.corpus.source import Cause, Corpus
from engine.errors import DoesNotFit, SessionBusy, UsageError
from engine.prompt.prompt import Part
from engine.runtime.events import Prefill, Text
from storage.records import Turn
from storage.store import Store
from tests.models.cache import cached
from tests.patience import until

NewDesk = Callable[..., Desk]


@pytest.fixture
def new_desk(tmp_path: Path, llama_gguf: Path) -> Iterator[NewDesk]:
    desks = []

    def build(**changes: object) -> Desk:
        settings = Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=8)
        desks.append(Desk(replace(settings, **changes)))  # type: ignore[arg-type]
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(4):
        (folder / f"part{number}.txt").write_text("".join(f"part {number}, line {line}\n" for line in range(40)))
    return folder


def answer(desk: Desk, question: Question, cancel: Flag | None = None) -> Turn:
    return ended(list(desk.ask(question, cancel=cancel or Flag())))


def ended(events: Sequence[DeskEvent]) -> Turn:
    assert isinstance(events[-1], Answered)
    return events[-1].turn


@pytest.mark.slow  # 1.8 s
def test_events_begin_with_the_turn_and_end_with_the_stored_one(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk()
    events = list(desk.ask(Question(text="Q", corpus=desk.read([corpus])), cancel=Flag()))
    assert isinstance(events[0], Begun)
    assert any(isinstance(event, Prefill) for event in events)
    turn = ended(events)
    assert turn == desk.turns(turn.session_id)[-1]
    assert turn.text == "".join(event.text for event in events if isinstance(event, Text))


def test_images_are_skipped_with_the_reason_and_never_without_a_word(new_desk: NewDesk, corpus: Path) -> None:
    Image.new("RGB", (40, 30), "teal").save(corpus / "photo.png")
    desk = new_desk()
    counted = desk.count(desk.read([corpus]))
    assert "photo.png" not in {source.path for source in counted.sources}
    assert [(skipped.path, skipped.cause) for skipped in counted.skipped] == [("photo.png", Cause.NO_VISION)]


@pytest.mark.slow  # 1.3 s
def test_looking_ahead_costs_what_asking_costs(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk()
    session = desk.begin_session("t")
    desk.add_sources(session.id, desk.read([corpus]))
    ahead = desk.preview(session.id, "How many?")
    turn = answer(desk, Question(text="How many?", session=session.id))
    assert ahead.plan.prompt_tokens == ahead.prompt.n_tokens == turn.prompt_tokens
    assert len(ahead.documents) == 4
    after = desk.preview(session.id)
    assert after.prompt.count(Part.REPLY) == turn.reply_tokens


def test_what_changed_last_stands_last_wherever_a_prompt_is_laid_out(new_desk: NewDesk, corpus: Path) -> None:
    for number, age in enumerate((10, 4_000, 2_000, 6_000)):
        os.utime(corpus / f"part{number}.txt", (1e9 - age, 1e9 - age))
    desk = new_desk()
    counted = desk.count(desk.read([corpus]))
    assert [document.path for document in counted.documents] == [f"part{number}.txt" for number in range(4)]
    session = desk.begin_session("t")
    desk.add_sources(session.id, desk.read([corpus]))
    ahead = desk.preview(session.id)
    sent = [segment.path for segment in ahead.prompt.segments if segment.part is Part.SOURCE]
    assert sent == ["part3.txt", "part1.txt", "part2.txt", "part0.txt"]
    assert counted.prompt.ids().tolist() == ahead.prompt.ids().tolist()


@pytest.mark.slow  # 1.7 s
def test_what_was_deleted_is_said_and_sent_no_more(
    new_desk: NewDesk, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.next_turn.reading_speed", lambda turns, model: 1e6)  # too fast for a word on reading again
    desk = new_desk()

    def ask(session: str | None) -> tuple[Turn, list[str]]:
        read = desk.read([corpus])
        question = Question(text="Q", corpus=read, session=session)
        events = list(desk.ask(question, cancel=Flag()))
        return ended(events), [event.text for event in events if isinstance(event, Notice)]

    session = ask(None)[0].session_id
    text = (corpus / "part1.txt").read_text()
    (corpus / "part1.txt").unlink()
    assert ask(session)[1] == ["part1.txt was deleted: left out from here on."]
    assert [link.path for link in desk.session(session).links if not link.enabled] == ["part1.txt"]
    assert [(one.path, one.cause) for one in desk.session(session).skipped] == [("part1.txt", Cause.GONE)]
    (corpus / "part1.txt").write_text(text)
    assert [notice.text for notice in desk.add_sources(session, desk.read([corpus]))] == [
        "part1.txt was deleted and is there again: sent from here on."
    ]
    assert desk.session(session).skipped == ()
    assert [link.path for link in desk.session(session).links if link.enabled] == [
        f"part{number}.txt" for number in range(4)
    ]


@pytest.mark.slow  # 1.7 s
def test_what_is_read_again_is_said_before(new_desk: NewDesk, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.next_turn.reading_speed", lambda turns, model: 100.0)
    desk = new_desk()

    def notices(session: str) -> list[str]:
        events = list(desk.ask(Question(text="Q", corpus=desk.read([corpus]), session=session), cancel=Flag()))
        return [event.text for event in events if isinstance(event, Notice)]

    session = answer(desk, Question(text="Q", corpus=desk.read([corpus]))).session_id
    assert notices(session) == []
    (corpus / "part0.txt").write_text("edited\n")
    replaced, read_again = notices(session)
    assert replaced.startswith("Replaced by what was given now") and read_again.startswith("Re-reading ")


@pytest.mark.slow  # 1.3 s
def test_what_was_read_is_kept_once_nobody_asks_for_a_while(
    new_desk: NewDesk, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = new_desk()
    turn = answer(desk, Question(text="Q", corpus=desk.read([corpus])))
    n_read = (turn.prompt_tokens or 0) + (turn.reply_tokens or 0)

    def is_kept() -> bool:
        return any(kept.n_tokens >= n_read - 1 for kept in desk.saved.kept().snapshots)

    assert not is_kept()
    monkeypatch.setattr("app.desk._IDLE_S", 0.0)
    turn = answer(desk, Question(text="And?", session=turn.session_id))
    n_read = (turn.prompt_tokens or 0) + (turn.reply_tokens or 0)
    until(is_kept)


def test_a_source_that_is_left_out_is_not_sent(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk()
    session = desk.begin_session("t")
    desk.add_sources(session.id, desk.read([corpus]))
    whole = desk.preview(session.id)
    desk.send(session.id, ["part1.txt"], enabled=False)
    less = desk.preview(session.id)
    cost = {document.path: document.n_tokens for document in whole.documents}
    assert less.prompt.n_tokens == whole.prompt.n_tokens - cost["part1.txt"]
    assert "part1.txt" not in {segment.path for segment in less.prompt.segments}


def test_following_the_advice_as_written_makes_it_fit(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk(n_ctx=1024)
    session = desk.begin_session("t")
    desk.add_sources(session.id, desk.read([corpus]))
    plan = desk.preview(session.id).plan
    assert not plan.fits and plan.over_tokens > 0
    advice = next(advice for advice in plan.advice if advice.leave_out)
    desk.send(session.id, advice.leave_out, enabled=False)
    assert desk.preview(session.id).plan.fits


def test_what_does_not_fit_leaves_no_trace(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk(n_ctx=256)
    with pytest.raises(DoesNotFit, match="tokens over"):
        answer(desk, Question(text="Q", corpus=desk.read([corpus])))
    assert desk.sessions() == ()
    assert not list((desk.settings.home).glob("snapshots/*"))


@pytest.mark.slow
def test_a_context_that_is_too_small_is_replaced_and_the_kv_state_carried_over(
    new_desk: NewDesk, tmp_path: Path
) -> None:
    desk = new_desk(model=str(cached("llama", n_ctx_train=131_072)))
    session = desk.begin_session("t")
    small = tmp_path / "small.txt"
    small.write_text("a small beginning\n" * 20)
    desk.add_sources(session.id, desk.read([small]))
    first = answer(desk, Question(text="Q", session=session.id))
    large = tmp_path / "large.txt"
    large.write_text("and then very much more of it\n" * 600)
    grown = answer(desk, Question(text="Q", session=session.id, corpus=desk.read([large])))
    assert grown.prompt_tokens is not None and grown.prompt_tokens > 6_000
    assert grown.reused_tokens == (first.prompt_tokens or 0) + (first.reply_tokens or 0) - (first.stop == "length")


@pytest.mark.slow  # 2.0 s
def test_sessions_that_take_turns_lose_nothing(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk()
    read = desk.read([corpus]).sources
    sessions = [
        answer(desk, Question(text=f"Q{number}", corpus=Corpus(read[number:]))).session_id for number in range(2)
    ]
    for _ in range(2):
        for session in sessions:
            before = desk.turns(session)[-1]
            turn = answer(desk, Question(text="Again", session=session))
            kept = (before.prompt_tokens or 0) + (before.reply_tokens or 0) - (before.stop == "length")
            assert turn.reused_tokens == kept
    assert len(list((desk.settings.home / "snapshots").iterdir())) <= 2


@pytest.mark.slow  # 2.5 s
def test_a_cancelled_question_moves_its_sources_to_the_next(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk()
    cancel = Flag()
    cancel.set()
    cancelled = answer(desk, Question(text="Never mind", corpus=desk.read([corpus])), cancel)
    assert cancelled.stop == "cancelled" and cancelled.text == ""
    turn = answer(desk, Question(text="Q", session=cancelled.session_id))
    alone = new_desk(snapshot=False)
    assert turn.prompt_tokens == answer(alone, Question(text="Q", corpus=alone.read([corpus]))).prompt_tokens


@pytest.mark.slow  # 2.1 s
def test_an_engine_that_is_killed_in_mid_answer_is_an_error_and_the_text_stays(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk(reply_tokens=3_000)
    turn = None
    for event in desk.ask(Question(text="Q", corpus=desk.read([corpus])), cancel=Flag()):
        if isinstance(event, Text) and event.n_tokens < 100:
            running = desk._engines.local.running
            assert running is not None and running.pid is not None
            os.kill(running.pid, signal.SIGKILL)
        if isinstance(event, Answered):
            turn = event.turn
    assert turn is not None and turn.stop == "error" and turn.text and "killed" in (turn.error or "")
    short = new_desk()
    assert answer(short, Question(text="Q2", session=turn.session_id)).stop in ("end", "length")


@pytest.mark.slow  # 1.5 s
def test_replies_are_replayed_as_sampled(new_desk: NewDesk, corpus: Path) -> None:
    desk = new_desk(temperature=1.5, min_p=0.0, seed=3, reply_tokens=60)
    turn = answer(desk, Question(text="Q", corpus=desk.read([corpus])))
    replayed = [
        segment.ids.tolist() for segment in desk.preview(turn.session_id).prompt.segments if segment.part is Part.REPLY
    ]
    assert replayed == [list(turn.reply_ids)]


@pytest.mark.slow  # 5.8 s
def test_what_a_question_loses_is_said(new_desk: NewDesk, corpus: Path, starter_gguf: Path) -> None:
    desk = new_desk(model=str(starter_gguf), reply_tokens=1)
    source = desk.read([corpus / "part0.txt"]).sources
    events = list(desk.ask(Question(text="What is \x04 for?", corpus=Corpus(source)), cancel=Flag()))
    ended = next(at for at, event in enumerate(events) if isinstance(event, Answered))
    assert [event.text for event in events[:ended] if isinstance(event, Notice)] == [
        "The vocabulary has no token for U+0004: left out of the question."
    ]


def test_a_session_that_somebody_answers_in_cannot_be_deleted(new_desk: NewDesk) -> None:
    desk = new_desk()
    session = desk.begin_session("t")
    with Store(desk.settings.home) as store, store.leases.acquire(session.id), pytest.raises(SessionBusy):
        desk.delete_session(session.id)
    desk.delete_session(session.id)
    with pytest.raises(UsageError):
        desk.preview(session.id)


def test_an_empty_corpus_costs_the_template_alone(new_desk: NewDesk) -> None:
    count = new_desk().count(Corpus())
    assert count.total_tokens == count.template_tokens == count.prompt.n_tokens


def test_previews_and_questions_at_once_share_one_keeper(new_desk: NewDesk, corpus: Path) -> None:
    engine = new_desk()._engines.local
    with ThreadPoolExecutor(8) as pool:
        keepers = set(pool.map(lambda _: id(engine.keeper), range(64)))
    assert len(keepers) == 1
