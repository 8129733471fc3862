"""A folder of 2,000 files, and 18,000 more that are left out, given to the page, against the same as a zip."""

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

from playwright.sync_api import Browser, sync_playwright

from tests.bench.table import Row, interleave
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.browser.test_folder import choose, drop, make_folder, wait_for

_N_FILES, _N_IGNORED = 2_000, 18_000
_LIMIT = 3.0
_TIMES = 2


def rows() -> Iterator[Row]:
    """Seconds until all 2,000 files stand on the page with their tokens: from the drop, and of a folder that is chosen,
    from when Chromium has listed its 20,000 files for the page, on which no page has a say."""
    path = find_chromium()
    assert path is not None, "this benchmark drives a Chromium (apt install chromium)"
    with tempfile.TemporaryDirectory() as given:
        folder = make_folder(Path(given) / "clone", n_files=_N_FILES, n_ignored=_N_IGNORED)
        packed = _zip(folder)
        server = Server(Path(given) / "home")
        server.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
                for how, give in (("dropped", _drop), ("chosen", choose)):
                    medians = interleave(
                        partial(_bring, browser, server, folder, give),
                        partial(_bring, browser, server, packed, _upload),
                        times=_TIMES,
                    )
                    name = f"{_N_FILES:,} files and {_N_IGNORED:,} ignored ones {how}, by zip"
                    yield Row(name, *medians, "s", _LIMIT)
                browser.close()
        finally:
            server.stop()


def _bring(browser: Browser, server: Server, given: Path, give: Callable[[DeskPage, Path], None]) -> float:
    """Into a new session, in a new tab."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = DeskPage(context.new_page(), server)
    page.open()
    begun = perf_counter()
    give(page, given)
    if give is choose:  # it comes back when the page has the list
        begun = perf_counter()
    wait_for(page, _N_FILES)
    seconds = perf_counter() - begun
    context.close()
    return seconds


def _drop(page: DeskPage, folder: Path) -> None:
    drop(page, [folder])


def _upload(page: DeskPage, packed: Path) -> None:
    page.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(str(packed))


def _zip(folder: Path) -> Path:
    """All of it, as a user packs it."""
    packed = folder.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return packed
