"""In a real browser: a citation opens its source beside the answer, with the words lit, boxed or in their cell."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from app.found_again import box_of
from engine.answer.citations import Citation, Status
from engine.answer.places import Places
from engine.corpus.collect import collect
from engine.corpus.source import Source
from engine.runtime.quotes.text import Place
from storage.records import Outcome
from storage.store import Store
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.browser.test_answers import away
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.patience import until
from tests.pdfs import written

Open = Callable[..., DeskPage]
DANGERS = (
    "<script>window.ran = 1; fetch('http://203.0.113.7/s')</script> and "
    "<img src=http://203.0.113.7/i onerror=window.ran=1>\n"
    "![x](http://203.0.113.7/p.png) [press](javascript:window.ran=1) \x1b]8;;http://203.0.113.7/\x07link\x1b]8;;\x07\n"
    "if access:\u202e } \u2066fi\u2069 # reversed\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model that sees, so that images have tiles."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(cached("mmproj"), folder / "mmproj.gguf")
    model = Path(shutil.copy(cached("scout", **SMALL_SCOUT), folder / "scout.gguf"))
    started = Server(tmp_path_factory.mktemp("desk") / "home", "--model", str(model), reply_tokens=16)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """One of each kind, by path."""
    folder = tmp_path_factory.mktemp("corpus") / "orchard"
    (folder / "src").mkdir(parents=True)
    code = [f"def row_{n}(trees: int) -> int:\n    # row {n}\n    return trees * {n}\n\n" for n in range(1, 160)]
    (folder / "src" / "rows.py").write_text("".join(code))
    (folder / "danger.md").write_text(DANGERS * 3)
    pages = [
        f"Page {n} of the lease.\nThe rent of month {n} is {700 + n} euros.\n" + "More words.\n" * 30 for n in (1, 2, 3)
    ]
    (folder / "lease.pdf").write_bytes(written(*pages))
    cells = [_cell(n) for n in range(1, 41)]
    (folder / "study.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    picture = Pillow.new("RGB", (1000, 640), (222, 214, 190))
    ImageDraw.Draw(picture).rectangle((640, 60, 900, 240), fill=(120, 40, 40))
    picture.save(folder / "plan.png")
    (folder / "large.txt").write_text("".join(f"line {n} of a large file\n" for n in range(1, 30_001)) + "x" * 300_000)
    return {each.path: each for each in collect([folder]).sources}


def _cell(n: int) -> dict[str, Any]:
    if n % 2:
        return {"cell_type": "markdown", "metadata": {}, "source": f"# Part {n}"}
    code = f"total_{n} = sum(range({n}))\nprint(total_{n})"
    return {"cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": n}


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[Store]:
    with Store(server.home) as opened:
        yield opened


def quoting(text: str, statement: str, source: Source, quote: str, **place: Any) -> Citation:
    """Verified words of a source."""
    at, start = text.index(statement), len(source.text[: source.text.index(quote)].encode())
    first = source.text[: source.text.index(quote)].count("\n") + 1
    found = Citation(
        statement=(at, at + len(statement)),
        status=Status.VERIFIED,
        quote=quote,
        places=1,
        path=source.path,
        source_digest=source.digest,
        bytes=(start, start + len(quote.encode())),
        lines=(first, first + quote.count("\n")),
    )
    return replace(found, **place)


ANSWER = """Each row is counted on its own, **times its number.**

- The rent of the second month is 702 euros.
- The tenth cell adds up nine numbers.

The plan shows a shed in the upper right. Twelve trees are multiplied by eighty. Nobody knows who planted them.

