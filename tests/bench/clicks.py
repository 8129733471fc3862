"""How long the page takes to answer a click, with a corpus of 400 sources that is read in passes: median and longest.

A real browser, and an engine of words that is held in the middle of a pass. From the click until what it is to show is
there: what a person waits for.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from tests import slow_reader
from tests.bench.table import Row, seconds
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

_N_SOURCES, _N_FOLDERS = 400, 9
_LIMIT_S = 1.0


def rows(times: int = 5) -> Iterator[Row]:
    """times: of each click."""
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as given, sync_playwright() as playwright:
        folder = Path(given)
        for number in range(_N_SOURCES):
            path = folder / "root" / "project" / f"pkg{number % _N_FOLDERS}" / f"module_{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"SPEED_{number} = {7 * number}\n\ndef load(x):\n    return x + {number}\n")
        held = folder / "held"
        folders = (Path(slow_reader.__file__).parent, Path(__file__).parents[2])
        variables = {"PYTHONPATH": os.pathsep.join(map(str, folders)), slow_reader.HELD: str(held)}
        server = Server(folder / "home", "--root", str(folder / "root"), variables=variables)
        server.start()
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        try:
            with closing(browser.new_context(viewport={"width": 1280, "height": 800})) as context:
                page = DeskPage(context.new_page(), server)
                page.open()
                yield from _clicks(page, held, times)
        finally:
            browser.close()
            server.stop()


def _clicks(page: DeskPage, held: Path, times: int) -> Iterator[Row]:
    tab = page.page
    tab.get_by_test_id("stForm").get_by_test_id("stTextInputField").fill("project")
    tab.get_by_role("button", name="Add", exact=True).click()
    offer = tab.locator(".st-key-read-in-passes button")
    offer.wait_for()
    page.settle()
    plan = tab.locator(".st-key-passes .stExpander")
    yield _row("the plan of passes", [seconds(lambda: _until(offer, plan))])
    page.settle()
    slices = tab.locator(".slices tbody tr").first
    yield _row("the slices", [seconds(lambda: _until(tab.get_by_text("The slices"), slices))])
    fold = tab.locator(".st-key-tree button").filter(has_text="pkg0")
    row = page.source("module_0.py").first
    yield _row("a folder unfolds", [seconds(lambda: _until(fold, row))])
    yield from _tree(page, times, "")

    held.write_text("3")
    box = tab.get_by_test_id("stChatInputTextArea")
    tab.wait_for_function("() => document.querySelector('[data-testid=stChatInputTextArea]')?.disabled === false")
    box.fill("Which wagon carries the pears?")
    status = tab.locator(".status")
    yield _row("a question, until it is seen to run", [seconds(lambda: (box.press("Enter"), status.wait_for()))])
    tab.get_by_text("Pass 4 of").wait_for()
    yield from _tree(page, times, ", while passes are read")
    took = []
    for _ in range(times):
        took.append(seconds(lambda: _until(tab.get_by_role("button", name="New session"),
                                           tab.get_by_text("Put a corpus on the desk"))))  # fmt: skip
        took.append(seconds(lambda: (tab.go_back(), tab.get_by_text("Pass 4 of").wait_for())))
    yield _row("another session, and back, while passes are read", took)
    began = perf_counter()
    _until(tab.get_by_role("button", name="Stop"), tab.get_by_text(re.compile("Stopping|what was read is kept")).first)
    yield _row("Stop, until it is seen to stop", [perf_counter() - began])
    tab.get_by_text("what was read is kept").wait_for()
    yield _row("Stop, until the turn has ended", [perf_counter() - began])
    tab.get_by_text("passes read; their notes are kept.").wait_for()
    held.unlink()


def _tree(page: DeskPage, times: int, when: str) -> Iterator[Row]:
    """A source opened and closed, a box unchecked and checked."""
    tab = page.page
    name = tab.locator(".st-key-tree [class*='st-key-open-'] button").filter(has_text="module_").first
    view = tab.locator(".source[aria-label^='Source:']")
    opened, closed, boxes = [], [], []
    for _ in range(times):
        opened.append(seconds(lambda: _until(name, view)))
        closed.append(seconds(lambda: (tab.keyboard.press("Escape"), view.wait_for(state="detached"))))
    yield _row(f"a source opens{when}", opened)
    yield _row(f"it closes{when}", closed)
    for _ in range(2 * times):
        page.settle()
        boxes.append(seconds(lambda: _check(page, tab.locator(".strip").get_attribute("data-prompt-tokens"))))
    yield _row(f"a source unchecked or checked{when}", boxes)


def _until(what: Any, shown: Any) -> None:
    what.click()
    shown.wait_for()


def _check(page: DeskPage, tokens: str | None) -> None:
    """tokens: what the strip says until then."""
    page.source("module_0.py").first.locator("label > div").first.click()
    page.page.wait_for_function("(n) => document.querySelector('.strip')?.dataset.promptTokens !== n", arg=tokens)


def _row(name: str, took: list[float]) -> Row:
    print(f"{name}: {' '.join(f'{each:.2f}' for each in took)} s", file=sys.stderr, flush=True)
    return Row(f"median: {name}", median(took), _LIMIT_S, "s", 1.0)
