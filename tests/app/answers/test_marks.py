"""Where the buttons of citations stand, and that an answer is read as it would be without them."""

import random
import re

import pytest

from app.answers.marks import Mark
from app.answers.markup import blocks_of
from tests.app.answers.generated import answer

BUTTON = re.compile(r'<button type="button" class="cite [^>]*>\d+</button>')
ANSWER = """# One head
The **bold one.** And `some code. here` ends it.
- item one
- item with [a link. in it](https://example.org/a) at its end
  ```py
  print("a. b")
  ```

| a | b |
|---|---|
| cell one. | cell \\| two. |

> quoted one.
> quoted two.

$$
x
$$

Last.  """


def placed(*words: str, text: str = ANSWER) -> str:
    """The HTML with a mark behind each of these words, shown as {number}."""
    marks = tuple(Mark(text.index(each) + len(each), number, "verified", each) for number, each in enumerate(words, 1))
    html = "".join(block.html for block in blocks_of(text, marks))
    return re.sub(r'<button type="button" class="cite [^>]*>(\d+)</button>', r"{\1}", html)


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        ("One head", "One head{1}</h3>"),
        ("bold one.", "bold one.{1}</strong>"),
        ("bold one.**", "bold one.</strong>{1} And"),
        ("some code", "some code. here</code>{1} ends"),
        ("ends it.", "ends it.{1}</p>"),
        ("item one", "item one{1}</li>"),
        ("a link. in", "a link. in it</a>{1} at"),
        ("at its end", "at its end{1}"),
        ('print("a. b")', '</figure><p class="cites">{1}</p></li>'),
        ("cell one.", "cell one.{1}</td>"),
        ("two. ", "cell | two.{1}</td>"),
        ("quoted one.", "quoted one.{1}"),
        ("quoted two.", "quoted two.{1}</p>"),
        ("$$\nx\n$$", '</div><p class="cites">{1}</p>'),
        ("Last.", "Last.{1}</p>"),
    ],
)
def test_a_button_stands_behind_its_statement(words: str, stands: str) -> None:
    assert stands in placed(words).replace("\n", "")


def test_several_stand_in_order() -> None:
    text = "Same. Same again."
    marks = tuple(Mark(at, number, "verified", "") for number, at in ((1, 5), (2, 5), (3, 17)))
    html = blocks_of(text, marks)[0].html
    assert re.findall(r'data-cite="(\d)"', html) == ["1", "2", "3"]
    assert BUTTON.sub("", html) == blocks_of(text)[0].html


@pytest.mark.parametrize("text", ["", " \n\n", "```py\nopen", "\r\n- a\r\n  b\r\n", "a\rb\r", "x" * 30_000])
def test_odd_answers_and_marks_beyond_their_ends(text: str) -> None:
    marks = tuple(Mark(at, number, "missing", "<x>") for number, at in enumerate((0, len(text) // 2, len(text)), 1))
    html = "".join(block.html for block in blocks_of(text, marks))
    assert "<x>" not in html
    assert len(BUTTON.findall(html)) == (3 if text.strip() else 0)


def test_an_answer_is_read_as_it_would_be_without_them() -> None:
    """Generated answers, with marks anywhere: every one is there once, and nothing else has changed."""
    for seed in range(500):
        chance = random.Random(seed)
        text = answer(chance, n_pieces=6)
        ends = sorted(chance.randrange(len(text) + 1) for _ in range(8))
        marks = tuple(Mark(at, number, "verified", "x") for number, at in enumerate(ends, 1))
        plain, marked = blocks_of(text), blocks_of(text, marks)
        html = "".join(block.html for block in marked)
        assert sorted(map(int, re.findall(r'data-cite="(\d+)"', html))) == (list(range(1, 9)) if plain else [])
        left = re.sub(r'<p class="cites"></p>', "", BUTTON.sub("", html))
        assert left == "".join(block.html for block in plain), seed
        assert [code for block in marked for code in block.codes] == [code for block in plain for code in block.codes]
