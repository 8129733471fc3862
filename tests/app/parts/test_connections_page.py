"""The page of connections, without a browser: engines added, tried, made the one that answers, changed, removed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.settings import engines_in
from tests.app.connections.test_keys import InMemory
from tests.hosted_stub import LISTED, MODEL, HostedStub, serving
from tests.patience import PATIENCE_S

MAIN = Path(__file__).parents[3] / "app" / "main.py"
KEY = "sk-or-v1-7777marked7777"
Draw = Callable[..., AppTest]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def ring() -> Iterator[InMemory]:
    before, ring = keyring.get_keyring(), InMemory()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def stub() -> Iterator[HostedStub]:
    with serving(HostedStub(key=KEY)) as stub:
        yield stub


@pytest.fixture
def draw(home: Path, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws the view over a home of its own."""
    monkeypatch.setenv("LONGDESK_HOME", str(home))
    monkeypatch.setenv("LONGDESK_MODEL", str(llama_gguf))
    monkeypatch.setenv("NO_PROXY", "*")
    st.cache_resource.clear()

    def draw_view(dialog: str = "", name: str = "") -> AppTest:
        def script(dialog: str, name: str) -> None:
            from app import state
            from app.parts.connecting import edit_engine
            from app.views import connections

            engines = state.house().desk.read_engines() if dialog else ()
            engine = next((each for each in engines if each.name == name), None)
            if dialog == "edit":  # a dialog stays open in a browser; here it is opened at each drawing
                edit_engine(engine)
            elif dialog == "remove" and engine is not None:
                connections._remove(engine)
            else:
                connections.draw()

        page = AppTest.from_function(script, default_timeout=PATIENCE_S, args=(dialog, name)).run()
        assert not page.exception
        return page

    yield draw_view
    state.house().close()
    st.cache_resource.clear()


def everything(page: AppTest) -> str:
    return "\n".join(
        [
            *(one.value for one in page.markdown),
            *(one.value for one in page.error),
            *(one.proto.body for one in page.get("html")),
        ]
    )


def named(home: Path, *tables: str) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("\n".join(tables))


def table(stub: HostedStub, name: str = "router", *more: str) -> str:
    return "\n".join((f"[engines.{name}]", f'url = "{stub.url}"', *more))


def press(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click().run()
    assert not page.exception
    return page


def test_an_engine_is_added_with_its_key_in_the_keyring(
    draw: Draw, home: Path, stub: HostedStub, ring: InMemory
) -> None:
    assert press(draw(), "add-engine").text_input(key="engine-name-").value == ""
    page = draw("edit")
    page.text_input(key="engine-name-").set_value("router")
    page.text_input(key="engine-url-").set_value(f"{stub.url}/")
    page.button_group(key="engine-key-").set_value("Keyring").run()
    page.text_input(key="engine-secret-").set_value(KEY)
    page.number_input(key="engine-input-").set_value(0.5)
    press(page, "save-engine")
    assert "A price needs both ways" in everything(page) and not engines_in(home)
    page.number_input(key="engine-output-").set_value(1.5)
    press(page, "save-engine")
    (engine,) = engines_in(home)
    assert (engine.name, engine.url, engine.key) == ("router", stub.url, "keyring")
    assert engine.prices is not None and (engine.prices.input, engine.prices.output) == (0.5, 1.5)
    assert list(ring.held.values()) == [KEY] and KEY not in (home / "config.toml").read_text()
    assert "engine-secret-" not in page.session_state and KEY not in everything(page)
    assert "**router**" in everything(draw())


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("", "http://h", "needs a name and an address"),
        ("office", "h:80", "is no address of a server"),
        ("office", f"http://me:{KEY}@h", "holds more than host, port and path"),
        ("starter", "http://h", "name of a model already"),
        ("router", "http://h", "There is an engine router already"),
    ],
)
def test_what_cannot_be_added_is_said(draw: Draw, home: Path, stub: HostedStub, name: str, url: str, said: str) -> None:
    named(home, table(stub))
    page = draw("edit")
    page.text_input(key="engine-name-").set_value(name)
    page.text_input(key="engine-url-").set_value(url)
    press(page, "save-engine")
    assert said in everything(page) and KEY not in everything(page)
    assert [engine.name for engine in engines_in(home)] == ["router"]


