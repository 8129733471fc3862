"""What of an answer states something, and where each statement begins and ends."""

import random

import pytest

from engine.answer.statements import statements
from tests.work import calls


def said(text: str) -> list[str]:
    return [text[start:end] for start, end in statements(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("70", ["70"]),
        ("It fits. It runs!  It ends", ["It fits.", "It runs!", "It ends"]),
        ("Yes. It fits. No", ["Yes. It fits.", "No"]),
        ("The port is 8.080 in a.b.py since 3.11.2. Done so.",
         ["The port is 8.080 in a.b.py since 3.11.2.", "Done so."]),
        ("See e.g. Dr. Smith et al. in Fig. 3, i.e. Here. So be it.",
         ["See e.g. Dr. Smith et al. in Fig. 3, i.e. Here.", "So be it."]),
        ("The answer is No. 5 of them. The answer is no. Then it ends.",
         ["The answer is No. 5 of them.", "The answer is no.", "Then it ends."]),
        ("By J. R. Smith. And others.", ["By J. R. Smith.", "And others."]),
        ('It says "Go home. Now." and stops. So it does.', ['It says "Go home. Now." and stops.', "So it does."]),
        ("Why so. <quote>It was late. Very.</quote> Then it ended.",
         ["Why so. <quote>It was late. Very.</quote>", "Then it ended."]),
        ("It is set there. (`a.py`, line 5). It is read.", ["It is set there. (`a.py`, line 5).", "It is read."]),
        ("Use `a. B` twice. `f.x` is one.", ["Use `a. B` twice.", "`f.x` is one."]),
        ("- **Name:** it is\n- second one. It goes\n  on here\n",
         ["**Name:** it is", "second one.", "It goes\n  on here"]),
        ("1. one is\n2) two are\n   - [x] three", ["one is", "two are", "three"]),
        ("| a | b |\n|:--|--:|\n| x y | 1.5 |\n", ["| x y | 1.5 |"]),
        ("It does this:\n- one of it\n", ["one of it"]),
        ("It does this:\nnothing at all.", ["It does this:\nnothing at all."]),
        ("It does so. Here is how:\n\n```py\nx\n```\nIts parts:\n \n- one of it\n\nThe end:\n\nit is near.",
         ["It does so.", "```py\nx\n```", "one of it", "The end:", "it is near."]),
        ("Code is\n```py\nx = 1. \n\n# No. Yes\n```\nafter it.",
         ["Code is", "```py\nx = 1. \n\n# No. Yes\n```", "after it."]),
        ("Code:\n~~~~\n```\n~~~~ x\nopen. end", ["~~~~\n```\n~~~~ x\nopen. end"]),
        ("# Title\nWords here.\n\nOther title\n===\n\n---\nEnd here.", ["Words here.", "End here."]),
        ("Short title\n---\nIt is one sentence.\n---\n", ["It is one sentence."]),
        ("> quoted. words\n> go on\n\nIt says so.", ["> quoted. words\n> go on", "It says so."]),
        ("Sure! Hello there! It runs. Let me know if you need more. I hope this helps!", ["It runs."]),
        ("It runs. Is that what you mean? What else?", ["It runs."]),
        ("I don't know. The documents do not hold the answer. I could not find it in the documents.", []),
        ("Sorry, the provided files do not mention it.", []),
        ("The documents do not say X, but they say Y.", ["The documents do not say X, but they say Y."]),
        ("The code is not thread-safe. The file does not contain tests.",
         ["The code is not thread-safe.", "The file does not contain tests."]),
        ("<think>It is. It was.</think>\n\nIt ends.", ["It ends."]),
        ("<think>It is. It was.", []),
        ("\u6587\u3067\u3059\u3002\u6b21\uff01\u300c\u306f\u3044\u3002\u300d\u3068\u8a00\u3046\u3002",
         ["\u6587\u3067\u3059\u3002", "\u6b21\uff01", "\u300c\u306f\u3044\u3002\u300d\u3068\u8a00\u3046\u3002"]),
        ("\u6587\u6863\u4e2d\u6ca1\u6709\u63d0\u5230\u3002", []),
        ("First line.\r\nSecond line\r\n\r\n* item\r\n", ["First line.", "Second line", "item"]),
        ("one line  \nother line\\\nthird", ["one line", "other line\\", "third"]),
        ("", []), ("\n \n", []), ("...", []), ("**", []), ("---", []), ("```", ["```"]),
    ],
)  # fmt: skip
def test_statements(text: str, expected: list[str]) -> None:
    assert said(text) == expected


_PIECES = (
    *('"', "`", "```", "~~~", "<quote>", "</quote>", "- ", "1. ", "| ", "|-|", "> ", "# ", "---", "\n", "\n\n", "\r\n"),
    *(" ", ". ", "? ", "a.b", "Dr. ", "word ", "X. ", "\u3002", "\u201c", "\u201d", "(", ")", "<think>", "</think>"),
    *("\\\n", "e.g. "),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_statements_stand_in_order_and_hold_no_blanks_at_their_ends(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        text = "".join(rng.choices(_PIECES, k=rng.randrange(60)))
        behind = 0
        for start, end in statements(text):
            assert behind <= start < end <= len(text) and text[start:end] == text[start:end].strip(), text
            behind = end


@pytest.mark.parametrize("piece", [*_PIECES, "I can't ", "the documents do not hold ", "Hi. ", "(a) ", ":-|", "- - "])
def test_work_grows_with_the_length_alone(piece: str) -> None:
    """60,000 pieces would take minutes, were anything looked for again and again."""
    statements(piece * 60_000)
    short, long = calls(lambda: statements(piece * 500)), calls(lambda: statements(piece * 2_000))
    assert long < 4.2 * short + 100
