"""What the page lets through to the browser's Markdown, and what it does not."""

import re
from datetime import UTC, datetime

import pytest

from app.markdown import plain, safe_markdown, when

# What CommonMark and GFM take for an image; a tag is escaped by Streamlit itself.
IMAGES = [
    "![a](http://x.test/a.png)",
    "![](//x.test)",
    "before![a](http://x.test)after",
    "![a [b] c](http://x.test)",
    "![`]`](http://x.test)",
    "![a\nb](<http://x.test>)",
    "![a](\nhttp://x.test)",
    "<div>\n```\n\n![a](http://x.test)",
    "- ```\n![a](http://x.test)",
    "~~~ \n~~~\n![a](http://x.test)",
]


@pytest.mark.parametrize("text", IMAGES)
def test_no_image_is_left(text: str) -> None:
    assert not re.search(r"!\[(?:[^\n]|\n(?!\s*\n))*?\]\(", safe_markdown(text))


@pytest.mark.parametrize("text", ["![a][b]\n\n[b]: http://x.test", "![b]\n\n> [b]: http://x.test", "![b]\n[b\n]: /x"])
def test_no_reference_is_left_for_an_image(text: str) -> None:
    assert "]:" not in safe_markdown(text)


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nSome *text* with [a link](https://x.test) and `code`.",
        '```rust\nlet a = vec![1, 2];\nprintln!["{}"];\n```',
        "Use `a[0]:` and `f(x)[1](y)`.",
        "```python\nif a[0]:\n    print(f'{b[1]:>3}')\n```",
        "Wow!\n\n[1] says so.",
    ],
)
def test_what_is_no_image_stays_as_it_is(text: str) -> None:
    assert safe_markdown(text) == text


def test_sums_of_money_are_no_formulas() -> None:
    assert safe_markdown("from $5 to $6") == r"from \$5 to \$6"
    assert safe_markdown("`$HOME` and $$x^2$$") == "`$HOME` and $$x^2$$"
    assert safe_markdown("```sh\necho $A $B\n```") == "```sh\necho $A $B\n```"


@pytest.mark.parametrize("name", ["core.py", "a/b c.txt", "my_long_name.py", "page-2.pdf", "Söhne.txt", "x (1).md"])
def test_ordinary_names_are_said_as_they_are(name: str) -> None:
    assert plain(name) == name


@pytest.mark.parametrize(
    ("name", "sign"),
    [("__init__.py", "\\_"), ("a*b*", "\\*"), ("[x](y)", "\\["), ("<b>", "\\<"), ("`x`", "\\`"), ("$a$", "\\$")],
)
def test_signs_of_markdown_are_escaped(name: str, sign: str) -> None:
    assert sign in plain(name)


@pytest.mark.parametrize("name", [":smile:", ":material/close:", ":red[x]"])
def test_no_name_becomes_an_icon_or_a_colour(name: str) -> None:
    assert not re.search(r":\w", plain(name))


@pytest.mark.parametrize("name", ["# x", "1. x", "- x", "+ x", "  = x"])
def test_no_name_becomes_a_heading_or_a_list(name: str) -> None:
    assert not re.match(r"\s*([#+\-=]|\d+[.)])", plain(name))


def test_times_in_a_list() -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert when("2026-01-31T12:00:00Z", now) == "31 Jan"
    assert when("2025-12-31T12:00:00Z", now) == "31 Dec 2025"
    assert re.fullmatch(r"\d\d:\d\d", when("2026-03-04T11:30:00Z", now))
