"""The index of KV states: which file holds which prefixes, what it was made with, and which sessions used it.

A state is found by what it holds, not by who made it: every 256 tokens of it, at its beginning every 32, have a digest
that stands for all tokens up to there (engine.runtime.chain), so that whatever begins alike can start from it. Files
are written and unlinked by others.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from storage.columns import pack_json, pack_text, pack_time, unpack_json, unpack_text, unpack_time
from storage.identity import require_session
from storage.records import Match, Snapshot
from storage.schema import Database


class Snapshots:
    """The KV states of a home. Paths inside the home are kept relative, so that it can be moved."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._home = database.path.parent

    def record(
        self,
        *,
        path: Path,
        binding: Mapping[str, Any],
        n_tokens: int,
        n_bytes: int,
        blocks: Sequence[bytes],
        session_id: str | None,
        replaces: Path | None = None,
        model_name: str = "",
    ) -> None:
        """Enters a complete file of n_tokens tokens and n_bytes bytes; blocks: the digests of its prefixes.

        session_id: who made it. replaces: a state that this one continues: its entry goes, its users are this one's;
        its file is the caller's to unlink. Raises UsageError when the session was deleted meanwhile.
        """
        at, stored = pack_time(), self._stored(path)
        with self._database.write() as connection:
            users = _users(connection, {stored} if replaces is None else {stored, self._stored(replaces)})
            if session_id is not None:
                require_session(connection, session_id)
                users.add(session_id)
            gone = [(stored,)] if replaces is None else [(stored,), (self._stored(replaces),)]
            connection.executemany("DELETE FROM snapshots WHERE path = ?", gone)
            (snapshot_id,) = connection.execute(
                """INSERT INTO snapshots (path, binding, n_tokens, n_bytes, created, last_used, model_name)
                VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id""",
                (stored, pack_json(dict(binding)), n_tokens, n_bytes, at, at, pack_text(model_name)),
            ).fetchone()
            connection.executemany(
                "INSERT INTO snapshot_blocks (snapshot_id, at, digest) VALUES (?, ?, ?)",
                ((snapshot_id, place, digest) for place, digest in enumerate(blocks)),
            )
            connection.executemany(
                "INSERT INTO session_snapshots (session_id, snapshot_id) VALUES (?, ?)",
                [(user, snapshot_id) for user in sorted(users)],
            )

    def matches(self, blocks: Sequence[bytes]) -> tuple[Match, ...]:
        """Every state that shares at least its first block with a prompt of these digests, the best first.

        Of those that share as much, the ones come first of which nothing has to be cut off, the longest before the
        others; then the shortest, which is read fastest. What they were made with is for the caller to compare.
        """
        if not blocks:
            return ()
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT snapshot_id AS id FROM snapshot_blocks WHERE digest = ? AND at = 0", (blocks[0],)
            ).fetchall()
            known = self._read(connection) if rows else {}
            shared = [(known[row["id"]], *_common(connection, row["id"], blocks)) for row in rows]
        shared.sort(key=lambda each: (-each[1], each[0].n_tokens * (-1 if each[2] else 1)))
        return tuple(Match(snapshot, n_blocks) for snapshot, n_blocks, _ in shared)

    def shared_blocks(self) -> dict[Path, int]:
        """How many of its first blocks a state has in common with some other one that was made with the same."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT path, max(at) + 1 AS n_blocks FROM (
                    SELECT path, at, count(*) OVER (PARTITION BY binding, at, digest) AS n_states
                    FROM snapshot_blocks JOIN snapshots ON id = snapshot_id
                ) WHERE n_states > 1 GROUP BY path"""
            )
            return {self._home / unpack_text(row["path"]): row["n_blocks"] for row in rows}

    def touch(self, path: Path, *, session_id: str | None = None) -> None:
        """Marks a state as used now, by this session; what was not used for longest goes first when room is needed."""
        with self._database.write() as connection:
            row = connection.execute(
                "UPDATE snapshots SET last_used = ? WHERE path = ? RETURNING id", (pack_time(), self._stored(path))
            ).fetchone()
            if row is not None and session_id is not None:
                connection.execute(
                    """INSERT OR IGNORE INTO session_snapshots (session_id, snapshot_id)
                    SELECT id, ? FROM sessions WHERE id = ?""",
                    (row["id"], session_id),
                )

    def remove(self, session_id: str) -> tuple[Path, ...]:
        """Takes the session's states away. Returns the files that no other session used."""
        with self._database.write(frees=True) as connection:
            return take_from(connection, self._home, session_id)

    def forget(self, path: Path) -> None:
        """Takes a state away from all sessions that used it: its file is gone, damaged, or evicted."""
        with self._database.write(frees=True) as connection:
            connection.execute("DELETE FROM snapshots WHERE path = ?", (self._stored(path),))

    def list(self) -> tuple[Snapshot, ...]:
        """All states, the one not used for longest first."""
        with self._database.read() as connection:
            return tuple(self._read(connection).values())

    def total_bytes(self) -> int:
        """What the files of all states take."""
        with self._database.read() as connection:
            return int(connection.execute("SELECT coalesce(sum(n_bytes), 0) FROM snapshots").fetchone()[0])

    def _read(self, connection: sqlite3.Connection) -> dict[int, Snapshot]:
        """All states by their id, the one not used for longest first."""
        users: dict[int, list[tuple[str, str]]] = {}
        for row in connection.execute(
            """SELECT snapshot_id, sessions.id, title FROM session_snapshots
            JOIN sessions ON sessions.id = session_id ORDER BY created, sessions.id"""
        ):
            users.setdefault(row["snapshot_id"], []).append((row["id"], unpack_text(row["title"])))
        return {
            row["id"]: Snapshot(
                path=self._home / unpack_text(row["path"]),
                binding=unpack_json(row["binding"]),
                n_tokens=row["n_tokens"],
                n_bytes=row["n_bytes"],
                created=unpack_time(row["created"]),
                last_used=unpack_time(row["last_used"]),
                model_name=unpack_text(row["model_name"]),
                session_ids=tuple(session_id for session_id, _ in users.get(row["id"], ())),
                titles=tuple(title for _, title in users.get(row["id"], ())),
            )
            for row in connection.execute("SELECT * FROM snapshots ORDER BY last_used, id")
        }

    def _stored(self, path: Path) -> str | bytes:
        """As the index keeps a path: relative to the home when it lies inside, else absolute."""
        whole, root = path.absolute(), self._home.absolute()
        stored = (whole.relative_to(root) if whole.is_relative_to(root) else whole).as_posix()
        packed = pack_text(stored)
        assert packed is not None
        return packed


