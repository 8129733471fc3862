"""The chat in a real browser: a draft that is still there."""

from collections.abc import Callable

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.patience import until

Open = Callable[..., DeskPage]

BOX = "[data-testid=stChatInputTextArea]"


def typed(page: DeskPage) -> str:
    return str(page.page.locator(BOX).input_value())


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
    page.open(f"/?session={first}")
    until(lambda: typed(page) == "Why is the rent")
    page.page.locator(BOX).press_sequentially(" so high?", delay=5)
    page.page.wait_for_timeout(1_500)
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


def press(page: DeskPage, turn: int, name: str) -> None:
    button = page.page.locator(f".st-key-turn-{turn}").get_by_role("button", name=name, exact=True)
    button.and_(page.page.locator(":enabled")).click()


def questions(page: DeskPage) -> list[str]:
    return [text.strip() for text in page.page.locator(".question").all_inner_texts()]


def test_ask_again_edit_go_back_and_go_on_after_stop(server: Server, open_page: Open) -> None:
    page = open_page(server)
    session = begin(page)
    page.ask("What does the lease say?")
    page.wait_for_end(0)
    page.settle()
    first = page.answer(0)

    press(page, 0, "Ask again")
    page.wait_for_end(1)
    page.settle()
    assert questions(page) == ["What does the lease say?"] and page.page.get_by_text("2 of 2").count() == 1
    page.shoot("asked-again")

    press(page, 1, "Edit")
    box = page.page.get_by_role("textbox", name="The question")
    box.fill("What does the pedal do?")
    page.shoot("editing")
    page.page.get_by_role("button", name="Ask this instead").click()
    page.wait_for_end(2)
    page.settle()
    assert questions(page) == ["What does the pedal do?"] and page.page.get_by_text("3 of 3").count() == 1

    page.ask("And what else?")
    page.wait_for_text(3)
    with server.holding(session):
        page.page.get_by_role("button", name="Stop").click()
    assert "Stopped by you" in page.wait_for_end(3)
    page.settle()
    stopped = page.answer(3)
    press(page, 3, "Continue")
    page.page.locator(".status").wait_for()
    until(lambda: len(page.answer(3)) > len(stopped))
    page.wait_for_end(3)
    page.settle()
    assert page.answer(3).startswith(stopped[:20])
    page.shoot("gone-on")

    press(page, 2, "Previous")
    page.page.locator(".st-key-turn-1 .question").wait_for()
    press(page, 1, "Previous")
    page.page.locator(".st-key-turn-0 .question").wait_for()
    until(lambda: page.answer(0) == first)
    assert page.page.get_by_text("1 of 3").count() == 1 and not page.page.get_by_text("And what else?").count()
    shown = server.longdesk("sessions", "show", session)["turns"]
    assert [turn["current"] for turn in shown] == [True, False, False, False]

    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(page, 0, "Copy question")
    assert page.page.evaluate("() => navigator.clipboard.readText()") == "What does the lease say?"
