"""Citations in words: numbers, places, what became of them, and how altered words differ."""

from dataclasses import replace
from typing import Any

import pytest

from app.answers.cited import compared, corner_of, marks_of, numbered, place_of, rows_of, shown, standing_of, summary_of
from engine.answer.citations import Citation, Status

FOUND = Citation(
    statement=(0, 10), status=Status.VERIFIED, quote="return 1", places=1, path="src/core.py", lines=(12, 14)
)
BARE = Citation(statement=(0, 10), status=Status.MISSING)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({}, "src/core.py:12–14"),
        ({"lines": (12, 12)}, "src/core.py:12"),
        ({"page": 3}, "src/core.py, page 3"),
        ({"cell": 4}, "src/core.py, cell 4"),
        ({"image": 2, "box": (0.7, 0.0, 1.0, 0.2), "lines": None}, "src/core.py, image 2, upper right"),
        ({"image": 2, "lines": None}, "src/core.py, image 2"),
        ({"path": None}, ""),
    ],
)
def test_places_in_words(place: dict[str, Any], words: str) -> None:
    assert place_of(replace(FOUND, **place)) == words


def test_the_middle_of_a_picture() -> None:
    assert corner_of((0.3, 0.3, 0.7, 0.7)) == "center"
    assert corner_of((0.0, 0.0, 1.0, 0.9)) == ""
    assert corner_of((0.0, 0.4, 0.2, 0.6)) == "middle left"


def test_what_became_of_a_quote_in_words() -> None:
    assert standing_of(FOUND) == "verified"
    assert standing_of(replace(FOUND, places=1_200)) == "verified, in 1,200 places"
    assert standing_of(replace(FOUND, status=Status.ALTERED)) == "altered"
    assert standing_of(replace(FOUND, status=Status.MISSING)) == "missing: stands in no source"
    assert standing_of(BARE) == "missing"
    many = [FOUND, FOUND, replace(FOUND, status=Status.ALTERED), replace(FOUND, status=Status.MISSING), BARE]
    assert summary_of(many) == "2 verified · 1 altered · 1 missing · 1 statement without words"


def test_numbers_go_by_the_ends_of_statements() -> None:
    text = "One is so. Two is so.  "
    late, early = replace(FOUND, statement=(11, 23)), replace(FOUND, statement=(0, 10))
    citations = numbered([late, early])
    assert citations == (early, late) and numbered(None) == ()
    assert [(mark.at, mark.number) for mark in marks_of(text, citations)] == [(10, 1), (21, 2)], "before white space"
    assert [mark.at for mark in marks_of("One", citations)] == [3, 3], "an answer that is shorter than it was"


def test_the_list_has_no_html_but_its_own() -> None:
    rows = rows_of("<i>x</i> is so.", [replace(FOUND, quote="<script>\u202e\x1b[1m", path="<b>.py"), BARE])
    assert "<script>" not in rows[0] and "&lt;script&gt;[U+202E][U+001B][1m" in rows[0] and "&lt;b&gt;.py:12" in rows[0]
    assert "No words found that show this" in rows[1] and "&lt;i&gt;x&lt;/i&gt;" in rows[1]


def test_long_quotes_are_cut_in_the_list_alone() -> None:
    assert len(rows_of("", [replace(FOUND, quote="word " * 5_000)])[0]) < 1_000


def test_the_difference_of_altered_words() -> None:
    assert compared("return trees * 80", "return  trees * 89") == [
        ("same", "return  trees * "),
        ("new", "80"),
        ("gone", "89"),
    ]
    assert compared("is not so", "is so") == [("same", "is "), ("new", "not "), ("same", "so")]
    stands_in = [("same", "a"), ("new", "\n"), ("gone", "\n    "), ("same", "b c")]
    assert compared("a\nb c", "a\n    b c") == stands_in
    assert compared("a b\nc", "a\nb c") == [("same", "a\nb c")], "lines may be broken elsewhere"
    assert compared("x " * 5_000, "y") is None


def test_what_acts_is_shown_by_its_number() -> None:
    assert shown("a\u202eb\r\n\x07 c") == "a[U+202E]b [U+0007] c"
