"""The page that says what fits: choosing a model, a context and a KV type, and reading what they take."""

from collections.abc import Callable
from typing import Any

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server

Open = Callable[..., DeskPage]


def plan_page(server: Server, open_page: Open, query: str = "", **how: Any) -> DeskPage:
    """A tab that shows the plan of an address, drawn to its end."""
    page: DeskPage = open_page(server, f"/plan{query}", shows="table.contexts", **how)
    return page


def finding(page: DeskPage) -> str:
    return str(page.page.locator("[class*=st-key-finding]").inner_text())


def shown_sizes(page: DeskPage) -> str:
    return str(page.page.locator(".devices").inner_text())


def gib(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 30):,.1f} GiB"


def test_scout_from_the_catalogue_shows_what_the_command_line_says(server: Server, open_page: Open) -> None:
    page = plan_page(server, open_page, "?model=scout-q4_k_m&ctx=128K&kv=q8_0")
    options = ("--model", "scout-q4_k_m", "--ctx", "128K", "--kv", "q8_0")
    planned = server.longdesk("plan", *options, codes=(0, 3))
    for part in ("weights_bytes", "kv_bytes"):
        assert gib(planned[part]) in shown_sizes(page)
    row = page.page.locator("table.contexts tr.chosen").inner_text()
    assert row.startswith("128K") and gib(planned["kv_bytes"]) in row
    page.page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()


def test_choosing_a_context_changes_everything_at_once(server: Server, open_page: Open) -> None:
    page = plan_page(server, open_page)
    page.page.get_by_label("Context", exact=True).fill("1m")
    page.page.get_by_label("Context", exact=True).press("Enter")
    page.page.get_by_text("Over the window.").wait_for()
    page.page.get_by_role("button", name="Try").first.click()
    page.page.get_by_text("It fits.").wait_for()
    page.settle()
    assert "8,192 tokens" in finding(page)
    page.page.get_by_role("radio", name="4K").click()
    page.page.get_by_text("4,096 tokens run from memory").wait_for()
    page.page.wait_for_function("() => location.search === '?ctx=4K'")


def test_what_the_guides_say(server: Server, open_page: Open) -> None:
    page = plan_page(server, open_page)
    page.page.get_by_text("What the guides say").click()
    page.page.locator("table.guides").wait_for()
    table = page.page.locator("table.guides").inner_text()
    assert "18.8 TB" in table and "481.2 GiB" in table and "48.0 KiB" in table


def test_the_ways_to_it_keep_the_session(server: Server, open_page: Open, dropped: Any) -> None:
    page = open_page(server)
    page.upload([dropped / "prices.pdf"])
    tokens, session = page.prompt_tokens, page.session
    page.page.locator(".st-key-strip").get_by_text("What fits").click()
    page.page.get_by_text(f"With the {tokens:,} tokens").wait_for()
    page.settle()
    assert page.session == session
    page.page.locator(".st-key-sessions").get_by_role("button", name="prices").first.click()
    page.page.locator(".strip").wait_for()


def test_how_it_looks(server: Server, open_page: Open) -> None:
    """Pictures for people; what is wider than the window would have to be scrolled sideways."""
    for name, size, dark in (
        ("plan", (1280, 1400), False),
        ("plan-dark", (1280, 1400), True),
        ("plan-phone", (390, 1900), False),
    ):
        page = plan_page(server, open_page, "?model=scout-q4_k_m&ctx=1M", size=size, dark=dark)
        page.page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()
        page.shoot(name)
        assert not page.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth > innerWidth")


def test_the_gauge_of_the_kv_cache_shows_while_an_answer_runs(server: Server, open_page: Open, dropped: Any) -> None:
    page = open_page(server)
    page.upload([dropped / "prices.pdf"])
    page.ask("What does a basket cost?")
    page.page.locator("dl.engine dd.gauge").wait_for()
    page.wait_for_end(0)
    page.settle()
    turn = server.longdesk("sessions", "show", page.session)["turns"][0]
    held = turn["prompt_tokens"] + turn["reply_tokens"]
    shown = page.page.locator("dl.engine").inner_text()
    page.shoot("gauge")
    assert any(f"{n:,} / " in shown for n in (held - 1, held, held + 1)), shown
    assert "in RAM" in shown
