"""Notes of passes, and how a session's corpus was sliced. What they mean is left to app.passes."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from storage.columns import pack_json, pack_text, pack_time
from storage.identity import require_session
from storage.schema import Database, StorageFull

_TICK = len("2026-01-31T12")  # a note is told to be used once an hour at most
_SESSIONS_OWN = "key LIKE 'summary %'"  # such notes are no work that can be done again unheard


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many notes went, their bytes, and those of what is left."""

    n_notes: int
    n_bytes: int
    left_bytes: int


class Notes:
    """The notes of a database. A note is found by its key, whichever session it was made in; it goes with that one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> dict[str, Any] | None:
        """The note of this key, which counts as used now; None where there is none."""
        with self._database.read() as connection:
            row = connection.execute("SELECT note, used FROM notes WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        now = pack_time()
        if row["used"][:_TICK] < now[:_TICK]:
            with suppress(StorageFull), self._database.write() as connection:
                connection.execute("UPDATE notes SET used = ? WHERE key = ?", (now, key))
        return dict(json.loads(row["note"]))

    def stamp(self, key: str) -> str | None:
        """Of the note of this key, another one with each that is put; None where there is none."""
        with self._database.read() as connection:
            row = connection.execute("SELECT rowid, created FROM notes WHERE key = ?", (key,)).fetchone()
        return None if row is None else f"{row['rowid']} {row['created']}"

    def put(self, key: str, session_id: str, note: Mapping[str, Any], *, budget: int | None = None) -> None:
        """Keeps a note, in place of one of the same key. budget: bytes that all may take, see prune. Raises
        UsageError without such a session."""
        text, now = pack_json(dict(note)) or "", pack_time()
        with self._database.write() as connection:
            require_session(connection, session_id)
            connection.execute(
                """INSERT OR REPLACE INTO notes (key, session_id, created, note, used, n_bytes)
                VALUES (?, ?, ?, ?, ?, ?)""",
                (key, pack_text(session_id), now, text, now, len(text)),
            )
            if budget is not None:
                _prune(connection, to_bytes=budget)

    def prune(self, *, older_than: str | None = None, to_bytes: int | None = None) -> Pruned:
        """Takes away what was not used since a time, ISO 8601 UTC, then what was not used for longest until to_bytes
        are left. What belongs to a session alone, such as its summary, stays with it."""
        with self._database.write(frees=True) as connection:
            gone = _prune(connection, older_than=older_than, to_bytes=to_bytes)
        self._database.give_space_back()
        return gone

    def slices(self, session_id: str) -> list[dict[str, Any]]:
        """How the session's corpus was sliced last; empty where it never was."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT slices FROM session_slices WHERE session_id = ?", (pack_text(session_id),)
            ).fetchone()
        return [] if row is None else list(json.loads(row["slices"]))

    def keep_slices(self, session_id: str, slices: Sequence[Mapping[str, Any]]) -> None:
        """Keeps it, in place of the one before. Raises UsageError without such a session."""
        with self._database.write() as connection:
            require_session(connection, session_id)
            connection.execute(
                "INSERT OR REPLACE INTO session_slices (session_id, slices) VALUES (?, ?)",
                (pack_text(session_id), pack_json([dict(each) for each in slices])),
            )


def _prune(connection: sqlite3.Connection, *, older_than: str | None = None, to_bytes: int | None = None) -> Pruned:
    (left,) = connection.execute(f"SELECT coalesce(sum(n_bytes), 0) FROM notes WHERE NOT {_SESSIONS_OWN}").fetchone()
    if older_than is None and (to_bytes is None or left <= to_bytes):
        return Pruned(0, 0, left)
    gone, n_bytes = list[tuple[str]](), 0
    for row in connection.execute(f"SELECT key, used, n_bytes FROM notes WHERE NOT {_SESSIONS_OWN} ORDER BY used"):
        is_old = older_than is not None and row["used"] < older_than
        if not is_old and (to_bytes is None or left <= to_bytes):
            break
        gone.append((row["key"],))
        n_bytes, left = n_bytes + row["n_bytes"], left - row["n_bytes"]
    connection.executemany("DELETE FROM notes WHERE key = ?", gone)
    return Pruned(len(gone), n_bytes, left)
