"""Words of a question that switch thinking: what it is asked with, planned with, said and kept."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.desk import Desk
from app.question import Answered, Begun, Notice, Question
from app.settings import Settings
from engine.backend import TemplateUse, Words
from tests.fake_backend import FakeBackend

ANYWHERE = Words("/think", "/no_think", anywhere=True, holds=True)
TEMPLATE = TemplateUse(used="model", switch="/think and /no_think", thinks=True)


@pytest.fixture
def backend() -> FakeBackend:
    backend = FakeBackend()
    backend.about = replace(backend.about, typed=ANYWHERE, template=TEMPLATE, thinks=True)
    return backend


@pytest.fixture
def desk(tmp_path: Path, backend: FakeBackend) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", model="fake"), backend=backend)) as desk:
        yield desk


def ask(desk: Desk, text: str, session: str | None = None) -> tuple[Any, Any, str]:
    """The plan, the turn, and what was said."""
    events = list(desk.ask(Question(text=text, session=session), cancel=Flag()))
    [begun] = [event for event in events if isinstance(event, Begun)]
    turn = [event.turn for event in events if isinstance(event, Answered)][-1]
    return begun.plan, turn, "\n".join(event.text for event in events if isinstance(event, Notice))


def thinking(turn: Any) -> str:
    return str(turn.receipt["settings"].get("thinking", ""))


@pytest.mark.parametrize(
    ("question", "wish", "thought", "kept"),
    [
        ("Why?", None, "", True),
        ("Why? /no_think", None, "off", False),
        ("Why? /no_think", "on", "off", False),  # the question's own words come first
        ("Why? /think", "off", "on", True),
        ("Why? /think", "64", "64", True),  # and leave the limit
        ("Why? /think", None, "on", True),
        ("Is src/think.py right?", "off", "off", False),
    ],
)
def test_it_is_asked_planned_and_kept_so(desk: Desk, question: str, wish: str | None, thought: str, kept: bool) -> None:
    desk.settings = replace(desk.settings, thinking=wish)
    plan, turn, said = ask(desk, question)
    assert thinking(turn) == thought == turn.settings.get("thinking", "") and bool(plan.thinking_tokens) is kept
    assert bool(turn.thinking_kept) is kept and turn.question == question
    assert ("says /" in said) is ("/think" in question.split() or "/no_think" in question)
    preview = desk.preview(turn.session_id, question)
    assert bool(preview.plan.thinking_tokens) is kept  # before it is asked


def test_it_holds_for_later_questions_where_the_template_has_it_so(desk: Desk, backend: FakeBackend) -> None:
    _, first, _ = ask(desk, "Why? /no_think")
    session = first.session_id
    plan, second, said = ask(desk, "And?", session)
    assert thinking(second) == "off" and not plan.thinking_tokens and "An earlier question says /no_think" in said
    _, third, _ = ask(desk, "Really? /think", session)
    _, fourth, _ = ask(desk, "Sure?", session)
    assert (thinking(third), thinking(fourth)) == ("on", "on")
    desk.settings = replace(desk.settings, thinking="off")  # what is set now comes first
    _, fifth, said = ask(desk, "Why not?", session)
    assert thinking(fifth) == "off" and "earlier" not in said
    desk.settings = replace(desk.settings, thinking=None)  # and ends what was said before
    assert thinking(ask(desk, "Well?", session)[1]) == ""
    backend.about = replace(backend.about, typed=replace(ANYWHERE, holds=False))
    _, other, _ = ask(desk, "Why? /no_think")
    assert thinking(ask(desk, "And?", other.session_id)[1]) == ""


def test_words_of_the_standing_instruction(desk: Desk, backend: FakeBackend) -> None:
    words = Words("detailed thinking on", "detailed thinking off", role="system", anywhere=True)
    backend.about = replace(backend.about, typed=words)
    desk.settings = replace(desk.settings, system="Be exact. detailed thinking off")
    plan, turn, said = ask(desk, "Why? /no_think")
    assert thinking(turn) == "off" and not plan.thinking_tokens and "The standing instruction says" in said


def test_a_model_without_such_words_is_asked_as_ever(desk: Desk, backend: FakeBackend) -> None:
    backend.about = replace(backend.about, typed=Words())
    _, turn, said = ask(desk, "Why? /no_think")
    assert thinking(turn) == "" and "says" not in said


def test_asked_again_it_says_the_same(desk: Desk) -> None:
    _, first, _ = ask(desk, "Why? /no_think")
    events = list(desk.ask(Question(text="", session=first.session_id, beside=0), cancel=Flag()))
    turn = [event.turn for event in events if isinstance(event, Answered)][-1]
    assert thinking(turn) == "off"
    events = list(desk.ask(Question(text="Why?", session=first.session_id, beside=0), cancel=Flag()))
    assert thinking([event.turn for event in events if isinstance(event, Answered)][-1]) == ""
