"""The index of KV states: which file holds what, and which session uses it. Files are written and unlinked by others.

A state stands apart from the sessions that use it: one each today, shared by what begins alike later. Whatever takes
the last use of a state away returns its file, to be unlinked once the index has forgotten it.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage.columns import pack_ids, pack_text, pack_time, unpack_ids, unpack_text, unpack_time
from storage.identity import require_session
from storage.schema import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One KV state in a file.

    path: absolute. model: the fingerprint of the model file. kv_k, kv_v: the cache's types ("f16", "q8_0").
    ids: the n_tokens ids that the state holds, empty in a list. session_ids: who uses it.
    created, last_used: ISO 8601 UTC.
    """

    path: Path
    model: str
    kv_k: str
    kv_v: str
    n_tokens: int
    n_bytes: int
    created: str
    last_used: str
    ids: tuple[int, ...] = field(default=(), repr=False)
    session_ids: tuple[str, ...] = ()


class Snapshots:
    """The KV states of a home. Paths inside the home are kept relative, so that it can be moved."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._home = database.path.parent

    def record(
        self, session_id: str, *, path: Path, model: str, kv_k: str, kv_v: str, ids: Sequence[int], n_bytes: int
    ) -> tuple[Path, ...]:
        """Says that the session's state now lies in `path`, a complete file. Returns the files that nobody needs now.

        Raises UsageError without such a session.
        """
        at, stored = pack_time(), pack_text(stored_path(self._home, path))
        with self._database.write() as connection:
            require_session(connection, session_id)
            (snapshot_id,) = connection.execute(
                """INSERT INTO snapshots (path, model, kv_k, kv_v, n_tokens, n_bytes, created, last_used, ids)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET
                model = excluded.model, kv_k = excluded.kv_k, kv_v = excluded.kv_v, n_tokens = excluded.n_tokens,
                n_bytes = excluded.n_bytes, last_used = excluded.last_used, ids = excluded.ids RETURNING id""",
                (stored, model, kv_k, kv_v, len(ids), n_bytes, at, at, pack_ids(ids)),
            ).fetchone()
            connection.execute(
                """INSERT INTO session_snapshots (session_id, snapshot_id) VALUES (?, ?)
                ON CONFLICT (session_id) DO UPDATE SET snapshot_id = excluded.snapshot_id""",
                (session_id, snapshot_id),
            )
            return forget_unused(connection, self._home)

    def get(self, session_id: str) -> Snapshot | None:
        """The session's state with its ids, if it has one. That its file is still there is for the caller to see."""
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT snapshots.* FROM snapshots JOIN session_snapshots ON snapshot_id = snapshots.id
                WHERE session_id = ?""",
                (session_id,),
            ).fetchone()
            return self._snapshot(connection, row, ids=unpack_ids(row["ids"])) if row else None

    def touch(self, path: Path) -> None:
        """Marks a state as used now; what was not used for longest goes first when room is needed."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE snapshots SET last_used = ? WHERE path = ?",
                (pack_time(), pack_text(stored_path(self._home, path))),
            )

    def remove(self, session_id: str) -> tuple[Path, ...]:
        """Takes the session's state away. Returns the files that nobody needs now; none when there was no state."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM session_snapshots WHERE session_id = ?", (session_id,))
            return forget_unused(connection, self._home)

    def forget(self, path: Path) -> None:
        """Takes a state away from all sessions that use it: its file is gone, damaged, or evicted."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM snapshots WHERE path = ?", (pack_text(stored_path(self._home, path)),))

    def list(self) -> tuple[Snapshot, ...]:
        """All states without their ids, the one not used for longest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT id, path, model, kv_k, kv_v, n_tokens, n_bytes, created, last_used FROM snapshots
                ORDER BY last_used, id"""
            ).fetchall()
            return tuple(self._snapshot(connection, row) for row in rows)

    def _snapshot(self, connection: sqlite3.Connection, row: sqlite3.Row, ids: tuple[int, ...] = ()) -> Snapshot:
        users = connection.execute(
            "SELECT session_id FROM session_snapshots WHERE snapshot_id = ? ORDER BY session_id", (row["id"],)
        )
        return Snapshot(
            path=self._home / unpack_text(row["path"]),
            model=row["model"],
            kv_k=row["kv_k"],
            kv_v=row["kv_v"],
            n_tokens=row["n_tokens"],
            n_bytes=row["n_bytes"],
            created=unpack_time(row["created"]),
            last_used=unpack_time(row["last_used"]),
            ids=ids,
            session_ids=tuple(user["session_id"] for user in users),
        )


def forget_unused(connection: sqlite3.Connection, home: Path) -> tuple[Path, ...]:
    """Removes the states that no session uses and returns their files."""
    rows = connection.execute(
        "DELETE FROM snapshots WHERE id NOT IN (SELECT snapshot_id FROM session_snapshots) RETURNING path"
    ).fetchall()
    return tuple(home / unpack_text(row["path"]) for row in rows)


def stored_path(home: Path, path: Path) -> str:
    """As the index keeps it: relative to the home when it lies inside, else absolute."""
    whole, root = path.absolute(), home.absolute()
    return (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()
