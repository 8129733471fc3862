"""Reading in passes on the page without a browser: the offer, the plan, an answer and what each slice gave."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import desk as desks
from app import state
from app.state import Opened
from storage.records import Turn
from tests.app.parts.test_page import MAIN, everything, sentences
from tests.patience import PATIENCE_S, until
from tests.slow_reader import HELD, answers

N_SOURCES = 120
Draw = Callable[..., AppTest]


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """As long as this file is there, the engine reads no more prompts than it says."""
    return tmp_path / "held"


@pytest.fixture
def draw(tmp_path: Path, held: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws the page over a home of its own, answered by an engine of words."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", "words")
    monkeypatch.setenv(HELD, str(held))
    monkeypatch.setattr(desks, "Engines", answers(desks.Engines))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 60\n")
    st.cache_resource.clear()

    def draw_page(session: str) -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
        page.query_params["session"] = session
        return redrawn(page)

    yield draw_page
    state.house().close()
    st.cache_resource.clear()


@pytest.fixture
def session(draw: Draw, tmp_path: Path) -> str:
    """With more than the window holds."""
    return begun(tmp_path, N_SOURCES)


def begun(folder: Path, n_sources: int) -> str:
    for number in range(n_sources):
        path = folder / "corpus" / f"p{number % 3}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Wagon {number} carries {number + 3} crates of apples and {number + 5} of pears " * 3)
    desk = state.house().desk
    session = desk.begin_session("New session").id
    desk.add_sources(session, desk.read([folder / "corpus"]))
    return session


def redrawn(what: Any) -> AppTest:
    """The page after something was done on it."""
    page: AppTest = what.run()
    assert not page.exception
    return page


def planned(draw: Draw, session: str) -> AppTest:
    """The page once the slices are worked out."""
    draw(session)
    until(lambda: not state.house().pass_plans.is_busy(session))
    return draw(session)


def label_of(page: AppTest, key: str) -> str:
    return next((str(button.label) for button in page.button if button.key == key), "")


def answered(session: str) -> Turn:
    until(lambda: not state.house().jobs.running())
    return state.house().desk.turns(session)[-1]


def test_over_the_window_passes_are_offered_and_never_taken(draw: Draw, session: str) -> None:
    page = planned(draw, session)
    assert "tokens over" in sentences(page) and page.chat_input[0].disabled
    assert label_of(page, "read-in-passes").startswith("Read in ") and "passes" in label_of(page, "read-in-passes")
    assert f"All {N_SOURCES} sources, each once: " in everything(page)
    assert "--pass-tokens" not in everything(page), "a page has a click"


def test_one_click_turns_them_on_and_another_off(draw: Draw, session: str) -> None:
    page = planned(draw, session)
    offered = label_of(page, "read-in-passes")
    redrawn(page.button(key="read-in-passes").click())
    page = planned(draw, session)
    shown = everything(page)
    assert f"**{offered}.**" in shown and "tokens over" not in sentences(page)
    assert not page.chat_input[0].disabled
    assert '<table class="slices">' in shown and re.search(r"<div>p0/ \d+ files</div>", shown)
    assert state.house().desk.turns(session) == ()
    redrawn(page.button(key="not-in-passes").click())
    page = draw(session)
    assert "tokens over" in sentences(page) and page.chat_input[0].disabled


def test_a_corpus_that_fits_is_read_in_passes_by_choice(draw: Draw, tmp_path: Path) -> None:
    session = begun(tmp_path, 20)
    page = draw(session)
    assert not page.error and not label_of(page, "read-in-passes")
    tokens = next(each for each in page.text_input if (each.key or "").startswith("pass-tokens-"))
    redrawn(tokens.set_value("200"))
    page = planned(draw, session)
    assert "**Read in 4 passes.**" in everything(page) and "tokens each" in str(page.expander)
    tokens = next(each for each in page.text_input if (each.key or "").startswith("pass-tokens-"))
    assert tokens.value == "200"
    page = redrawn(tokens.set_value("a lot"))
    assert "is no number of tokens" in sentences(page)
    redrawn(page.button(key="turn-passes").click())
    assert "Read in 4 passes" not in everything(draw(session))


def test_too_few_tokens_of_a_pass_are_a_sentence(draw: Draw, session: str) -> None:
    state.house().desk.read_in_passes(session, True, pass_tokens=3)
    page = planned(draw, session)
    assert "It cannot be read in passes" in sentences(page) and page.chat_input[0].disabled


def test_an_answer_in_passes_with_what_each_gave(draw: Draw, session: str) -> None:
    state.house().desk.read_in_passes(session, True)
    page = planned(draw, session)
    redrawn(page.chat_input[0].set_value("Which wagon?"))
    turn = answered(session)
    assert turn.stop == "end" and turn.receipt is not None
    n_passes = turn.receipt["passes"]["n_passes"]
    page = draw(session)
    assert f"Read in {n_passes} passes, {N_SOURCES} of {N_SOURCES} sources, each once" in everything(page)
    assert any(each.label.startswith(f"What each of {n_passes} passes gave") for each in page.expander)
    redrawn(page.button(key=f"do-receipt-{turn.id}").click())
    assert "from the KV cache; 0 notes kept from before" in everything(page)


def test_what_a_slice_gave_opens_in_the_source(draw: Draw, session: str) -> None:
    from app.parts.source_view import Beside, data_of

    state.house().desk.read_in_passes(session, True)
    state.house().jobs.ask(session, "Which wagon?")
    turn = answered(session)
    seen = state.house().desk.session(session)
    desk = Beside(session, seen.links, seen.turns, (), None)
    path = turn.receipt["passes"]["slices"][0]["pieces"][0]["path"] if turn.receipt else ""
    data = data_of(desk, Opened(session=session, path=path, cited=(turn.id, 1), by_pass=True))
    assert data["status"] == "verified" and data["turn"] == -turn.id and data["number"] == 1
    assert data["of"] == 2 * turn.receipt["passes"]["n_passes"] if turn.receipt else False


def test_what_runs_is_told_by_slice_and_what_is_stopped_goes_on(draw: Draw, session: str, held: Path) -> None:
    house = state.house()
    house.desk.read_in_passes(session, True)
    n_passes = len([*house.desk.outlines(session)][-1].slices)
    held.write_text("2")
    job = house.jobs.ask(session, "Which wagon?")
    until(lambda: job.progress.passes is not None and len(job.progress.passes.gave) == 2 and job.progress.prefill)
    page = draw(session)
    assert f"Pass 3 of {n_passes} · p" in everything(page) and "40 %" in everything(page)
    assert "<b>4 facts</b> from 2 passes so far" in everything(page)
    job.stop()
    assert answered(session).stop == "cancelled"
    page = planned(draw, session)
    assert "Stopped by you · what was read is kept" in everything(page)
    assert f"2 of {n_passes} passes read; their notes are kept." in everything(page)
    held.unlink()
    turn = answered(session)
    redrawn(page.button(key=f"do-continue-{turn.id}").click())
    assert label_of(page, f"do-continue-{turn.id}") == "" and answered(session).stop == "end"
    receipt = answered(session).receipt
    assert receipt is not None
    assert [each["kept"] for each in receipt["passes"]["slices"]] == [True, True] + [False] * (n_passes - 2)


def test_a_template_that_asks_about_less_can_be_asked_where_all_is_too_much(
    draw: Draw, session: str, tmp_path: Path
) -> None:
    """And nothing else: another question is refused in a sentence, and stays in the box."""
    desk = state.house().desk
    cell = {"cell_type": "markdown", "metadata": {}, "source": "Wagon 7 is blue."}
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book.ipynb").write_text(json.dumps(book))
    desk.add_sources(session, desk.read([tmp_path / "book.ipynb"]))
    assert draw(session).chat_input[0].disabled, "none of the templates asks about less"
    (tmp_path / "home" / "templates").mkdir()
    for name, kinds in (("mine", "notebook"), ("all", "text, notebook"), ("none", "pdf"), ("long", "text")):
        (tmp_path / "home" / "templates" / f"{name}.md").write_text(f"---\nsources: {kinds}\n---\nWhat is {name}?\n")
    page = draw(session)
    assert not page.chat_input[0].disabled and "/mine" in page.chat_input[0].placeholder
    assert "tokens over" in sentences(page)
    page = redrawn(page.chat_input[0].set_value("What is it?"))
    assert "It does not fit" in sentences(page) and "/mine" in sentences(page) and not desk.turns(session)
    redrawn(draw(session).chat_input[0].set_value("/mine"))
    turn = answered(session)
    assert turn.question == "What is mine?" and turn.stop == "end" and turn.settings["only"] == ["book.ipynb"]
