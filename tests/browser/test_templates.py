"""Ready-made questions and notes in a browser: the list while a name is typed, the form for blanks, the user's own, a
note that is sent as a source, a table that is downloaded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

Open = Callable[..., DeskPage]

TABLE = "Here it is:\n\n| name | price |\n|---|---|\n| Apple | 3.50 |\n| =Fig | 4.25 |\n"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("name,price\nApple,3.50\n=Fig,4.25\n")
    return path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "tariff.py"
    path.write_text("def hour() -> int:\n    return 6\n")
    return path


def box(page: DeskPage):  # type: ignore[no-untyped-def]
    return page.page.get_by_test_id("stChatInputTextArea")


def with_table(server: Server, prices: Path, tmp_path: Path) -> str:
    """A session whose answer is a table, as a model that is better than the starter would have written it."""
    asked = server.longdesk("ask", str(prices), "-q", "Make a table.", "--max-tokens", "4", "--no-quotes")
    exported = json.loads(server.run("sessions", "export", asked["session"], "--format", "json"))
    exported["turns"][0] |= {"text": TABLE, "stop": "end", "reply_ids": [], "citations": None}
    exported["id"] = "tabletable"
    file = tmp_path / "export.json"
    file.write_text(json.dumps(exported))
    return str(server.longdesk("sessions", "import", str(file))["id"])


def test_a_name_is_found_while_it_is_typed_and_its_blank_is_asked_for(
    server: Server, open_page: Open, code: Path
) -> None:
    page = open_page(server)
    page.upload([code])
    offered = page.page.locator("[class*=st-key-offered-]")
    offered.first.wait_for()
    assert "Explain this folder" in offered.all_inner_texts()
    page.shoot("templates-offered")
    box(page).press_sequentially("/extr")
    row = page.page.locator(".slash-list li")
    row.first.wait_for()
    assert row.count() == 1 and "/extract-table" in row.first.inner_text()
    box(page).press("Backspace")
    box(page).press("Backspace")
    box(page).press("Backspace")
    box(page).press("Backspace")
    assert row.count() == 7 and row.first.get_attribute("aria-selected") == "true"
    page.shoot("templates-typed")
    box(page).press("ArrowDown")
    assert row.nth(1).get_attribute("aria-selected") == "true"
    box(page).press("Escape")
    assert not page.page.locator(".slash-list").is_visible()
    box(page).fill("/extract-table")
    box(page).press("Enter")
    form = page.page.get_by_role("dialog")
    form.wait_for()
    form.get_by_role("button", name="Ask").click()
    form.get_by_text("has blanks that are not filled in").wait_for()
    form.get_by_label("what a row is").fill("each function")
    page.shoot("templates-form")
    form.get_by_role("button", name="Ask").click()
    page.wait_for_end(0)
    [turn] = server.longdesk("sessions", "show", page.session)["turns"]
    assert turn["question"].startswith("Make one Markdown table of each function. Columns: the columns that")
    assert turn["template"] == "extract-table"
    assert "/extract-table" in page.page.locator(".from-template").inner_text()
    page.shoot("templates-asked")


def test_the_users_own_comes_first_and_a_bad_file_is_a_sentence(server: Server, open_page: Open, code: Path) -> None:
    folder = server.home / "templates"
    folder.mkdir(exist_ok=True)
    (folder / "explain.md").write_text("---\ntitle: My own\n---\nSay {{word}} once.")
    (folder / "broken.md").write_text("---\ntitle: [\n---\nx")
    page = open_page(server)
    page.upload([code])
    box(page).fill("/explain word: apple pie")
    box(page).press("Enter")
    page.wait_for_end(0)
    [turn] = server.longdesk("sessions", "show", page.session)["turns"]
    assert turn["question"] == "Say apple pie once."
    box(page).fill("/broken now")
    box(page).press("Enter")
    page.page.get_by_text("is no template").wait_for()
    assert box(page).input_value() == "/broken now", "nothing is lost"
    page.page.get_by_role("button", name="Templates").click()
    page.page.get_by_text("1 of your template files cannot be used").click()
    page.page.get_by_role("dialog").get_by_text("broken.md").wait_for()
    for file in folder.iterdir():
        file.unlink()


def test_a_note_is_kept_renamed_sent_and_a_table_downloaded(
    server: Server, open_page: Open, prices: Path, tmp_path: Path
) -> None:
    session = with_table(server, prices, tmp_path)
    page = open_page(server, f"/?session={session}")
    page.wait_for_end(0)
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name="Table as CSV").click()
    rows = Path(download.value.path()).read_bytes().decode("utf-8-sig").splitlines()
    assert rows == [
        '"name","price","name (source)","price (source)"',
        '"Apple","3.50","prices.csv:2","prices.csv:2"',
        '"\'=Fig","4.25","prices.csv:3","prices.csv:3"',
    ]
    page.page.get_by_role("button", name="Keep as a note").click()
    page.page.get_by_text("Kept as note 1").wait_for()
    page.page.locator(".st-key-read-note-1 button").click()
    page.page.get_by_role("dialog").locator("table").wait_for()
    page.shoot("notes-open")
    page.page.get_by_role("dialog").get_by_role("button", name="Send as a source").click()
    page.source("Here it is.md").wait_for()
    shown = server.longdesk("sessions", "show", session)
    assert [note["text"] for note in shown["kept_notes"]] == [TABLE]
    assert "notes/Here it is.md" in [source["path"] for source in shown["sources"]]
    page.shoot("notes-sent")


def test_selected_words_of_an_answer_are_kept(server: Server, open_page: Open, prices: Path, tmp_path: Path) -> None:
    session = with_table(server, prices, tmp_path)
    page = open_page(server, f"/?session={session}")
    page.wait_for_end(0)
    page.page.evaluate(
        """() => { const cell = document.querySelectorAll('.answer td')[1];
        getSelection().selectAllChildren(cell); document.dispatchEvent(new Event('selectionchange')); }"""
    )
    page.page.locator(".keep-this").click()
    page.page.get_by_text("Kept as note").wait_for()
    assert server.longdesk("sessions", "show", session)["kept_notes"][-1]["text"] == "3.50"


@pytest.mark.parametrize(("name", "dark", "size"), [("dark", True, (1280, 800)), ("phone", False, (390, 844))])
def test_it_looks_well(
    server: Server,
    open_page: Open,
    prices: Path,
    code: Path,
    tmp_path: Path,
    name: str,
    dark: bool,
    size: tuple[int, int],
) -> None:
    session = with_table(server, prices, tmp_path)
    page = open_page(server, f"/?session={session}", dark=dark, size=size)
    page.wait_for_end(0)
    box(page).press_sequentially("/")
    page.page.locator(".slash-list li").first.wait_for()
    page.shoot(f"templates-{name}")
    page.page.locator(".slash-list li").first.click()
    assert box(page).input_value() == "/compare "
    fits = page.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert fits, "nothing is wider than the screen"
