"""The tables of a session's answers as files: CSV, Markdown and JSON, each cell with where it stands in the sources."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.answers.tables import Sourced, csv_of, markdown_of, source_of, tables_of
from app.export import picture_numbers
from app.found_again import found_cells
from engine.answer.citations import Citation
from engine.errors import UsageError
from storage.records import SessionRecord, Turn


@dataclass(frozen=True, slots=True)
class TurnTables:
    """Those of one answer. index: of its turn."""

    index: int
    tables: tuple[Sourced, ...]


def session_tables(record: SessionRecord, index: int | None = None) -> tuple[TurnTables, ...]:
    """Those of the answer of this turn; of all of the current branch without one. Raises UsageError for none."""
    turns = record.turns if index is None else [turn for turn in record.all_turns if turn.index == index]
    if index is not None and not turns:
        raise UsageError(f"The session has no question {index + 1}.", "`longdesk sessions show` lists its questions.")
    found = tuple(TurnTables(turn.index, _tables(record, turn)) for turn in turns if tables_of(turn.text))
    if not found:
        where = "No answer of the session" if index is None else f"The answer to question {index + 1}"
        raise UsageError(f"{where} has a table.", "Ask for one: `--template extract-table` does.")
    return found


def tables_as(layout: str, record: SessionRecord, index: int | None = None) -> str:
    """Those of a session, or of one turn, as "csv", "md" or "json". Raises as session_tables does."""
    found = session_tables(record, index)
    if layout == "json":
        return json.dumps(tables_json(found), ensure_ascii=False, indent=1) + "\n"
    tables = [table for each in found for table in each.tables]
    return csv_of(tables) if layout == "csv" else markdown_of(tables)


def tables_json(found: Sequence[TurnTables]) -> dict[str, Any]:
    """Each table with its columns, and each cell with its text, its source in words and its citation."""
    return {
        "tables": [
            {
                "turn": each.index,
                "columns": list(sourced.table.head),
                "rows": [
                    [
                        {"text": cell, "source": source_of(cell, at) or None, "citation": _placed(at)}
                        for cell, at in zip(row, cells, strict=True)
                    ]
                    for row, cells in zip(sourced.table.rows, sourced.sources, strict=True)
                ],
            }
            for each in found
            for sourced in each.tables
        ]
    }


def _placed(citation: Citation | None) -> dict[str, Any] | None:
    """A citation as JSON; None of one that says of no place."""
    return None if citation is None or citation.path is None else citation.to_json()


def _tables(record: SessionRecord, turn: Turn) -> tuple[Sourced, ...]:
    """Looked for in the sources that were sent with the turn, as they are now."""
    only = turn.settings.get("only")
    sent = [
        at.source
        for at in record.sources
        if at.turn_index <= turn.index and (at.enabled if only is None else at.source.path in only)
    ]
    tables, numbers = tables_of(turn.text), picture_numbers(record)
    return tuple(Sourced(table, tuple(map(tuple, found_cells(table.rows, sent, numbers)))) for table in tables)
