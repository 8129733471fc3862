"""A corpus of 400 sources that is larger than the window, read in passes: plan, progress, Stop, going on, a kill."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import slow_reader
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.patience import until

Open = Callable[..., DeskPage]
N_SOURCES = 400
QUESTION = "Which wagon carries the pears?"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the page may read."""
    made = tmp_path_factory.mktemp("root")
    for number in range(N_SOURCES):
        path = made / "project" / f"pkg{number % 9}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"SPEED_{number} = {7 * number}\n\ndef load(x):\n    return x + {number}\n")
    return made


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """As long as this file is there, the engine reads no more prompts than it says."""
    return tmp_path / "held"


@pytest.fixture
def server(tmp_path: Path, root: Path, held: Path) -> Iterator[Server]:
    """A page that is answered by an engine of words, which can be held."""
    folders = (Path(slow_reader.__file__).parent, Path(__file__).parents[2])
    variables = {"PYTHONPATH": os.pathsep.join(map(str, folders)), slow_reader.HELD: str(held)}
    started = Server(tmp_path / "home", "--root", str(root), variables=variables)
    started.start()
    yield started
    held.unlink(missing_ok=True)
    started.stop()


def add(page: DeskPage) -> int:
    """The folder, until passes are offered; how many."""
    page.page.get_by_test_id("stForm").get_by_test_id("stTextInputField").fill("project")
    page.page.get_by_role("button", name="Add", exact=True).click()
    offer = page.page.locator(".st-key-read-in-passes button")
    offer.get_by_text(re.compile(r"Read in \d+ passes")).wait_for()
    assert not page.can_ask
    return int(re.findall(r"\d+", offer.inner_text())[0])


def turn_on(page: DeskPage) -> None:
    page.page.locator(".st-key-read-in-passes button").click()
    page.page.locator(".st-key-passes .stExpander").wait_for()
    until(lambda: page.can_ask)


def wait_for_pass(page: DeskPage, number: int) -> str:
    """Until this pass is being read; the line that says so."""
    status = page.page.locator(".status")
    status.get_by_text(re.compile(rf"Pass {number} of \d+ · .* · 40 %")).wait_for()
    return str(status.inner_text())


@pytest.mark.slow
def test_plan_progress_stop_and_going_on(server: Server, open_page: Open, held: Path) -> None:
    page = open_page(server)
    n_passes = add(page)
    page.shoot("passes-offered")
    turn_on(page)
    page.page.get_by_text("The slices").click()
    rows = page.page.locator(".slices tbody tr")
    rows.first.wait_for()
    assert rows.count() == n_passes and "pkg0/" in rows.first.inner_text()
    assert sum(map(int, re.findall(r"pkg\d/ (\d+) file", page.page.locator(".slices").inner_text()))) == N_SOURCES
    page.shoot("passes-planned")
    page.page.get_by_text("The slices").click()

    held.write_text("3")
    page.ask(QUESTION)
    line = wait_for_pass(page, 4)
    assert re.match(rf"Pass 4 of {n_passes} · pkg\d/.*, \d+ files · 40 % · \d+ s left · \d+ s for all", line), line
    page.page.locator(".so-far").get_by_text("6 facts").wait_for()
    page.shoot("passes-running")
    page.page.get_by_role(
        "button", name="New session"
    ).click()  # the page is of use meanwhile, and a closed tab goes on
    page.page.get_by_text("Put a corpus on the desk").wait_for()
    page.page.go_back()
    wait_for_pass(page, 4)
    page.page.get_by_role("button", name="Stop").click()
    page.page.get_by_text(f"3 of {n_passes} passes read; their notes are kept.").wait_for()
    page.shoot("passes-stopped")

    held.unlink()
    page.page.get_by_role("button", name="Go on").click()
    said = f"Read in {n_passes} passes, {N_SOURCES} of {N_SOURCES} sources, each once"
    page.page.locator(".st-key-turn-0 .receipt").get_by_text(said).wait_for()
    [turn] = server.longdesk("sessions", "show", page.session)["turns"]
    assert [each["kept"] for each in turn["receipt"]["passes"]["slices"]].count(True) == 3
    page.page.get_by_text(f"What each of {n_passes} passes gave").click()
    page.page.locator("[class*=st-key-given-] button.cite").nth(2).click()
    page.page.locator(".source .status-of.verified").wait_for()
    assert "module_" in page.page.locator(".source .name").inner_text()
    page.shoot("passes-given")


@pytest.mark.slow
def test_a_killed_page_goes_on_where_it_was(server: Server, open_page: Open, held: Path) -> None:
    page = open_page(server, size=(390, 844), dark=True)
    n_passes = add(page)
    turn_on(page)
    held.write_text("2")
    page.ask(QUESTION)
    wait_for_pass(page, 3)
    page.shoot("passes-running-phone")
    session = page.session
    server.stop(signal.SIGKILL)
    held.unlink()
    server.start()
    page.open(f"/?session={session}")
    page.page.get_by_text("Interrupted: the program ended · what was read is kept").wait_for()
    page.page.get_by_text(f"2 of {n_passes} passes read; their notes are kept.").wait_for()
    page.shoot("passes-interrupted-phone")
    page.page.get_by_role("button", name="Go on").click()
    page.page.locator(".st-key-turn-0 .receipt").get_by_text(f"Read in {n_passes} passes").wait_for()
    page.shoot("passes-answered-phone")
