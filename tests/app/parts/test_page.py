"""The page without a browser: what it says in states that are hard to bring about in one."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.local_engine import LocalEngine, Running
from app.suggestions import SUGGESTIONS
from engine.memory.budget import Device
from engine.runtime.events import Gauge
from tests.models.families import CHATML
from tests.patience import PATIENCE_S

MAIN = Path(__file__).parents[3] / "app" / "main.py"

Draw = Callable[..., AppTest]


@pytest.fixture
def draw(tmp_path: Path, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws the page over a home of its own."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(llama_gguf))
    monkeypatch.delenv("LONGDESK_ROOTS", raising=False)
    st.cache_resource.clear()

    def draw_page(**query: str) -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    yield draw_page
    if (tmp_path / "home" / "longdesk.db").exists():
        state.house().close()
    st.cache_resource.clear()


def sentences(page: AppTest) -> str:
    return "\n".join(error.value for error in page.error)


def session_of(page: AppTest) -> str:
    return str(page.query_params["session"])


def everything(page: AppTest) -> str:
    return "\n".join(
        [
            *(one.value for one in page.markdown),
            *(one.value for one in page.caption),
            *(one.proto.body for one in htmls(page)),
        ]
    )


def htmls(page: AppTest) -> list[Any]:
    return list(page.get("html"))


def test_the_empty_desk_says_what_comes_next(draw: Draw) -> None:
    page = draw()
    assert page.header[0].value == "Put a corpus on the desk"
    assert "Load the example" in [button.label for button in page.button]
    assert "Corpus <b>0</b>" in everything(page)


@pytest.mark.slow  # 1.1 s
def test_a_session_that_is_gone(draw: Draw) -> None:
    page = draw(session="nosuchone")
    assert "There is no session nosuchone." in sentences(page)
    assert "session" not in page.query_params
    assert page.header[0].value == "Put a corpus on the desk"


@pytest.mark.slow  # 1.1 s
def test_loading_the_example_and_leaving_it_out(draw: Draw) -> None:
    page = draw()
    page.button(key="example").click().run()
    assert not page.exception
    session = session_of(page)
    desk = state.house().desk
    assert {link.path for link in desk.session(session).links} >= {"welcome.txt", "pedal/tariff.py"}
    welcome = next(box for box in page.checkbox if box.label.startswith("welcome.txt"))
    welcome.uncheck().run()
    links = desk.session(session).links
    assert [link.path for link in links if not link.enabled] == ["welcome.txt"]
    assert "4 of 5 files sent" in everything(page)


@pytest.mark.slow  # 1.5 s
def test_a_chat_template_is_chosen_for_sessions_that_are_begun(draw: Draw) -> None:
    page = draw()
    desk = state.house().desk
    desk.keep_template("mine.jinja", CHATML.encode())
    page.run()
    page.selectbox(key="chat-template-None").set_value("mine.jinja").run()
    assert not page.exception and desk.about().template.name == "mine.jinja"
    page.selectbox(key="chat-template-None").set_value("model").run()
    assert not page.exception and desk.about().template.used == "model"


def suggestions(page: AppTest) -> list[str]:
    return [button.label for button in page.button if (button.key or "").startswith("suggested-")]


@pytest.mark.slow  # 1.8 s
def test_a_suggested_question_is_asked_with_a_click(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 8\n")
    page = draw()
    assert not suggestions(page) and "question reads" not in everything(page)
    page.button(key="example").click().run()
    assert suggestions(page) == [each.question for each in SUGGESTIONS]
    assert "The first question reads 1,371 tokens" in everything(page), "with the tiny model's vocabulary"
    assert "Later ones read only what is new." in everything(page)
    page.button(key="suggested-1").click().run()
    assert not page.exception
    session = session_of(page)
    job = state.house().jobs.of(session)
    assert job is not None
    job.join(PATIENCE_S)
    page.run()
    assert [turn.question for turn in state.house().desk.turns(session)] == [SUGGESTIONS[1].question]
    assert not suggestions(page) and "question reads" not in everything(page), "now it was read"


def test_questions_are_suggested_about_the_whole_example_alone(draw: Draw) -> None:
    page = draw()
    page.button(key="example").click().run()
    box = next(box for box in page.checkbox if box.label.startswith("rent.pdf"))
    box.uncheck().run()
    assert not suggestions(page)
    next(box for box in page.checkbox if box.label.startswith("rent.pdf")).check().run()
    assert suggestions(page)


@pytest.mark.slow  # 1.1 s
def test_over_the_window_is_a_button(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("n_ctx = 1792\nreply_tokens = 512\n")
    page = draw()
    page.button(key="example").click().run()
    assert "tokens over" in sentences(page)
    assert page.chat_input[0].disabled and not suggestions(page)
    leave = next(button for button in page.button if button.label.startswith("Leave out"))
    leave.click().run()
    assert "tokens over" not in sentences(page)
    assert not page.chat_input[0].disabled


def test_too_little_memory_is_a_verdict_of_its_own(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    free = Device("RAM", "ram", 1 << 20, 1 << 34)
    monkeypatch.setattr(LocalEngine, "_free_ram", lambda self, others: free)
    page = draw()
    assert "of memory are missing" in sentences(page)
    assert "tokens over" not in sentences(page)
    assert page.chat_input[0].disabled


@pytest.mark.slow  # 1.1 s
def test_weights_that_do_not_fit_are_slow_not_refused(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    draw()
    desk = state.house().desk
    least = replace(desk.settings.wanted, n_ctx=desk.settings.reply_tokens, n_ubatch=128)
    plan = desk.plan(wanted=least)
    anonymous = plan.total_bytes - plan.weights_bytes
    free = replace(plan.needs[0].device, free_bytes=anonymous + plan.weights_bytes // 2)
    monkeypatch.setattr(LocalEngine, "_free_ram", lambda self, others: free)
    page = draw()
    assert not page.error
    assert "slowly" in page.warning[0].value
    assert not page.chat_input[0].disabled


def test_a_model_that_is_not_there(draw: Draw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGDESK_MODEL", str(tmp_path / "none.gguf"))
    page = draw()
    assert "The model cannot be used." in sentences(page)
    assert page.chat_input[0].disabled


def test_a_damaged_home(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "longdesk.db").write_bytes(b"not a database" * 100)
    page = draw()
    assert "is damaged" in sentences(page)
    (tmp_path / "home" / "longdesk.db").unlink()


def test_a_setting_that_is_not_known(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("colour = 'red'\n")
    assert "colour" in sentences(draw())


@pytest.mark.slow  # 5.3 s
def test_asking_without_sources_and_asking_again(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text("reply_tokens = 8\n")
    page = draw()
    page.chat_input[0].set_value("Say something.").run()
    assert not page.exception
    session = session_of(page)
    job = state.house().jobs.of(session)
    assert job is not None
    job.join(PATIENCE_S)
    page.run()
    turns = state.house().desk.turns(session)
    assert [turn.question for turn in turns] == ["Say something."]
    assert turns[0].stop in ("end", "length")
    assert "Say something." in everything(page)
    assert state.house().desk.session(session).session.title == "Say something."


def test_what_is_read_again_is_said_before_asking(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.next_turn.tokens_read", lambda turns, model: 1_000_000)
    monkeypatch.setattr("app.next_turn.reading_speed", lambda turns, model: 10.0)
    page = draw()
    assert "Re-reading" not in everything(page)
    page.button(key="example").click().run()
    assert "Re-reading" in everything(page) and "before the next answer." in everything(page)


@pytest.mark.slow  # 1.6 s
def test_what_adding_changed_is_said_until_the_next_question(draw: Draw, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("a", "b*"):
        (folder / f"{name}.txt").write_text(name)
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text(f"reply_tokens = 8\nroots = ['{folder}']\n")

    def add(page: AppTest) -> None:
        page.text_input(key="local-path").set_value(str(folder))
        next(button for button in page.button if button.label == "Add").click().run()
        assert not page.exception

    page = draw()
    add(page)
    assert "Replaced" not in everything(page)
    (folder / "b*.txt").write_text("edited")
    add(page)
    replaced = r"Replaced by what was given now, and read again from there on: b\*.txt."
    assert everything(page).count(replaced) == 1
    page.run()
    assert replaced in everything(page), "it stays while one looks about"
    page.button(key=f"hush-{session_of(page)}").click().run()
    assert replaced not in everything(page)
    (folder / "a.txt").unlink()
    add(page)
    assert "a.txt was deleted: left out from here on." in everything(page) and replaced not in everything(page)
    page.chat_input[0].set_value("And now?").run()
    job = state.house().jobs.of(session_of(page))
    assert job is not None
    job.join(PATIENCE_S)
    assert "was deleted" not in everything(page.run())


@pytest.mark.slow  # 1.1 s
def test_the_list_of_all_sessions(draw: Draw) -> None:
    draw()
    state.house().desk.begin_session("*bold* [link](x)")
    page = draw()
    labels = [button.label for button in page.button]
    assert r"\*bold\* \[link\](x)" in labels


def test_every_module_is_there_once(draw: Draw) -> None:
    """Streamlit puts app/ first on sys.path; `import desk` would be a second Desk."""
    draw()
    assert str(MAIN.parent) not in sys.path
    assert not {"desk", "jobs", "state", "views"} & sys.modules.keys()


def test_the_gauge_says_what_the_kv_cache_holds(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = Gauge(120_730, 131_072, (("RAM", 6 << 30), ("CUDA0", 9 << 30)))
    monkeypatch.setattr(LocalEngine, "status", lambda self: Running(131_072, "s", gauge))
    shown = everything(draw())
    assert "120,730 / 131,072</span> · <span>15.0 GiB in CUDA0, RAM" in shown
    assert "92 % of the KV cache is used" in shown
    monkeypatch.setattr(LocalEngine, "status", lambda self: Running(131_072, "s"))  # it has not told yet
    assert "– / 131,072" in everything(draw())


@pytest.mark.slow  # 1.5 s
def test_sampling_is_set_and_left_to_the_makers_again(draw: Draw) -> None:
    page = draw()
    desk = state.house().desk
    page.number_input(key="sampling-temperature").set_value(0.7).run()
    page.number_input(key="sampling-top_k").set_value(40).run()
    assert not page.exception and (desk.settings.temperature, desk.settings.top_k) == (0.7, 40)
    page.number_input(key="sampling-temperature").set_value(None).run()
    assert not page.exception and desk.settings.temperature is None
    page.text_input(key="thinking").set_value("1,024").run()
    page.text_area(key="stops").set_value("END\n\n# ").run()
    assert not page.exception and (desk.settings.thinking, desk.settings.stops) == ("1024", ("END", "# "))
    page.text_input(key="thinking").set_value("often").run()
    assert "thinking" in page.error[0].value and desk.settings.thinking == "1024"


def test_another_model_is_chosen_and_the_page_is_about_it(draw: Draw, llama_gguf: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.symlink_to(llama_gguf)
    page = draw()
    page.session_state["models-here"] = (str(llama_gguf), str(other))
    page.run()
    page.selectbox(key="answers-with").select(str(other)).run()
    assert not page.exception and state.house().desk.settings.model == str(other)
    assert page.selectbox(key="answers-with").value == str(other)