```python
print(row_70(3))
```
"""


def keep(store: Store, sources: dict[str, Source], citations: Sequence[Citation], text: str = ANSWER) -> str:
    """A session of all sources, with one answer."""
    session = store.sessions.create(title="orchard", model="m").id
    store.sources.put(session, list(sources.values()), turn_index=0)
    with store.leases.acquire(session) as lease:
        turn = store.turns.begin(lease, question="What grows here?")
        store.turns.finish(turn.id, Outcome(text=text, stop="end"))
        store.turns.cite(turn.id, citations)
    return session


@pytest.fixture(scope="module")
def cited(sources: dict[str, Source]) -> list[Citation]:
    rows, lease, study, plan = (sources[f"{name}"] for name in _paths(sources))
    code = "def row_70(trees: int) -> int:\n    # row 70\n    return trees * 70"
    altered = quoting(ANSWER, "Twelve trees are multiplied by eighty.", rows, "return trees * 89")
    shed = Citation(
        statement=_span("The plan shows a shed in the upper right."),
        status=Status.VERIFIED,
        path=plan.path,
        source_digest=plan.digest,
        image=1,
        box=(0.64, 0.09, 0.9, 0.38),
    )
    start = lease.text.encode().index(b"The rent of month 2 is 702 euros.")
    rent = Places([lease], box_of=box_of).citation(Place(0, start, start + 33), statement=_span(RENT), places=1)
    return [
        quoting(ANSWER, "Each row is counted on its own, **times its number.**", rows, code),
        rent,
        quoting(ANSWER, "The tenth cell adds up nine numbers.", study, "total_10 = sum(range(10))", cell=10),
        shed,
        replace(altered, quote="return trees * 80", status=Status.ALTERED, places=0),
        Citation(statement=_span("Nobody knows who planted them."), status=Status.MISSING),
    ]


RENT = "The rent of the second month is 702 euros."


def _span(words: str) -> tuple[int, int]:
    return ANSWER.index(words), ANSWER.index(words) + len(words)


def _paths(sources: dict[str, Source]) -> list[str]:
    ends = ("rows.py", "lease.pdf", "study.ipynb", "plan.png")
    return [next(path for path in sources if path.endswith(end)) for end in ends]


@pytest.fixture
def page(server: Server, store: Store, sources: dict[str, Source], cited: list[Citation], open_page: Open) -> DeskPage:
    return show(open_page, server, keep(store, sources, cited))


def show(open_page: Open, server: Server, session: str, **how: Any) -> DeskPage:
    """A tab that shows the session's answer."""
    page = open_page(server, f"/?session={session}", **how)
    page.page.locator(".answer button.cite, .answer p").first.wait_for()
    page.settle()
    return page


def press(page: DeskPage, number: int) -> Any:
    """Opens a citation; the view, when it shows that one."""
    page.page.locator(f".answer > :first-child button.cite[data-cite='{number}']").click()
    view = page.page.locator(".source")
    page.page.locator(f".source[aria-label^='Citation {number}:']").wait_for()
    return view


def lit(page: DeskPage) -> str:
    return "".join(page.page.locator(".source .row > .lit").all_inner_texts())


def in_sight(page: DeskPage, selector: str) -> bool:
    """Whether something lies within the part of the source that is seen."""
    return bool(
        page.page.evaluate(
            """(selector) => {
              const frame = document.querySelector('.source .body').getBoundingClientRect()
              const shown = document.querySelector(selector).getBoundingClientRect()
              return shown.top >= frame.top && shown.bottom <= frame.bottom + 1 && shown.height > 0
            }""",
            selector,
        )
    )


def test_a_citation_in_code(page: DeskPage) -> None:
    view = press(page, 1)
    assert "def row_70" in lit(page) and "return trees * 70" in lit(page)
    assert [row.get_attribute("data-line") for row in view.locator(".row.lit").all()] == ["277", "278", "279"]
    assert in_sight(page, ".source .row.lit")
    assert view.locator(".row.lit .k").count() >= 2, "syntax colours"
    assert "verified" in view.inner_text() and "lines 277–279" in view.locator(".where").inner_text()
    assert page.page.locator(".st-key-panel").is_hidden() and page.page.locator(".st-key-turn-0 .answer").is_visible()


