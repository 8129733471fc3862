"""A headless Chromium, the pages it looks at, and the things that are dropped onto them.

Without a Chromium the browser tests skip; where CI is set they must run, and fail instead.
"""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = None if find_chromium() or os.environ.get("CI") else "no Chromium is installed (apt install chromium)"
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    assert path, "CI is set, and there is no Chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path) -> Iterator[Server]:
    """One page for all tests of a module, with the starter model."""
    started = Server(tmp_path_factory.mktemp("desk") / "home")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., DeskPage]]:  # type: ignore[no-untyped-def]
    """Opens tabs, each with a profile of its own; all are closed when the test ends."""
    contexts = []

    def open_one(
        server: Server, path: str = "/", *, size: tuple[int, int] = (1280, 800), dark: bool = False, **shows: str
    ) -> DeskPage:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = DeskPage(context.new_page(), server)
        page.open(path, **shows)
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a zip of a small project (one file of it ignored) and a PDF of two pages."""
    folder = tmp_path_factory.mktemp("dropped")
    with zipfile.ZipFile(folder / "orchard.zip", "w") as archive:
        archive.writestr("README.md", "# Orchard\n\nCounts apples, pears and plums, tree by tree.\n" * 6)
        archive.writestr("orchard/trees.py", "def trees(row: str) -> int:\n    return 3 * len(row)\n\n\n" * 8)
        archive.writestr("orchard/harvest.py", "def baskets(apples: int) -> int:\n    return -(-apples // 40)\n" * 8)
        archive.writestr("package-lock.json", '{"lockfileVersion": 3, "name": "orchard", "packages": {}}\n' * 5)
    (folder / "prices.pdf").write_bytes(_pdf())
    return folder


def _pdf() -> bytes:
    from reportlab.pdfgen import canvas

    data = BytesIO()
    paper = canvas.Canvas(data)
    for page in (1, 2):
        for line in range(6):
            paper.drawString(
                72, 760 - 20 * line, f"Page {page}, line {line}: a basket of apples costs {12 + line} euros."
            )
        paper.showPage()
    paper.save()
    return data.getvalue()