def test_an_engine_is_tried_and_made_the_one_that_answers(
    draw: Draw, home: Path, stub: HostedStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(home, table(stub, "router", 'key = "env:ROUTER_KEY"'))
    page = press(draw(), "test-router")
    assert "ROUTER\\_KEY" in everything(page) or "ROUTER_KEY, which is not set" in everything(page)
    monkeypatch.setenv("ROUTER_KEY", KEY)
    press(page, "test-router")
    shown = everything(page)
    for words in (MODEL, "327,680 tokens", "it sees them", "an estimate", "$0.30 written, as it says"):
        assert words in shown
    press(page, "use-router")
    assert state.house().desk.settings.model == "router" and "answers now" in everything(page)
    assert page.button(key="use-router").disabled
    assert state.house().desk.about().window == 327_680


def test_one_that_cannot_be_used_does_not_become_the_one_that_answers(
    draw: Draw, home: Path, stub: HostedStub, llama_gguf: Path
) -> None:
    named(home, table(stub), '[engines.gone]\nurl = "http://127.0.0.1:9"')
    page = press(draw(), "use-gone")
    assert "Nobody listens" in everything(page) and state.house().desk.settings.model == str(llama_gguf)
    press(page, "use-router")
    assert "asks for a key" in everything(page)
    stub.key, stub.models = None, None
    press(page, "test-router")
    assert "is no API" in everything(page)
    stub.models = [LISTED, {**LISTED, "id": "other/model"}]
    press(page, "test-router")
    assert "several models" in everything(page)


def test_an_engine_is_changed_and_removed_with_its_key(
    draw: Draw, home: Path, stub: HostedStub, ring: InMemory
) -> None:
    named(home, "# mine", table(stub, "router", 'key = "keyring"', "window = 4096"))
    ring.set_password("longdesk", f"router {stub.url.removesuffix('/api/v1')}", KEY)
    page = press(draw(), "test-router")
    assert "4,096 tokens" in everything(page)
    assert press(page, "edit-router").text_input(key="engine-url-router").value == stub.url
    page = draw("edit", "router")
    assert page.text_input(key="engine-name-router").disabled
    page.text_input(key="engine-window-router").set_value("8K")
    press(page, "save-engine")
    (engine,) = engines_in(home)
    assert engine.window == 8192 and engine.key == "keyring" and "# mine" in (home / "config.toml").read_text()
    assert "Its key is taken out of the keyring" in everything(press(draw(), "remove-router"))
    press(draw("remove", "router"), "really-remove")
    assert engines_in(home) == () and not ring.held and "None yet" in everything(draw())


def test_a_file_that_is_wrong_is_said_and_left_alone(draw: Draw, home: Path) -> None:
    page = draw()
    named(home, "[engines.router]\nurl = 3")
    page.run()
    assert "engines.router.url" in everything(page) and (home / "config.toml").read_text().endswith("= 3")


def test_what_fits_on_an_engine_elsewhere_is_its_window(draw: Draw, home: Path, stub: HostedStub) -> None:
    named(home, table(stub))
    stub.key = None
    _ = draw()

    def script() -> None:
        import streamlit as st

        from app import state
        from app.views import connections, plan

        state.keep_page("connections", st.Page(connections.draw, url_path="connections"))
        plan.draw()

    page = AppTest.from_function(script, default_timeout=PATIENCE_S)
    page.query_params["model"] = "router"
    page.run()
    assert not page.exception
    assert "**It fits.** The window is 327,680 tokens" in everything(page)
    assert "router" in page.selectbox(key="model").options
