"""A folder that takes a while to be read: the page says how far it is, stops it at once, and is of use meanwhile."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import slow_disk
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.patience import until

Open = Callable[..., DeskPage]
N_FILES = 4_000
SAYS = r"Reading [\d,]+ of 4,000 files · pkg\d/module \d+\.py · [\d.]+ [KM]iB/s"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the page may read, with one in it that is large."""
    made = tmp_path_factory.mktemp("root")
    for number in range(N_FILES):
        path = made / "project" / f"pkg{number % 9}" / f"module {number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n" + f"def f{number}(x):\n    return x + {number}\n\n" * 400)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path, root: Path) -> Iterator[Server]:
    """A page with a folder of this machine, on a disk that is slow: it is still read when the page looks."""
    slow = {"PYTHONPATH": str(Path(slow_disk.__file__).parent)}
    started = Server(tmp_path_factory.mktemp("desk") / "home", "--root", str(root), variables=slow)
    started.start()
    yield started
    started.stop()


def add(page: DeskPage, name: str = "project") -> None:
    """By its path, until its line stands there."""
    page.page.get_by_test_id("stForm").get_by_test_id("stTextInputField").fill(name)
    page.page.get_by_role("button", name="Add", exact=True).click()
    page.page.locator(".st-key-coming .status").wait_for()


def line_of(page: DeskPage) -> str:
    """How far it is, once files are being read; '' where it is over by then."""
    lines: list[str] = []

    def look() -> bool:
        page.page.wait_for_timeout(50)
        lines[:] = page.page.locator(".st-key-coming .status").all_inner_texts()
        return not lines or " of " in lines[0]

    until(look)
    return lines[0] if lines else ""


@pytest.mark.slow
def test_it_says_how_far_it_is_and_stop_adds_nothing(server: Server, open_page: Open) -> None:
    page = open_page(server)
    add(page)
    line = line_of(page)
    assert re.match(SAYS, line), line
    box = page.page.get_by_test_id("stChatInputTextArea")
    box.fill("what I type meanwhile")
    page.shoot("reading")
    page.page.get_by_role("button", name="Stop").click()
    page.page.get_by_text("Reading project was stopped; nothing of it was added.").wait_for()
    page.shoot("reading-stopped")
    assert box.input_value() == "what I type meanwhile"
    assert "session=" not in page.page.url and server.longdesk("sessions", "list")["sessions"] == []


@pytest.mark.slow
def test_it_goes_to_its_session_while_another_is_looked_at(server: Server, open_page: Open) -> None:
    page = open_page(server)
    add(page)
    line = line_of(page)
    assert re.match(SAYS, line), line
    session = page.session
    page.page.get_by_role("button", name="New session").click()
    page.page.locator(".st-key-coming .status", has_text="project: ").wait_for()
    page.shoot("reading-elsewhere")
    page.page.get_by_role("button", name="Load the example").click()
    page.page.locator(".panel-note", has_text="5 files").wait_for()
    other = page.session
    assert other != session
    page.reload()
    page.page.locator(".panel-note", has_text="5 files").wait_for()
    page.page.locator(".st-key-coming").wait_for(state="detached")
    page.page.locator(f".st-key-go-{session} button").click()
    page.page.locator(".panel-note", has_text="4,000 files").wait_for()
    page.shoot("reading-done")
    n_sources = {each["id"]: len(server.longdesk("sessions", "show", each["id"])["sources"]) for each in
                 server.longdesk("sessions", "list")["sessions"]}  # fmt: skip
    assert n_sources == {session: N_FILES, other: 5}