def test_a_citation_in_a_pdf(page: DeskPage, cited: list[Citation]) -> None:
    left, top, _, bottom = cited[1].box or (0.0, 0.0, 0.0, 0.0)
    assert 0.11 < left < 0.13 and 0.14 < top < bottom < 0.17, "as the words were found on the page"
    view = press(page, 2)
    box = view.locator(".sheet .box")
    box.wait_for()
    until(lambda: page.page.evaluate("document.querySelector('.source img').naturalWidth > 0"))
    paper, frame = (found.bounding_box() for found in (view.locator(".sheet"), box))
    assert (
        abs(frame["x"] - paper["x"] - left * paper["width"]) < 2
        and abs(frame["height"] - (bottom - top) * paper["height"]) < 2
    )
    assert "Page 2 of 3" in view.inner_text()
    view.get_by_role("button", name="Next page").click()
    view.get_by_text("Page 3 of 3").wait_for()
    assert not box.count()
    view.get_by_role("button", name="Text", exact=True).click()
    view.locator(".rows").wait_for()
    page.page.wait_for_function("() => document.querySelector('.source .row > .lit')?.innerText.includes('702 euros')")


def test_a_passage_over_two_pages_has_a_box_on_both(
    server: Server, store: Store, sources: dict[str, Source], open_page: Open
) -> None:
    lease = sources[_paths(sources)[1]]
    data = lease.text.encode()
    start, end = data.rindex(b"More words.", 0, data.index(b"[page 2]")), data.index(b"The rent of month 2")
    place = Place(0, start, end - 1)
    across = Places([lease], box_of=box_of).citation(place, statement=_span(RENT), places=1)
    page = show(open_page, server, keep(store, sources, [across]))
    view = press(page, 1)
    assert "pages 1–2" in view.locator(".where").inner_text()
    first = view.locator(".sheet .box").bounding_box()
    view.get_by_role("button", name="Next page").click()
    view.get_by_text("Page 2 of 3").wait_for()
    second = view.locator(".sheet .box").bounding_box()
    sheet = view.locator(".sheet").bounding_box()
    assert first and second and sheet and second["y"] - sheet["y"] < 0.2 * sheet["height"] < first["y"] - sheet["y"]


def test_code_in_the_list_stands_as_in_its_source(
    server: Server, store: Store, sources: dict[str, Source], open_page: Open
) -> None:
    code = "    # row 70\n    return trees * 70"
    cited = quoting(ANSWER, RENT, sources[_paths(sources)[0]], code)
    page = show(open_page, server, keep(store, sources, [cited]))
    words = page.page.locator(".citations .cited .words")
    assert words.evaluate("element => element.innerText") == code


def test_a_citation_in_a_notebook(page: DeskPage) -> None:
    view = press(page, 3)
    assert lit(page) == "total_10 = sum(range(10))"
    cell = view.locator(".row.cell").all_inner_texts()
    assert cell[0] == "[cell 10, code]" and "print(total_10)" in cell
    assert not any("cell 11" in row for row in cell)


def test_a_citation_of_an_image(page: DeskPage) -> None:
    view = press(page, 4)
    view.locator(".sheet.tiled .box").wait_for()
    n_tiles, n_lit = view.locator(".tile").count(), view.locator(".tile.lit").count()
    assert 0 < n_lit < n_tiles and "tokens" in view.locator(".cost").inner_text()


def test_altered_words_are_shown_with_the_difference(page: DeskPage) -> None:
    view = press(page, 5)
    assert view.locator(".difference del").inner_text() == "80"
    assert view.locator(".difference ins").inner_text() == "89"
    assert "altered" in view.locator(".about").inner_text()


def test_a_statement_without_words_leads_to_its_line_in_the_list(page: DeskPage) -> None:
    page.page.locator(".answer button.cite.missing").click()
    focused = page.page.evaluate("document.activeElement.innerText")
    assert "No words found that show this" in focused and "missing" in focused
    assert not page.page.locator(".source").count()


