"""What is being read, on the page without a browser: its line, Stop, and the session that it goes to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.additions import Stage, Standing
from app.intake import Delivery, Intake
from app.parts.coming import line_of
from app.previews import Previews
from app.reading import Doing, Progress, Tell
from app.suggestions import EXAMPLE
from engine.errors import LongdeskError, SourceRefused
from tests.patience import PATIENCE_S, until

MAIN = Path(__file__).parents[3] / "app" / "main.py"
HALF = Progress(1_204, 52_428_800, 2.0, "core/loop.py", 4_100)
LINE = "Reading 1,204 of 4,100 files · core/loop.py · 25.0 MiB/s · 5 s left"

Draw = Callable[..., AppTest]


class Reader:
    """Reads the example as ever, once it may: or raises an error."""

    def __init__(self) -> None:
        self.let, self.error = Event(), list[LongdeskError]()

    def read(self, intake: Intake, path: Path, tell: Tell, really: Callable[..., Delivery]) -> Delivery:
        tell(HALF)
        assert self.let.wait(PATIENCE_S)
        if self.error:
            raise self.error.pop()
        return really(intake, path, tell=tell)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """The page does not wait for it."""
    monkeypatch.setattr("app.parts.adding.SOON_S", 0.0)
    made, really = Reader(), Intake.read_folder
    monkeypatch.setattr(Intake, "read_folder", lambda self, path, *, tell: made.read(self, path, tell, really))
    return made


@pytest.fixture
def draw(tmp_path: Path, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader) -> Iterator[Draw]:
    """Draws the page over a home of its own, in a new tab each time."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 8\n")
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(llama_gguf))
    monkeypatch.delenv("LONGDESK_ROOTS", raising=False)
    st.cache_resource.clear()

    def draw_page(**query: str) -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
        for name, value in query.items():
            page.query_params[name] = value
        return run(page)

    yield draw_page
    reader.let.set()
    state.house().close()
    st.cache_resource.clear()


def run(page: AppTest) -> AppTest:
    page.run()
    assert not page.exception
    return page


def begin(page: AppTest) -> str:
    """Begins to read; the session that is coming."""
    page.button(key="example").click()
    run(page)
    until(lambda: state.house().additions.running()[0].standing.progress is not None)
    return session_of(run(page))


def session_of(page: AppTest) -> str:
    return str(page.query_params["session"])


def end(reader: Reader) -> None:
    reader.let.set()
    until(lambda: not state.house().additions._running)


def shown(page: AppTest) -> str:
    htmls: list[Any] = list(page.get("html"))
    texts = [one.value for kind in (page.markdown, page.caption, page.error, page.header) for one in kind]
    return "\n".join([*texts, *(one.proto.body for one in htmls)])


def button(page: AppTest, label: str) -> Any:
    [found] = [each for each in page.button if each.label == label and not (each.key or "").startswith("open-folder")]
    return found


@pytest.mark.slow  # 1 to 2 s
def test_the_line_says_how_far_it_is_and_it_is_done_once(draw: Draw, reader: Reader) -> None:
    page = draw()
    session = begin(page)
    assert LINE in shown(page) and "The files are being read" in shown(page)
    assert state.house().desk.sessions() == (), "there is none until it is read"
    again = draw(session=session)  # reloaded, or in another tab
    assert LINE in shown(again)
    end(reader)
    for each in (page, again):
        assert "Reading 1,204" not in shown(run(each)) and "5 files" in shown(each)
        assert session_of(each) == session
    assert [each.id for each in state.house().desk.sessions()] == [session]


