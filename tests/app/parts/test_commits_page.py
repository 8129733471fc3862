"""A template's range of commits on the page without a browser: read for its question, which is about these alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import desk as desks
from app import state
from tests.app.parts.test_page import MAIN, everything, sentences
from tests.app.test_commits import checkout
from tests.patience import PATIENCE_S, until
from tests.slow_reader import HELD, answers

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", "words")
    monkeypatch.setenv(HELD, str(tmp_path / "held"))
    monkeypatch.setenv("LONGDESK_ROOTS", str(tmp_path / "code"))
    monkeypatch.setattr(desks, "Engines", answers(desks.Engines))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 60\n")
    st.cache_resource.clear()
    yield checkout(tmp_path / "code")
    state.house().close()
    st.cache_resource.clear()


def page_of(session: str) -> AppTest:
    page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
    page.query_params["session"] = session
    page.run()
    assert not page.exception
    return page


def test_release_notes_are_drafted_from_a_range(root: Path) -> None:
    desk = state.house().desk
    session = desk.begin_session("New session").id
    desk.add_sources(session, desk.read([root]))
    page_of(session).chat_input[0].set_value("/release-notes range: v1.. version: 2.0").run()
    until(lambda: bool(desk.turns(session)) and not state.house().jobs.running())
    [turn] = desk.turns(session)
    assert "2.0" in turn.question and turn.settings["template"] == "release-notes" and turn.stop == "end"
    [only] = turn.settings["only"]
    assert only.startswith("commits/0001-") and only in desk.digests(session)

    page = page_of(session).chat_input[0].set_value("/release-notes v1..v9").run()
    until(lambda: not state.house().additions.running())
    assert "has no commit v9" in everything(page) + sentences(page) and len(desk.turns(session)) == 1
