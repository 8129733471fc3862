"""Notes that were kept of a session's answers: put, listed, renamed, deleted. They go with their session."""

import sqlite3
from collections.abc import Sequence

from engine.answer.citations import Citation, citation_from
from storage.columns import pack_json, pack_text, pack_time, unpack_json, unpack_text, unpack_time
from storage.identity import find_session, no_note, touch_session
from storage.records import KeptNote
from storage.schema import Database


class KeptNotes:
    """The kept notes of a database. Raises UsageError without such a session, and without such a note."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, session_id: str) -> tuple[KeptNote, ...]:
        """Those of a session, by their numbers."""
        with self._database.read() as connection:
            whole = find_session(connection, session_id)
            rows = connection.execute("SELECT * FROM kept_notes WHERE session_id = ? ORDER BY number", (whole,))
            return tuple(_note(row) for row in rows)

    def listed(self, session_id: str) -> tuple[KeptNote, ...]:
        """The same without their texts and citations, which may be long."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT number, title, created, turn_index FROM kept_notes WHERE session_id = ? ORDER BY number",
                (find_session(connection, session_id),),
            )
            return tuple(
                KeptNote(
                    number=row["number"],
                    title=unpack_text(row["title"]),
                    text="",
                    created=unpack_time(row["created"]),
                    turn_index=row["turn_index"],
                )
                for row in rows
            )

    def one(self, session_id: str, number: int) -> KeptNote:
        """The one of this number."""
        with self._database.read() as connection:
            return _read(connection, find_session(connection, session_id), number)

    def add(
        self, session_id: str, *, title: str, text: str, turn_index: int | None, citations: Sequence[Citation] = ()
    ) -> KeptNote:
        """Keeps one; its number is the next one that was never given since the last that is there."""
        with self._database.write() as connection:
            whole = find_session(connection, session_id)
            (last,) = connection.execute(
                "SELECT coalesce(max(number), 0) FROM kept_notes WHERE session_id = ?", (whole,)
            ).fetchone()
            note = KeptNote(
                number=last + 1,
                title=title,
                text=text,
                created="",
                turn_index=turn_index,
                citations=tuple(citations),
            )
            put_note(connection, whole, note, pack_time())
            touch_session(connection, whole)
            return _read(connection, whole, note.number)

    def rename(self, session_id: str, number: int, title: str) -> KeptNote:
        """Gives it another title."""
        with self._database.write() as connection:
            whole = find_session(connection, session_id)
            _read(connection, whole, number)
            connection.execute(
                "UPDATE kept_notes SET title = ? WHERE session_id = ? AND number = ?", (pack_text(title), whole, number)
            )
            touch_session(connection, whole)
            return _read(connection, whole, number)

    def delete(self, session_id: str, number: int) -> None:
        """Takes it away."""
        with self._database.write(frees=True) as connection:
            whole = find_session(connection, session_id)
            _read(connection, whole, number)
            connection.execute("DELETE FROM kept_notes WHERE session_id = ? AND number = ?", (whole, number))
            touch_session(connection, whole)


def put_note(connection: sqlite3.Connection, session_id: str, note: KeptNote, created: str) -> None:
    """Stores one under its number. created: as columns have it."""
    connection.execute(
        """INSERT INTO kept_notes (session_id, number, turn_index, title, created, citations, text)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (
            session_id,
            note.number,
            note.turn_index,
            pack_text(note.title),
            created,
            pack_json([citation.to_json() for citation in note.citations]),
            pack_text(note.text),
        ),
    )


def _read(connection: sqlite3.Connection, session_id: str, number: int) -> KeptNote:
    row = connection.execute(
        "SELECT * FROM kept_notes WHERE session_id = ? AND number = ?", (session_id, number)
    ).fetchone()
    if row is None:
        raise no_note(number)
    return _note(row)


def _note(row: sqlite3.Row) -> KeptNote:
    return KeptNote(
        number=row["number"],
        title=unpack_text(row["title"]),
        text=unpack_text(row["text"]),
        created=unpack_time(row["created"]),
        turn_index=row["turn_index"],
        citations=tuple(map(citation_from, unpack_json(row["citations"]) or ())),
    )
