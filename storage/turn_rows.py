"""Turns as their rows and pieces hold them. Who may write is left to `turns`, what a branch is to `branches`."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from engine.answer.citations import Citation, citation_from
from engine.errors import UsageError
from storage.branches import Parents, alternatives, read_parents
from storage.columns import pack_ids, pack_text, unpack_ids, unpack_json, unpack_optional, unpack_text, unpack_time
from storage.records import Turn, thought_from


def read_turns(
    connection: sqlite3.Connection, session_id: str, parents: Parents, positions: Sequence[int]
) -> tuple[Turn, ...]:
    """The turns at these positions, in their order."""
    if not positions:
        return ()
    beside = alternatives(parents)
    rows = connection.execute(
        "SELECT * FROM turns WHERE session_id = ? AND position >= ? AND position <= ?",
        (session_id, positions[0], positions[-1]),
    )
    wanted = set(positions)
    found = {row["position"]: row for row in rows if row["position"] in wanted}
    return tuple(_turn(connection, found[position], beside[position]) for position in positions)


def read_turn(connection: sqlite3.Connection, turn_id: int | None) -> Turn:
    """One turn. Raises UsageError where it is not there any more."""
    return turn_of(connection, connection.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone(), turn_id)


_AS_THEY_ARE = (
    *("id", "session_id", "stop", "vocabulary", "prefill_done", "prompt_tokens", "reused_tokens", "reply_tokens"),
    *("read_s", "load_s", "prefill_s", "ttft_s"),
)


def turn_of(connection: sqlite3.Connection, row: sqlite3.Row | None, turn_id: int | None) -> Turn:
    """The turn of a row. Raises as read_turn does."""
    if row is None:
        raise UsageError(f"There is no turn {turn_id}.", "Its session was deleted.")
    beside = alternatives(read_parents(connection, row["session_id"]))
    return _turn(connection, row, beside[row["position"]])


def _citations(cell: Any) -> tuple[Citation, ...] | None:
    return None if cell is None else tuple(map(citation_from, unpack_json(cell)))


def _turn(connection: sqlite3.Connection, row: sqlite3.Row, beside: tuple[int, ...]) -> Turn:
    running = row["stop"] is None
    text, ids = read_pieces(connection, row["id"]) if running else ("", b"")
    return Turn(
        index=row["position"],
        question=unpack_text(row["question"]),
        text=text if running else unpack_text(row["text"]),
        reply_ids=unpack_ids(ids if running else row["reply_ids"]),
        settings=unpack_json(row["settings"]),
        error=unpack_optional(row["error"]),
        citations=_citations(row["citations"]),
        receipt=unpack_json(row["receipt"]),
        thought=None if row["thought"] is None else thought_from(unpack_json(row["thought"])),
        created=unpack_time(row["created"]),
        finished=None if running else unpack_time(row["written"]),
        parent=row["parent"],
        alternatives=beside,
        **{name: row[name] for name in _AS_THEY_ARE},
    )


def read_pieces(connection: sqlite3.Connection, turn_id: int) -> tuple[str, bytes]:
    """The text of a running turn as far as it has come, and the packed ids that were sampled for it."""
    texts = connection.execute("SELECT text FROM pieces WHERE turn_id = ? ORDER BY until", (turn_id,))
    ids = connection.execute("SELECT ids FROM id_pieces WHERE turn_id = ? ORDER BY until", (turn_id,))
    return "".join(unpack_text(row["text"]) for row in texts), b"".join(row["ids"] for row in ids)


def add_pieces(connection: sqlite3.Connection, turn_id: int, text: str, ids: Sequence[int]) -> None:
    """Keeps of a running turn's text and ids what is new."""
    n_kept, n_ids = (
        connection.execute(f"SELECT coalesce(max(until), 0) FROM {table} WHERE turn_id = ?", (turn_id,)).fetchone()[0]
        for table in ("pieces", "id_pieces")
    )
    if len(text) > n_kept:
        cells = (turn_id, len(text), pack_text(text[n_kept:]))
        connection.execute("INSERT INTO pieces (turn_id, until, text) VALUES (?, ?, ?)", cells)
    if len(ids) > n_ids:
        id_cells = (turn_id, len(ids), pack_ids(ids[n_ids:]))
        connection.execute("INSERT INTO id_pieces (turn_id, until, ids) VALUES (?, ?, ?)", id_cells)


def drop_pieces(connection: sqlite3.Connection, turn_id: int) -> None:
    """The turn has ended: its row has all of it."""
    connection.execute("DELETE FROM pieces WHERE turn_id = ?", (turn_id,))
    connection.execute("DELETE FROM id_pieces WHERE turn_id = ?", (turn_id,))
