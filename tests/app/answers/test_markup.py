"""Answers as HTML: what was written is shown, nothing is fetched, copies are exact, and long ones take no longer."""

import random
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser

import pytest

from app.answers.markup import Block, Growing, blocks_of
from tests.app.answers.generated import ADDRESS, TRICKS, answer, trick
from tests.work import calls

SEEDS = range(300)
# What answer.js lets through, by tag; of MathML, all that formulas.py knows.
ATTRIBUTES = {
    "a": {"href", "target", "rel", "data-to", "title"},
    "button": {"type", "class", "data-code", "aria-label"},
    "code": {"dir"},
    "div": {"class", "role", "aria-label", "tabindex", "dir"},
    "input": {"type", "disabled", "checked"},
    "label": {"class"},
    "ol": {"dir", "start"},
    "pre": {"tabindex"},
    "span": {"class", "dir", "aria-hidden"},
    **dict.fromkeys(("td", "th"), {"class"}),
    **dict.fromkeys(("p", "figure"), {"class", "dir"}),
    **dict.fromkeys(("h3", "h4", "h5", "h6", "ul", "blockquote", "table"), {"dir"}),
    **dict.fromkeys(("figcaption", "li", "hr", "br", "em", "strong", "s", "thead", "tbody", "tr"), set()),
}


