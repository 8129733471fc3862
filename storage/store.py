"""The door to everything that is kept: one Store for a home, and the whole of one session in one value."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from storage.contents import forget_later, put_and_link
from storage.importing import put_session
from storage.kept_notes import KeptNotes
from storage.leases import SUMMARIZING, Lease, Leases, take
from storage.notes import Notes
from storage.records import Session, SessionOverview, SessionRecord, Turn
from storage.schema import Database, StorageFull
from storage.search import Search
from storage.sessions import NewSession, Sessions, change_session, create_session, rename_session
from storage.snapshots import Snapshots
from storage.sources import Arrived, Ready, Sources, link_ready
from storage.turns import Asked, Turns, begin_turn, heal


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A question and what came with it. new: the session that it begins, whose lease is prepared and not taken yet.
    title, model, frozen_date: what they are from now on in a session that is there; None where they stay."""

    lease: Lease
    asked: Asked
    arrived: Arrived
    new: NewSession | None = None
    title: str | None = None
    model: str | None = None
    frozen_date: str | None = None


class Store:
    """LONGDESK_HOME/longdesk.db and its parts. Any thread may call any method; see `schema` for how.

    Raises StorageFailed, a LongdeskError, here and out of every method when the database cannot be used.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._database = Database(home)
        self.sessions = Sessions(self._database)
        self.turns = Turns(self._database)
        self.sources = Sources(self._database)
        self.leases = Leases(self._database)
        self.summary_leases = Leases(self._database, SUMMARIZING)
        self.kept_notes = KeptNotes(self._database)
        self.snapshots = Snapshots(self._database)
        self.search = Search(self._database)

    @cached_property
    def notes(self) -> Notes:
        """What passes found."""
        return Notes(self._database)

    def full_disk(self) -> StorageFull | None:
        """What a change would be refused with, as far as the system tells without one; None where there is room."""
        return self._database.full_disk()

    def heal(self) -> int:
        """Marks running turns of dead processes as interrupted; returns how many. Lists and turns do it themselves."""
        return heal(self._database)

    def overview(self, session_id: str) -> SessionOverview:
        """The session without its sources' contents. Raises UsageError as sessions.get does."""
        session = self.sessions.get(session_id)
        return SessionOverview(
            session=session,
            turns=self.turns.of(session.id),
            next_index=self.turns.next_index(session.id),
            links=self.sources.links(session.id),
            skipped=self.sources.skipped(session.id),
            kept_notes=self.kept_notes.listed(session.id),
        )

    def record(self, session_id: str) -> SessionRecord:
        """The whole session. Raises UsageError as sessions.get does."""
        session = self.sessions.get(session_id)
        turns, every = self.turns.of(session.id), self.turns.all(session.id)
        current = {turn.index for turn in turns}
        return SessionRecord(
            session=session,
            turns=turns,
            others=tuple(turn for turn in every if turn.index not in current),
            sources=self.sources.of(session.id),
            skipped=self.sources.skipped(session.id),
            kept_notes=self.kept_notes.of(session.id),
        )

    def accept(self, accepted: Accepted) -> Turn:
        """Writes all that a question changes when it is accepted, in one transaction, or nothing of it. The running
        turn. Raises as Turns.begin and Sources.take_in do."""
        return _accept(self._database, accepted)

    def take_in(self, session_id: str, arrived: Arrived, *, settings: Mapping[str, Any]) -> None:
        """Sources.take_in and Sessions.change in one."""
        self.sources.take_in(
            session_id, arrived, lambda connection: change_session(connection, session_id, settings=settings)
        )

    def put(self, record: SessionRecord) -> Session:
        """Stores a whole session, or nothing of it; see importing.put_session."""
        return self.sessions.get(put_session(self._database, record))

    def close(self) -> None:
        """Closes the database. Closing twice is allowed."""
        self._database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _accept(database: Database, accepted: Accepted) -> Turn:
    ready, lease = Ready(accepted.arrived), accepted.lease

    def write(connection: sqlite3.Connection) -> tuple[Turn, set[str]]:
        if accepted.new is not None:
            create_session(connection, accepted.new)
            take(connection, lease)
        if accepted.title is not None:
            rename_session(connection, lease.session_id, accepted.title)
        if accepted.model is not None or accepted.frozen_date is not None:
            change_session(connection, lease.session_id, model=accepted.model, frozen_date=accepted.frozen_date)
        unlinked = link_ready(connection, lease.session_id, ready)
        return begin_turn(connection, lease, accepted.asked), unlinked

    turn, unlinked = put_and_link(database, ready.contents, write)
    forget_later(database, unlinked)
    return turn
