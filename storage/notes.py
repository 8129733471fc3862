"""Notes of passes, and how a session's corpus was sliced. What they mean is left to app.passes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from storage.columns import pack_json, pack_text, pack_time
from storage.identity import require_session
from storage.schema import Database


class Notes:
    """The notes of a database. A note is found by its key, whichever session it was made in; it goes with that one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> dict[str, Any] | None:
        """The note of this key; None where there is none."""
        with self._database.read() as connection:
            row = connection.execute("SELECT note FROM notes WHERE key = ?", (key,)).fetchone()
        return None if row is None else dict(json.loads(row["note"]))

    def put(self, key: str, session_id: str, note: Mapping[str, Any]) -> None:
        """Keeps a note, in place of one of the same key. Raises UsageError without such a session."""
        with self._database.write() as connection:
            require_session(connection, session_id)
            connection.execute(
                "INSERT OR REPLACE INTO notes (key, session_id, created, note) VALUES (?, ?, ?, ?)",
                (key, pack_text(session_id), pack_time(), pack_json(dict(note))),
            )

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
