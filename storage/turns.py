"""Turns: a question, the answer while it comes in, and what it cost. Who may write is left to `leases`.

A running turn has stop None. Its text lies in pieces, so that appending costs what is new; finishing joins them.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from engine.answer.citations import Citation, citation_from
from engine.errors import SessionBusy, UsageError
from storage.columns import (
    pack_ids,
    pack_json,
    pack_text,
    pack_time,
    unpack_ids,
    unpack_json,
    unpack_optional,
    unpack_text,
    unpack_time,
)
from storage.identity import find_session, touch_session
from storage.leases import Lease, beat, holder_of
from storage.records import Outcome, Turn
from storage.schema import Database
from storage.search import index_passage

INTERRUPTED = "interrupted"


class Turns:
    """The turns of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, lease: Lease, *, question: str, vocabulary: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> Turn:
        """Adds a running turn at the session's end; one that was left unfinished before it becomes interrupted.

        Raises SessionBusy when the lease was lost, UsageError when the session was deleted.
        """
        at, session_id = pack_time(), lease.session_id
        with self._database.write() as connection:
            beat(connection, session_id, lease.token)
            for row in connection.execute(f"{_RUNNING} AND session_id = ?", (session_id,)).fetchall():
                _interrupt(connection, row)
            (index,) = connection.execute(
                "SELECT coalesce(max(position) + 1, 0) FROM turns WHERE session_id = ?", (session_id,)
            ).fetchone()
            cursor = connection.execute(
                """INSERT INTO turns (session_id, position, lease, created, written, vocabulary, settings, question)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    session_id,
                    index,
                    lease.token,
                    at,
                    at,
                    vocabulary,
                    pack_json(dict(settings or {})),
                    pack_text(question),
                ),
            )
            index_passage(connection, session_id, index, "question", question)
            touch_session(connection, session_id)
            row = connection.execute("SELECT * FROM turns WHERE id = ?", (cursor.lastrowid,)).fetchone()
            return _turn(connection, row)

    def append_text(self, turn_id: int, text_so_far: str) -> None:
        """Keeps the answer as far as it has come; only what is new since the last call is written.

        text_so_far begins with what was given before. Renews the lease's heartbeat. Raises SessionBusy when the turn
        is not running any more: another process took the session over, or it was deleted.
        """
        with self._database.write() as connection:
            self._sign_of_life(connection, turn_id)
            (n_kept,) = connection.execute(
                "SELECT coalesce(max(until), 0) FROM pieces WHERE turn_id = ?", (turn_id,)
            ).fetchone()
            if len(text_so_far) > n_kept:
                connection.execute(
                    "INSERT INTO pieces (turn_id, until, text) VALUES (?, ?, ?)",
                    (turn_id, len(text_so_far), pack_text(text_so_far[n_kept:])),
                )

    def set_progress(self, turn_id: int, *, done: int, total: int, reused: int) -> None:
        """Keeps how far the prompt was read, in tokens. Renews the heartbeat and raises as append_text does."""
        with self._database.write() as connection:
            self._sign_of_life(connection, turn_id)
            connection.execute(
                "UPDATE turns SET prefill_done = ?, prompt_tokens = ?, reused_tokens = ? WHERE id = ?",
                (done, total, reused, turn_id),
            )

    def finish(self, turn_id: int, outcome: Outcome) -> Turn:
        """Writes how it ended, over whatever was there. Counters that are None keep what set_progress wrote.

        Raises UsageError when the session was deleted; ValueError for an unknown stop.
        """
        if outcome.stop not in ("end", "length", "cancelled", "error"):
            raise ValueError(f"stop is {outcome.stop!r}")
        with self._database.write() as connection:
            cursor = connection.execute(_FINISH, (*_cells(outcome), turn_id))
            row = connection.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone()
            if not cursor.rowcount:
                raise UsageError("The session was deleted while it was being answered.", "Ask in a new one.")
            connection.execute("DELETE FROM pieces WHERE turn_id = ?", (turn_id,))
            index_passage(connection, row["session_id"], row["position"], "text", outcome.text)
            touch_session(connection, row["session_id"])
            return _turn(connection, row)

    def cite(
        self, turn_id: int, citations: Sequence[Citation] | None = None, receipt: Mapping[str, Any] | None = None
    ) -> Turn:
        """Keeps what was found for an answer, in place of what was kept before; None leaves what is there.

        Raises UsageError as get does.
        """
        found = None if citations is None else [citation.to_json() for citation in citations]
        with self._database.write() as connection:
            row = connection.execute(
                """UPDATE turns SET citations = coalesce(?, citations), receipt = coalesce(?, receipt) WHERE id = ?
                RETURNING *""",
                (pack_json(found), pack_json(receipt and dict(receipt)), turn_id),
            ).fetchone()
            return _found(connection, row, turn_id)

    def get(self, turn_id: int) -> Turn:
        """One turn, also while it runs: the page reads the text so far here. Raises UsageError without such a turn."""
        heal(self._database)
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM turns WHERE id = ?", (turn_id,)).fetchone()
            return _found(connection, row, turn_id)

    def of(self, session_id: str) -> tuple[Turn, ...]:
        """All turns of a session in order. Raises UsageError without such a session."""
        heal(self._database)
        with self._database.read() as connection:
            return read_turns(connection, find_session(connection, session_id))

    def _sign_of_life(self, connection: sqlite3.Connection, turn_id: int) -> None:
        row = connection.execute(
            "UPDATE turns SET written = ? WHERE id = ? AND stop IS NULL RETURNING session_id, lease",
            (pack_time(), turn_id),
        ).fetchone()
        if row is None:
            raise SessionBusy("This turn is not running any more: it was taken over or deleted.", "Ask again.")
        beat(connection, row["session_id"], row["lease"])


def heal(database: Database) -> int:
    """Marks as interrupted every running turn whose holder is dead, and returns how many. Their text so far is kept."""
    with database.read() as connection:
        if not _orphans(connection):
            return 0
    with database.write() as connection:
        orphans = _orphans(connection)
        for row in orphans:
            _interrupt(connection, row)
        return len(orphans)


def read_turns(connection: sqlite3.Connection, session_id: str) -> tuple[Turn, ...]:
    """All turns of a session in order."""
    rows = connection.execute("SELECT * FROM turns WHERE session_id = ? ORDER BY position", (session_id,)).fetchall()
    return tuple(_turn(connection, row) for row in rows)


_RUNNING = "SELECT turns.id, turns.session_id, turns.position FROM turns WHERE stop IS NULL"


def _orphans(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    rows = connection.execute(
        """SELECT turns.id, turns.session_id, turns.position, pid, started, host, heartbeat FROM turns
        LEFT JOIN leases ON leases.session_id = turns.session_id AND leases.token = turns.lease WHERE stop IS NULL"""
    ).fetchall()
    return [row for row in rows if row["pid"] is None or not holder_of(row).is_alive()]


def _interrupt(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    text = _pieces(connection, row["id"])
    connection.execute("UPDATE turns SET stop = ?, text = ? WHERE id = ?", (INTERRUPTED, pack_text(text), row["id"]))
    connection.execute("DELETE FROM pieces WHERE turn_id = ?", (row["id"],))
    index_passage(connection, row["session_id"], row["position"], "text", text)


def _pieces(connection: sqlite3.Connection, turn_id: int) -> str:
    rows = connection.execute("SELECT text FROM pieces WHERE turn_id = ? ORDER BY until", (turn_id,))
    return "".join(unpack_text(row["text"]) for row in rows)


_FINISH = """UPDATE turns SET written = ?, stop = ?, text = ?, reply_ids = ?, error = ?,
    prompt_tokens = coalesce(?, prompt_tokens), reused_tokens = coalesce(?, reused_tokens), reply_tokens = ?,
    read_s = ?, load_s = ?, prefill_s = ?, ttft_s = ? WHERE id = ?"""


def _cells(outcome: Outcome) -> tuple[Any, ...]:
    return (
        pack_time(),
        str(outcome.stop),
        pack_text(outcome.text),
        pack_ids(outcome.reply_ids),
        pack_text(outcome.error),
        outcome.prompt_tokens,
        outcome.reused_tokens,
        outcome.reply_tokens,
        outcome.read_s,
        outcome.load_s,
        outcome.prefill_s,
        outcome.ttft_s,
    )


_AS_THEY_ARE = (
    *("id", "session_id", "stop", "vocabulary", "prefill_done", "prompt_tokens", "reused_tokens", "reply_tokens"),
    *("read_s", "load_s", "prefill_s", "ttft_s"),
)


def _found(connection: sqlite3.Connection, row: sqlite3.Row | None, turn_id: int) -> Turn:
    if row is None:
        raise UsageError(f"There is no turn {turn_id}.", "Its session was deleted.")
    return _turn(connection, row)


def _citations(cell: Any) -> tuple[Citation, ...] | None:
    return None if cell is None else tuple(map(citation_from, unpack_json(cell)))


def _turn(connection: sqlite3.Connection, row: sqlite3.Row) -> Turn:
    running = row["stop"] is None
    return Turn(
        index=row["position"],
        question=unpack_text(row["question"]),
        text=_pieces(connection, row["id"]) if running else unpack_text(row["text"]),
        reply_ids=unpack_ids(row["reply_ids"]),
        settings=unpack_json(row["settings"]),
        error=unpack_optional(row["error"]),
        citations=_citations(row["citations"]),
        receipt=unpack_json(row["receipt"]),
        created=unpack_time(row["created"]),
        finished=None if running else unpack_time(row["written"]),
        **{name: row[name] for name in _AS_THEY_ARE},
    )
