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
