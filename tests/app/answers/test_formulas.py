"""Formulas: where they begin and end, what is drawn, and that whatever a model writes stays harmless."""

import random
import re

import pytest

from app.answers.formulas import MOST_TEX, mathml
from app.answers.markup import blocks_of

DRAWN = [r"x^2", r"\frac{a}{b}", r"\sum_{i=1}^{n} x_i", r"\sqrt[3]{x}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"]
DRAWN += [r"\mathbf{A}\vec{v} \le \lVert x \rVert", r"\text{if } x < 0", r"\left( \frac{1}{2} \right)", r"a & b"]


def formulas(text: str) -> list[str]:
    """The sources of the formulas that are drawn, with their marks."""
    html = "".join(block.html for block in blocks_of(text))
    return [
        found.replace("&lt;", "<").replace("&amp;", "&")
        for found in re.findall(r'class="tex"[^>]*>(.*?)</span>', html, re.DOTALL)
    ]


@pytest.mark.parametrize("tex", DRAWN)
def test_what_is_drawn_keeps_its_source(tex: str) -> None:
    for text in (
        f"a \\({tex}\\) b",
        f"a ${tex}$ b",
        f"$${tex}$$",
        f"\\[ {tex} \\]",
        f"$$\n{tex}\n$$",
        f"- a\n\n  \\[\n  {tex}\n  \\]",
    ):
        assert len(formulas(text)) == 1 and tex in formulas(text)[0], text


@pytest.mark.parametrize(
    "text",
    [
        "from $5 to $6",
        "$5-$6 a piece",
        "US$5 and US$6",
        "$HOME/$USER",
        "$ x $",
        "$5 or maybe 6$",
        "`$x$`",
        "\\$x\\$",
        "$x",
        "$$",
        "\\(x",
        "[a]\\(b\\)",
        "$x$y",
        "a$x$",
        "\\[1\\] and \\[2\\]",
        "$\n$",
        "```\n$x$\n```",
        "$$ x\n\ny $$ z",
    ],
)
def test_what_is_no_formula(text: str) -> None:
    assert formulas(text) == []


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{",
        "a^b^c",
        "{" * 3_000,
        "x" * (MOST_TEX + 1),
        r"\def\a{xx}\a",
        r"\newcommand{\a}{\b\b}\a",
        r"\href{http://x.y}{z}",
        r"\left(",
    ],
)
def test_what_cannot_be_drawn_is_shown_as_it_was_written(tex: str) -> None:
    assert mathml(tex, display=True) is None
    html = "".join(block.html for block in blocks_of(f"\\({tex[:900]}\\)"))
    assert "<math" not in html or len(tex) > 900
    if len(tex) < 900:
        assert tex.replace("&", "&amp;") in html


@pytest.mark.parametrize(
    "tex",
    [
        r"\text{<img src=x>}",
        r"\style{background:url(x)}{y}",
        r"\color{red}{x}",
        r"\rule{9em}{9999em}",
        r"\text{&#60;b&#62;}",
        r"\class{a}{b}",
        r"\text{</math><script>}",
        r"\hspace{99999em}",
        r"\unicode{x3c}",
        r"\mathop{<b>}",
        r"\operatorname{<i>}",
    ],
)
def test_what_is_drawn_is_mathml_and_nothing_else(tex: str) -> None:
    drawn = mathml(tex, display=False) or "<math></math>"
    assert set(re.findall(r"<(\w+)", drawn)) <= {"math", "mrow", "mtext", "mi", "mo", "mn", "mstyle", "mspace"}
    for name, value in re.findall(r' (\w+)="([^"]*)"', re.sub(r' alttext="[^"]*"', "", drawn)):
        assert name not in ("style", "class", "href", "id") and not re.search(r"\d{3}|url|:", value), (name, value)


def test_random_tex_raises_nothing() -> None:
    chance = random.Random(5)
    pieces = [
        *DRAWN,
        "{",
        "}",
        "^",
        "_",
        "&",
        "\\\\",
        r"\begin{align}",
        r"\end{align}",
        r"\left",
        r"\right",
        r"\limits",
        "<",
        r"\not",
        "'",
    ]
    pieces += [
        r"\substack",
        r"\overset",
        r"\sqrt",
        "[",
        "]",
        r"\text{",
        "%",
        "#",
        "~",
        r"\phantom",
        r"\hline",
        r"\middle|",
        "\0",
        "é",
        r"\color",
    ]
    for _ in range(2_000):
        mathml("".join(chance.choices(pieces, k=chance.randint(1, 9))), display=chance.random() < 0.5)


def test_no_number_is_put_to_an_equation() -> None:
    drawn = mathml(r"\begin{align}a&=b\\c&=d\end{align}", display=True)
    assert drawn is not None and "(1)" not in drawn


def test_an_open_formula_on_lines_of_its_own_is_shown_as_tex() -> None:
    (block,) = blocks_of("$$\nx^2 +")
    assert block.html == '<div class="formula display" dir="ltr"><code>$$\nx^2 +</code></div>'
