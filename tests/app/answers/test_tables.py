"""Tables of answers, and as CSV and Markdown with the sources of their cells."""

import csv
import io

import pytest

from app.answers.tables import NOT_FOUND, Sourced, Table, csv_of, markdown_of, source_of, tables_of
from app.found_again import found_cells
from engine.answer.citations import Citation, Status
from engine.corpus.source import Source, digest_text

AT = Citation(statement=(0, 0), status=Status.VERIFIED, quote="x", path="a|b`.csv", lines=(2, 2), places=1)


def sourced(*rows: str, at: Citation | None = None) -> Sourced:
    [table] = tables_of("| h |\n|---|\n" + "".join(f"| {row} |\n" for row in rows))
    return Sourced(table, tuple(tuple(at for _ in row) for row in table.rows))


def test_tables_are_read_as_they_are_drawn() -> None:
    text = "Before\n\n| A | **B** |\n|:--|--:|\n| `x\\|y` | 1 |\n| | [to](https://x.y) | more |\n\n"
    text += "- | a | b |\n  |--|--|\n  | c | $x^2$ |\n"
    first, second = tables_of(text)
    assert first.head == ("A", "B", "") and first.rows == (("x|y", "1", ""), ("", "to", "more"))
    assert second == Table(("a", "b"), (("c", "x^2"),), (("a", "b"), ("c", "$x^2$")))


@pytest.mark.parametrize(
    "text", ["", "no | table", "```\n| a |\n|---|\n| b |\n```", "a\n---\nb", "|---|", "-" * 200_000, "- " * 100_000]
)
def test_what_is_no_table_is_none(text: str) -> None:
    assert tables_of(text) == ()


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("=cmd\\|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+2", "'+1+2"),
        ("-2+3+cmd", "'-2+3+cmd"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\u200b=1", "'\u200b=1"),
        ("-5", "-5"),
        ("+1,234.50 %", "+1,234.50 %"),
        ("a=b", "a=b"),
        ('say "no", twice', 'say "no", twice'),
    ],
)
def test_no_cell_is_a_formula(cell: str, written: str) -> None:
    _, row = csv.reader(io.StringIO(csv_of([sourced(cell)])))
    assert row[0] == written


def test_a_path_is_no_formula_either() -> None:
    at = Citation(statement=(0, 0), status=Status.VERIFIED, quote="x", path="=x.csv", lines=(1, 1))
    _, row = csv.reader(io.StringIO(csv_of([sourced("x", at=at)])))
    assert row == ["x", "'=x.csv:1"]


def test_sources_stand_beside_and_below() -> None:
    tables = [sourced("x", "", at=AT), sourced("y")]
    assert list(csv.reader(io.StringIO(csv_of(tables)))) == [
        ["h", "h (source)"],
        ["x", "a|b`.csv:2"],
        ["", ""],
        [],
        ["h", "h (source)"],
        ["y", NOT_FOUND],
    ]
    assert markdown_of(tables) == (
        "| h |\n| --- |\n| x[^1] |\n|  |\n\n| h |\n| --- |\n| y[^2] |\n\n"
        "[^1]: `` a|b`.csv:2 ``\n[^2]: not found in the sources\n"
    )
    assert csv_of([]) == markdown_of([]) == ""


def test_what_stands_in_several_places_is_no_cell_that_was_not_found() -> None:
    text = "name,stock\nPear,5\n" + "filler words stand here\n" * 100 + "5\n5\n"
    there = Source(path="a.csv", kind="text", text=text, n_bytes=len(text), digest=digest_text(text))
    [[pear, five, plum, empty]] = found_cells([("Pear", "5", "Plum", "")], [there], {})
    assert source_of("Pear", pear) == "a.csv:2" and source_of("5", five) == "a.csv:2"
    [[alone]] = found_cells([("5",)], [there], {})
    assert source_of("5", alone) == "3 places in the sources, which one cannot be told"
    assert source_of("Plum", plum) == NOT_FOUND and source_of("", empty) == ""
    assert "[^1]: 3 places in the sources" in markdown_of([sourced("5", at=alone)])
