"""Ten images and three text files in a real browser, on a Scout-shaped model with its projector."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.engine.corpus.test_bad_images import scan
from tests.held import is_told
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.patience import until

Open = Callable[..., DeskPage]

LOOKING = re.compile(r"Looking at image (\d+) ")
SIZES = (
    (1000, 700),
    (640, 480),
    (300, 200),
    (800, 450),
    (350, 700),
    (336, 336),
    (700, 700),
    (900, 300),
    (40, 900),
    (320, 240),
)
PASTE = """([box, names]) => {
  const held = new DataTransfer()
  const canvas = document.createElement('canvas'); canvas.width = 200; canvas.height = 100
  const context = canvas.getContext('2d')
  for (const [at, name] of names.entries()) {
    context.fillStyle = at ? 'teal' : 'brown'; context.fillRect(0, 0, 200, 100)
    const bytes = Uint8Array.from(atob(canvas.toDataURL('image/png').split(',')[1]), (sign) => sign.charCodeAt(0))
    held.items.add(new File([bytes], name, {type: 'image/png'}))
  }
  box.focus()
  box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: held, bubbles: true, cancelable: true}))
}"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(cached("mmproj"), folder / "mmproj.gguf")
    return Path(shutil.copy(cached("scout", **SMALL_SCOUT), folder / "scout.gguf"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("desk") / "home", "--model", str(model), reply_tokens=12)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    for number, (width, height) in enumerate(SIZES):
        picture = Pillow.new("RGB", (width, height), (25 * number, 140, 200 - 15 * number))
        ImageDraw.Draw(picture).ellipse((width // 4, height // 4, width // 2, height // 2), fill="white")
        picture.save(folder / f"photo-{number}.png")
    for name in ("contract", "letter", "minutes"):
        (folder / f"{name}.txt").write_text(f"The {name} of the orchard, line by line.\n" * 20)
    return sorted(folder.iterdir())


def test_ten_images_and_three_texts(server: Server, open_page: Open, model: Path, files: list[Path]) -> None:
    page = open_page(server)
    page.upload(files)
    counted = server.longdesk("count", *map(str, files), "--model", str(model))
    assert page.prompt_tokens == counted["total_tokens"]
    assert numbers_and_tokens(page, counted) == [(n, image_of(counted, n)["tokens"]) for n in range(1, 11)]
    page.page.wait_for_function(  # the thumbnails are there
        "() => getComputedStyle(document.querySelector('.st-key-tree [class*=st-key-look-] button'))"
        ".backgroundImage.startsWith('url(')"
    )
    page.shoot("images")

    page.page.get_by_role("button", name="Look at image 1", exact=True).click()
    page.page.locator(".look-cost").get_by_text(f"{image_of(counted, 1)['images'][0]['tokens']:,} tokens").wait_for()
    assert page.page.locator(".look i").count() == 10  # nine tiles and the overview
    page.shoot("image-under-its-tiles")
    page.page.keyboard.press("Escape")
    page.page.locator(".look").wait_for(state="detached")

    slide(page, steps=-5)
    fewer = server.longdesk("count", *map(str, files), "--model", str(model), "--max-tiles", "4")
    wait_for_tokens(page, fewer["total_tokens"])
    assert fewer["total_tokens"] < counted["total_tokens"]

    page.ask("Compare image 2 and image 5.")
    page.wait_for_end(0)
    page.reload()
    page.wait_for_end(0)
    page.settle()
    page.page.locator(".st-key-joined-0 button").nth(9).wait_for()  # the page may be drawn once more
    assert page.page.locator(".st-key-joined-0 button").all_inner_texts() == [f"Image {n}" for n in range(1, 11)]
    shown = server.longdesk("sessions", "show", page.session)
    assert shown["max_tiles"] == 4
    asked = shown["turns"][0]["prompt_tokens"]
    assert fewer["total_tokens"] < asked < fewer["total_tokens"] + 20

    page.page.evaluate(PASTE, [page.page.get_by_test_id("stChatInputTextArea").element_handle(), ["image.png"] * 2])
    page.page.get_by_test_id("stFileChip").filter(has_text="KB").nth(1).wait_for()
    page.ask("And these?")
    page.wait_for_end(1)
    page.settle()
    page.shoot("two-pasted")
    assert page.page.locator(".st-key-joined-1 button").all_inner_texts() == ["Image 11", "Image 12"]
    second = server.longdesk("sessions", "show", page.session)["turns"][1]
    assert second["reused_tokens"] >= asked


def test_a_scan_of_forty_pages(server: Server, open_page: Open, model: Path, tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.pdf")
    page = open_page(server)
    page.upload([path])
    counted = server.longdesk("count", str(path), "--model", str(model))
    assert page.prompt_tokens == counted["total_tokens"]
    assert len(counted["sources"][0]["images"]) == 40
    page.page.get_by_text("Pages 1-40 are sent as images.").wait_for(state="attached")  # folded away
    page.ask("Which page is the invoice on?")
    first = looked_at(page)
    page.shoot("scan-page-first")
    then = looked_at(page, behind=first)
    page.shoot("scan-page-then")
    stop(server, page, turn=0)
    page.ask("And now?")
    assert looked_at(page) >= then
    stop(server, page, turn=1)
    one, two = server.longdesk("sessions", "show", page.session)["turns"]
    assert one["stop"] == two["stop"] == "cancelled" and two["reused_tokens"] > 0


def looked_at(page: DeskPage, *, behind: int = 0) -> int:
    """The number of the image that is looked at, once it is one behind that."""
    numbers: list[int] = []

    def look() -> bool:
        lines = page.page.get_by_text(LOOKING).all_inner_texts()
        numbers[:] = [int(match[1]) for line in lines if (match := LOOKING.search(line))]
        return max(numbers, default=0) > behind

    until(look, every_s=0.05)
    return max(numbers)


def stop(server: Server, page: DeskPage, *, turn: int) -> None:
    with server.hold() as engine:
        page.page.get_by_role("button", name="Stop").click()
        until(lambda: is_told(engine))
    page.wait_for_end(turn)


def numbers_and_tokens(page: DeskPage, counted: dict[str, Any]) -> list[tuple[int, int]]:
    """What the tree says of each image, by its number."""
    found = []
    for source in counted["sources"]:
        if source["images"]:
            about = page.source(source["path"]).locator("strong").inner_text()
            assert about.endswith("×".join(map(str, source["tiles"])))
            found.append((int(about.split()[1]), page.tokens_of(source["path"])))
    return sorted(found)


def image_of(counted: dict[str, Any], number: int) -> dict[str, Any]:
    """The source that an image of this number stands in."""
    return next(s for s in counted["sources"] if s["images"] and s["images"][0]["number"] == number)


def slide(page: DeskPage, *, steps: int) -> None:
    """Moves the slider with the keyboard."""
    page.page.locator(".st-key-tiles input").focus()
    for _ in range(abs(steps)):
        page.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")


def wait_for_tokens(page: DeskPage, n_tokens: int) -> None:
    page.page.locator(f'.strip[data-prompt-tokens="{n_tokens}"]').wait_for()
    page.settle()
