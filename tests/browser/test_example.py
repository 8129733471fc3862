"""A newcomer's first minute in a real browser: load the example, see what asking takes, click a question, read."""

from collections.abc import Callable
from typing import Any

from app.suggestions import SUGGESTIONS
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

Open = Callable[..., DeskPage]
PHONE = (390, 844)


def load(page: DeskPage) -> None:
    page.page.get_by_role("button", name="Load the example").click()
    page.page.locator(".st-key-suggestions button").nth(2).wait_for()
    page.settle()


def suggested(page: DeskPage) -> Any:
    return page.page.locator(".st-key-suggestions button")


def test_the_first_answer_is_right(server: Server, open_page: Open) -> None:
    page = open_page(server)
    load(page)
    assert suggested(page).all_inner_texts() == [each.question for each in SUGGESTIONS]
    said = page.page.locator(".st-key-first-read").inner_text()
    assert f"The first question reads {page.prompt_tokens:,} tokens, ~" in said, "nothing was measured in this home"
    page.shoot("example")

    suggested(page).nth(0).click()
    page.wait_for_end(0)
    page.settle()
    page.shoot("example-answered")
    assert any(words in page.answer(0) for words in SUGGESTIONS[0].answers)
    assert not suggested(page).count() and not page.page.locator(".st-key-first-read").count()

    page.ask(SUGGESTIONS[1].question)
    page.wait_for_end(1)
    assert any(words in page.answer(1) for words in SUGGESTIONS[1].answers)


def test_a_phone_and_a_keyboard_reach_the_suggestions(server: Server, open_page: Open) -> None:
    page = open_page(server, size=PHONE, dark=True)
    load(page)
    page.shoot("example-phone-dark")
    field = page.page.get_by_test_id("stChatInputTextArea").bounding_box()
    for at in range(len(SUGGESTIONS)):
        box = suggested(page).nth(at).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0], "whole on a phone"
        assert box["y"] + box["height"] <= field["y"], "above the field"
    suggested(page).nth(1).focus()
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.innerText") == SUGGESTIONS[2].question
    page.page.keyboard.press("Enter")
    page.wait_for_end(0)
    page.settle()
    page.shoot("example-phone-dark-answered")
    assert any(words in page.answer(0) for words in SUGGESTIONS[2].answers)
