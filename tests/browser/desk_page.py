"""What a user does on the page and sees there, in a test's words."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.browser.server import Server
from tests.patience import PATIENCE_S, until

SCREENSHOTS = Path(__file__).parents[2] / ".screenshots"


class DeskPage:
    """A tab."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page = page
        self.server = server
        page.set_default_timeout(1_000 * PATIENCE_S)

    def open(self, path: str = "/", *, shows: str = "[data-testid=stChatInputTextArea]") -> None:
        """Goes there, and waits until it shows that."""
        self.page.goto(self.server.address(path))
        self.page.wait_for_selector(".wordmark")
        self.page.wait_for_selector(shows)
        self.settle()

    def reload(self) -> None:
        self.page.reload()
        self.page.wait_for_selector(".wordmark")

    def settle(self) -> None:
        """Waits until the page has been drawn to its end."""
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
        )

    def shoot(self, name: str) -> None:
        """Keeps a picture for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"))

    # sources

    def upload(self, paths: Sequence[Path]) -> None:
        """Drops files; they are read when the tree has changed."""
        before = self.n_uploads
        if self.page.get_by_text("Add sources").count():
            self.page.get_by_text("Add sources").click()
        self.page.locator("[data-testid=stFileUploaderDropzoneInput]:not([webkitdirectory])").set_input_files(
            [str(p) for p in paths]
        )
        self.page.wait_for_function(
            f"() => ![undefined, {before!r}].includes(document.querySelector('.panel-note')?.innerText)"
        )
        self.settle()

    @property
    def n_uploads(self) -> str:
        note = self.page.locator(".panel-note")
        return str(note.first.inner_text()) if note.count() else ""

    @property
    def prompt_tokens(self) -> int:
        """All that the next prompt holds but the question, as the strip says."""
        return int(self.page.locator(".strip").get_attribute("data-prompt-tokens"))

    def budget(self) -> dict[str, int]:
        """The numbers of the strip by their names."""
        text = self.page.locator(".strip .legend").inner_text()
        return {name: int(n.replace(",", "")) for name, n in re.findall(r"(Corpus|Chat|Reply|Free)\s+([\d,]+)", text)}

    def source(self, name: str) -> Any:
        """The row of a source or folder in the tree."""
        return self.page.locator(".st-key-tree .stCheckbox").filter(has_text=name)

    def check(self, name: str) -> None:
        """Clicks on the check box of a source: a click on its name opens it."""
        box = self.source(name).locator("label > span").first
        box.scroll_into_view_if_needed()
        place = box.bounding_box()
        self.page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)

    def tokens_of(self, name: str) -> int:
        return int(self.source(name).locator("em").inner_text().split("·")[-1].strip().replace(",", ""))

    # questions

    @property
    def session(self) -> str:
        """The session that the address names."""
        match = re.search(r"session=(\w+)", self.page.url)
        assert match, self.page.url
        return match[1]

    def ask(self, question: str) -> None:
        """Asks, and waits until the answer is on its way, or there: a tiny model's may be before anybody looks."""
        box, n_ended = self.page.get_by_test_id("stChatInputTextArea"), self.page.locator(".receipt").count()
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=stChatInputTextArea]')?.disabled === false"
        )
        box.fill(question)
        box.press("Enter")
        self.page.wait_for_function(
            "(n) => document.querySelector('.status')?.checkVisibility() "
            "|| document.querySelectorAll('.receipt').length > n",
            arg=n_ended,
        )

    def wait_until_asked_elsewhere(self) -> None:
        """Waits until the page, looked at again and again, shows an answer of another process."""

        def is_shown() -> bool:
            self.reload()
            self.page.wait_for_timeout(500)
            return bool(self.page.get_by_text("Another process answers").count())

        until(is_shown)

    @property
    def can_ask(self) -> bool:
        return not self.page.get_by_test_id("stChatInputTextArea").is_disabled()

    def answer(self, turn: int) -> str:
        """The text of an answer as far as it stands on the page."""
        text = self.page.locator(f".st-key-turn-{turn} .answer > :first-child")
        return str(text.first.inner_text()).strip() if text.count() else ""

    def wait_for_text(self, turn: int, *, longer_than: int = 0) -> str:
        """Waits until an answer is longer than that and returns it."""
        ended = self.page.locator(f".st-key-turn-{turn} .receipt")
        until(lambda: len(self.answer(turn)) > longer_than or ended.count(), every_s=0.1)
        text = self.answer(turn)
        assert len(text) > longer_than, ended.inner_text()
        return text

    def wait_for_end(self, turn: int) -> str:
        """Waits until an answer has ended and returns the line under it."""
        receipt = self.page.locator(f".st-key-turn-{turn} .receipt")
        receipt.wait_for()
        self.page.locator(f".st-key-turn-{turn} .answer").wait_for(state="attached")
        return str(receipt.inner_text())
