"""The page on a disk that is full: it says so, shows what is there, and loses no question."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.parts import draft
from engine.errors import LongdeskError
from storage.store import Store
from tests.app.parts.test_page import Draw, draw, sentences
from tests.full_disk import empty, fill, small_disk

__all__ = ["draw"]  # the fixture


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A home with a session of one turn, on a disk that is full."""
    with small_disk(tmp_path / "home") as home:
        with Store(home) as store:
            session = store.sessions.create(title="Bridges", model="m", system="", frozen_date="2026-01-01")
            store.sessions.keep_draft(session.id, "What was typed")
        fill(home)
        yield home


def warnings(page: AppTest) -> str:
    return "\n".join(each.value for each in page.warning)


def opened(page: AppTest) -> str:
    """The session, shown."""
    [session] = state.house().desk.sessions()
    page.button(key=f"go-{session.id}").click().run()
    assert not page.exception and page.query_params["session"] == session.id
    return session.id


def box(page: AppTest) -> str:
    return str(page.chat_input[0].proto.value)


@pytest.mark.slow  # 2 s: a page is drawn five times
def test_it_says_so_and_a_question_stands_in_the_box_again(disk: Path, draw: Draw) -> None:
    page = draw()
    assert "is full: 0 bytes are free there" in warnings(page) and "read and deleted" in warnings(page)
    page.chat_input[0].set_value("Who asks without a session?").run()
    assert "is full: 0 bytes" in sentences(page) and box(page) == "Who asks without a session?"
    session_id = opened(page)
    page.chat_input[0].set_value("How long is it?").run()
    assert not page.exception and sentences(page).count("is full: 0 bytes") == 1
    assert box(page).endswith("How long is it?") and state.house().desk.turns(session_id) == ()
    assert state.house().desk.draft(session_id) == "What was typed", "it is not lost either"
    with pytest.raises(LongdeskError, match="was not kept: the disk is full"):
        state.house().desk.keep_template("own.jinja", b"{{ messages }}" * 9_000)
    empty(disk)
    page.run()
    assert warnings(page) == ""


@pytest.mark.slow  # 1 s
def test_what_is_typed_meanwhile_breaks_nothing(disk: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw()
    session_id = opened(page)
    kept = {"draft": {"typed": {"session": session_id, "text": "More", "back": 1}}}
    monkeypatch.setattr(state, "value", lambda key, default=None: kept.get(key, default))
    followed = dict[str, object]()
    monkeypatch.setattr(state, "follow", followed.__setitem__)
    draft._keep()
    assert followed["ask"] == "More" and state.house().desk.draft(session_id) == "What was typed"
