"""Tabs, each a browser session of its own, that all ask one engine again and again.

Watched are: that each is answered in its turn, that those that wait are told their place, which only ever goes down,
and that page and engine hold no more at the end than at the beginning.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from tests.abuse.growth import Held, held_by, rows_of
from tests.abuse.model import talking
from tests.bench.table import Row
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

_REPLY = 40
_SAMPLE_S = 1.0
_PATIENCE_S = 180.0  # that the last answers may take
_STANDS = 40  # looks, until Enter is pressed again: some ten seconds, with twenty tabs
_TURNS = 6  # of a session; then the tab begins another, so that chats stay short
_LOOK = """() => ({
  status: document.querySelector('.status')?.checkVisibility() ? document.querySelector('.status').innerText : "",
  ended: document.querySelectorAll('.receipt').length,
  errors: [...document.querySelectorAll('[data-testid=stAlertContentError]')].map((each) => each.innerText),
  free: document.querySelector('[data-testid=stChatInputTextArea]')?.disabled === false,
  typed: document.querySelector('[data-testid=stChatInputTextArea]')?.value ?? "",
})"""


@dataclass
class Tab:
    """One that asks. places: that it was told, a list a question. n_before: answers that stood there when it asked.
    n_stood: looks at a question that stood in the box after Enter; n_pressed_again: as whoever sees that does."""

    page: DeskPage
    n_asked: int = 0
    n_answered: int = 0
    n_before: int = 0
    asks: bool = False
    n_stood: int = 0
    n_pressed_again: int = 0
    places: list[list[int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def step(self, *, may_ask: bool) -> None:
        """Looks once, and asks where it can."""
        seen = self.page.page.evaluate(_LOOK)
        self.errors += [each for each in seen["errors"] if each not in self.errors]
        if self.asks:
            if (place := place_in(seen["status"])) is not None and self.places[-1][-1:] != [place]:
                self.places[-1].append(place)
            if seen["ended"] > self.n_before and not seen["status"]:
                self.asks, self.n_answered = False, self.n_answered + 1
            self._press_again(seen)
        if self.asks or not seen["free"] or not may_ask:
            return
        if seen["ended"] >= _TURNS:
            self.page.open("/")
            seen["ended"] = 0
        self.n_before, self.asks, self.n_asked = seen["ended"], True, self.n_asked + 1
        self.places.append([])
        box = self.page.page.get_by_test_id("stChatInputTextArea")
        box.fill(self._question)
        box.press("Enter")

    @property
    def _question(self) -> str:
        return f"Question {self.n_asked}: is it on?"

    def _press_again(self, seen: Mapping[str, Any]) -> None:
        stands = self.asks and seen["free"] and not seen["status"] and seen["typed"] == self._question
        self.n_stood = self.n_stood + 1 if stands else 0
        if self.n_stood == _STANDS:
            self.n_pressed_again += 1
            self.page.page.get_by_test_id("stChatInputTextArea").press("Enter")


def place_in(status: str) -> int | None:
    """How many come first, as a status line says; None where it says that it does not wait."""
    if "Waits for another answer" in status:
        return 1
    told = re.search(r"Waits · ([\d,]+) questions before this one", status)
    return int(told[1].replace(",", "")) if told else None


def rows(n: int, seconds: float) -> Iterator[Row]:
    """n tabs for so many seconds, and until the last that was asked is answered."""
    with TemporaryDirectory() as folder:
        server = talking(Path(folder) / "home", reply_tokens=_REPLY, n_ctx=8_192)
        server.start()
        try:
            tabs, samples = _asked(server, n, seconds)
        finally:
            server.stop()
        log = server.log.read_text()
    n_asked, n_answered = sum(tab.n_asked for tab in tabs), sum(tab.n_answered for tab in tabs)
    told = [places for tab in tabs for places in tab.places]
    back = [places for places in told if places != sorted(places, reverse=True)]
    name = f"{n} tabs for {seconds:.0f} s"
    yield Row(f"without an answer, {n_asked:,} questions of {name}", n_asked - n_answered, n_asked, "", 0.0)
    again = sum(tab.n_pressed_again for tab in tabs)
    yield Row(f"of them with Enter pressed twice, {name}", again, n_asked, "", _PRESSED_AGAIN)
    for error in {each for tab in tabs for each in tab.errors}:
        print(f"a tab says: {error}", file=sys.stderr, flush=True)
    yield Row(f"errors on the page, {name}", sum(len(tab.errors) for tab in tabs), n_asked, "", 0.0)
    yield Row(f"errors in the page's log, {name}", log.count("Traceback"), n_asked, "", 0.0)
    yield Row(f"answers of the tab with most, to that with fewest, {name}", *_spread(tabs), "", _SPREAD)
    n_told = sum(bool(places) for places in told)
    yield Row(f"questions that were told no place, {name}", n_asked - n_told, n_asked, "", _UNTOLD if n > 1 else None)
    yield Row(f"places that went up, {name}", len(back), max(1, n_told), "", 0.0)
    yield Row(f"the longest line that was told, {name}", max(map(max, filter(None, told)), default=0), n - 1, "", 1.0)
    yield from rows_of(f"page and engine, {name}", samples)


_SPREAD = 2.0  # two more than the others is what the beginning and the end may give; of many, as many for all
_PRESSED_AGAIN = 0.02  # a box that is drawn anew between two keys
_UNTOLD = 0.5  # who is answered at once is told none; nor who is, before anybody looks


def _spread(tabs: list[Tab]) -> tuple[float, float]:
    """The most answers of a tab but one, which the beginning gives, and the fewest."""
    answers = sorted(tab.n_answered for tab in tabs)
    return float(max(1, answers[-1] - 1)), float(answers[0])


def _asked(server: Server, n: int, seconds: float) -> tuple[list[Tab], list[Held]]:
    from playwright.sync_api import sync_playwright

    samples, sampled = list[Held](), 0.0
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        tabs = [Tab(_opened(launched, server)) for _ in range(n)]
        tabs[0].step(may_ask=True)  # what is there once is set up by it
        while tabs[0].asks:
            tabs[0].step(may_ask=False)
        end = monotonic() + seconds
        while (now := monotonic()) < end or any(tab.asks for tab in tabs):
            if now > end + _PATIENCE_S:  # what stands still is counted, and said
                for tab in tabs:
                    if tab.asks:
                        look = tab.page.page.evaluate(_LOOK)
                        print(f"a tab waits for {tab._question!r}: {look}", file=sys.stderr, flush=True)
                break
            for tab in tabs:
                tab.step(may_ask=now < end)
            if sampled + _SAMPLE_S < now < end:
                samples.append(held_by([_pid(server), *(child.pid for child in server.children())]))
                sampled = now
            tabs[0].page.page.wait_for_timeout(50)
        launched.close()
    return tabs, samples


def _pid(server: Server) -> int:
    assert server._process is not None
    return server._process.pid


def _opened(launched: Any, server: Server) -> DeskPage:
    page = DeskPage(launched.new_context(viewport={"width": 1280, "height": 800}).new_page(), server)
    page.open("/")
    return page
