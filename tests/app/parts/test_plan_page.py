"""The page that says what fits, without a browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.local_engine import LocalEngine
from app.parts.chart import apart
from app.parts.devices import devices_html, placement_words
from app.parts.remedies import widget_values
from app.sizes import show_bytes, show_tokens
from engine.memory.budget import Advice, Device, Need, Placement, Plan, Wanted
from tests.patience import PATIENCE_S

GIB = 1 << 30

Draw = Callable[..., AppTest]


@pytest.fixture
def draw(tmp_path: Path, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws the view over a home of its own."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGDESK_MODEL", str(llama_gguf))
    st.cache_resource.clear()

    def draw_view(**query: str) -> AppTest:
        def script() -> None:
            from app.views import plan

            plan.draw()

        page = AppTest.from_function(script, default_timeout=PATIENCE_S)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    yield draw_view
    state.house().close()
    st.cache_resource.clear()


def text(page: AppTest) -> str:
    return "\n".join(
        [
            *(one.value for one in page.markdown),
            *(one.value for one in page.caption),
            *(one.value for one in page.error),
            *(one.proto.body for one in page.get("html")),
        ]
    )


def free(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    before = LocalEngine.hardware

    def hardware(self: LocalEngine):  # type: ignore[no-untyped-def]
        found = before(self)
        return replace(found, ram=replace(found.ram, free_bytes=n_bytes), gpus=())

    monkeypatch.setattr(LocalEngine, "hardware", hardware)


@pytest.mark.slow  # 1.3 s
def test_the_figures_are_those_of_the_plan(draw: Draw) -> None:
    shown = text(draw(ctx="4096", kv="q8_0"))
    plan = state.house().desk.plan_for(None, Wanted(n_ctx=4096, kv_type="q8_0"))
    for n_bytes in (plan.weights_bytes, plan.kv_bytes, plan.compute_bytes, plan.runtime_bytes):
        assert show_bytes(n_bytes) in shown
    assert "**It fits.** 4,096 tokens" in shown
    assert "longdesk plan --ctx 4096 --kv q8_0" in shown


@pytest.mark.slow  # 1.3 s
def test_contexts_over_the_window_say_so(draw: Draw) -> None:
    page = draw()
    window = state.house().desk.window()
    assert text(page).count(f"over the window of {show_tokens(window)}") == 5  # the marks from 32K on


@pytest.mark.slow  # 1.2 s
def test_over_the_window_one_click_mends_it(draw: Draw) -> None:
    page = draw(ctx="1M")
    assert "Over the window." in text(page)
    page.button(key="try-0").click().run()
    assert not page.exception
    assert page.text_input(key="ctx").value == str(state.house().desk.window())
    assert "Over the window." not in text(page)


@pytest.mark.slow  # 1.1 s
def test_over_memory_says_by_how_much(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1 << 20)
    page = draw(ctx="4096")
    assert "It does not fit into memory." in text(page)
    assert "Missing <b>" in text(page)


@pytest.mark.slow  # 1.1 s
def test_what_is_no_number_of_tokens(draw: Draw) -> None:
    page = draw(ctx="many")
    assert "is no number of tokens" in text(page)
    page.text_input(key="ctx").set_value("1,024").run()
    assert "1,024 tokens" in text(page)


@pytest.mark.slow  # 1.3 s
def test_a_usual_context_is_one_click(draw: Draw) -> None:
    page = draw()
    page.button_group(key="ctx-mark").set_value("4K").run()
    assert page.text_input(key="ctx").value == "4K"
    assert page.query_params["ctx"] == "4K"


@pytest.mark.slow  # 1.3 s
def test_an_address_that_names_what_is_not_there_shows_the_current_model(draw: Draw) -> None:
    page = draw(model="no-such", kv="q9_9")
    assert page.selectbox(key="model").value == "current"
    assert page.selectbox(key="kv").value == "f16"


def test_a_model_that_is_not_there(draw: Draw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGDESK_MODEL", str(tmp_path / "none.gguf"))
    assert "none.gguf" in text(draw())


def test_a_devices_bar_tells_missing_from_read_again() -> None:
    ram = Device("RAM", "ram", 20 * GIB, 24 * GIB)
    gpu = Device("<b>GPU</b>", "gpu", 10 * GIB, 12 * GIB)
    needs = (
        Need(ram, weights_bytes=30 * GIB, kv_bytes=21 * GIB, mapped_bytes=30 * GIB),
        Need(gpu, weights_bytes=4 * GIB, kv_bytes=1 * GIB),
    )
    plan = Plan(
        model="m", placement=Placement(n_ctx=4096), window=4096, prompt_tokens=0, reply_tokens=1, needs=needs,
        estimated=("kv_bytes",),
    )  # fmt: skip
    html = devices_html(plan)
    assert "Missing <b>1.0 GiB</b>" in html and "Weights read again and again <b>30.0 GiB</b>" in html
    assert "In use by others <b>4.0 GiB</b>" in html and "Free after that <b>5.0 GiB</b>" in html
    assert "~21.0 GiB" in html and "~51.0 GiB needed" in html
    assert "<b>GPU</b>" not in html and "&lt;b&gt;GPU" in html


def test_an_advice_sets_the_pages_widgets() -> None:
    assert widget_values(Advice(kv_type="q8_0", n_ctx=860_418)) == {"kv": "q8_0", "ctx": "860418"}
    other = Advice(kv_device="auto", n_ubatch=128, swa_full=False, reply_tokens=292)
    assert widget_values(other) == {"kv-device": "auto", "ubatch": 128, "swa-full": False, "reply": 292}
    assert widget_values(Advice(saves_bytes=1)) == {}  # close other programs


def test_the_lines_names_do_not_lie_over_each_other() -> None:
    heights = apart([9.9, 9.95, 9.97, 9.99], 0.0, 10.0)
    assert heights == sorted(heights) and heights[-1] < 10.0
    assert all(above - below >= 0.5 for below, above in zip(heights, heights[1:], strict=False))
    assert apart([1.0, 5.0], 0.0, 10.0) == [1.0, 5.0]


def test_how_a_model_is_placed_is_said_where_it_is_not_as_usual() -> None:
    plan = Plan(model="m", placement=Placement(n_ctx=4096), window=4096, prompt_tokens=0, reply_tokens=1, needs=())
    assert placement_words(plan) == ""
    split = replace(plan, placement=replace(plan.placement, n_gpu_layers=49, expert_layers_in_ram=30, n_ubatch=128))
    words = placement_words(split)
    assert "49 layers are on GPUs" in words and "experts of 30 layers" in words and "128 tokens" in words
