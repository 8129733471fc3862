"""The summary of a session's codebase on the page: the way there, progress and Stop, its pages, citations that open."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import current_thread
from typing import cast

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.desk import Desk
from app.passes.summary.document import Summary
from app.passes.summary.steps import Planned, Step, Summarized, SummaryEvent
from app.question import Waiting
from app.summaries import Making, Summaries
from engine.corpus.rules import Rules
from engine.errors import EngineFailed, SessionBusy
from tests.app.parts.test_page import MAIN, everything, sentences
from tests.app.passes.summary.scribe import Scribe
from tests.patience import PATIENCE_S, until


@pytest.fixture
def scribe() -> Scribe:
    return Scribe()


@pytest.fixture
def session(tmp_path: Path, scribe: Scribe, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A session of two files of code, on the page of a home of its own."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("app.state.Desk", partial(Desk, backend=scribe))
    st.cache_resource.clear()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/cart.py").write_text("def add(item):\n    return item\n")
    (tmp_path / "shop/money.py").write_text("def total(items):\n    return sum(items)\n")
    desk = state.house().desk
    begun = desk.begin_session("Shop")
    desk.add_sources(begun.id, desk.read([tmp_path / "shop"], Rules()))
    yield begun.id
    state.house().close()
    st.cache_resource.clear()


def summary_page(session: str) -> AppTest:
    """Draws that screen alone, as the navigation would."""

    def script() -> None:
        import streamlit as st

        from app import state
        from app.views import ask, summary

        state.keep_page("ask", st.Page(ask.draw, title="Longdesk", url_path="ask", default=True))
        st.navigation([st.Page(summary.draw, title="Summary", url_path="summary", default=True)], position="hidden")
        summary.draw()

    app = AppTest.from_function(script, default_timeout=PATIENCE_S)
    app.query_params["session"] = session
    app.run()
    assert not app.exception
    return app


def test_the_way_there_stands_where_there_is_code(session: str) -> None:
    page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
    page.query_params["session"] = session
    page.run()
    assert not page.exception
    assert any(each.label == "Summarize this codebase" for each in page.get("page_link"))


def test_it_is_made_and_read(session: str, tmp_path: Path) -> None:
    page = summary_page(session)
    page.button(key="summarize").click().run()
    until(lambda: not (state.house().summaries.of(session) or Making()).running)
    page.run()
    assert not page.exception and not sentences(page)
    assert "2 of 2 sources, each once" in everything(page)
    assert page.selectbox(key="summary-page").options[0] == "Purpose"
    page.selectbox(key="summary-page").select("entry-points").run()
    cite = next(button for button in page.button if (button.key or "").startswith("cite-entry-points"))
    assert cite.label == "cart.py#L1"
    cite.click().run()
    assert not page.exception
    opened = page.session_state["opened"]
    assert (opened.path, opened.line) == ("cart.py", 1)
    assert not any(button.key == "summarize" for button in page.button)

    (tmp_path / "shop/cart.py").write_text("def add(item):\n    return [item]\n")
    desk = state.house().desk
    desk.add_sources(session, desk.read([tmp_path / "shop"], Rules()))
    page.run()
    assert any("stale" in each.value for each in page.warning)
    assert page.button(key="summarize").label == "Redo what is stale"


def test_one_that_ends_while_the_page_is_drawn_is_shown(
    session: str, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = Flag()
    scribe.before_reply = lambda number: bool(leave.wait(PATIENCE_S))
    page = summary_page(session)
    desk, summaries = state.house().desk, state.house().summaries
    read = desk.summary

    def over_by_then(session_id: str) -> Summary | None:
        seen = read(session_id)
        is_page = not current_thread().name.startswith("summary-")  # which asks for it, too
        if is_page and (summaries.of(session_id) or Making(running=False)).running:
            leave.set()
            until(lambda: not (summaries.of(session) or Making()).running)
        return seen

    monkeypatch.setattr(desk, "summary", over_by_then)
    page.button(key="summarize").click().run()
    assert not page.exception and "2 of 2 sources, each once" in everything(page)


def test_stop_and_go_on(session: str, scribe: Scribe) -> None:
    reached, leave = Flag(), Flag()

    def wait(number: int) -> None:
        reached.set()
        leave.wait(PATIENCE_S)

    scribe.before_reply = wait
    page = summary_page(session)
    page.button(key="summarize").click().run()
    assert reached.wait(PATIENCE_S)
    page.run()
    page.button(key="stop-summary").click().run()
    leave.set()
    until(lambda: not (state.house().summaries.of(session) or Making()).running)
    page.run()
    assert "Stopped. What was read is kept." in everything(page)
    scribe.before_reply = lambda number: None
    assert page.button(key="summarize").label == "Go on"
    page.button(key="summarize").click().run()
    until(lambda: state.house().desk.summary(session) is not None)


def test_a_session_that_is_gone(session: str) -> None:
    assert summary_page("nowhere").button[0].label == "Begin one"


class _Scripted:
    def __init__(self, script: Callable[[Flag], Iterator[SummaryEvent]]) -> None:
        self._script = script

    def summarize(self, session_id: str, *, cancel: Flag) -> Iterator[SummaryEvent]:
        return self._script(cancel)


def ended(summaries: Summaries) -> Making:
    until(lambda: not (summaries.of("s") or Making()).running)
    made = summaries.of("s")
    assert made is not None
    return made


def test_what_broke_is_said_and_what_hangs_is_stopped() -> None:
    def breaks(cancel: Flag) -> Iterator[SummaryEvent]:
        yield Planned(n_sources=1, n_parts=1, n_tokens=1, titles=("a",), tokens=(1,), room=9)
        raise EngineFailed("It broke.")

    summaries = Summaries(_Scripted(breaks))
    summaries.begin("s")
    made = ended(summaries)
    assert made.error == "It broke." and made.planned is not None

    def hangs(cancel: Flag) -> Iterator[SummaryEvent]:
        yield Step(doing="read", title="a", number=1, n_steps=2)
        cancel.wait(PATIENCE_S)

    summaries = Summaries(_Scripted(hangs))
    summaries.begin("s")
    with pytest.raises(SessionBusy):
        summaries.begin("s")
    summaries.stop("s")
    assert ended(summaries).stopping
    summaries.close()

    def mistakes(cancel: Flag) -> Iterator[SummaryEvent]:
        raise ZeroDivisionError
        yield

    summaries = Summaries(_Scripted(mistakes))
    summaries.begin("s")
    assert "mistake in Longdesk" in str(ended(summaries).error)


def test_it_waits_no_more_once_it_goes_on() -> None:
    seen: list[bool] = []

    def waits(cancel: Flag) -> Iterator[SummaryEvent]:
        yield Waiting()
        seen.append(waiting())
        yield Step(doing="read", title="a", number=1, n_steps=2)
        seen.append(waiting())

    def waiting() -> bool:
        made = summaries.of("s")
        return made is not None and made.waiting

    summaries = Summaries(_Scripted(waits))
    summaries.begin("s")
    ended(summaries)
    assert seen == [True, False]


def test_a_stop_that_came_too_late_is_none() -> None:
    def ends(cancel: Flag) -> Iterator[SummaryEvent]:
        assert cancel.wait(PATIENCE_S)
        yield Summarized(cast(Summary, None))

    summaries = Summaries(_Scripted(ends))
    summaries.begin("s")
    summaries.stop("s")
    made = ended(summaries)
    assert not made.stopping and made.error is None
