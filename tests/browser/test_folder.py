"""A folder that is chosen or dropped on the page: it arrives whole, or nothing does and the page says why."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.patience import until

Open = Callable[..., DeskPage]
N_FILES, N_IGNORED = 300, 2_000
ZONE = ".stBidiComponent .area"


def make_folder(root: Path, *, n_files: int = N_FILES, n_ignored: int = N_IGNORED) -> Path:
    """A clone as it lies on a developer's machine: n_files to be read, its .gitignore among them."""
    files = {
        ".gitignore": f"# {root.name}\n*.log\nout/\n!docs/keep.log\n",
        "docs/keep.log": "kept\n",
        "docs/\u540d\u524d \u00e9.txt": "named\n",
    }
    for number in range(n_files - len(files)):
        files[f"pkg{number % 7}/sub/module {number}.py"] = f"def f{number}():\n    return {number}\n"
    ignored = {"noise.log": "noise\n", "pkg0/out/made.txt": "made\n"}
    ignored |= {f".venv/lib/package{number % 50}/m{number}.py": "x = 1\n" for number in range(n_ignored)}
    for path, text in (files | ignored).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text if path.endswith(".gitignore") else f"# {root.name}\n{text}")
    return root


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("given") / "clone")


def wait_for_zone(page: DeskPage) -> None:
    """Waits until the zone stands on the page: before, its script does not listen, and Streamlit takes all drops."""
    page.page.locator(ZONE).first.wait_for(state="attached")


def choose(page: DeskPage, folder: Path) -> None:
    """As in the dialog behind the button."""
    page.page.locator(f"{ZONE} input").set_input_files(str(folder))


def drop(page: DeskPage, paths: Sequence[Path], where: str = ZONE) -> None:
    """As a user drags from a file manager: the browser's own event, with the files' places."""
    wait_for_zone(page)
    box = page.page.locator(where).first.bounding_box()
    at = {"x": box["x"] + box["width"] - 15, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.page.context.new_cdp_session(page.page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **at})


def wait_for(page: DeskPage, n_files: int) -> None:
    """Waits until so many sources stand on the page."""
    page.page.locator(".panel-note", has_text=re.compile(rf"^{n_files:,} files?\b")).wait_for()
    page.settle()


def skipped(page: DeskPage) -> str:
    """What the page says of what was skipped."""
    page.page.get_by_text(re.compile(r"^\d+ skipped: why$")).click()
    return str(page.page.locator("[data-testid=stExpander]", has_text="skipped: why").inner_text())


def heard(page: DeskPage) -> list[str]:
    """The requests with bodies that the page makes from now on, by method and path; all of its own origin."""
    requests: list[str] = []

    def hear(request: Any) -> None:
        assert request.url.startswith((page.server.url, "blob:", "data:")), request.url
        if request.method in ("POST", "PUT"):
            requests.append(f"{request.method} /{request.url.rsplit('/', 1)[1]}")

    page.page.on("request", hear)
    return requests


def wait_until_held(page: DeskPage, held: list[Any]) -> None:
    """Waits until the files are on their way, and held up there. A wait without the browser would hear of nothing."""

    def look() -> bool:
        page.page.wait_for_timeout(50)
        return bool(held)

    until(look)


def said(page: DeskPage) -> str:
    """What the zone says, once it says something."""
    page.page.locator(".said:visible").wait_for()
    return str(page.page.locator(".said").inner_text())


def n_sources(page: DeskPage) -> int:
    return int(page.n_uploads.split(" ")[0].replace(",", "") or 0) if page.n_uploads else 0


def kept(server: Server) -> list[Path]:
    uploads = server.home / "uploads"
    return [path for path in uploads.rglob("*") if path.is_file()] if uploads.exists() else []


def test_a_chosen_folder_arrives_whole_in_one_request(server: Server, open_page: Open, clone: Path) -> None:
    page = open_page(server)
    requests = heard(page)
    choose(page, clone)
    wait_for(page, N_FILES)
    assert [each for each in requests if each.endswith("/files")] == ["POST /files"] and len(requests) == 3
    why = skipped(page)
    assert f".venv/\ninstalled dependencies; its {N_IGNORED:,} files were not sent" in why
    assert "out/\nignored by .gitignore: out/; its 1 file was not sent" in why
    assert "noise.log\nignored by .gitignore: *.log" in why
    page.reload()
    wait_for(page, N_FILES)


def test_a_dropped_folder_arrives_whole(server: Server, open_page: Open, clone: Path) -> None:
    page = open_page(server)
    drop(page, [clone])
    wait_for(page, N_FILES)
    assert f"its {N_IGNORED:,} files were not sent" in skipped(page)


@pytest.mark.parametrize("where", ["[data-testid=stFileUploaderDropzone]", "[data-testid=stChatInput]"])
def test_a_folder_that_is_dropped_on_an_uploader_arrives_too(
    server: Server, open_page: Open, clone: Path, where: str
) -> None:
    page = open_page(server)
    requests = heard(page)
    drop(page, [clone], where)
    wait_for(page, N_FILES)
    assert [each.split()[0] for each in requests] == ["POST"] * 3  # an uploader would PUT each file


