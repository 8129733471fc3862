"""The tables of an answer, read as they are drawn; and tables whose cells have sources, as CSV and as Markdown.

CSV is for spreadsheets, which run what looks like a formula: such a cell gets an apostrophe in front.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from app.answers.cited import place_of, shown
from app.answers.dialect import make_parser
from engine.answer.citations import Citation

NOT_FOUND = "not found in the sources"
_WHICH = "places in the sources, which one cannot be told"
_MAY_BE = re.compile(r"^[ \t>*+\d.:|-]*-:?[ \t]*\|", re.MULTILINE)  # the line below a table's head
_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?[\d.,'\u00a0\u202f ]*\d[ \u00a0\u202f]?%?")
_BAR = re.compile(r"(?<!\\)[|]")
_BLANK = " \u00a0\u200b\ufeff"


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a table as text, and as the Markdown that they were written in; rows are as long as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    written: tuple[tuple[str, ...], ...]  # the head and the rows


@dataclass(frozen=True, slots=True)
class Sourced:
    """A table, and for each cell of its rows where it stands; None where it is empty or was not found."""

    table: Table
    sources: tuple[tuple[Citation | None, ...], ...]


@lru_cache(maxsize=64)
def tables_of(text: str) -> tuple[Table, ...]:
    """Those of an answer, in order."""
    if not _MAY_BE.search(text):
        return ()
    found: list[Table] = []
    rows: list[list[tuple[str, str]]] = []
    tokens = make_parser(RendererHTML).parse(text)
    for token, after in zip(tokens, [*tokens[1:], Token("", "", 0)], strict=True):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((_plain(after), after.content.strip()))
        elif token.type == "table_close" and rows:
            found.append(_table(rows))
    return tuple(found)


def csv_of(tables: Sequence[Sourced]) -> str:
    """CSV as RFC 4180 has it: the columns, then for each the source of its cells. An empty line between tables."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    for nth, sourced in enumerate(tables):
        if nth:
            out.write("\r\n")
        table = sourced.table
        writer.writerow(map(_harmless, (*table.head, *(f"{name} (source)".strip() for name in table.head))))
        for row, sources in zip(table.rows, sourced.sources, strict=True):
            places = [source_of(cell, each) for cell, each in zip(row, sources, strict=True)]
            writer.writerow(map(_harmless, (*row, *places)))
    return out.getvalue()


def markdown_of(tables: Sequence[Sourced]) -> str:
    """Markdown whose cells have footnotes: where each stands."""
    notes: dict[str, int] = {}
    lines: list[str] = []
    for sourced in tables:
        head, *rows = sourced.table.written
        lines += [_line(head), _line(["---"] * len(head))]
        for row, cells, sources in zip(rows, sourced.table.rows, sourced.sources, strict=True):
            marked = []
            for written, cell, each in zip(row, cells, sources, strict=True):
                place = source_of(cell, each)
                marked.append(f"{written}[^{notes.setdefault(place, len(notes) + 1)}]" if place else written)
            lines.append(_line(marked))
        lines.append("")
    lines += [f"[^{number}]: {_code(place)}" for place, number in notes.items()]
    return "\n".join(lines).rstrip("\n") + "\n" if lines else ""


def source_of(cell: str, citation: Citation | None) -> str:
    """Where a cell stands, in words; "" of an empty one."""
    if not any(map(str.isalnum, cell)):
        return ""
    if citation is None:
        return NOT_FOUND
    return shown(place_of(citation)) if citation.path is not None else f"{citation.places:,} {_WHICH}"


def _table(rows: Sequence[Sequence[tuple[str, str]]]) -> Table:
    width = max(map(len, rows))
    full = [[*row, *[("", "")] * (width - len(row))] for row in rows]
    plain = [tuple(cell for cell, _ in row) for row in full]
    return Table(plain[0], tuple(plain[1:]), tuple(tuple(written for _, written in row) for row in full))


def _plain(cell: Token) -> str:
    """A cell's words as they are drawn; what is no text, such as a formula, as it was written."""
    if cell.children is None:
        return cell.content.strip()
    words = "".join(" " if child.type in ("softbreak", "hardbreak") else child.content for child in cell.children)
    return " ".join(re.sub(r"<br\s*/?>", " ", words).split())


def _harmless(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    bare = value.lstrip(_BLANK)
    return f"'{value}" if bare.startswith(_FORMULA) and not _NUMBER.fullmatch(bare.strip()) else value


def _line(cells: Sequence[str]) -> str:
    """A row; a cell's own bars are escaped where they are not."""
    return "| " + " | ".join(_BAR.sub(r"\\|", " ".join(cell.split())) for cell in cells) + " |"


def _code(place: str) -> str:
    """A place as it is: a path may have signs of Markdown."""
    if place == NOT_FOUND or place.endswith(_WHICH):
        return place
    ticks = "`" * (1 + max(map(len, re.findall("`+", place)), default=0))
    return f"{ticks} {place} {ticks}" if "`" in place else f"{ticks}{place}{ticks}"
