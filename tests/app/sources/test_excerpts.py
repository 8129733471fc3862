"""The part of a source that is shown, however large it is."""

import random

import pytest

from app.sources.excerpts import PIECE, Reading, pieces_of

LINES = "".join(f"line {n}\n" for n in range(1, 100_001))


def text_of(runs: list[object]) -> str:
    return "".join(run if isinstance(run, str) else run[1] for run in runs)  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "n_lines"),
    [("", 1), ("\n", 1), ("a", 1), ("a\n", 1), ("a\r\nb", 2), ("a\rb\n\nc\r", 4), ("a\u2028b", 1), ("\r\n\r\n", 2)],
)
def test_lines_end_as_editors_have_it(text: str, n_lines: int) -> None:
    reading = Reading(text)
    assert reading.n_lines == n_lines
    rows = reading.at(0).rows
    assert [row.line for row in rows] == list(range(1, n_lines + 1))
    assert not any(sign in row.text for row in rows for sign in "\r\n")


def test_the_rows_around_a_place() -> None:
    reading = Reading(LINES)
    span = reading.span_of_lines((5_000, 5_001))
    assert LINES[slice(*span)] == "line 5000\nline 5001"
    excerpt = reading.around(span)
    assert excerpt.rows[0].line < 5_000 < 5_001 < excerpt.rows[-1].line and len(excerpt.rows) <= 300
    assert reading.around((0, 0)).rows[0].line == 1
    assert reading.around((len(LINES), len(LINES))).rows[-1].line == 100_000


def test_moving_on_reaches_everything_and_comes_back() -> None:
    reading = Reading(LINES[:100_000])
    excerpt, seen = reading.at(0), set[int]()
    while True:
        seen |= {row.line for row in excerpt.rows}
        if excerpt.end >= len(reading.text):
            break
        following = reading.after(excerpt)
        assert excerpt.rows[0].start < following.rows[0].start <= excerpt.rows[-1].start
        excerpt = following
    assert seen == set(range(1, reading.n_lines + 1))
    while excerpt.rows[0].start:
        before = reading.before(excerpt)
        assert before.rows[0].start < excerpt.rows[0].start <= before.rows[-1].start
        excerpt = before


def test_one_line_of_five_megabytes() -> None:
    reading = Reading("x" * 2_500_000 + "NEEDLE" + "y" * 2_500_000)
    (hit,) = reading.find("needle")
    excerpt = reading.around((hit, hit + 6))
    assert sum(len(row.text) for row in excerpt.rows) <= 61_000
    assert any("NEEDLE" in row.text for row in excerpt.rows) and {row.line for row in excerpt.rows} == {1}
    assert excerpt.rows[0].piece and all(len(row.text) <= PIECE for row in excerpt.rows)
    assert reading.after(excerpt).rows[0].start > excerpt.rows[0].start > reading.before(excerpt).rows[0].start


def test_any_text_comes_whole_in_parts() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        parts = ("\n", "\r\n", "\r", "word ", "é" * 50, "x" * PIECE, "y" * (2 * PIECE + 1), "\u202e", "")
        text = "".join(chance.choice(parts) for _ in range(chance.randrange(60)))
        reading = Reading(text)
        excerpt = reading.at(0)
        shown = "".join(row.text for row in excerpt.rows)
        assert shown == text[: excerpt.end].replace("\r", "").replace("\n", ""), seed
        at = chance.randrange(len(text) + 1)
        around = reading.around((at, at))
        assert around.rows[0].start <= at <= max(around.end, 0), seed


def test_bytes_are_characters_elsewhere() -> None:
    text = "été 🌲 trees\n"
    data = text.encode()
    start = data.index(b"trees")
    assert text[slice(*Reading(text).span_of_bytes((start, start + 5)))] == "trees"
    assert Reading("trees").span_of_bytes((1, 3)) == (1, 3)


def test_search() -> None:
    reading = Reading(LINES)
    assert len(reading.find("LINE 9999")) == 11
    assert reading.find(" ") == () and reading.find("x" * 501) == () and reading.find("(.*") == ()
    assert len(reading.find("line")) == 10_000, "no more are counted"


def test_runs_hold_the_text_whole() -> None:
    row = Reading("def f(): # é\n").at(0).rows[0]
    runs = pieces_of(row, [(0, 3, "k"), (4, 5, "f"), (9, 12, "c")], [(2, 10, "lit"), (0, 500, "hit")])
    assert text_of(runs) == row.text
    assert ["k hit", "de"] in runs and ["f lit hit", "f"] in runs
    assert pieces_of(row, [], []) == [row.text]
