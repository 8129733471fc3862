"""What fits and what does not, on the page."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

Open = Callable[..., DeskPage]


def test_leaving_out_a_source_counts_at_once(server: Server, open_page: Open, dropped: Path) -> None:
    page = open_page(server)
    page.upload([dropped / "orchard.zip", dropped / "prices.pdf"])
    before, tokens = page.budget(), page.tokens_of("prices.pdf")
    page.check("prices.pdf")
    page.page.locator(".strip .part.corpus b").get_by_text(f"{before['Corpus'] - tokens:,}").wait_for()
    assert page.budget()["Free"] == before["Free"] + tokens
    page.settle()
    shown = server.longdesk("sessions", "show", page.session)
    assert [source["path"] for source in shown["sources"] if not source["enabled"]] == ["prices.pdf"]

    page.source("orchard/").locator("label").click()  # the zip, with the README beside the folder in it
    page.page.get_by_text("0 of 4 files sent").wait_for()


def test_over_the_window_one_click_mends_it(server: Server, open_page: Open, dropped: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text("The quick brown fox jumps over the lazy dog, and so on. " * 900)
    page = open_page(server)
    page.upload([dropped / "prices.pdf", long])
    page.page.get_by_text("tokens over").first.wait_for()
    page.shoot("over-the-window")
    assert not page.can_ask
    page.page.get_by_role("button", name="Leave out long.txt").click()
    page.page.get_by_text("tokens over").first.wait_for(state="detached")
    page.settle()
    assert page.can_ask
    assert "long.txt" not in page.page.locator(".st-key-over-window").all_inner_texts()


def test_what_was_skipped_comes_back(server: Server, open_page: Open, dropped: Path) -> None:
    page = open_page(server)
    page.upload([dropped / "orchard.zip"])
    page.page.get_by_text("1 skipped: why").click()
    page.page.get_by_text("a lock file").wait_for()
    page.page.get_by_role("button", name="Bring back").click()
    page.source("package-lock.json").wait_for()
    assert not page.page.get_by_text("1 skipped: why").count()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Server]:
    model = tmp_path / "broken.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    started = Server(tmp_path / "home", variables={"LONGDESK_MODEL": str(model)}, asks=False)
    started.start()
    yield started
    started.stop()


def test_a_broken_model_leaves_the_page_alive(broken: Server, open_page: Open, dropped: Path) -> None:
    page = open_page(broken)
    page.page.get_by_text("The model cannot be used").wait_for()
    page.page.get_by_text("longdesk up --model").first.wait_for()
    assert not page.can_ask
    page.shoot("broken-model")
    page.upload([dropped / "orchard.zip"])  # nothing is lost by it
    page.source("README.md").wait_for()
    page.shoot("broken-model-sources")
    assert "Traceback" not in page.page.locator("body").inner_text()