def test_folders_and_single_files_at_once(server: Server, open_page: Open, tmp_path: Path) -> None:
    one, two = (
        make_folder(tmp_path / "one", n_files=5, n_ignored=1),
        make_folder(tmp_path / "two", n_files=6, n_ignored=1),
    )
    (tmp_path / "notes.txt").write_text("by itself\n")
    (two / "empty folder").mkdir()
    (two / "empty.txt").write_text("")
    (two / ".hidden").write_text("hidden\n")
    page = open_page(server)
    drop(page, [one, tmp_path / "notes.txt", two])
    wait_for(page, 13)
    assert "empty.txt\n0 bytes" in skipped(page)


def test_many_single_files_take_the_same_way(server: Server, open_page: Open, tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"note {number}.txt").write_text(f"note {number}\n")
    page = open_page(server)
    requests = heard(page)
    wait_for_zone(page)
    page.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
        [str(path) for path in sorted(tmp_path.iterdir())]
    )
    wait_for(page, 60)
    assert [each.split()[0] for each in requests] == ["POST"] * 3


def take_away(page: DeskPage, path: Path) -> None:
    """The file is deleted once the browser has listed it, and before it is read. Not by an interception of requests: of
    those Chromium reads the bodies ahead, and hangs at a file that is gone."""
    page.page.expose_function("takeAway", lambda: path.unlink(missing_ok=True))
    page.page.evaluate(
        """() => {
            const send = window.fetch;
            window.fetch = async (address, ...rest) => {
                if (/folder\\/[^/]+$/.test(address)) await window.takeAway();
                return send(address, ...rest);
            };
        }"""
    )


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_added(
    server: Server, open_page: Open, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "clone", n_files=20, n_ignored=10)
    lost = folder / "pkg3/sub/module 10.py"
    page, before = open_page(server), kept(server)
    take_away(page, lost)
    choose(page, folder)
    words = said(page)
    assert "clone/pkg3/sub/module 10.py cannot be read" in words and "Nothing was added yet." in words
    page.shoot("folder-unreadable")
    page.page.get_by_role("button", name="Add nothing").click()
    until(lambda: said(page).endswith("Nothing was added."), every_s=0.1)
    assert n_sources(page) == 0 and kept(server) == before


@pytest.mark.parametrize("by", [choose, lambda page, folder: drop(page, [folder])], ids=["chosen", "dropped"])
def test_the_others_are_added_once_that_was_said(
    server: Server, open_page: Open, tmp_path: Path, by: Callable[[DeskPage, Path], None]
) -> None:
    folder = make_folder(tmp_path / "clone", n_files=20, n_ignored=10)
    page = open_page(server)
    take_away(page, folder / "pkg3/sub/module 10.py")
    by(page, folder)
    page.page.get_by_role("button", name="Add the other 19").click()
    wait_for(page, 19)
    page.page.get_by_text("module 10.py was not read: the browser could not read it").first.wait_for()
    assert "pkg3/sub/module 10.py\nthe browser could not read it" in skipped(page)


def test_a_cut_connection_adds_nothing_and_says_so(server: Server, open_page: Open, clone: Path) -> None:
    page = open_page(server)
    page.page.route("**/files", lambda route: route.abort("connectionreset"))
    choose(page, clone)
    words = said(page)
    assert "Longdesk did not answer" in words and "Nothing was added. Give the folder again." in words
    assert n_sources(page) == 0
    page.page.unroute("**/files")
    choose(page, clone)
    wait_for(page, N_FILES)


def test_a_folder_can_be_cancelled(server: Server, open_page: Open, clone: Path) -> None:
    page, before = open_page(server), kept(server)
    held: list[Any] = []
    page.page.route("**/files", lambda route: held.append(route))
    choose(page, clone)
    wait_until_held(page, held)
    page.page.get_by_role("button", name="Cancel").click()
    assert said(page) == "Cancelled. Nothing was added."
    assert page.page.get_by_role("button", name="Choose a folder").is_visible()
    assert n_sources(page) == 0 and kept(server) == before


def test_a_folder_goes_to_the_session_that_it_was_dropped_in(server: Server, open_page: Open, clone: Path) -> None:
    """Who goes elsewhere meanwhile does not find it there, and hears of it on coming back."""
    page = open_page(server)
    page.upload([clone / ".gitignore"])
    first = page.session
    held: list[Any] = []
    page.page.route("**/files", lambda route: held.append(route))
    page.page.get_by_text("Add sources").click()
    choose(page, clone)
    wait_until_held(page, held)
    page.page.get_by_role("button", name="New session").click()
    page.page.get_by_text("Put a corpus on the desk").wait_for()
    page.page.unroute("**/files")
    page.settle()
    assert n_sources(page) == 0
    assert len(server.longdesk("sessions", "show", first)["sources"]) == 1
    page.page.locator(f"[class*=st-key-go-{first}] button").click()
    page.page.get_by_text("Add sources").click()
    assert said(page) == "You left before the folder had arrived. Nothing was added."


def test_by_keyboard_and_on_a_phone_in_the_dark(server: Server, open_page: Open, clone: Path) -> None:
    page = open_page(server, size=(390, 800), dark=True)
    button = page.page.get_by_role("button", name="Choose a folder")
    button.scroll_into_view_if_needed()
    page.shoot("folder-phone")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.page.get_by_role("group", name="A folder").count() == 1
    chosen: list[Any] = []
    page.page.on("filechooser", lambda chooser: chosen.append(chooser))

    def opened() -> bool:  # a page that is drawn anew meanwhile takes the focus away
        button.press("Enter")
        page.page.wait_for_timeout(500)
        return bool(chosen)

    until(opened)
    chosen[0].set_files(str(clone))
    wait_for(page, N_FILES)
