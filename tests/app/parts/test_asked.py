"""What was asked is asked, whatever redraws the page before it comes to that: nothing of it is lost, nothing twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.question import DeskEvent, Question
from app.suggestions import SUGGESTIONS
from app.views import ask as view
from app.views import scene
from tests.app.parts.test_page import Draw, draw, session_of  # noqa: F401  a fixture
from tests.patience import PATIENCE_S


@pytest.fixture
def short(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 2\nquotes = false\n")


def cut_in(monkeypatch: pytest.MonkeyPatch, name: str, *, times: int = 1) -> None:
    """The page is drawn anew where this would be drawn, as where an answer ends or a file was read just then."""
    drawn: Callable[..., Any] = getattr(view, name)
    left = [times]

    def cutting(*arguments: object, **named: object) -> Any:
        if left[0]:
            left[0] -= 1
            st.rerun()
        return drawn(*arguments, **named)

    monkeypatch.setattr(view, name, cutting)


def questions(session: str) -> list[str]:
    job = state.house().jobs.of(session)
    if job is not None:
        job.join(PATIENCE_S)
    return [turn.question for turn in state.house().desk.turns(session)]


MOMENTS = ("_draw_strip", "draw_coming", "draw_end", "draw_viewer", "draw_template", "draw_box", "draw_templates")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_question_outlives_a_redraw(draw: Draw, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:  # noqa: F811
    page = draw()
    page.chat_input[0].set_value("First?").run()
    session = session_of(page)
    assert questions(session) == ["First?"]
    page.run()
    cut_in(monkeypatch, moment, times=2)
    page.chat_input[0].set_value("Second?").run()
    assert not page.exception and questions(session) == ["First?", "Second?"]
    page.run()
    assert questions(session) == ["First?", "Second?"], "once"


@pytest.mark.usefixtures("short")
def test_the_first_question_outlives_one_too(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    page = draw()
    cut_in(monkeypatch, "_draw_empty")
    page.chat_input[0].set_value("First?").run()
    assert questions(session_of(page)) == ["First?"]


@pytest.mark.usefixtures("short")
def test_a_suggestion_outlives_one(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    page = draw()
    page.button(key="example").click().run()
    page.run()
    cut_in(monkeypatch, "draw_box")
    page.button(key="suggested-0").click().run()
    assert questions(session_of(page)) == [SUGGESTIONS[0].question]


@pytest.mark.usefixtures("short")
def test_it_is_asked_where_it_was_given(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Another session is shown by then."""
    page = draw()
    page.chat_input[0].set_value("Here?").run()
    here = session_of(page)
    questions(here)
    there = state.house().desk.begin_session("There", with_sources=False).id
    page.run()
    left: list[AppTest] = []

    def leave(*arguments: object, **named: object) -> None:
        if not left:
            left.append(page)
            state.go_to(there)
            st.rerun()

    monkeypatch.setattr(view, "draw_template", leave)
    page.chat_input[0].set_value("Where?").run()
    assert session_of(page) == there
    assert questions(here) == ["Here?", "Where?"] and questions(there) == []


@pytest.mark.usefixtures("short")
def test_what_breaks_asking_breaks_it_once(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    page = draw()
    page.chat_input[0].set_value("First?").run()
    questions(session_of(page))
    page.run()

    def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(view, "clear_draft", broken)
    page.chat_input[0].set_value("Second?").run()
    assert page.exception
    page.run()
    assert not page.exception and page.chat_input


@pytest.mark.usefixtures("short")
def test_two_at_once_in_a_session_give_one_back(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Another tab asks in the same session in that moment."""
    page = draw()
    page.chat_input[0].set_value("First?").run()
    session = session_of(page)
    questions(session)
    page.run()
    drawn = view.draw_template
    jobs = state.house().jobs

    def other(*arguments: object) -> None:
        monkeypatch.setattr(view, "draw_template", drawn)
        jobs.ask(session, "The other tab's?")

    monkeypatch.setattr(view, "draw_template", other)
    page.chat_input[0].set_value("Mine?").run()
    assert questions(session) == ["First?", "The other tab's?"]
    assert state.house().desk.draft(session) == "Mine?"


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("moment", ["_going_on", "_counted", "_draw_strip", "draw_actions"])
def test_an_answer_that_ends_while_the_page_is_drawn_is_shown(
    draw: Draw,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """The turns were read before it was there, and what is drawn then would stay, had nobody a look once more."""
    page = draw()
    page.chat_input[0].set_value("First?").run()
    session, desk = session_of(page), state.house().desk
    questions(session)
    page.run()
    module = scene if hasattr(scene, moment) else view
    ask, drawn, go = desk.ask, getattr(module, moment), Flag()

    def held(question: Question, *, cancel: Flag) -> Iterator[DeskEvent]:
        go.wait(PATIENCE_S)
        yield from ask(question, cancel=cancel)

    def ended_by_then(*arguments: object, **named: object) -> Any:
        if (job := state.house().jobs.of(session)) is not None and job.running:
            go.set()
            job.join(PATIENCE_S)
        return drawn(*arguments, **named)

    monkeypatch.setattr(desk, "ask", held)
    monkeypatch.setattr(module, moment, ended_by_then)
    page.chat_input[0].set_value("Second?").run()
    assert not page.exception
    last = desk.turns(session)[-1]
    assert last.question == "Second?" and not page.chat_input[0].disabled
    assert not page.button(key=f"do-again-{last.id}").disabled


@pytest.mark.usefixtures("short")
def test_an_answer_that_runs_is_seen_by_the_beginning_of_an_id(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    page = draw()
    page.chat_input[0].set_value("First?").run()
    session, desk, go = session_of(page), state.house().desk, Flag()
    questions(session)
    ask = desk.ask

    def held(question: Question, *, cancel: Flag) -> Iterator[DeskEvent]:
        go.wait(PATIENCE_S)
        yield from ask(question, cancel=cancel)

    monkeypatch.setattr(desk, "ask", held)
    state.house().jobs.ask(session, "Second?")
    assert draw(session=session[:6]).chat_input[0].disabled
    go.set()
    questions(session)