def test_by_keyboard_alone(page: DeskPage) -> None:
    keys, active = page.page.keyboard, "document.activeElement"
    page.page.locator(".answer button.cite").first.evaluate("(one) => one.parentElement.setAttribute('tabindex', '-1')")
    page.page.locator(".answer p").first.evaluate("(one) => { one.tabIndex = -1; one.focus() }")
    keys.press("Tab")
    assert page.page.evaluate(f"{active}.dataset.cite") == "1"
    keys.press("Enter")
    page.page.locator(".source[aria-label^='Citation 1:']").wait_for()
    until(lambda: page.page.evaluate(f"{active}.className") == "source")
    keys.press("Tab")
    while page.page.evaluate(f"{active}.getAttribute('aria-label')") != "Next citation":
        keys.press("Tab")
    keys.press("Enter")
    page.page.locator(".source[aria-label^='Citation 2:']").wait_for()
    keys.press("Escape")
    page.page.locator(".source").wait_for(state="detached")
    until(lambda: page.page.evaluate(f"{active}.dataset.cite") == "2")
    assert page.page.locator(".st-key-panel").is_visible()


def test_what_is_copied_has_no_buttons_in_it(page: DeskPage) -> None:
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    paragraph = page.page.locator(".answer p").first
    selected = "(one) => { getSelection().selectAllChildren(one); return getSelection().toString() }"
    assert paragraph.evaluate(selected).strip() == "Each row is counted on its own, times its number."
    page.page.locator(".answer-foot button.copy").first.click()
    until(lambda: page.page.evaluate("navigator.clipboard.readText()") == ANSWER)


def test_two_hundred_citations(server: Server, store: Store, sources: dict[str, Source], open_page: Open) -> None:
    rows = sources[_paths(sources)[0]]
    text = "".join(f"Statement {n:03} of many holds. " for n in range(200))
    many = [
        quoting(text, f"Statement {n:03} of many holds.", rows, f"return trees * {n % 150 + 1}\n".strip())
        for n in range(200)
    ]
    page = show(open_page, server, keep(store, sources, many, text))
    assert page.page.locator(".answer > :first-child button.cite").count() == 200
    assert page.page.locator(".citations li").count() == 6
    page.page.get_by_role("button", name="Show all 200").click()
    assert page.page.locator(".citations li").count() == 200
    view = press(page, 200)
    assert "[200] of 200" in view.inner_text() and view.get_by_role("button", name="Next citation").is_disabled()
    view.get_by_role("button", name="Previous citation").click()
    page.page.locator(".source[aria-label^='Citation 199:']").wait_for()


def test_nothing_that_is_quoted_acts(server: Server, store: Store, sources: dict[str, Source], open_page: Open) -> None:
    """Scripts, images and links of an answer, and of the source that it cites; and what turns a line around."""
    danger = next(each for path, each in sources.items() if path.endswith("danger.md"))
    text = "It says so.\n\n" + DANGERS
    quote = DANGERS.strip()
    page, requested = open_page(server), list[str]()
    page.page.on("request", lambda request: requested.append(request.url))
    citations = [quoting(text, "It says so.", danger, quote)]
    citations.append(replace(citations[0], statement=(0, len(text)), status=Status.ALTERED, quote=quote + "<b>x</b>"))
    page.open(f"/?session={keep(store, sources, citations, text)}")
    for number in (1, 2):
        view = press(page, number)
        assert "<script>" in view.inner_text()
    signs = view.locator(".acting").evaluate_all("(all) => all.map((one) => one.dataset.sign)")
    assert {"U+202E", "U+2066", "U+001B"} <= set(signs)
    for link in view.get_by_text("press").all():
        link.click()
    assert not view.locator("a, script, iframe").count()
    assert away(server, [url for url in requested if not url.startswith("data:image/jpeg")]) == []
    assert page.page.evaluate("window.ran") is None


