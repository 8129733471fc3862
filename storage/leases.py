"""Who may write a session's turns: one holder at a time, over all threads and processes.

A holder is known by its process id, when that process started, and the host; only where the host is another one (a home
on a network drive, another container, the time before a reboot) do heartbeats decide. In the holder's own process a
lease counts as long as its question does: see `heartbeats`. What becomes of the turns that a dead holder left behind is
left to `turns`.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType

from engine.errors import SessionBusy
from engine.file_clock import now_at
from storage.heartbeats import HEARTBEATS
from storage.hosts import own_start, same_process, this_host
from storage.identity import require_session
from storage.schema import Database, StorageFailed

ANSWERING, SUMMARIZING = "leases", "summary_leases"  # tables
STALE_AFTER_S = 60.0
_DOING = {ANSWERING: "answering in", SUMMARIZING: "summarizing"}
_MOST_WATCHED = 1_000


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lease. started: seconds since boot; heartbeat: seconds since the epoch, by the clock of
    the database's file system. token: of the lease, where it is one."""

    pid: int
    started: float
    host: str
    heartbeat: float
    token: str = ""

    def is_alive(self, now: Callable[[], float] = time.time) -> bool:
        """Whether that very process still runs, and still holds the lease; a zombie does not. now: by the clock that
        heartbeats are told by, asked only where they decide."""
        if self.host != this_host():
            return _is_beating(self, now)
        if self.pid == os.getpid():
            return same_process(self.pid, self.started) and (not self.token or self.token in HEARTBEATS)
        return same_process(self.pid, self.started)


class Lease:
    """The right to write one session's turns, until `release` or the end of its with block. Meanwhile its heartbeat is
    renewed in a thread, whatever its holder waits for."""

    def __init__(self, database: Database, session_id: str, token: str, table: str) -> None:
        self.session_id = session_id
        self.token = token
        self._database, self._table = database, table

    def heartbeat(self) -> None:
        """Says that the holder lives, as appending to a turn does. Raises SessionBusy when the lease was lost."""
        with self._database.write() as connection:
            beat(connection, self.session_id, self.token, table=self._table)

    def release(self) -> None:
        """Gives the session free. Releasing twice, or a session that was deleted, is allowed. Where the database cannot
        be written just now, this process takes it for free at once, and the others do as soon as it can."""
        HEARTBEATS.let_go(self.token)
        try:
            self.give_up()
        except StorageFailed:
            HEARTBEATS.owe(self)

    def give_up(self) -> None:
        """Takes the lease out of the database. Raises StorageFailed."""
        database = self._database
        if database.closed:  # by now the process does something else
            if not database.path.exists():
                return
            database = Database(database.path.parent)
        try:
            with database.write() as connection:
                connection.execute(
                    f"DELETE FROM {self._table} WHERE session_id = ? AND token = ?", (self.session_id, self.token)
                )
        finally:
            if database is not self._database:
                database.close()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Leases:
    """The leases of a database. table: those of who answers, or those of who summarizes, which are apart."""

    def __init__(self, database: Database, table: str = ANSWERING) -> None:
        self._database, self._table = database, table

    def acquire(self, session_id: str) -> Lease:
        """Takes the session, also from a holder that is dead. The whole id is needed.

        Raises SessionBusy while another holder lives, be it a thread of this process; UsageError without the session.
        """
        lease = self.prepared(session_id)
        try:
            with self._database.write() as connection:
                take(connection, lease, table=self._table)
        except BaseException:
            HEARTBEATS.let_go(lease.token)
            raise
        return lease

    def prepared(self, session_id: str) -> Lease:
        """A lease for `take`, to be released also where that fails."""
        lease = Lease(self._database, session_id, secrets.token_hex(8), self._table)
        HEARTBEATS.hold(lease)  # before anybody can see it: another thread would take it for one that nobody holds
        return lease

    def holder(self, session_id: str) -> Holder | None:
        """The live holder of a session, if there is one."""
        with self._database.read() as connection:
            return live_holder(connection, session_id, self._table)


