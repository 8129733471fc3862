"""Names and titles as Streamlit's Markdown takes them; what a browser makes of it: tests/browser/test_names.py."""

import re
from datetime import UTC, datetime

import pytest

from app.markdown import code, literal_html, plain, when


@pytest.mark.parametrize(
    "name", ["core.py", "a/b c.txt", "1.png", "my_long_name.py", "page-2.pdf", "Söhne.txt", "x (1).md"]
)
def test_ordinary_names_are_said_as_they_are(name: str) -> None:
    assert plain(name) == name


@pytest.mark.parametrize(
    ("name", "sign"),
    [("__init__.py", "\\_"), ("a*b*", "\\*"), ("[x](y)", "\\["), ("<b>", "\\<"), ("`x`", "\\`"), ("$a$", "\\$")],
)
def test_signs_of_markdown_are_escaped(name: str, sign: str) -> None:
    assert sign in plain(name)


@pytest.mark.parametrize(
    ("name", "markdown"),
    [
        (":red[x]", "\\:red\\[x\\]"),
        (":smile:", "\\:smile\\:"),
        ("a:100:12", "a:100\\:12"),
        ("::name:", "\\:\\:name\\:"),
        (":material/close:", ":color[\\:]material/close:"),
        ("a -> b", "a :color[-]\\> b"),
        ("a->b", "a-\\>b"),
        ("x@y.z", "x:color[@]y.z"),
        ("www.a.b", "www:color[.]a.b"),
        ("http://a.b", "http:color[:]//a.b"),
        ("1. x", "1\\. x"),
        ("# x", "\\# x"),
        ("a: b", "a: b"),
        ("12:30", "12:30"),
        ("1.png", "1.png"),
        ("-x.py", "-x.py"),
        ("#1 of 2", "#1 of 2"),
    ],
)
def test_what_streamlit_would_change_is_escaped(name: str, markdown: str) -> None:
    assert plain(name) == markdown


@pytest.mark.parametrize("name", ["# x", "1. x", "- x", "+ x", "  ===", "---", "#", "1)", "    x"])
def test_no_name_becomes_a_heading_a_list_or_code(name: str) -> None:
    assert not re.match(r"\s*([#+\-=]|\d+[.)])|    ", plain(name))


@pytest.mark.parametrize("name", [":red[x] a -> b", "x@y.z", "__init__.py", "1. x", "a:100:12"])
def test_nothing_that_cannot_be_seen_is_added(name: str) -> None:
    assert plain(name).isprintable() and plain(name).isascii()


@pytest.mark.parametrize(
    ("text", "markdown"), [("a b", "`a b`"), ("a `b` c", "``a `b` c``"), ("`", "`` ` ``"), ("", "``")]
)
def test_a_command_as_code(text: str, markdown: str) -> None:
    assert code(text) == markdown


def test_what_no_message_can_hold_is_replaced() -> None:
    assert plain("a\0\udce4") == literal_html("a\0\udce4") == "a\ufffd\ufffd"


def test_a_text_as_html_is_one_line() -> None:
    assert literal_html("a <b>\n   \n\r\nc") == "a &lt;b&gt;&#10;   &#10;&#13;&#10;c"


def test_times_in_a_list() -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert when("2026-01-31T12:00:00Z", now) == "31 Jan"
    assert when("2025-12-31T12:00:00Z", now) == "31 Dec 2025"
    assert re.fullmatch(r"\d\d:\d\d", when("2026-03-04T11:30:00Z", now))