def _common(connection: sqlite3.Connection, snapshot_id: int, blocks: Sequence[bytes]) -> tuple[int, bool]:
    """How many blocks a state shares with a prompt, the first one at least, and whether it has no others.

    Bisects, which a chain allows: where a block is shared, so are all before it.
    """
    (last,) = connection.execute("SELECT max(at) FROM snapshot_blocks WHERE snapshot_id = ?", (snapshot_id,)).fetchone()
    shared, end = 0, min(len(blocks) - 1, last)
    while shared < end:
        middle = (shared + end + 1) // 2
        (digest,) = connection.execute(
            "SELECT digest FROM snapshot_blocks WHERE snapshot_id = ? AND at = ?", (snapshot_id, middle)
        ).fetchone()
        if digest == blocks[middle]:
            shared = middle
        else:
            end = middle - 1
    return shared + 1, shared == last


def _users(connection: sqlite3.Connection, paths: set[str | bytes]) -> set[str]:
    """The sessions that used any of these states."""
    return {
        row["session_id"]
        for path in paths
        for row in connection.execute(
            "SELECT session_id FROM session_snapshots JOIN snapshots ON snapshots.id = snapshot_id WHERE path = ?",
            (path,),
        )
    }


def take_from(connection: sqlite3.Connection, home: Path, session_id: str) -> tuple[Path, ...]:
    """Takes from a session its states; removes those that no other used, and returns their files."""
    own = connection.execute(
        "DELETE FROM session_snapshots WHERE session_id = ? RETURNING snapshot_id", (session_id,)
    ).fetchall()
    paths = []
    for each in own:
        paths += connection.execute(
            """DELETE FROM snapshots WHERE id = ?1
            AND NOT EXISTS (SELECT 1 FROM session_snapshots WHERE snapshot_id = ?1) RETURNING path""",
            (each["snapshot_id"],),
        ).fetchall()
    return tuple(home / unpack_text(row["path"]) for row in paths)