def take(connection: sqlite3.Connection, lease: Lease, *, table: str = ANSWERING) -> None:
    """As Leases.acquire, within a transaction."""
    require_session(connection, lease.session_id)
    refuse_if_held(connection, lease.session_id, table)
    own = this_process()
    connection.execute(
        f"""INSERT OR REPLACE INTO {table} (session_id, token, pid, started, host, heartbeat)
        VALUES (?, ?, ?, ?, ?, ?)""",
        (lease.session_id, lease.token, own.pid, own.started, own.host, _now(connection)),
    )


def live_holder(connection: sqlite3.Connection, session_id: str, table: str = ANSWERING) -> Holder | None:
    """The holder of a session's lease when it is alive."""
    row = connection.execute(f"SELECT * FROM {table} WHERE session_id = ?", (session_id,)).fetchone()
    return holder_of(row) if row and is_held(connection, row) else None


def is_held(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Whether the holder that a row with a lease's columns names is alive."""
    return holder_of(row).is_alive(lambda: _now(connection))


def refuse_if_held(connection: sqlite3.Connection, session_id: str, table: str = ANSWERING) -> None:
    """Raises SessionBusy, with the holder's process id, while the session has a live holder."""
    holder = live_holder(connection, session_id, table)
    if holder is None:
        return
    mine = holder.pid == os.getpid() and holder.host == this_host()
    raise SessionBusy(
        f"{'This process' if mine else 'Another process'} (pid {holder.pid}) is {_DOING[table]} session {session_id}.",
        "Wait until it is done, or stop it.",
    )


def beat(connection: sqlite3.Connection, session_id: str, token: str, *, table: str = ANSWERING) -> None:
    """Renews the heartbeat of the lease with this token. Raises SessionBusy when the session is no longer its own."""
    cursor = connection.execute(
        f"UPDATE {table} SET heartbeat = ? WHERE session_id = ? AND token = ?", (_now(connection), session_id, token)
    )
    if not cursor.rowcount:
        raise SessionBusy(f"Session {session_id} was taken over by another process.", "Ask again.")


def holder_of(row: sqlite3.Row) -> Holder:
    """The holder that a row with a lease's columns names."""
    return Holder(row["pid"], row["started"], row["host"], row["heartbeat"], row["token"])


def this_process() -> Holder:
    """Ourselves, alive now."""
    return Holder(os.getpid(), own_start(), this_host(), time.time())


def _now(connection: sqlite3.Connection) -> float:
    """By the clock of the file system that the database lies on: those of machines may differ."""
    return now_at(Path(connection.execute("PRAGMA database_list").fetchone()["file"]).parent)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A heartbeat as it was seen first, by this process's own clock, and whether an earlier one was seen before."""

    heartbeat: float
    at: float
    has_advanced: bool


_WATCHED: dict[str, _Seen] = {}
_WATCHING = Lock()


def _is_beating(holder: Holder, now: Callable[[], float]) -> bool:
    """Whether a holder whose process cannot be looked at lives. One whose heartbeat advances does, one whose heartbeat
    stands still does not, whatever the clocks say; until that was watched for a while, its age decides."""
    key, at = holder.token or f"{holder.host} {holder.pid} {holder.started}", time.monotonic()
    with _WATCHING:
        seen = _WATCHED.get(key)
        if seen is None or holder.heartbeat != seen.heartbeat:
            has_advanced = seen is not None and holder.heartbeat > seen.heartbeat
            while len(_WATCHED) >= _MOST_WATCHED:
                del _WATCHED[next(iter(_WATCHED))]
            seen = _WATCHED[key] = _Seen(holder.heartbeat, at, has_advanced)
    if at - seen.at > STALE_AFTER_S:
        return False
    return seen.has_advanced or abs(now() - holder.heartbeat) <= STALE_AFTER_S