def test_a_name_in_the_tree_opens_it_and_the_box_alone_checks(page: DeskPage) -> None:
    row = page.source("rows.py")
    box = row.locator("input")
    assert box.is_checked()
    name = row.locator("p").bounding_box()
    page.page.mouse.click(name["x"] + 12, name["y"] + name["height"] / 2)
    view = page.page.locator(".source[aria-label^='Source:']")
    view.wait_for()
    assert "636 lines" in view.inner_text() and view.locator(".row").first.get_attribute("data-line") == "1"
    view.get_by_role("button", name="Close the source").click()
    view.wait_for(state="detached")
    page.settle()
    assert box.is_checked()
    page.check("rows.py")
    until(lambda: not box.is_checked())
    assert not page.page.locator(".source").count()


def test_search_in_a_source(page: DeskPage) -> None:
    view = press(page, 1)
    field = view.get_by_label("Search in this source")
    field.fill("ROW_12")
    view.get_by_text("1 of 11").wait_for()  # row_12, row_120 to row_129
    field.press("Enter")
    view.get_by_text("2 of 11").wait_for()
    assert in_sight(page, ".source .row > .now")
    view.get_by_role("button", name="Previous place").click()
    view.get_by_text("1 of 11").wait_for()
    field.fill("no such words")
    view.get_by_text("not found").wait_for()


def test_a_large_source_is_sent_in_parts(page: DeskPage) -> None:
    page.page.locator(".st-key-tree [class*='st-key-open-'] button").filter(has_text="large.txt").focus()
    page.page.keyboard.press("Enter")
    view = page.page.locator(".source[aria-label^='Source:']")
    view.wait_for()
    assert 10 < view.locator(".row").count() <= 300
    view.get_by_role("button", name="Later").click()
    page.page.wait_for_function("() => Number(document.querySelector('.source .row').dataset.line) > 200")
    line = view.get_by_label("Line")
    line.fill("29000")
    line.press("Enter")
    view.locator(".row.here[data-line='29000']").wait_for()
    assert in_sight(page, ".source .row.here")
    line = view.get_by_label("Line")
    line.fill("30001")
    line.press("Enter")
    view.locator(".row.here[data-line='30001']").wait_for()
    assert view.locator(".row").count() <= 300


def test_a_passage_is_asked_about(page: DeskPage) -> None:
    view = press(page, 1)
    page.page.get_by_test_id("stChatInputTextArea").fill("Why?")
    page.page.evaluate(
        """() => {
          const rows = document.querySelectorAll('.source .row.lit')
          getSelection().setBaseAndExtent(rows[1], 0, rows[2], rows[2].childNodes.length)
        }"""
    )
    view.locator(".ask-here").click()
    wanted = "Why?\n\n> orchard/src/rows.py:278–279\n>     # row 70\n>     return trees * 70\n\n"
    box = page.page.get_by_test_id("stChatInputTextArea")
    path = page.page.locator(".source .name").get_attribute("title")
    assert box.input_value() == wanted.replace("orchard/src/rows.py", path)


def test_opening_while_another_answer_streams(
    server: Server, store: Store, sources: dict[str, Source], cited: list[Citation], open_page: Open
) -> None:
    small = {path: each for path, each in sources.items() if path.endswith(("rows.py",))}
    session = keep(store, small, cited[:1])
    page = show(open_page, server, session)
    page.ask("Go on.")
    press(page, 1)
    page.wait_for_end(1)
    assert "def row_70" in lit(page)
    page.settle()
    assert store.turns.of(session)[1].stop in ("end", "length")


def test_how_it_looks(
    server: Server, store: Store, sources: dict[str, Source], cited: list[Citation], open_page: Open
) -> None:
    session = keep(store, sources, cited)
    for name, how in {"light": {}, "dark": {"dark": True}, "phone": {"size": (390, 844)}}.items():
        page = show(open_page, server, session, **how)
        page.shoot(f"viewer-answer-{name}")
        for number in range(1, 6):
            press(page, number)
            page.page.wait_for_timeout(400)
            page.settle()
            page.shoot(f"viewer-{number}-{name}")
            if name == "phone":
                page.page.keyboard.press("Escape")
                page.page.locator(".source").wait_for(state="detached")
