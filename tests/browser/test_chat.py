"""The chat in a real browser: drafts, branches, replies that go on, files that go out and come in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.store import Store
from tests.browser.desk_page import SCREENSHOTS, DeskPage
from tests.browser.server import Server
from tests.patience import until

Open = Callable[..., DeskPage]

BOX = "[data-testid=stChatInputTextArea]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, llama_gguf: Path) -> Iterator[Server]:
    """With a model that is quick; it is restarted on the way."""
    started = Server(tmp_path_factory.mktemp("desk") / "home", "--model", str(llama_gguf), reply_tokens=200)
    started.start()
    yield started
    started.stop()


def typed(page: DeskPage) -> str:
    return str(page.page.locator(BOX).input_value())


def kept(server: Server, session: str) -> str:
    """The draft that Longdesk has of a session."""
    with Store(server.home) as store:
        return store.sessions.draft(session)


def begin(page: DeskPage) -> str:
    """A session with the example in it."""
    page.page.get_by_role("button", name="New session").click()
    page.settle()
    page.page.get_by_role("button", name="Load the example").first.click()
    page.page.locator(".panel-note").wait_for()
    page.settle()
    return page.session


def test_a_draft_stays_with_its_session(server: Server, open_page: Open) -> None:
    page = open_page(server)
    first = begin(page)
    page.page.locator(BOX).press_sequentially("Why is the rent", delay=5)
    second = begin(page)
    assert typed(page) == ""
    page.page.locator(BOX).press_sequentially("What about", delay=5)
    page.page.locator(BOX).press("Tab")
    until(lambda: kept(server, second) == "What about")
    page.open(f"/?session={first}")
    until(lambda: typed(page) == "Why is the rent")
    page.page.locator(BOX).press_sequentially(" so high?", delay=5)
    until(lambda: kept(server, first) == "Why is the rent so high?")
    page.reload()
    until(lambda: typed(page) == "Why is the rent so high?")
    server.stop()
    server.start()
    page.open(f"/?session={second}")
    until(lambda: typed(page) == "What about")
    page.page.locator(BOX).press("Enter")
    page.wait_for_end(0)
    page.reload()
    page.settle()
    assert typed(page) == ""
    page.open(f"/?session={first}")
    until(lambda: typed(page) == "Why is the rent so high?")


def test_what_was_typed_the_moment_before_the_page_was_left_is_there_again(server: Server, open_page: Open) -> None:
    page = open_page(server)
    page.page.locator(BOX).press_sequentially("before any sess")
    page.reload()
    until(lambda: typed(page) == "before any sess")
    page.page.locator(BOX).press_sequentially("ion")
    session = begin(page)
    page.page.context.set_offline(True)  # whatever the browser tells comes to nothing
    page.page.locator(BOX).fill("Who wrote the")
    page.page.locator(BOX).press("Tab")
    page.page.context.set_offline(False)
    page.reload()
    until(lambda: typed(page) == "Who wrote the")
    page.page.locator(BOX).press_sequentially(" tide tables?")
    page.page.locator(BOX).press("Enter")
    page.wait_for_end(0)
    page.reload()
    page.settle()
    assert typed(page) == "" and page.session == session


def test_what_was_typed_before_the_box_knew_its_session_is_there_again(server: Server, open_page: Open) -> None:
    page = open_page(server)
    session = begin(page)
    page.page.evaluate("window.longdeskDraft.session = null")  # as it is until the page is drawn with it
    page.page.locator(BOX).press_sequentially("How many boats?")
    page.page.locator(BOX).press("Tab")
    page.open("/")
    page.settle()
    assert typed(page) == ""
    page.open(f"/?session={session}")
    until(lambda: typed(page) == "How many boats?")


def test_a_draft_that_another_tab_wrote_meanwhile_is_not_lost(server: Server, open_page: Open) -> None:
    page = open_page(server)
    session = begin(page)
    other = open_page(server, f"/?session={session}")
    deaf = "Object.defineProperty(window.longdeskDraft, 'tell', { get: () => () => {}, set() {} })"
    page.page.evaluate(deaf)  # whatever it tells comes to nothing
    page.page.locator(BOX).fill("Who pays?")
    other.page.locator(BOX).fill("What is due?")
    other.page.locator(BOX).press("Tab")
    until(lambda: kept(server, session) == "What is due?")
    page.reload()
    until(lambda: typed(page) == "What is due?\n\nWho pays?")
    page.reload()
    until(lambda: typed(page) != "")
    assert typed(page) == "What is due?\n\nWho pays?", "and not once more"


def press(page: DeskPage, turn: int, name: str) -> None:
    button = page.page.locator(f".st-key-turn-{turn}").get_by_role("button", name=name, exact=True)
    button.and_(page.page.locator(":enabled")).click()


def questions(page: DeskPage) -> list[str]:
    return [text.strip() for text in page.page.locator(".question").all_inner_texts()]


def test_ask_again_edit_go_back_and_go_on_after_stop(server: Server, open_page: Open) -> None:
    page = open_page(server)
    session = begin(page)

    def turns() -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = server.longdesk("sessions", "show", session)["turns"]
        return shown

    page.ask("What does the lease say?")
    page.wait_for_end(0)
    page.settle()
    press(page, 0, "Ask again")
    page.wait_for_end(1)
    page.settle()
    assert questions(page) == ["What does the lease say?"] and page.page.get_by_text("2 of 2").count() == 1
    page.shoot("asked-again")

    press(page, 1, "Edit")
    page.page.get_by_role("textbox", name="The question").fill("What does the pedal do?")
    page.shoot("editing")
    page.page.get_by_role("button", name="Ask this instead").click()
    page.wait_for_end(2)
    page.settle()
    assert questions(page) == ["What does the pedal do?"] and page.page.get_by_text("3 of 3").count() == 1

    page.ask("And what else?")
    with server.holding(session):
        page.page.get_by_role("button", name="Stop").click()
        page.page.get_by_text("Stopping").wait_for()
    assert "Stopped by you" in page.wait_for_end(3)
    page.settle()
    stopped = turns()[3]
    page.reload()
    press(page, 3, "Continue")
    until(lambda: turns()[3]["stop"] not in ("cancelled", None))
    page.wait_for_end(3)
    page.settle()
    gone_on = turns()[3]
    assert gone_on["text"].startswith(stopped["text"].rstrip("\N{REPLACEMENT CHARACTER}"))
    assert gone_on["reply_tokens"] > stopped["reply_tokens"]
    page.shoot("gone-on")

    press(page, 2, "Previous")
    page.page.locator(".st-key-turn-1 .question").wait_for()
    press(page, 1, "Previous")
    page.page.locator(".st-key-turn-0 .question").wait_for()
    page.page.get_by_text("1 of 3").wait_for()
    assert not page.page.get_by_text("And what else?").count()
    assert [turn["current"] for turn in turns()] == [True, False, False, False]

    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(page, 0, "Copy question")
    page.page.locator(".copy-question .copied").wait_for()
    assert page.page.evaluate("() => navigator.clipboard.readText()") == "What does the lease say?"


def test_a_receipt_opens_under_its_answer_by_keyboard_and_on_a_phone(server: Server, open_page: Open) -> None:
    page = open_page(server)
    session = begin(page)
    page.ask("What does the lease say?")
    page.wait_for_end(0)
    page.settle()
    receipt = server.longdesk("sessions", "show", session)["turns"][0]["receipt"]
    button = page.page.locator(".st-key-turn-0").get_by_role("button", name="Receipt")
    button.focus()
    page.page.keyboard.press("Enter")
    table = page.page.locator(".receipt-table")
    table.wait_for()
    text = table.inner_text()
    assert receipt["prompt_hash"] in text and f"{receipt['prompt_tokens']:,} tokens" in text
    assert all(source["path"] in text for source in receipt["sources"])
    page.page.keyboard.press("Escape")
    table.wait_for(state="detached")

    phone = open_page(server, f"/?session={session}", size=(390, 844), dark=True)
    phone.wait_for_end(0)
    phone.page.get_by_role("button", name="Receipt").click()
    phone.page.locator(".receipt-table").wait_for()
    widths = phone.page.evaluate(
        "() => [...document.querySelectorAll('.receipt-table td')].map((one) => one.getBoundingClientRect().width)"
    )
    assert min(widths) > 250, "no column of single letters"
    phone.shoot("receipt-phone-dark")


def test_a_session_goes_out_as_a_file_and_comes_in_again(server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(server)
    session = begin(page)
    page.ask("What does the lease say?")
    page.wait_for_end(0)
    page.page.locator(f".st-key-menu-{session} button").click()
    page.page.get_by_text("Export", exact=True).click()
    with page.page.expect_download() as beside:
        page.page.get_by_role("button", name="JSON", exact=True).click()
    page.open("/sessions", shows=".st-key-history")
    page.page.locator(f".st-key-export-{session} button").click()
    saved = {}
    for name, ending in (("Page", "html"), ("Markdown", "md"), ("JSON", "json")):
        with page.page.expect_download() as download:
            page.page.get_by_role("button", name=name, exact=True).click()
        saved[ending] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[ending])
        assert saved[ending].name == f"longdesk-{session}.{ending}"
    page.shoot("exporting")
    exported = saved["json"].read_bytes()
    assert beside.value.path().read_bytes() == exported, "the menu beside the session gives the same"
    assert exported == server.run("sessions", "export", session, "--format", "json")
    server.longdesk("sessions", "delete", session)

    page.open("/sessions", shows=".st-key-history")
    page.page.get_by_text("Import a session").click()
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    page.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files([str(bad)])
    page.page.get_by_text("This is no export of a Longdesk session").wait_for()
    page.page.get_by_text("Import a session").click()
    page.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files([str(saved["json"])])
    page.page.locator(".st-key-turn-0 .question").wait_for()
    assert page.session == session
    assert server.run("sessions", "export", session, "--format", "json") == exported

    alone = page.page.context.new_page()
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    for scheme in ("light", "dark"):
        alone.emulate_media(color_scheme=scheme)
        alone.goto(saved["html"].as_uri())
        alone.locator(".question").wait_for()
        alone.screenshot(path=str(SCREENSHOTS / f"exported-{scheme}.png"))
    assert {url.split(":")[0] for url in asked} == {"file"} and alone.evaluate("() => document.scripts.length") == 0