class Seen(HTMLParser):
    """The tags of some HTML, its text, and the words that stand in its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "hr", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def attributes(self) -> str:
        return " ".join(value or "" for _, attributes in self.tags for value in attributes.values())


def html_of(text: str) -> str:
    return "".join(block.html for block in blocks_of(text))


def text_of(text: str) -> str:
    return Seen(html_of(text)).text


def generated() -> Iterator[str]:
    for seed in SEEDS:
        chance = random.Random(seed)
        yield answer(chance) if seed % 3 else trick(chance)


def assert_harmless(text: str) -> None:
    """Only tags and attributes that are known, all closed; links lead where links may lead; nothing has a source."""
    seen = Seen(html_of(text))
    assert not seen.open
    in_math = {
        "math",
        "menclose",
        "mstyle",
        "mspace",
        "mpadded",
        "mtable",
        "mtd",
        "mtr",
        "mo",
        "mi",
        "mn",
        "mrow",
        "mtext",
    }
    for tag, attributes in seen.tags:
        if tag in ATTRIBUTES:
            assert attributes.keys() <= ATTRIBUTES[tag], (tag, attributes)
        else:
            assert tag in in_math or re.fullmatch(r"m(frac|sub|sup|subsup|sqrt|root|over|under|underover)", tag), tag
            assert (
                not attributes.keys() & {"href", "src", "style", "class", "id", "xlink:href"}
                and "onload" not in attributes
            )
        if tag == "a":
            assert re.match(r"(https?://|mailto:)", attributes["href"] or "", re.IGNORECASE), attributes
            assert (attributes["target"], attributes["rel"]) == ("_blank", "noopener noreferrer nofollow")


@pytest.mark.parametrize("text", TRICKS)
def test_no_trick_is_more_than_text(text: str) -> None:
    assert_harmless(text)


def test_no_generated_answer_is_more_than_text() -> None:
    for text in generated():
        assert_harmless(text)


def test_no_word_is_lost() -> None:
    for text in generated():
        seen = Seen(html_of(text))
        shown = (seen.text + " " + seen.attributes).casefold()
        plain = re.sub(r"&#?\w+;", " ", text).replace("\0", "\N{REPLACEMENT CHARACTER}")
        for word in re.findall(r"[^\W\d_]{2,}", plain):
            assert word.casefold() in shown, (word, text)


@pytest.mark.parametrize(
    "text",
    [
        "crate::lock::Mutex and core.py:100:12",
        "a -> b <- c -- d >= e <= f ~= g",
        ":red[x] :small[y] :material/lock: :smile: :100: ::name:",
        "www.example.org http://example.org/x_y a@b.cd",
        "<b>bold</b> <img src=x> <!-- gone? -->",
        "[1]: core.py",
        "[^1]: a note",
        "from $5 to $6, $HOME/$USER, 5$ and 6$",
        "[a](javascript:x) [b](src/core.py) [c](data:text/html,x)",
        "C:\\Users\\name",
        "snake_case_name and 2 * 3 * 4",
    ],
)
def test_what_is_no_markdown_is_shown_as_it_stands(text: str) -> None:
    assert text_of(text) == text and "<a " not in html_of(text)


@pytest.mark.parametrize("depth", [5, 30, 500])
def test_what_lies_deep_is_shown(depth: int) -> None:
    assert "deep" in text_of(">" * depth + " deep")
    assert "deep" in text_of("\n".join("  " * at + "- a" for at in range(depth)) + " deep")
    assert text_of("[" * depth + "deep" + "](http://x.y)" * depth).count("deep") == 1


def test_cells_that_a_table_has_no_head_for_are_shown() -> None:
    text = "> | a | b |\n> |---|---|\n> | 1 | 2 | three | `four` |\n> | 5 |\n"
    assert [row.count("<td") for row in html_of(text).split("<tr>")[2:]] == [4, 2]
    assert "three" in text_of(text) and "<code" in html_of(text)


def test_headings_stand_below_those_of_the_page() -> None:
    assert re.findall(r"<(h\d)", html_of("# a\n## b\n### c\n#### d\n##### e\n###### f\n\ng\n=")) == [
        "h3",
        "h4",
        "h5",
        "h6",
        "h6",
        "h6",
        "h3",
    ]


def test_a_list_of_tasks() -> None:
    html = html_of("- [ ] to *do*\n- [x] done\n- [y] no task\n- \\[ ] none\n")
    assert html.count("<label") == html.count("</span></label>") == 2 and html.count(" checked") == 1
    assert text_of("- [ ] to *do*\n- [y] no\n") == "to do[y] no"


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("[bank](https://bank.example@evil.example/x)", "evil.example"),
        ("[https://bank.example](https://evil.example)", "evil.example"),
        ("[x](https://bücher.example)", "xn--bcher-kva.example"),
        ("[x](http:\\\\/evil)", None),
        ("[x](mailto:a@b.cd?subject=y)", "a@b.cd"),
        ("<https://example.org/a>", None),
        ("[example.org](https://example.org/a)", None),
    ],
)
def test_a_link_says_where_it_leads(text: str, to: str | None) -> None:
    links = [attributes for tag, attributes in Seen(html_of(text)).tags if tag == "a"]
    assert [link.get("data-to") for link in links] == ([to] if links else [])
    assert links or to is None


def test_an_image_is_its_words_and_its_address() -> None:
    assert text_of(f"a ![the *chart*]({ADDRESS}p.png) b") == f"a the *chart* {ADDRESS}p.png b"
    assert text_of("![x](data:image/png;base64,AAAA)") == "x data:image/png;base64,AAAA"


CODES = [
    ("```py\nx = 1\n```", "x = 1\n"),
    ("```\r\na\r\n\r\n b\r\n```\r\n", "a\r\n\r\n b\r\n"),
    ("```\na\rb\r\nc\n```", "a\rb\r\nc\n"),
    ("```\nopen", "open"),
    ("```\nopen\n", "open\n"),
    ("```\n```", ""),
    ("```\n\n```", "\n"),
    ("~~~\n```\n~~~\n", "```\n"),
    ("1. a\n   ```\n   x\n     y\n   ```\n", "x\n  y\n"),
    ("> ```\r\n> q\r\n> ```\r\n", "q\r\n"),
    ("```\n\ttab  \nnul\0\n```", "\ttab  \nnul\0\n"),
    ("    in\n\n    dented\n", "in\n\ndented\n"),
    ("a\r\n\r\n    in\r\n    dented\r\n\r\nb", "in\r\ndented\r\n"),
    ("```\n:red[x] -> \u2060 $y$ \\(z\\) &amp; \u202e\n```", ":red[x] -> \u2060 $y$ \\(z\\) &amp; \u202e\n"),
]


@pytest.mark.parametrize(("text", "code"), CODES)
def test_the_code_that_is_copied_is_what_was_sampled(text: str, code: str) -> None:
    assert [each for block in blocks_of(text) for each in block.codes] == [code]


def test_every_code_block_at_the_margin_stands_in_the_text() -> None:
    n_codes = 0
    for text in generated():
        for block in blocks_of(text):
            if block.html.startswith("<figure") and not re.search(r"(?m)^ +`", text):
                n_codes += 1
                pieces = [block.codes[0]] if "    " not in text else block.codes[0].split()
                assert all(piece in text for piece in pieces), (block.codes, text)
            assert len(block.codes) == block.html.count("data-code=")
            drawn = re.findall(r'<pre tabindex="0"><code>(.*?)</code></pre>', block.html, re.DOTALL)
            for code, shown in zip(block.codes, drawn, strict=True):
                assert unescape(shown) == re.sub(r"\r\n?", "\n", code).replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert n_codes > 50


def test_directions_are_found_block_by_block() -> None:
    html = html_of("# שלום\n\nשלום\n\n- שלום\n\n> שלום\n\n| שלום |\n|---|\n| a |\n\n```\nx\n```\n")
    for tag in ("h3", "p", "ul", "blockquote", "table"):
        assert f'<{tag} dir="auto">' in html
    assert '<figure class="code" dir="ltr">' in html


@pytest.mark.slow  # 1.7 s
def test_an_answer_that_grows_is_drawn_as_it_is_when_it_has_ended() -> None:
    for text in generated():
        growing, chance = Growing(), random.Random(text)
        ends = sorted(chance.randrange(len(text) + 1) for _ in range(12))
        for end in ends:
            shown, whole = growing.blocks(text[:end]), blocks_of(text[:end])
            assert shown == whole or is_held_back(text[:end], shown), text[:end]
        assert growing.blocks(text + "\n\nEnd.") == blocks_of(text + "\n\nEnd."), text


def is_held_back(text: str, shown: tuple[Block, ...]) -> bool:
    """Whether the last line is left away, for it is signs alone."""
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    return shown == blocks_of("".join(lines[:-1])) and not re.search(r"[^\W\d_]", lines[-1])


def test_another_answer_begins_anew() -> None:
    growing = Growing()
    growing.blocks("a\n\nb\n\nc")
    assert growing.blocks("d\n\ne") == blocks_of("d\n\ne")


@pytest.mark.parametrize(
    "signs", ["-", "--", "=", "#", "`", "``", "*", "1.", "> ", "|", "|-", "~~~", "  ", "$$", "\\["]
)
def test_what_a_line_of_signs_will_be_is_not_guessed(signs: str) -> None:
    assert Growing().blocks(f"Words\n{signs}") == blocks_of("Words\n")


def test_an_open_code_block_is_code_from_its_first_line_on() -> None:
    growing, text = Growing(), "a\n\n```py\nx = 1\ny = 2\n```\n\nb"
    for end in range(1, len(text) + 1):
        shown = growing.blocks(text[:end])
        if text[:end].count("\n") in (3, 4):
            assert shown[1].html.startswith("<figure"), text[:end]


NASTY = (
    *(
        "[",
        "![",
        "*",
        "_",
        "`",
        "``a ",
        "> ",
        ">",
        "- ",
        "1. ",
        "[a](",
        "[a](<b",
        "[a](b (c",
        "](",
        "<",
        "<a",
        "<http:",
    ),
    *(
        "&",
        "&#",
        "\\",
        "\\(",
        "$",
        "$a",
        "**a *b ",
        "*a_ ",
        "~~a",
        "|a|b\n",
        "\\[\n",
        "$$\n",
        "$$\nx\n\n",
        "- a\n",
        "#\n",
    ),
    *("a\n=\n", "<!--", "\r", "\0", "[[a]", "```\n", "[a]: b\n", "[*_`<" * 100 + "\n\n", "Plain words. " * 40 + "\n\n"),
)


@pytest.mark.slow  # 2.1 s
@pytest.mark.parametrize("piece", NASTY)
def test_work_grows_with_the_length(piece: str) -> None:
    """Twice the text, at most twice the work, and a little."""
    n_half = 4_500 // len(piece)
    half, whole = (calls(lambda text=piece * n: blocks_of.__wrapped__(text)) for n in (n_half, 2 * n_half))
    assert whole < 2.4 * half + 2_000, (half, whole)


@pytest.mark.slow  # 2.0 s
@pytest.mark.parametrize("piece", NASTY)
def test_very_long_answers_are_drawn(piece: str) -> None:
    assert blocks_of.__wrapped__(piece * (100_000 // len(piece)) + "\nEnd.")


def test_an_answer_that_grows_costs_what_is_new() -> None:
    text = "A paragraph with `code`, *signs* and words.\n\n" * 400
    growing = Growing()
    growing.blocks(text)
    assert calls(lambda: growing.blocks(text + "More.\n\nAnd more.")) * 20 < calls(lambda: Growing().blocks(text))
