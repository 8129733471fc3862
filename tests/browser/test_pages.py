"""In a real browser: what joined with a question, what was refused, and which pages are sent as images."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tests.app.parts.test_attachments_page import REFUSED
from tests.app.parts.test_images_page import photo
from tests.app.parts.test_pages_page import written
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.engine.corpus.test_bad_images import scan
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT

Open = Callable[..., DeskPage]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(cached("mmproj"), folder / "mmproj.gguf")
    model = Path(shutil.copy(cached("scout", **SMALL_SCOUT), folder / "scout.gguf"))
    started = Server(tmp_path_factory.mktemp("desk") / "home", "--model", str(model), reply_tokens=6)
    started.start()
    yield started
    started.stop()


def attach(page: DeskPage, paths: list[Path]) -> None:
    """Puts files into the question, and waits until the browser has sent them."""
    page.page.locator(
        "[data-testid=stChatInputFileUploadButton] input[type=file], .st-key-ask input[type=file]"
    ).first.set_input_files([str(path) for path in paths])
    page.page.get_by_test_id("stFileChip").nth(len(paths) - 1).wait_for()
    page.page.get_by_test_id("stFileChipIconSpinner").first.wait_for(state="detached")


def test_what_came_with_a_question(server: Server, open_page: Open, tmp_path: Path) -> None:
    for number in range(14):
        Pillow.new("RGB", (300 + number, 200), (15 * number, 120, 90)).save(tmp_path / f"p{number:02}.png")
    for name, (data, _) in REFUSED.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "good.png").write_bytes(photo())
    page = open_page(server)
    page.upload(sorted(tmp_path.glob("p*.png")))
    attach(page, [tmp_path / "good.png", *(tmp_path / name for name in REFUSED)])
    page.ask("What is it?")
    page.wait_for_end(0)
    page.settle()
    page.shoot("enclosures")
    refused = page.page.locator(".st-key-refused-0 p")
    assert refused.count() == len(REFUSED) and "cut.png was not read: " in "".join(refused.all_inner_texts())
    chips = page.page.locator(".st-key-joined-0 [class*=st-key-look-] button")
    assert chips.count() == 12 and chips.last.inner_text() == "Image 15"
    page.page.locator(".st-key-joined-0 [class*=st-key-earlier-] button").first.click()
    chips.nth(14).wait_for()
    page.settle()
    page.shoot("enclosures-opened")


def test_pages_sent_as_images(server: Server, open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(written(3))
    page = open_page(server)
    page.upload([scan(tmp_path / "scan.pdf", 6), tmp_path / "report.pdf"])
    page.shoot("pages-without-text")
    begun = page.prompt_tokens
    choose(page, "All")
    page.source("report.pdf").get_by_text("images").wait_for()
    page.settle()
    assert page.prompt_tokens > begun
    choose(page, "These")
    field = page.page.get_by_label("Their numbers")
    field.fill("9-12")
    field.press("Enter")
    page.page.get_by_text("There is no page 9: the last one is page 6.").wait_for()
    page.settle()
    page.shoot("pages-wrong")
    field.fill("1-2")
    field.press("Enter")
    page.source("scan.pdf").get_by_text("2 of 6 pages sent as images").wait_for()
    page.settle()
    page.shoot("pages-these")
    choose(page, "Those without text")
    page.page.locator(f'.strip[data-prompt-tokens="{begun}"]').wait_for()


def choose(page: DeskPage, option: str) -> None:
    page.page.locator(".st-key-pages .stSelectbox input").click()
    page.page.get_by_role("option", name=option, exact=True).click()
    page.settle()
