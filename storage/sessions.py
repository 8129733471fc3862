"""Sessions: their title, model and settings, and the list of them. What was asked in them is left to `turns`."""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from storage.columns import pack_json, pack_text, pack_time, unpack_json, unpack_optional, unpack_text, unpack_time
from storage.contents import forget_later
from storage.identity import draw_id, find_session, touch_session
from storage.leases import ANSWERING, SUMMARIZING, refuse_if_held
from storage.records import Session, SessionSummary
from storage.schema import Database, StorageFailed
from storage.search import TITLE_INDEX, index_passage
from storage.snapshots import take_from
from storage.sources import linked_contents
from storage.turns import heal


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that is to be begun; see Session. id: as `draw_id` drew it."""

    id: str
    title: str
    model: str
    system: str | None
    frozen_date: str
    settings: Mapping[str, Any]


class Sessions:
    """The sessions of a database. Where a session is named, the beginning of its id is enough if it is the only one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        *,
        title: str,
        model: str,
        system: str | None = None,
        frozen_date: str | None = None,
        settings: Mapping[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """A new session, at the top of the list. frozen_date: today where it is not given. session_id: as `draw_id`
        drew it before; by then, what comes into the session could be told from what comes into others."""
        new = NewSession(
            id=session_id or draw_id(),
            title=title,
            model=model,
            system=system,
            frozen_date=frozen_date or date.today().isoformat(),
            settings=settings or {},
        )
        with self._database.write() as connection:
            create_session(connection, new)
            return read_session(connection, new.id)

    def get(self, session_id: str) -> Session:
        """Raises UsageError when no session, or more than one, has an id that begins so."""
        with self._database.read() as connection:
            return read_session(connection, find_session(connection, session_id))

    def list(self, *, limit: int | None = None, offset: int = 0) -> tuple[SessionSummary, ...]:
        """The newest update first; all of them without a limit."""
        heal(self._database)
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT id, title, created, updated, model,
                (SELECT count(*) FROM turns WHERE session_id = sessions.id) AS turns
                FROM sessions ORDER BY updated DESC, rowid DESC LIMIT ? OFFSET ?""",
                (-1 if limit is None else limit, offset),
            )
            return tuple(
                SessionSummary(
                    id=row["id"],
                    title=unpack_text(row["title"]),
                    created=unpack_time(row["created"]),
                    updated=unpack_time(row["updated"]),
                    model=unpack_text(row["model"]),
                    turns=row["turns"],
                )
                for row in rows
            )

    def rename(self, session_id: str, title: str) -> Session:
        """Gives it another title, in one line. Raises UsageError for an empty one, and as get does."""
        title = " ".join(title.split())
        if not title:
            raise UsageError("A title cannot be empty.", "Give it a word.")
        with self._database.write() as connection:
            whole = find_session(connection, session_id)
            rename_session(connection, whole, title)
            return read_session(connection, whole)

    def change(
        self, session_id: str, *, model: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> Session:
        """Another model, other settings: those given replace their namesakes, the rest stays. Raises as get does."""
        with self._database.write() as connection:
            whole = find_session(connection, session_id)
            change_session(connection, whole, model=model, settings=settings)
            return read_session(connection, whole)

    def draft(self, session_id: str) -> str:
        """What was typed in a session and not asked yet; '' for nothing, and without such a session."""
        with self._database.read() as connection:
            row = connection.execute("SELECT draft FROM sessions WHERE id = ?", (pack_text(session_id),)).fetchone()
            return unpack_optional(row["draft"]) or "" if row is not None else ""

    def keep_draft(self, session_id: str, text: str) -> None:
        """Keeps it, in place of the one before; '' takes it away. The session keeps its place in the list."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE sessions SET draft = ? WHERE id = ?", (pack_text(text or None), pack_text(session_id))
            )

    def delete(self, session_id: str) -> tuple[Path, ...]:
        """Removes it with its turns, and with the contents and KV states that no other uses. Returns files to unlink.

        Raises SessionBusy while somebody answers in it or summarizes it, UsageError without such a session.
        """
        with self._database.write() as connection:
            whole = find_session(connection, session_id)
            for table in (ANSWERING, SUMMARIZING):
                refuse_if_held(connection, whole, table)
            contents = linked_contents(connection, whole)
            files = take_from(connection, self._database.path.parent, whole)
            connection.execute("DELETE FROM sessions WHERE id = ?", (whole,))
        forget_later(self._database, contents)
        with suppress(StorageFailed):  # the session is gone; the file shrinks another time
            self._database.give_space_back()
        return files


def create_session(connection: sqlite3.Connection, new: NewSession) -> None:
    """As Sessions.create, within a transaction."""
    at = pack_time()
    connection.execute(
        """INSERT INTO sessions (id, title, created, updated, model, system, frozen_date, settings)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            new.id,
            pack_text(new.title),
            at,
            at,
            pack_text(new.model),
            pack_text(new.system),
            new.frozen_date,
            pack_json(dict(new.settings)),
        ),
    )
    index_passage(connection, new.id, TITLE_INDEX, "title", new.title)


def rename_session(connection: sqlite3.Connection, session_id: str, title: str) -> None:
    """As Sessions.rename, within a transaction, of a title in one line."""
    connection.execute("UPDATE sessions SET title = ? WHERE id = ?", (pack_text(title), session_id))
    index_passage(connection, session_id, TITLE_INDEX, "title", title)
    touch_session(connection, session_id)


def change_session(
    connection: sqlite3.Connection,
    session_id: str,
    *,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """As Sessions.change, within a transaction."""
    before = read_session(connection, session_id)
    connection.execute(
        "UPDATE sessions SET model = ?, settings = ? WHERE id = ?",
        (
            pack_text(before.model if model is None else model),
            pack_json({**before.settings, **(settings or {})}),
            session_id,
        ),
    )


def read_session(connection: sqlite3.Connection, session_id: str) -> Session:
    """The session with exactly this id, which is there."""
    row = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return Session(
        id=row["id"],
        title=unpack_text(row["title"]),
        created=unpack_time(row["created"]),
        updated=unpack_time(row["updated"]),
        model=unpack_text(row["model"]),
        system=unpack_optional(row["system"]),
        frozen_date=row["frozen_date"],
        settings=unpack_json(row["settings"]),
    )
