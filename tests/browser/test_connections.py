"""Connections in a browser: an engine is added with its key, tried, made the one that answers, and asked; what it costs
is said before and after. The engine is a stub of a hosted API, and the keyring a file: see tests.hosted_stub."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import engines_in
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.file_keyring import variables
from tests.hosted_stub import HostedStub, serving

KEY = "sk-or-v1-7777marked7777"
Open = Callable[..., DeskPage]


@pytest.fixture
def stub() -> Iterator[HostedStub]:
    with serving(HostedStub(key=KEY, cached=300)) as stub:
        yield stub


@pytest.fixture
def connected(tmp_path: Path, starter_gguf: Path) -> Iterator[Server]:
    """A page whose keyring is a file beside its home."""
    started = Server(tmp_path / "home", variables=variables(tmp_path / "ring.json") | {"NO_PROXY": "*"})
    started.start()
    yield started
    started.stop()


def test_an_engine_is_added_tried_and_asked(
    connected: Server, open_page: Open, stub: HostedStub, tmp_path: Path
) -> None:
    desk = open_page(connected, "/connections", shows=".st-key-connections")
    page = desk.page
    page.get_by_role("button", name="Add an engine").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name", exact=True).fill("router")
    form.get_by_label("Address", exact=True).fill(stub.url)
    form.get_by_role("radio", name="Keyring").click()
    form.get_by_label("Key for the keyring", exact=True).fill("sk-or-v1-8888marked8888")
    form.get_by_role("button", name="Save").click()
    page.get_by_text("key from the keyring").wait_for()
    page.get_by_role("button", name="Test").click()
    page.get_by_text("does not take the key").wait_for()

    page.get_by_role("button", name="Edit").click()
    form.get_by_label("Key for the keyring", exact=True).fill(KEY)
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="detached")
    page.get_by_role("button", name="Test").click()
    page.locator("dl.trial").wait_for()
    assert "327,680 tokens" in page.locator("dl.trial").inner_text()
    page.get_by_role("button", name="Answer with it").click()
    page.get_by_text("answers now").wait_for()

    asking = open_page(connected)
    asking.page.get_by_role("button", name="Load the example").click()
    asking.page.locator(".st-key-cost").get_by_text("to read").wait_for()
    assert re.search(r"~\$0\.0000\d+ to read, ~\$0\.0000\d+ where the server has it", cost(asking))
    asking.page.get_by_placeholder("Ask about the whole corpus").fill("What is it?")
    asking.page.keyboard.press("Enter")
    asking.page.get_by_text("This session so far").wait_for()
    assert "So it is." in asking.page.locator(".answer").inner_text()
    assert "This session so far: $0.0000" in cost(asking)
    assert "$0.0000" in asking.page.locator(".receipt").first.inner_text()

    assert [engine.name for engine in engines_in(connected.home)] == ["router"] and len(stub.asked) == 1
    files = [path for path in (*connected.home.rglob("*"), connected.log) if path.is_file()]
    assert not [path for path in files if b"marked" in path.read_bytes()]
    assert KEY in (tmp_path / "ring.json").read_text()


def cost(desk: DeskPage) -> str:
    return str(desk.page.locator(".st-key-cost").inner_text())
