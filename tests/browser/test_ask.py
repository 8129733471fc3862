"""The main job in a real browser, on the real starter model: drop in, count, ask, read, find again."""

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.held import is_told
from tests.patience import PATIENCE_S, until

Open = Callable[..., DeskPage]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, starter_gguf: Path):  # type: ignore[no-untyped-def]
    """Of this module's own, for it is restarted on the way."""
    started = Server(tmp_path_factory.mktemp("desk") / "home")
    started.start()
    yield started
    started.stop()


def test_from_the_upload_to_the_next_day(server: Server, open_page: Open, dropped: Path) -> None:
    """One session's life: what is typed once here would take a model's time again and again in tests of their own."""
    files = [dropped / "orchard.zip", dropped / "prices.pdf"]
    page = open_page(server)
    page.shoot("empty")
    page.upload(files)
    page.shoot("loaded")

    counted = server.longdesk("count", *map(str, files))
    assert page.prompt_tokens == counted["total_tokens"]
    assert page.budget()["Corpus"] == sum(source["tokens"] for source in counted["sources"])
    assert page.tokens_of("prices.pdf") == next(s["tokens"] for s in counted["sources"] if s["path"] == "prices.pdf")

    page.ask("Tell me all you know about the trees, row by row, and what a basket costs.")
    page.shoot("reading")
    session = page.session
    with server.holding(session) as held:
        some = page.wait_for_text(0)
    with server.holding(session, longer_than=held.n_text):
        more = page.wait_for_text(0, longer_than=len(some))
        assert more.startswith(some[:20])
        page.shoot("writing")
        page.reload()  # in mid-answer
        assert page.session == session
        page.wait_for_text(0)
    page.wait_for_text(0, longer_than=len(more))
    receipt = page.wait_for_end(0)
    page.settle()
    page.shoot("answered")
    assert "first text after" in receipt
    shown = server.longdesk("sessions", "show", session)
    assert [turn["stop"] in ("end", "length") for turn in shown["turns"]] == [True]
    assert shown["title"].startswith("Tell me all you know")

    page.ask("And the plums?")
    receipt = page.wait_for_end(1)
    first, second = server.longdesk("sessions", "show", session)["turns"]
    kept = first["prompt_tokens"] + first["reply_tokens"]
    assert kept - 1 <= second["reused_tokens"] <= kept + 1
    assert f"{second['reused_tokens']:,} from cache" in receipt

    server.stop()
    server.start()
    page = open_page(server)
    page.page.get_by_role("button", name="Tell me all you know").first.click()
    page.wait_for_end(1)
    assert page.answer(0).split()[:3] == first["text"].split()[:3]
    assert page.session == session
    page.ask("And the pears?")
    page.wait_for_end(2)
    third = server.longdesk("sessions", "show", session)["turns"][2]
    assert third["reused_tokens"] >= second["prompt_tokens"]  # the KV state was kept when the server ended


def test_stopping_an_answer_keeps_what_was_read(server: Server, open_page: Open, dropped: Path) -> None:
    page = open_page(server)
    page.upload([dropped / "orchard.zip"])
    page.ask("Describe every file in many words.")
    with server.holding(page.session) as held:
        page.page.get_by_role("button", name="Stop").click()
        until(lambda: is_told(held.engine))
    assert "Stopped by you" in page.wait_for_end(0)
    page.settle()
    page.shoot("stopped")
    turn = server.longdesk("sessions", "show", page.session)["turns"][0]
    assert turn["stop"] == "cancelled"
    assert page.can_ask


def test_two_tabs_do_not_mix(server: Server, open_page: Open, dropped: Path) -> None:
    one, two = open_page(server), open_page(server)
    one.upload([dropped / "orchard.zip"])
    two.upload([dropped / "prices.pdf"])
    one.ask("What grows here?")
    with server.holding(one.session):
        two.ask("What does a basket cost?")
        two.page.get_by_text("Waits for another answer").wait_for()
    one.wait_for_end(0)
    two.wait_for_end(0)
    assert one.session != two.session
    for page, question in ((one, "What grows here?"), (two, "What does a basket cost?")):
        shown = server.longdesk("sessions", "show", page.session)
        assert [turn["question"] for turn in shown["turns"]] == [question]
        assert page.page.locator(".question").all_inner_texts() == [question]


def test_an_answer_of_the_command_line_is_seen_going_on(server: Server, open_page: Open, dropped: Path) -> None:
    page = open_page(server)
    page.upload([dropped / "orchard.zip"])
    asking = server.begin("ask", "--session", page.session, "-q", "Describe the trees at length.")
    with server.holding(page.session, pid=asking.pid):
        page.wait_until_asked_elsewhere()
        assert not page.can_ask
    page.wait_for_end(0)
    assert asking.wait(PATIENCE_S) == 0
    page.settle()
    assert page.can_ask
    assert page.answer(0)


def test_a_killed_program_leaves_an_answer_that_says_so(server: Server, open_page: Open, dropped: Path) -> None:
    page = open_page(server)
    page.upload([dropped / "orchard.zip", dropped / "prices.pdf"])
    session = page.session
    page.ask("Describe everything at great length, line by line.")
    with server.holding(session):
        page.wait_for_text(0)
        children = server.children()
        server.stop(signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=PATIENCE_S)[1] == []  # the engine went with its parent
    server.start()
    page = open_page(server, f"/?session={session}")
    assert "Interrupted: the program ended" in page.wait_for_end(0)
    page.shoot("interrupted")
    page.ask("Go on.")
    page.wait_for_end(1)
