"""Branches and replies that go on, on tiny real models: the very ids, and nothing read twice."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.backend import Corpus, Prefill, Source, Text
from engine.corpus.source import digest_text
from storage.records import Turn
from tests.models.cache import cached

NewDesk = Callable[..., Desk]
TEXT = "".join(f"Line {line} says that apples cost {line * 7 % 31} and pears {line * 11 % 17}.\n" for line in range(60))
CORPUS = Corpus((Source(path="a.txt", kind="text", text=TEXT, n_bytes=len(TEXT), digest=digest_text(TEXT)),))


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[NewDesk]:
    desks = []

    def build(model: str = "llama", **changes: object) -> Desk:
        settings = Settings(home=tmp_path / f"home-{model}", model=str(cached(model)), reply_tokens=24)
        desks.append(Desk(replace(settings, **changes)))  # type: ignore[arg-type]
        return desks[-1]

    yield build
    for desk in desks:
        desk.close()


def ask(desk: Desk, text: str = "", **more: object) -> Turn:
    *_, last = desk.ask(Question(text=text, **more), cancel=Flag())  # type: ignore[arg-type]
    assert isinstance(last, Answered)
    return last.turn


def limit(desk: Desk, reply_tokens: int) -> None:
    desk.settings = replace(desk.settings, reply_tokens=reply_tokens)


@pytest.mark.parametrize("model", ["llama", "gemma3"])
def test_a_reply_in_pieces_is_the_reply_in_one(new_desk: NewDesk, model: str) -> None:
    desk = new_desk(model)
    whole = ask(desk, "What do apples cost?", corpus=CORPUS)
    assert whole.stop == "length" and len(whole.reply_ids) == 24
    for at_once in (1, 5, 7):
        limit(desk, at_once)
        turn = ask(desk, "What do apples cost?", session=whole.session_id, beside=0, as_set=True)
        while len(turn.reply_ids) < 24:
            limit(desk, min(at_once, 24 - len(turn.reply_ids)))
            n_read = turn.prompt_tokens
            turn = ask(desk, session=turn.session_id, goes_on=turn.index)
            assert turn.prompt_tokens == n_read
        assert turn.reply_ids == whole.reply_ids, at_once
        assert turn.text == whole.text, "a character that was cut in two is whole again"


def test_a_stopped_reply_goes_on_in_another_process(new_desk: NewDesk) -> None:
    desk = new_desk()
    whole = ask(desk, "What do apples cost?", corpus=CORPUS)
    cancel = Flag()
    for event in desk.ask(Question(text="", session=whole.session_id, beside=0, as_set=True), cancel=cancel):
        if isinstance(event, Text):
            cancel.set()
        if isinstance(event, Answered):
            stopped = event.turn
    assert stopped.stop == "cancelled" and 0 < len(stopped.reply_ids) < 24
    desk.close()
    later = new_desk()
    limit(later, 24 - len(stopped.reply_ids))
    turn = ask(later, session=whole.session_id, goes_on=stopped.index)
    assert (turn.reply_ids, turn.text) == (whole.reply_ids, whole.text)


def test_a_branch_reads_only_what_is_its_own(new_desk: NewDesk) -> None:
    desk = new_desk()
    limit(desk, 6)
    first = ask(desk, "What do apples cost?", corpus=CORPUS)
    session = first.session_id
    second = ask(desk, "And pears?", session=session)
    common = (second.prompt_tokens or 0) - len(desk.backend().encode("And pears?")) - 12  # and what the template adds
    edited = ask(desk, "And plums?", session=session, beside=1)
    assert edited.reused_tokens is not None and edited.reused_tokens >= common
    desk.choose_branch(session, 1)
    again = ask(desk, session=session, beside=1, as_set=True)
    assert again.reply_ids == second.reply_ids
    assert again.reused_tokens is not None and again.reused_tokens >= common
    other = ask(desk, "What do pears cost?", session=session, beside=0)
    assert other.reused_tokens is not None
    n_source = desk.preview(session).corpus_tokens
    assert other.reused_tokens >= n_source, "the corpus is not read again"


def test_going_on_reads_one_token(new_desk: NewDesk) -> None:
    desk = new_desk()
    limit(desk, 6)
    turn = ask(desk, "What do apples cost?", corpus=CORPUS)
    events = list(desk.ask(Question(text="", session=turn.session_id, goes_on=0), cancel=Flag()))
    [*_, read] = [event for event in events if isinstance(event, Prefill)]
    assert (read.total, read.reused) == ((turn.prompt_tokens or 0) + 6, (turn.prompt_tokens or 0) + 5)
