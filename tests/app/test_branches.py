"""Asking again, editing, going on: what is sent then, on an engine of words."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered, Begun, DeskEvent, Notice, Question
from app.session_settings import asked_with
from app.settings import Settings
from engine.backend import Corpus, Part, Source, Text
from engine.corpus.source import digest_text
from engine.errors import UsageError
from storage.records import Turn
from tests.fake_backend import FakeBackend, sent

WORDS = "one two three four five six seven eight"


@pytest.fixture
def engine() -> FakeBackend:
    return FakeBackend(answer=lambda question: WORDS)


@pytest.fixture
def desk(tmp_path: Path, engine: FakeBackend) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home"), backend=engine)
    yield desk
    desk.close()


def source(path: str) -> Source:
    text = f"Words of {path}."
    return Source(path=path, kind="text", text=text, n_bytes=len(text), digest=digest_text(text))


def events_of(desk: Desk, text: str, **more: object) -> list[DeskEvent]:
    return list(desk.ask(Question(text=text, **more), cancel=Flag()))  # type: ignore[arg-type]


def ask(desk: Desk, text: str, **more: object) -> Turn:
    last = events_of(desk, text, **more)[-1]
    assert isinstance(last, Answered)
    return last.turn


def words(engine: FakeBackend, *parts: Part) -> list[str]:
    """The texts of these parts of the prompt that was asked last."""
    by_id = {number: word for word, number in engine._words.items()}
    return [
        " ".join(by_id[number] for number in segment.ids.tolist())
        for segment in engine.asked[-1].prompt.segments
        if segment.part in parts
    ]


def test_asking_again_sends_what_was_sent_then(desk: Desk, engine: FakeBackend) -> None:
    first = ask(desk, "a", corpus=Corpus((source("x"), source("y"))))
    session = first.session_id
    desk.add_sources(session, Corpus((source("z"),)))
    ask(desk, "b", session=session)
    before = engine.asked[-1].prompt.ids().tolist()
    again = ask(desk, "", session=session, beside=1)
    assert engine.asked[-1].prompt.ids().tolist() == before
    assert (again.question, again.index, again.parent, again.alternatives) == ("b", 2, 0, (1, 2))
    assert again.reused_tokens == len(before) - 1, "all of it is kept"
    assert [turn.index for turn in desk.turns(session)] == [0, 2]
    ask(desk, "c", session=session)
    assert words(engine, Part.QUESTION) == ["a", "b", "c"] and sent(engine.asked[-1]) == ["x", "y", "z"]


def test_an_edited_question_stands_on_a_branch_of_its_own(desk: Desk, engine: FakeBackend) -> None:
    session = ask(desk, "a", corpus=Corpus((source("x"),))).session_id
    ask(desk, "b", session=session)
    ask(desk, "A", session=session, beside=0)
    assert words(engine, Part.QUESTION) == ["A"] and sent(engine.asked[-1]) == ["x"]
    ask(desk, "B", session=session)
    assert words(engine, Part.QUESTION) == ["A", "B"]
    desk.choose_branch(session, 0)
    assert [turn.question for turn in desk.turns(session)] == ["a", "b"]
    ask(desk, "c", session=session)
    assert words(engine, Part.QUESTION) == ["a", "b", "c"]
    assert desk.session(session).next_index == 5
    desk.choose_branch(session, 3)
    assert [turn.question for turn in desk.turns(session)] == ["A", "B"]


def test_a_source_that_joins_on_one_branch_is_sent_on_the_other_with_the_next_question(
    desk: Desk, engine: FakeBackend
) -> None:
    session = ask(desk, "a", corpus=Corpus((source("x"),))).session_id
    ask(desk, "b", session=session)
    ask(desk, "B", session=session, beside=1, corpus=Corpus((source("late"),)))
    desk.choose_branch(session, 1)
    ask(desk, "c", session=session)
    prompt = engine.asked[-1].prompt
    parts = [str(segment.path or segment.part) for segment in prompt.segments if segment.n_tokens]
    assert parts.index("late") > parts.index("x") and sent(engine.asked[-1]) == ["x", "late"]
    assert words(engine, Part.QUESTION) == ["a", "b", "c"]


def test_the_same_question_again_is_given_another_reply(desk: Desk) -> None:
    session = ask(desk, "a").session_id
    events = events_of(desk, "", session=session, beside=0)
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "Asked again at temperature 0.7: as before, it would give the same reply."
    ]
    second = events[-1]
    assert isinstance(second, Answered) and asked_with(second.turn).sampling.temperature == 0.7
    third = ask(desk, "", session=session, beside=1)
    assert asked_with(third).sampling.temperature == 0.7, "the first of the three would come again"
    assert asked_with(ask(desk, "", session=session, beside=0, as_set=True)).sampling.temperature == 0
    assert asked_with(ask(desk, "another", session=session, beside=0)).sampling.temperature == 0
    desk.settings = replace(desk.settings, temperature=0.5, seed=7)
    assert asked_with(ask(desk, "", session=session, beside=0)).sampling.seed == 7
    sampling = asked_with(ask(desk, "", session=session, beside=0)).sampling
    assert (sampling.temperature, sampling.seed) == (0.5, None)


@pytest.mark.parametrize("reply_tokens", [1, 3, 7])
def test_a_reply_cut_by_its_limit_goes_on(desk: Desk, engine: FakeBackend, reply_tokens: int) -> None:
    desk.settings = replace(desk.settings, reply_tokens=reply_tokens)
    turn = ask(desk, "a", corpus=Corpus((source("x"),)))
    desk.add_sources(turn.session_id, Corpus((source("later"),)))
    texts = [turn.text]
    while turn.stop == "length":
        events = events_of(desk, "", session=turn.session_id, goes_on=0)
        begun = next(event for event in events if isinstance(event, Begun))
        assert begun.turn.text == texts[-1] and sent(engine.asked[-1]) == ["x"]
        new = "".join(event.text for event in events if isinstance(event, Text))
        assert isinstance(events[-1], Answered)
        turn = events[-1].turn
        assert turn.text == texts[-1] + new
        texts.append(turn.text)
    assert turn.text == WORDS and len(turn.reply_ids) == 8 == turn.reply_tokens and turn.stop == "end"
    assert [each.id for each in desk.turns(turn.session_id)] == [turn.id]
    whole = ask(desk, "a", session=turn.session_id, beside=0)
    assert whole.prompt_tokens == (turn.prompt_tokens or 0) + len(["later", "Words", "of", "later."])


def test_a_reply_that_broke_off_goes_on_from_its_ids(desk: Desk, engine: FakeBackend) -> None:
    engine.breaks_at = 3
    turn = ask(desk, "a")
    assert (turn.stop, turn.text, len(turn.reply_ids)) == ("error", "one two three", 3)
    ask_next = ask(desk, "b", session=turn.session_id)
    with pytest.raises(UsageError, match="Questions follow on question 1"):
        ask(desk, "", session=turn.session_id, goes_on=0)
    engine.breaks_at = None
    whole = ask(desk, "", session=turn.session_id, goes_on=ask_next.index)
    assert (whole.stop, whole.text, whole.error) == ("end", WORDS, None)
    with pytest.raises(UsageError, match="is complete"):
        ask(desk, "", session=turn.session_id, goes_on=1)
    with pytest.raises(UsageError, match="no question 6"):
        ask(desk, "", session=turn.session_id, beside=5)
    with pytest.raises(UsageError, match="new session"):
        ask(desk, "x", beside=0)


def test_stopped_before_the_first_word_it_is_read_again(desk: Desk) -> None:
    stopped = Flag()
    session = ask(desk, "a").session_id
    events = desk.ask(Question(text="b", session=session), cancel=stopped)
    next(events)
    stopped.set()
    last = [*events][-1]
    assert isinstance(last, Answered) and (last.turn.stop, last.turn.text) == ("cancelled", "")
    turn = ask(desk, "", session=session, goes_on=1)
    assert (turn.id, turn.text, turn.stop) == (last.turn.id, WORDS, "end")


def test_who_goes_away_finds_the_ids_kept(desk: Desk) -> None:
    events = desk.ask(Question(text="a"), cancel=Flag())
    for event in events:
        if isinstance(event, Text) and event.n_tokens == 4:
            break
    events.close()
    [session] = desk.sessions()
    [turn] = desk.turns(session.id)
    assert (turn.text, len(turn.reply_ids)) == ("one two three four", 4)
    assert ask(desk, "", session=session.id, goes_on=0).text == WORDS
