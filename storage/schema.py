"""The database file: where it lies, who may read it, how connections are lent and how transactions begin.

What tables there are is left to `migrations`, what they hold to the modules beside this one.

Threads and processes: connections are pooled, not tied to a thread. `read` and `write` lend one for the length of the
block, so that a connection serves one thread at a time, as many threads as like may work at once, and a thread
that ends (the page has a new one for every rerun) leaves nothing open behind. Between processes SQLite's own
locks decide: WAL, so that readers never wait, and every write begins with BEGIN IMMEDIATE, because a transaction
that reads first and writes later fails with SQLITE_BUSY at once, whatever the timeout. A Database is not to
be used across a fork.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from engine.errors import LongdeskError

FILE_NAME = "longdesk.db"
APPLICATION_ID = 0x4C6F6E67  # "Long", in the file's header: whose database this is
VERSION = 16  # how many migrations there are, kept in the header as user_version
BUSY_S = 10.0
WAL_BYTES_KEPT = 16 * 2**20


class StorageFailed(LongdeskError):
    """The database cannot be opened, read or written: damaged, too new, not allowed, disk full, locked for too long."""


class Database:
    """longdesk.db in a home folder. Raises StorageFailed, here and out of every `read` and `write` block."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME
        self._idle: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._closed = False
        _create(home, self.path)
        with _in_words(self.path):
            connection = _connect(self.path)
            try:
                _bring_up_to_date(connection, self.path)
            except BaseException:
                connection.close()
                raise
        self._idle.append(connection)

    def close(self) -> None:
        """Closes what is idle; what is lent is closed when it comes back. Closing twice is allowed."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lends a connection inside a transaction that sees one moment of the database and must not write."""
        with self._lend("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Lends a connection inside a transaction: committed at the end of the block, rolled back by an exception."""
        with self._lend("BEGIN IMMEDIATE") as connection:
            yield connection

    def give_space_back(self) -> None:
        """Shrinks the file by the pages that a deletion has left empty."""
        with self._borrow() as connection, _in_words(self.path):
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would take its first step only: one page

    @contextmanager
    def _lend(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._borrow() as connection, _in_words(self.path):
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                # Also after a COMMIT that failed, and after Ctrl-C: no connection goes back in a transaction.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _borrow(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise StorageFailed(f"The store {self.path} is closed.")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            with _in_words(self.path):
                connection = _connect(self.path)
        try:
            yield connection
        finally:
            with self._lock:
                keep = not self._closed and not connection.in_transaction
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()


def _create(home: Path, path: Path) -> None:
    """Makes home (0700, when it is not there yet) and the file (0600), before SQLite makes it with the umask's mode."""
    try:
        if not home.is_dir():
            home.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another process was first
                home.mkdir(mode=0o700)
        # One that is there stays shut: closing it would drop the locks that this process has on it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise _cannot_write(path, error.strerror or str(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: the driver opens no transactions of its own, only `_lend` does.
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    for pragma in (
        "foreign_keys = ON",
        "synchronous = NORMAL",  # in WAL: safe against a crash; a power cut can cost the last commits, never the file
        "secure_delete = FAST",
        "temp_store = MEMORY",  # nothing of a corpus goes to a shared temporary folder
        f"journal_size_limit = {WAL_BYTES_KEPT}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    version = _check_header(connection, path)
    if version < VERSION:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded only before the first table
    _switch_to_wal(connection)
    if version == VERSION:
        return
    # Only here: importing sqlite-utils takes 0.3 s, pandas with it, and is needed once in a home's life.
    from storage.migrations import apply_migrations, files_dropped

    dropped: tuple[Path, ...] = ()
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _check_header(connection, path) < VERSION:
            dropped = files_dropped(connection, path.parent)
            apply_migrations(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    for file in dropped:  # only now: what the transaction kept must find its files
        with suppress(OSError):
            file.unlink()


def _check_header(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's version; 0 for a file that is still empty."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if n_tables and application != APPLICATION_ID:
        raise StorageFailed(f"{path} is another program's database.", "Move it away, or set LONGDESK_HOME elsewhere.")
    if version > VERSION:
        raise StorageFailed(
            f"{path} was written by a newer Longdesk (schema {version}, this one knows {VERSION}).",
            "Update Longdesk, or set LONGDESK_HOME to another folder.",
        )
    return int(version)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Needs the file for itself for a moment, and SQLite does not always wait for that as busy_timeout says."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turns what the machine did into StorageFailed; a broken constraint or a wrong call stays the bug that it is."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError):
        raise
    except sqlite3.Error as error:
        raise _failure(path, error) from error


def _failure(path: Path, error: sqlite3.Error) -> StorageFailed:
    # Errors that the driver itself raises carry no code: text that is not UTF-8, a value out of range.
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StorageFailed(f"The disk that holds {path} is full.", "Free some space and try again.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageFailed(
                f"Another process has kept {path} locked for {BUSY_S:.0f} seconds.",
                "Try again when it is done, or end it.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _cannot_write(path, str(error))
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StorageFailed(
                f"{path} is damaged ({error}).",
                f"Move it away and a new one is begun; `sqlite3 {FILE_NAME} .recover` may save what it holds.",
            )
        case _:
            return StorageFailed(f"{path} cannot be used ({error}).", "Check the disk that it lies on.")


def _cannot_write(path: Path, why: str) -> StorageFailed:
    return StorageFailed(
        f"{path} cannot be opened for writing ({why}).",
        "Set LONGDESK_HOME to a folder that you may write to.",
    )
