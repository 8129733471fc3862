"""Sessions of more than 10,000 turns, and the page over a long one and a full one."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event as Flag

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import app
from app import state
from app.archive import Archive
from app.desk import Desk
from app.engines import Engines
from app.question import Answered, Question
from app.settings import Settings
from app.views.ask import _TURNS
from engine.local.opened import open_model
from storage.records import Outcome, SessionRecord
from storage.store import Store
from tests.fake_backend import FakeBackend
from tests.patience import PATIENCE_S

_MANY = 10_050


def long_record(store: Store, n_turns: int, *, beside: bool = False) -> SessionRecord:
    """A session of so many turns, one behind the other or all in one place; it is not in the store yet."""
    session = store.sessions.create(title="Long", model="none.gguf", system="", frozen_date="2026-01-01")
    with store.leases.acquire(session.id) as lease:
        turn = store.turns.begin(lease, question="Question 0?", vocabulary="words", settings={})
        store.turns.finish(turn.id, Outcome(text="Answer 0.", stop="end", reply_ids=()))
    record = store.record(session.id)
    first = record.turns[0]
    turns = tuple(
        replace(
            first,
            index=at,
            parent=None if beside or not at else at - 1,
            question=f"Question {at}?",
            text=f"Answer {at}.",
        )
        for at in range(n_turns)
    )
    branch = turns[-1:] if beside else turns
    return replace(record, turns=branch, others=turns[:-1] if beside else ())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one session of many turns in a row."""
    folder = tmp_path_factory.mktemp("long") / "home"
    with Store(folder) as store:
        record = long_record(store, _MANY)
        store.sessions.delete(record.session.id)
        store.put(record)
    return folder


@pytest.mark.slow  # 12 s
def test_more_than_ten_thousand_turns(home: Path) -> None:
    """Listed, shown, searched, exported, brought back and asked: no recursion, which the limit here would end."""
    limit = sys.getrecursionlimit()
    with closing(Archive(Settings(home=home, model="none.gguf"))) as archive:
        [listed] = archive.sessions()
        assert listed.turns == _MANY and len(archive.turns(listed.id)) == _MANY
        assert archive.search(f"answer {_MANY - 1}")[0].session_id == listed.id
        shown = archive.export(listed.id, "md").decode()
        assert shown.count("\n## Question ") == _MANY
        exported = archive.export(listed.id)
        assert archive.take_in(exported).is_new is False
        fork = archive.fork(listed.id, 3)
        assert [turn.question for turn in archive.turns(fork.id)] == [f"Question {_MANY - n}?" for n in (3, 2, 1)]
        archive.choose_branch(listed.id, 17)
    settings = Settings(home=home, model="none.gguf", reply_tokens=8)
    with closing(Desk(settings, backend=FakeBackend(window=10_000_000))) as desk:
        *_, last = desk.ask(Question(text="More?", session=listed.id), cancel=Flag())
        assert isinstance(last, Answered) and last.turn.index == _MANY and last.turn.parent == _MANY - 1
        desk.delete_session(fork.id)
    assert sys.getrecursionlimit() == limit


@pytest.mark.slow  # 3 s
def test_a_chat_template_lays_out_as_many(llama_gguf: Path) -> None:
    with closing(open_model(llama_gguf)) as opened:
        pieces = opened.template.pieces(_MANY, system=True, today=date(2026, 1, 1))
    assert sum(not isinstance(piece, str) for piece in pieces) == 2 * _MANY


def test_many_in_one_place_share_the_list_of_them(tmp_path: Path) -> None:
    """It took the square of their number."""
    with Store(tmp_path) as store:
        session = store.put(long_record(store, 300, beside=True))
        turns = store.turns.all(session.id)
        assert len(turns) == 300 and len({id(turn.alternatives) for turn in turns}) == 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeBackend]:
    fake = FakeBackend(window=1_000_000)
    monkeypatch.setattr(Engines, "backend", lambda self, model, apart=False, own=None, lora=None: fake)
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(tmp_path / "none.gguf"))
    st.cache_resource.clear()
    yield fake
    state.house().close()
    st.cache_resource.clear()


def draw(session: str) -> AppTest:
    page = AppTest.from_file(str(Path(app.__file__).with_name("main.py")), default_timeout=PATIENCE_S)
    page.query_params["session"] = session
    page.run()
    assert not page.exception
    return page


def n_drawn(page: AppTest) -> int:
    return sum(str(button.key).startswith("do-edit-") for button in page.button)


@pytest.mark.slow  # 4 s
def test_the_page_draws_the_last_and_more_of_them_with_a_click(fake: FakeBackend, tmp_path: Path) -> None:
    with Store(tmp_path / "home") as store:
        session = store.put(long_record(store, _TURNS + 20)).id
    page = draw(session)
    assert n_drawn(page) == _TURNS
    button = page.button(key="earlier-turns")
    assert button.label == "Show earlier questions (20)"
    button.click().run()
    assert not page.exception and n_drawn(page) == _TURNS + 20
    assert not any(each.key == "earlier-turns" for each in page.button)


@pytest.mark.slow  # 2 s
def test_one_click_goes_on_without_the_oldest_questions(fake: FakeBackend, tmp_path: Path) -> None:
    with Store(tmp_path / "home") as store:
        session = store.put(long_record(store, 6)).id
    page = draw(session)
    state.house().desk.keep_draft(session, "and so?")
    needed = state.house().desk.preview(session).plan
    fake.about = replace(fake.about, window=needed.prompt_tokens + needed.reply_tokens - 4)
    page = draw(session)
    [button] = [each for each in page.button if "copy of the session" in each.label]
    assert "this session stays as it is?" in button.label
    button.click().run()
    copy = str(page.query_params["session"])
    assert not page.exception and copy != session
    desk = state.house().desk
    assert 0 < len(desk.turns(copy)) < 6 == len(desk.turns(session))
    assert desk.draft(copy) == "and so?" and desk.preview(copy).plan.fits
