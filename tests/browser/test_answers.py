"""In a real browser: what a model wrote is shown as it was written, copied to the byte, and makes no request."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from storage.leases import Lease
from storage.records import Outcome
from storage.store import Store
from tests.app.answers.generated import TRICKS, answer, trick
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.patience import until

Open = Callable[..., DeskPage]

RICH = """# The lock

`crate::lock::Mutex` is taken in **core.py:100:12** -> then released -- see :red[this] and :material/lock:.

```python
def baskets(apples: int) -> int:
    return -(-apples // 40)  # a long comment, so that this line has to be scrolled sideways, and not the whole page
```

- [ ] write the test
- [x] read *tariff.py*
  1. one, [with a link](https://docs.example.org/a_b)

| Year | Trees | Price | Note |
|-----:|:-----:|------:|------|
| 2024 | 1,200 | 12.50 € | `x::y` |

The area is \\(A = \\pi r^2\\), or $x_i^2 \\le 4$; from $5 to $6.

$$
\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}
$$

> שלום עולם, זה טקסט בעברית עם `code`.

- פריט ראשון
- פריט שני

![A chart](http://203.0.113.7/p.png) and <b>bold</b>
"""


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[Store]:
    """The page's own store: what stands in it, a model has sampled."""
    with Store(server.home) as opened:
        yield opened


@pytest.fixture
def requested(browser: Any) -> list[str]:
    """Every address that any tab of the test asks for."""
    return []


def keep(store: Store, answers: Sequence[str], question: str = "What is it?") -> str:
    """A session with these answers."""
    session = store.sessions.create(title="answers", model="m").id
    with store.leases.acquire(session) as lease:
        for text in answers:
            store.turns.finish(store.turns.begin(lease, question=question).id, Outcome(text=text, stop="end"))
    return session


def show(page: DeskPage, session: str, n_answers: int) -> None:
    page.open(f"/?session={session}")
    page.page.locator(".answer").nth(n_answers - 1).wait_for()
    page.settle()


def watch(page: DeskPage, requested: list[str]) -> None:
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.page.on("request", lambda request: requested.append(request.url))


def away(server: Server, requested: Sequence[str]) -> list[str]:
    """The addresses that are not the page's own; Streamlit's icons are data."""
    own = (server.url, f"blob:{server.url}", server.url.replace("http", "ws"), "data:image/svg+xml")
    return [url for url in requested if not url.startswith(own)]


def copied(page: DeskPage, button: Any) -> str:
    """What the clipboard holds after a click."""
    page.page.evaluate("navigator.clipboard.writeText('nothing')")
    button.focus()
    page.page.keyboard.press("Enter")
    read = "navigator.clipboard.readText()"
    until(lambda: page.page.evaluate(read) != "nothing", every_s=0.02)
    return str(page.page.evaluate(read))


ODD = [
    "a\r\nb\r",
    "```\r\ncrlf\r\n\r\n```\n\n",
    "\n\n  x\n",
    "tab\tand\0nul",
    RICH,
    "```py\nopen",
    "\ufeffx\u200b\u2060",
]


def test_what_is_copied_is_what_was_sampled(server: Server, store: Store, open_page: Open) -> None:
    """300 generated answers, and some that are odd."""
    generated = [answer(random.Random(seed), n_pieces=6) for seed in range(300)]
    page, requested = open_page(server), list[str]()
    watch(page, requested)
    for wanted in (ODD, *(generated[at : at + 50] for at in range(0, 300, 50))):
        show(page, keep(store, wanted), len(wanted))
        buttons = page.page.locator(".answer-foot button.copy")
        assert [copied(page, buttons.nth(at)) for at in range(len(wanted))] == wanted
    assert away(server, requested) == []


def test_what_is_copied_of_a_code_block(server: Server, store: Store, open_page: Open) -> None:
    page = open_page(server)
    watch(page, [])
    text = (
        "1. a\r\n   ```py\r\n   x = 1\r\n   \r\n   y -> :red[x]\r\n   ```\r\n\r\n"
        "```\n$a\t\\(b\\)  \n\n```\n\n> ~~~\n> q\n> ~~~\n\n```\nopen"
    )
    show(page, keep(store, [text]), 1)
    codes = page.page.locator(".answer .code button.copy")
    assert [copied(page, codes.nth(at)) for at in range(codes.count())] == [
        "x = 1\r\n\r\ny -> :red[x]\r\n",
        "$a\t\\(b\\)  \n\n",
        "q\n",
        "open",
    ]


def test_what_is_selected_has_formulas_as_they_were_written(server: Server, store: Store, open_page: Open) -> None:
    page = open_page(server)
    watch(page, [])
    show(page, keep(store, ["Area \\(A = \\pi r^2\\) and $x_i$, no more.\n\n$$\nx^2\n$$\n\n```py\nx\n```"]), 1)
    page.page.evaluate("getSelection().selectAllChildren(document.querySelector('.answer'))")
    page.page.keyboard.press("Control+c")
    text = page.page.evaluate("navigator.clipboard.readText()")
    assert " ".join(text.split()) == "Area \\(A = \\pi r^2\\) and $x_i$, no more. $$ x^2 $$ x"
    assert page.page.locator(".answer math").count() == 3


def test_without_a_clipboard_the_older_way_copies(server: Server, store: Store, open_page: Open) -> None:
    page = open_page(server)
    watch(page, [])
    show(page, keep(store, ["a\r\nb \\(x\\)\n"]), 1)
    page.page.evaluate("() => {navigator.clipboard.writeText = () => Promise.reject(new Error('not here'))}")
    page.page.locator(".answer-foot button.copy").click()
    page.page.locator("button.copied").wait_for()
    assert page.page.evaluate("navigator.clipboard.readText()") == "a\r\nb \\(x\\)\n"


def test_no_answer_makes_a_request(server: Server, store: Store, open_page: Open) -> None:
    """Every trick by itself, and 250 that are put together at random; on the page, in its list, while it streams."""
    requested: list[str] = []
    chance = random.Random(12)
    tricks = [*TRICKS, *(trick(chance) for _ in range(250))]
    answers = ["\n\n".join(tricks[at : at + 12]) for at in range(0, len(tricks), 12)] + tricks[:30]
    page = open_page(server)
    watch(page, requested)
    show(
        page,
        session := keep(store, answers, question="![q](http://203.0.113.7/q) <img src=//203.0.113.7/q2>"),
        len(answers),
    )
    store.sessions.rename(session, "![t](http://203.0.113.7/t) <img src=//203.0.113.7/t2> www.example.org")
    page.page.goto(f"{server.url}/sessions")
    page.page.locator(".st-key-history p").first.wait_for()
    page.open(f"/?session={session}")
    page.page.locator(".answer").nth(len(answers) - 1).wait_for()
    page.page.wait_for_timeout(500)
    assert away(server, requested) == []
    assert (
        page.page.locator(
            ".answer :is(img, iframe, svg, style, script, object, embed, video, audio, form, link, base)"
        ).count()
        == 0
    )
    assert page.page.locator(".question :is(img, a)").count() == 0
    targets = page.page.evaluate(
        "[...document.querySelectorAll('.answer a')].map((a) => [a.protocol, a.target, a.rel])"
    )
    assert {tuple(target) for target in targets} <= {
        (scheme, "_blank", "noopener noreferrer nofollow") for scheme in ("http:", "https:", "mailto:")
    }
    assert page.page.evaluate("document.querySelector('meta[http-equiv=x-dns-prefetch-control]').content") == "off"


def test_the_second_lock(server: Server, store: Store, open_page: Open) -> None:
    """Whatever HTML came to the browser, what is not on the list is text."""
    page = open_page(server)
    requested: list[str] = []
    watch(page, requested)
    show(page, keep(store, ["x"]), 1)
    page.page.evaluate(
        """async (script) => {
          const url = URL.createObjectURL(new Blob([script], {type: 'text/javascript'}));
          const draw = (await import(url)).default;
          const html = '<p onclick="x()" style="background:url(http://203.0.113.7/a)">a<img src="http://203.0.113.7/b">'
            + '<a href="javascript:alert(1)">c</a><svg><image href="http://203.0.113.7/d"/></svg></p>';
          const parentElement = document.body.appendChild(document.createElement('div'));
          draw({data: {text: '', blocks: [[html, []]]}, parentElement});
        }""",
        (Path(__file__).parents[2] / "app" / "parts" / "answer.js").read_text(),
    )
    last = page.page.locator(".answer").last
    assert "<img" in last.inner_text() and "<svg" in last.inner_text()
    assert last.locator("img, svg, [style], [onclick], a[href]").count() == 0
    assert not [url for url in requested if "203.0.113.7" in url]


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    session = store.sessions.create(title="streaming", model="m").id
    with store.leases.acquire(session) as held:
        yield held


def test_nothing_jumps_while_text_streams(server: Server, store: Store, open_page: Open, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="Why?")
    store.turns.set_progress(turn.id, done=10, total=10, reused=0)
    begun = "First.\n\n```python\nx = 1\n"
    store.turns.append_text(turn.id, begun)
    page = open_page(server)
    show(page, lease.session_id, 1)
    page.page.locator(".answer pre").wait_for()
    page.page.evaluate(
        """() => {
          window.first = document.querySelector('.answer p');
          window.code = document.querySelector('.answer pre');
          getSelection().selectAllChildren(first);
          window.heights = [];
          const look = () => {
            heights.push(document.querySelector('.answer')?.scrollHeight ?? 0);
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    text = begun
    for piece in (
        "y = [2]\n" * 8,
        "``",
        "`\n\nThen *what",
        " follows*:\n\n-",
        " one\n- two\n\nA",
        " word\n--",
        "-\n\nEnd.\n",
    ):
        text += piece
        store.turns.append_text(turn.id, text)
        page.page.wait_for_timeout(700)
        assert page.page.locator(".answer figure.code").count() == 1
        assert page.page.locator(".answer h4").count() == (text.endswith("End.\n")), "a line of signs is held back"
        assert page.page.evaluate("first.isConnected && code.isConnected && getSelection().toString()") == "First."
    store.turns.finish(turn.id, Outcome(text=text, stop="end"))
    page.wait_for_end(0)
    page.settle()
    assert page.page.evaluate("first.isConnected && code.isConnected"), "what was drawn while it streamed stays"
    heights = page.page.evaluate("heights")
    assert len(heights) > 20 and all(before <= after for before, after in zip(heights, heights[1:], strict=False)), (
        heights
    )
    assert page.page.locator(".answer pre").inner_text() == "x = 1\n" + "y = [2]\n" * 8


def test_a_session_opens_at_its_end(server: Server, store: Store, open_page: Open) -> None:
    page = open_page(server)
    show(page, keep(store, [RICH] * 6), 6)
    page.page.wait_for_function(
        "() => document.querySelector('.st-key-turn-5').getBoundingClientRect().bottom <= innerHeight"
    )


@pytest.mark.parametrize(
    ("name", "size", "dark"),
    [("light", (1280, 1900), False), ("dark", (1280, 1900), True), ("phone", (390, 1900), False)],
)
def test_how_it_looks(
    server: Server, store: Store, open_page: Open, name: str, size: tuple[int, int], dark: bool
) -> None:
    """Pictures for people; what is wider than the window would have to be scrolled sideways."""
    page = open_page(server, size=size, dark=dark)
    show(page, keep(store, [RICH], question="Why is `a -> b` so?\n\n  :red[x]"), 1)
    page.shoot(f"answer-{name}")
    assert not page.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth > innerWidth")
    directions = (
        "[...document.querySelectorAll('.answer > div > div > *')].map((node) => getComputedStyle(node).direction)"
    )
    assert page.page.evaluate(directions).count("rtl") == 2
    shown = page.page.locator(".answer").inner_text()
    for piece in (
        "crate::lock::Mutex",
        "core.py:100:12 -> then released -- see :red[this] and :material/lock:.",
        "<b>bold</b>",
    ):
        assert piece in shown
    assert page.page.locator(".question").inner_text() == "Why is `a -> b` so?\n\n  :red[x]"
