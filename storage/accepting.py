"""A question that is accepted: all that it changes, in one transaction, so that all of it is there or nothing.

A session that is begun, who may write in it, the sources that came along, what was skipped, and the turn itself.
"""

import sqlite3
from dataclasses import dataclass

from storage.arriving import forget_later, put_and_link
from storage.leases import Lease, take
from storage.records import Turn
from storage.schema import Database
from storage.sessions import NewSession, change_session, create_session, rename_session
from storage.sources import Arrived, Ready, link_ready
from storage.turns import Asked, begin_turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A question and what came with it. new: the session that it begins, whose lease is prepared and not taken yet.
    title, model: what they are from now on in a session that is there; None where they stay."""

    lease: Lease
    asked: Asked
    arrived: Arrived
    new: NewSession | None = None
    title: str | None = None
    model: str | None = None


def accept(database: Database, accepted: Accepted) -> Turn:
    """The running turn. Raises as Turns.begin and Sources.take_in do."""
    ready, lease = Ready(accepted.arrived), accepted.lease

    def write(connection: sqlite3.Connection) -> tuple[Turn, set[str]]:
        if accepted.new is not None:
            create_session(connection, accepted.new)
            take(connection, lease)
        if accepted.title is not None:
            rename_session(connection, lease.session_id, accepted.title)
        if accepted.model is not None:
            change_session(connection, lease.session_id, model=accepted.model)
        unlinked = link_ready(connection, lease.session_id, ready)
        return begin_turn(connection, lease, accepted.asked), unlinked

    turn, unlinked = put_and_link(database, ready.contents, write)
    forget_later(database, unlinked)
    return turn