@pytest.mark.slow  # 1 to 2 s
def test_what_came_while_the_page_looked_is_shown_at_once(
    draw: Draw, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page looks at a session that has been begun and has no sources yet; while it counts, they come, and nothing
    is read any more that would have it look again."""
    page = draw()
    session = begin(page)
    begun, looked, add, of = Event(), Event(), Intake.add, Previews.of

    def add_late(self: Intake, *given: Any) -> Any:
        begun.set()
        assert looked.wait(PATIENCE_S)
        return add(self, *given)

    def count_late(self: Previews, *given: Any, **named: Any) -> Any:
        if not looked.is_set():
            looked.set()
            until(lambda: not state.house().additions._running)
        return of(self, *given, **named)

    monkeypatch.setattr(Intake, "add", add_late)
    monkeypatch.setattr(Previews, "of", count_late)
    reader.let.set()
    assert begun.wait(PATIENCE_S)
    run(page)
    assert "5 files" in shown(page) and "Put a corpus on the desk" not in shown(page)
    assert session_of(page) == session


@pytest.mark.slow  # 1 to 2 s
def test_stop_adds_nothing_and_says_so(draw: Draw, reader: Reader) -> None:
    page = draw()
    begin(page)
    button(page, "Stop").click()
    run(page)
    assert "Reading The example was stopped; nothing of it was added." in shown(page)
    assert "session" not in page.query_params and "Put a corpus on the desk" in shown(page)
    end(reader)
    assert state.house().desk.sessions() == () and not page.error
    session = begin(page)
    assert "was stopped" not in shown(page), "that was said of what came before"
    until(lambda: not state.house().additions.running())
    run(page)
    assert len(state.house().desk.session(session).links) == 5, "the next time it is read"


@pytest.mark.slow  # 1 to 2 s
def test_what_is_read_goes_to_its_session_whatever_is_looked_at(draw: Draw, reader: Reader) -> None:
    page = draw()
    other = state.house().desk.begin_session("another").id
    session = begin(page)
    button(page, "New session").click()
    run(page)
    assert "session" not in page.query_params and f"The example: {LINE}" in shown(page)
    away = draw(session=other)
    button(away, "Open").click()
    assert session_of(run(away)) == session and LINE in shown(away)
    elsewhere = draw(session=other)
    end(reader)
    assert "welcome.txt" not in shown(run(elsewhere)) and session_of(elsewhere) == other
    assert [len(state.house().desk.session(each).links) for each in (session, other)] == [5, 0]


@pytest.mark.slow  # 1 to 2 s
def test_a_question_waits_until_it_is_read(draw: Draw, reader: Reader) -> None:
    page = draw()
    session = begin(page)
    page.chat_input[0].set_value("What does it cost?")
    run(page)
    assert "Asked once it is read: What does it cost?" in shown(page)
    assert page.chat_input[0].disabled and "waits until the files are read" in page.chat_input[0].placeholder
    end(reader)
    job = state.house().jobs.of(session)
    assert job is not None
    job.join(PATIENCE_S)
    run(page)
    [turn] = state.house().desk.turns(session)
    assert turn.question == "What does it cost?" and "Asked once" not in shown(page)


@pytest.mark.slow  # 1 to 2 s
def test_a_question_whose_files_are_stopped_is_not_lost(draw: Draw, reader: Reader) -> None:
    page = draw()
    begin(page)
    page.chat_input[0].set_value("What does it cost?")
    run(page)
    button(page, "Stop").click()
    run(page)
    assert "It was not asked: What does it cost?" in shown(page)


@pytest.mark.slow  # 1 to 2 s
def test_what_waits_behind_what_is_stopped_begins_the_session(draw: Draw, reader: Reader) -> None:
    page = draw()
    session = begin(page)
    state.house().additions.add(session, "more", lambda _, tell: state.house().intake.read_folder(EXAMPLE, tell=tell))
    assert "Waits for what is read before it" in shown(run(page))
    state.house().additions.running()[0].stop()
    run(page)
    assert session_of(page) == session, "it is still coming"
    end(reader)
    run(page)
    assert "5 files" in shown(page) and "Reading The example was stopped" in shown(page)


@pytest.mark.slow  # 1 to 2 s
def test_an_error_is_a_sentence(draw: Draw, reader: Reader) -> None:
    page = draw()
    begin(page)
    reader.error.append(SourceRefused("Nothing in it can be read.", "Give something else."))
    end(reader)
    run(page)
    assert [each.value for each in page.error] == ["Nothing in it can be read. Give something else."]
    assert "session" not in page.query_params and "Put a corpus on the desk" in shown(page)
    run(page)
    assert not page.error, "once"


@pytest.mark.parametrize(
    ("standing", "line"),
    [
        (Standing(), "Waits for what is read before it"),
        (Standing(stage=Stage.READING), "Reading the files"),
        (
            Standing(stage=Stage.READING, progress=Progress(7_000, 0, 0.5, "a", 7_000, Doing.FINDING)),
            "Looking for files · 7,000 found",
        ),
        (Standing(stage=Stage.READING, progress=HALF), LINE),
        (
            Standing(stage=Stage.READING, progress=Progress(1, 10, 0.5, f"{'long/' * 30}name.py", 2)),
            "Reading 1 of 2 files · …long/long/long/long/long/long/long/long/name.py · 20 B/s",
        ),
        (
            Standing(stage=Stage.READING, progress=Progress(2_050, 0, 4.0, "", 4_100, Doing.COUNTING)),
            "Counting tokens · 2,050 of 4,100 files · 4 s left",
        ),
        (Standing(stage=Stage.ADDING, progress=Progress(1, 10, 1.0, "a", 1)), "Adding 1 file"),
    ],
)
def test_lines(standing: Standing, line: str) -> None:
    assert line_of(standing) == line
