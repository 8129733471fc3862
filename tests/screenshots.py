"""The README's pictures of the page: `python -m tests.screenshots` writes docs/images/page-light.png and page-dark.png.

They are of the real page with the starter model, at 1280 x 800: the example is loaded and asked, then a picture is
taken in each of the two styles. Needs a Chromium, as the browser tests do. Takes a minute or two.
"""

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from app.suggestions import SUGGESTIONS
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = (1280, 800)
MOST_BYTES = 150_000  # of a picture
_COLOURS = 96  # the page is drawn with few; what is between them is the edges of letters


def main() -> None:
    """Takes both pictures."""
    path = find_chromium()
    if path is None:
        sys.exit("No Chromium is installed (Debian: apt install chromium).")
    with tempfile.TemporaryDirectory(prefix="longdesk-screenshots-") as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "home", reply_tokens=120)
        server.start()
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
            session = _ask(browser, server)
            for style in ("light", "dark"):
                _shoot(browser, server, session, style)
        finally:
            server.stop()


def _ask(browser: Browser, server: Server) -> str:
    """A session with the example and its answers."""
    page = DeskPage(browser.new_context(viewport=_viewport()).new_page(), server)
    page.open()
    page.page.get_by_role("button", name="Load the example").click()
    page.page.locator(".panel-note").wait_for()
    page.settle()
    for index, each in enumerate(SUGGESTIONS):
        page.ask(each.question)
        page.wait_for_end(index)
    return page.session


def _shoot(browser: Browser, server: Server, session: str, style: str) -> None:
    context = browser.new_context(viewport=_viewport(), color_scheme=style, reduced_motion="reduce")  # type: ignore[arg-type]
    page = DeskPage(context.new_page(), server)
    page.open(f"/?session={session}")
    page.wait_for_end(len(SUGGESTIONS) - 1)
    page.settle()
    page.page.evaluate("document.fonts.ready")
    page.page.wait_for_timeout(1_000)  # what is drawn last moves to its place
    _write(page.page.screenshot(), IMAGES / f"page-{style}.png")
    context.close()


def _write(picture: bytes, path: Path) -> None:
    """As a PNG with a palette, which is a third of the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(BytesIO(picture)).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path.relative_to(IMAGES.parents[1])}: {path.stat().st_size:,} bytes")


def _viewport() -> Any:
    return {"width": SIZE[0], "height": SIZE[1]}


if __name__ == "__main__":
    main()
