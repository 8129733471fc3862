"""In a real browser: names, titles and questions are shown as they were written, wherever Streamlit takes Markdown."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.server import free_port
from tests.offline import offline
from tests.patience import PATIENCE_S, until

PAGE = Path(__file__).with_name("names_page.py")

NAMES = [
    ":red[x]",
    ":red-background[x] :small[y]",
    ":material/lock:",
    "x :material_lock: y",
    ":streamlit:",
    "core.py:100:12",
    "a:100:b :+1: :smile:",
    "crate::lock::Mutex",
    "::name:",
    ":::note",
    "::name[x]{y=z}",
    "a->b",
    "a -> b",
    "->",
    "a <- b <-> c",
    "a -- b --- c",
    "--",
    "a >= b <= c ~= d",
    ">=",
    "x@y.z",
    "mail x.y+z@a-b.cd now -> then",
    "www.a.b",
    "see www.example.org/x_y and WWW.Example.org.",
    "http://a.b/c",
    "HTTPS://a.b/c?d=e&f#g",
    ":x@y.z{a=b}",
    "@:@x.y",
    "**b** *i* __init__.py _x_ a_b_c",
    "~~s~~ ~ ~~~",
    "$x$ and $$y$$ $5 to $6",
    "[a](b) [a] [^1] ![a](b)",
    "`x` ``y`` ```z",
    "<b>b</b> <!-- c --> <x@y.z> <http://a.b>",
    "&lt; &amp; &#58;",
    "# heading",
    "#",
    "1. one",
    "1.png",
    "#1 of 2",
    "-x.py",
    "- - -",
    "1)",
    "- item",
    "+ item",
    "* item",
    "> quote",
    "=== ---",
    "---",
    "| a | b |",
    "    four blanks",
    "\\*not\\* \\(x\\)",
    "{a} :color[x]{foreground=red}",
    "קובץ: שלום.txt",
    "ملف (1) - نسخة.pdf",
    "a\u202eb.exe",
    "日本語の名前：表.txt",
    "100% :100: -- www. @ x",
    ":color[x]",
    "a:b",
    "C:\\Users\\x -> D:\\y",
]


@pytest.fixture(scope="module")
def shown(browser: Any) -> Iterator[Any]:
    """The page, drawn to its end."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(PAGE), "--server.port", str(port), "--server.headless", "true"],
        env=offline({**os.environ, "NAMES": json.dumps(NAMES), "PYTHONPATH": str(PAGE.parents[2])}),
        cwd=PAGE.parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def serves() -> bool:
        try:
            return bool(urllib.request.urlopen(f"{url}/_stcore/health", timeout=PATIENCE_S).status == 200)
        except (urllib.error.URLError, OSError):
            return False

    context = browser.new_context()
    try:
        until(serves, every_s=0.2)
        page = context.new_page()
        page.set_default_timeout(1_000 * PATIENCE_S)
        page.goto(url)
        page.locator(".drawn").wait_for(state="attached")
        page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
        yield page
    finally:
        context.close()
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(shown: Any, name: str) -> None:
    row = shown.locator(f".st-key-name-{NAMES.index(name)}")
    words = " ".join(name.split())  # blanks are one blank, as everywhere in HTML
    places = {
        "button": row.locator("button p").first,
        "caption": row.locator("[data-testid=stCaptionContainer]").first,
        "error": row.get_by_test_id("stAlertContentError").first,
        "expander": row.locator("summary p").first,
        "bold": row.locator("[data-testid=stMarkdown] strong").first,
        "small": row.locator("[data-testid=stMarkdown] strong ~ span").first,
        "question": row.locator(".question"),
        "box": row.locator(".stCheckbox p").first,
    }
    found = {place: " ".join(one.evaluate("node => node.textContent").split()) for place, one in places.items()}
    wanted = {**dict.fromkeys(places, words), "small": f"3 Mar · {words}", "box": f"{words} 1,024"}
    assert found == wanted
    assert (
        row.locator("a, img, code, em em, del, mark, .katex, [role=img][translate=no], .stMarkdownColoredText").count()
        == 0
    )
