"""How far it reads, on the page: the grid, a reading under way, and what the strip says of a corpus beyond it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.desk import Desk
from app.parts.reach_grid import finding, grid_html
from app.reach.kept import KeptReadings
from app.reach.results import Asked, Read, Reading
from app.settings import Settings
from engine.backend import Corpus
from tests.app.reach.corpus import corpus, source
from tests.fake_backend import FakeBackend
from tests.patience import PATIENCE_S, until

MAIN = Path(__file__).parents[3] / "app" / "main.py"
Draw = Callable[..., AppTest]


def read_at(tokens: int, n_right: int, n_asked: int = 10) -> Read:
    kinds = [("fact" if at % 2 else "chain", 0 if at < n_asked // 2 else 100) for at in range(n_asked)]
    asked = tuple(
        Asked(kind, depth, "Who?", "Yrsa", "<b>Yrsa", at < n_right, 0.1, 9) for at, (kind, depth) in enumerate(kinds)
    )
    return Read(tokens, tokens - 4, 3, None, asked)


def reading(*lengths: Read, digest: str = "d", model: str = "Fake") -> Reading:
    return Reading(
        model=model, model_digest=digest, quantization="Q4_K", kv_type="f16", corpus_digest="c", corpus_sources=3,
        corpus_tokens=9000, own=False, seed=0, depths=(0, 100), reply_tokens=48, lengths=lengths,
    )  # fmt: skip


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(window=5000)


@pytest.fixture
def draw(tmp_path: Path, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws a view over a home of its own, with an engine of words."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LONGDESK_MODEL", raising=False)

    def desk(settings: Settings) -> Desk:
        return Desk(settings, backend=backend)

    monkeypatch.setattr("app.state.Desk", desk)
    monkeypatch.setattr("app.reaching.OWN", tmp_path / "own")
    (tmp_path / "own").mkdir()
    for each in corpus().sources:
        (tmp_path / "own" / each.path).write_text(each.text)
    st.cache_resource.clear()

    def draw_view(view: str = "reading", **query: str) -> AppTest:
        def script() -> None:
            from app.views import reading

            reading.draw()

        page = AppTest.from_function(script, default_timeout=PATIENCE_S)
        page = page if view == "reading" else AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    yield draw_view
    state.house().close()
    st.cache_resource.clear()


def everything(page: AppTest) -> str:
    words = [one.value for one in (*page.markdown, *page.caption, *page.error)]
    return "\n".join([*words, *(one.proto.body for one in page.get("html"))])


def begin(page: AppTest) -> None:
    next(button for button in page.button if button.label == "Try it").click().run()
    assert not page.exception


def test_the_grid_holds_its_figures_and_marks_what_is_beyond() -> None:
    drawn = grid_html(reading(read_at(1024, 10), read_at(2048, 9), read_at(4096, 5)))
    assert drawn.count("<tr>") == 4 and "5/5" in drawn and "4/5" in drawn and "--share:80%" in drawn
    assert '<td class="effective">90%</td>' in drawn and '<td class="beyond">50%</td>' in drawn
    assert finding(reading(read_at(1024, 10), read_at(2048, 5))) == "Effective length: 1,024 tokens."
    assert finding(reading(read_at(1024, 10))).endswith("the longest that was tried.")
    assert finding(reading(read_at(1024, 0))) == "How far this model reads cannot be said."
    assert "–" in grid_html(reading(Read(1024, 1000, 1, None, read_at(1024, 5).asked[:5])))


def test_nothing_was_tried_yet(draw: Draw) -> None:
    page = draw()
    assert page.header[0].value == "How far it reads" and "Nothing was tried yet" in everything(page)
    assert "Longdesk's own program" in everything(page)
    assert [each.options for each in page.selectbox] == [["1K tokens", "2K tokens", "4K tokens", "4,968 tokens"]]


@pytest.mark.slow  # 3 s
def test_a_reading_runs_is_stopped_and_goes_on(draw: Draw, backend: FakeBackend) -> None:
    go, waiting = Flag(), Flag()

    def slow(question: str) -> str:
        waiting.set()
        assert go.wait(PATIENCE_S)
        return "Not there."

    backend.answer = slow
    page = draw()
    page.selectbox[0].set_value(2048).run()
    begin(page)
    assert waiting.wait(PATIENCE_S)
    page.run()
    assert [each.label for each in page.button] == ["Stop"] and "tokens" in everything(page)
    page.button[0].click().run()
    assert page.button[0].disabled and "Stopping" in everything(page)
    go.set()
    until(lambda: not state.house().readings.standing.running)  # type: ignore[union-attr]
    page = draw()
    assert "Try it" in [each.label for each in page.button]
    page.selectbox[0].set_value(2048).run()
    begin(page)
    until(lambda: not state.house().readings.standing.running)  # type: ignore[union-attr]
    page.run()
    assert "How far this model reads cannot be said." in everything(page)
    assert "1,024" in everything(page) and "2,048" in everything(page) and not page.error


@pytest.mark.slow  # 2 s
def test_the_open_session_is_what_is_tried(draw: Draw) -> None:
    draw()
    desk = state.house().desk
    session = desk.begin_session("One").id
    desk.add_sources(session, corpus(12, 8))
    page = draw(session=session)
    assert "the 12 sources of the open session" in everything(page)
    page.selectbox[0].set_value(1024).run()
    begin(page)
    until(lambda: not state.house().readings.standing.running)  # type: ignore[union-attr]
    standing = state.house().readings.standing
    assert standing is not None and standing.reading is not None and standing.error is None
    assert standing.reading.corpus_sources == 12 and not standing.reading.own
    kept = {source.path: source.text for source in corpus(12, 8).sources}
    assert {each.source.path: each.source.text for each in desk.record(session).sources} == kept


@pytest.mark.slow  # 3 s
@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        (((1024, 10), (2048, 5)), "This model read reliably up to 1,024 tokens here: this corpus is longer."),
        (((1024, 10),), "1,024 tokens here, and was not tried with more: this corpus is longer."),
        (((1024, 10), (2048, 10), (4096, 10)), None),
        (((1024, 0), (2048, 0)), None),
        ((), None),
    ],
)
def test_the_strip_says_when_a_corpus_is_beyond(
    draw: Draw, tmp_path: Path, lengths: tuple[tuple[int, int], ...], says: str | None
) -> None:
    draw()
    desk = state.house().desk
    session = desk.begin_session("One").id
    desk.add_sources(session, Corpus((source("long.txt", "word " * 3000),)))
    found = reading(*(read_at(*each) for each in lengths), digest=desk.backend().digest())
    assert not lengths or KeptReadings(tmp_path / "home").keep(found)
    page = draw("main", session=session)
    if says is None:
        assert "reliably" not in everything(page)
    else:
        assert says in everything(page)
