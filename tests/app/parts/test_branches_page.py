"""The buttons of a question and its answer, without a browser: again, edit, continue, back, and the draft."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.desk import Desk
from tests.app.parts.test_page import Draw, draw, everything, sentences, session_of
from tests.patience import PATIENCE_S

__all__ = ["draw"]  # the fixture


def done(page: AppTest) -> AppTest:
    """The page when its answer has ended."""
    job = state.house().jobs.of(session_of(page))
    assert job is not None
    job.join(PATIENCE_S)
    page.run()
    assert not page.exception
    return page


@pytest.fixture
def asked(draw: Draw, tmp_path: Path) -> AppTest:
    """The example, asked once, with a reply that was cut."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 6\n")
    page = draw()
    page.button(key="example").click().run()
    page.button(key="suggested-0").click().run()
    return done(page)


def desk() -> Desk:
    return state.house().desk


def press(page: AppTest, what: str, turn: int) -> AppTest:
    """A button of the turn of this index."""
    id = desk().turns(session_of(page))[turn].id
    page.button(key=f"do-{what}-{id}").click().run()
    assert not page.exception
    return page


@pytest.mark.slow  # some seconds
def test_again_and_back(asked: AppTest) -> None:
    session = session_of(asked)
    [first] = desk().turns(session)
    done(press(asked, "again", 0))
    [again] = desk().turns(session)
    assert (again.index, again.question) == (1, first.question)
    assert "2 of 2" in everything(asked) and "Asked again at temperature 0.7" in everything(asked)
    press(asked, "before", 0)
    assert [turn.id for turn in desk().turns(session)] == [first.id] and "1 of 2" in everything(asked)
    press(asked, "after", 0)
    assert [turn.id for turn in desk().turns(session)] == [again.id]


@pytest.mark.slow  # some seconds
def test_continue_goes_on_in_place(asked: AppTest) -> None:
    session = session_of(asked)
    [cut] = desk().turns(session)
    assert cut.stop == "length" and "limit of 6 tokens" in everything(asked)
    done(press(asked, "continue", 0))
    [turn] = desk().turns(session)
    assert turn.id == cut.id and turn.text.startswith(cut.text.rstrip("\ufffd"))
    assert turn.reply_ids[:6] == cut.reply_ids and len(turn.reply_ids) == 12
    assert "limit of" not in everything(asked) and "12 in the reply" in everything(asked)


@pytest.mark.slow  # some seconds
def test_an_edited_question_is_asked_on_a_branch(asked: AppTest) -> None:
    session = session_of(asked)
    [first] = desk().turns(session)
    press(asked, "edit", 0)
    asked.text_area(key=f"edited-{first.id}").set_value("  ")
    asked.button(key=f"ask-{first.id}").click().run()
    assert len(desk().record(session).all_turns) == 1, "nothing is no question"
    asked.text_area(key=f"edited-{first.id}").set_value("What else?")
    asked.button(key=f"ask-{first.id}").click().run()
    done(asked)
    [turn] = desk().turns(session)
    assert (turn.question, turn.alternatives) == ("What else?", (0, 1))
    assert not [area for area in asked.text_area if area.key != "stops"]


@pytest.mark.slow  # some seconds
def test_a_refused_question_can_be_taken_back(asked: AppTest) -> None:
    session = session_of(asked)
    whole = "word " * 40_000
    state.house().jobs.ask(session, whole)
    done(asked)
    assert "over" in sentences(asked)
    asked.button(key="do-edit-unasked").click().run()
    assert desk().draft(session) == whole and not asked.exception
    assert "over" not in sentences(asked)


@pytest.mark.slow  # some seconds
def test_a_call_that_cannot_be_asked_stands_in_the_draft_once(draw: Draw) -> None:
    page = draw()
    page.button(key="example").click().run()
    desk().keep_draft(session_of(page), "/explian this")  # as the browser does while it is typed
    page.chat_input[0].set_value("/explian this").run()
    assert "Did you mean /explain?" in sentences(page)
    assert desk().draft(session_of(page)) == "/explian this" and not page.exception
