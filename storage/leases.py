"""Who may write a session's turns: one holder at a time, over all threads and processes.

A holder is known by its process id, when that process started, and the host; only where the host is another one (a home
on a network drive, another container, the time before a reboot) does the heartbeat decide. What becomes of the
turns that a dead holder left behind is left to `turns`.
"""

import os
import platform
import secrets
import sqlite3
import time
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING

from engine.errors import SessionBusy
from storage.identity import require_session
from storage.schema import Database

if TYPE_CHECKING:
    from psutil import Process

ANSWERING, SUMMARIZING = "leases", "summary_leases"  # tables
STALE_AFTER_S = 60.0
_DOING = {ANSWERING: "answering in", SUMMARIZING: "summarizing"}
START_TOLERANCE_S = 1.5  # the boot time is given in whole seconds and can flicker by one


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lease. started: seconds since boot; heartbeat: seconds since the epoch."""

    pid: int
    started: float
    host: str
    heartbeat: float

    def is_alive(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        import psutil  # it takes a while, and a count does without

        if self.host != this_host():
            return abs(time.time() - self.heartbeat) <= STALE_AFTER_S
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return abs(_started(process) - self.started) <= START_TOLERANCE_S
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True  # it is there, and a second writer is worse than a wait


class Lease:
    """The right to write one session's turns, until `release` or the end of its with block."""

    def __init__(self, database: Database, session_id: str, token: str, table: str) -> None:
        self.session_id = session_id
        self.token = token
        self._database, self._table = database, table

    def heartbeat(self) -> None:
        """Says that the holder lives, as appending to a turn does. Raises SessionBusy when the lease was lost."""
        with self._database.write() as connection:
            beat(connection, self.session_id, self.token, table=self._table)

    def release(self) -> None:
        """Gives the session free. Releasing twice, or a session that was deleted, is allowed."""
        with self._database.write() as connection:
            connection.execute(
                f"DELETE FROM {self._table} WHERE session_id = ? AND token = ?", (self.session_id, self.token)
            )

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
        token = secrets.token_hex(8)
        own = this_process()
        with self._database.write() as connection:
            require_session(connection, session_id)
            refuse_if_held(connection, session_id, self._table)
            connection.execute(
                f"""INSERT OR REPLACE INTO {self._table} (session_id, token, pid, started, host, heartbeat)
                VALUES (?, ?, ?, ?, ?, ?)""",
                (session_id, token, own.pid, own.started, own.host, own.heartbeat),
            )
        return Lease(self._database, session_id, token, self._table)

    def holder(self, session_id: str) -> Holder | None:
        """The live holder of a session, if there is one."""
        with self._database.read() as connection:
            return live_holder(connection, session_id, self._table)


def live_holder(connection: sqlite3.Connection, session_id: str, table: str = ANSWERING) -> Holder | None:
    """The holder of a session's lease when it is alive."""
    row = connection.execute(f"SELECT * FROM {table} WHERE session_id = ?", (session_id,)).fetchone()
    holder = holder_of(row) if row else None
    return holder if holder and holder.is_alive() else None


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
        f"UPDATE {table} SET heartbeat = ? WHERE session_id = ? AND token = ?", (time.time(), session_id, token)
    )
    if not cursor.rowcount:
        raise SessionBusy(f"Session {session_id} was taken over by another process.", "Ask again.")


def holder_of(row: sqlite3.Row) -> Holder:
    """The holder that a row with a lease's columns names."""
    return Holder(pid=row["pid"], started=row["started"], host=row["host"], heartbeat=row["heartbeat"])


def this_process() -> Holder:
    """Ourselves, alive now."""
    import psutil

    return Holder(os.getpid(), _started(psutil.Process()), this_host(), time.time())


@cache
def this_host() -> str:
    """Where a process id means something: the host, since its last boot, in its container's process namespace."""
    parts = [platform.node()]
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        pass  # not Linux: the name alone
    return " ".join(parts)


def _started(process: "Process") -> float:
    import psutil

    # create_time alone moves when the clock is set, and the living would look dead.
    return float(process.create_time() - psutil.boot_time())
