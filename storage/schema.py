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
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from engine.errors import MAKE_ROOM, LongdeskError, why
from storage.reserve import FULL, RESERVE_BYTES, give_up, is_full, put_aside

FILE_NAME = "longdesk.db"
APPLICATION_ID = 0x4C6F6E67  # "Long", in the file's header: whose database this is
VERSION = 18  # how many migrations there are, kept in the header as user_version
BUSY_S = 10.0
WAL_BYTES_KEPT = 16 * 2**20
_PAGES_AT_ONCE = 1_024  # 4 MiB
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


class StorageFailed(LongdeskError):
    """The database cannot be opened, read or written: damaged, too new, not allowed, disk full, locked for too long."""


class StorageFull(StorageFailed):
    """Its disk is full: what is there can be read and deleted, and nothing be added."""


class Database:
    """longdesk.db in a home folder. Raises StorageFailed, here and out of every `read` and `write` block."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME
        self._idle: list[sqlite3.Connection] = []
        self._lock = Lock()
        self._writing = Lock()  # threads wait here, where they are woken: SQLite would have them look again and again
        self._closed = False
        _create(home, self.path)
        with _in_words(self.path):
            connection, is_frozen = _connect_to_read(self.path)
            try:
                _bring_up_to_date(connection, self.path, is_frozen=is_frozen)
            except BaseException:
                connection.close()
                raise
        if is_frozen:
            connection.close()
        else:
            self._idle.append(connection)
            put_aside(home)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Closes what is idle; what is lent is closed when it comes back. Closing twice is allowed."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def full_disk(self) -> StorageFull | None:
        """What a change would be refused with, as far as the system tells without one; None where there is room."""
        with suppress(OSError):
            if shutil.disk_usage(self.path.parent).free < RESERVE_BYTES:
                return _full(self.path)
        return None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lends a connection inside a transaction that sees one moment of the database and must not write. It needs no
        room on the disk."""
        with self._lend("BEGIN", reads=True) as connection:
            yield connection

    @contextmanager
    def write(self, *, frees: bool = False) -> Iterator[sqlite3.Connection]:
        """Lends a connection inside a transaction: committed at the end of the block, rolled back by an exception.

        frees: it is for taking something away, which a full disk must not keep anybody from: see `reserve`.
        """
        if frees:
            give_up(self.path.parent)
        if not self._writing.acquire(timeout=BUSY_S):
            raise _locked(self.path)
        try:
            with self._lend("BEGIN IMMEDIATE") as connection:
                yield connection
        finally:
            self._writing.release()

    @contextmanager
    def write_beside(self) -> Iterator[sqlite3.Connection]:
        """As write, for one of many pieces of something large: it lets whoever waits to write go first."""
        begun = time.monotonic()
        with self.write() as connection:
            yield connection
        # Those of this process wait for a lock and come at once, those of others look again after a moment.
        time.sleep(min(_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S + (time.monotonic() - begun) / 4))

    def give_space_back(self) -> None:
        """Shrinks the file by the pages that deletions have left empty, some at a time, where there is room."""
        n_free = 1
        while n_free:
            with suppress(StorageFull), self._borrow() as connection, _in_words(self.path):
                n_before = connection.execute("PRAGMA freelist_count").fetchone()[0]
                # execute() would take its first step only: one page
                connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
                n_free = connection.execute("PRAGMA freelist_count").fetchone()[0]
                if n_free < n_before:
                    time.sleep(_SHORTEST_PAUSE_S)
                    continue
            return  # somebody else needs them, or there is no room

    @contextmanager
    def _lend(self, begin: str, *, reads: bool = False) -> Iterator[sqlite3.Connection]:
        with self._borrow(reads=reads) as connection, _in_words(self.path):
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                # Also after a COMMIT that failed, and after Ctrl-C: no connection goes back in a transaction.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _borrow(self, *, reads: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise StorageFailed(f"The store {self.path} is closed.")
            connection = self._idle.pop() if self._idle else None
        is_frozen = False
        if connection is None:
            with _in_words(self.path):
                connection, is_frozen = _connect_to_read(self.path) if reads else (_connect(self.path), False)
        try:
            yield connection
        finally:
            with self._lock:
                keep = not self._closed and not connection.in_transaction and not is_frozen
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
        raise _full(path) if error.errno in FULL else _cannot_write(path, why(error)) from error


def _connect(path: Path, how: str = "") -> sqlite3.Connection:
    # isolation_level None: the driver opens no transactions of its own, only `_lend` does.
    where = path.absolute().as_uri() + how
    connection = sqlite3.connect(where, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(path: Path) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether it sees the file as it stands and no more: on a disk that is full, where nobody else
    has it open, SQLite cannot make the file without which it reads no log; and there is no log then."""
    try:
        return _connect(path), False  # its settings read the file
    except sqlite3.OperationalError as error:
        if not _is_of_full_disk(path, error):
            raise
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:  # what a crash left in it is missing in the file
        give_up(path.parent)
        return _connect(path), False
    return _connect(path, "?mode=ro&immutable=1"), True


def _set_up(connection: sqlite3.Connection) -> None:
    for pragma in (
        "foreign_keys = ON",
        "synchronous = NORMAL",  # in WAL: safe against a crash; a power cut can cost the last commits, never the file
        "secure_delete = FAST",
        "temp_store = MEMORY",  # nothing of a corpus goes to a shared temporary folder
        f"journal_size_limit = {WAL_BYTES_KEPT}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, *, is_frozen: bool) -> None:
    version = _check_header(connection, path)
    if is_frozen:
        if version < VERSION:
            raise _full(path)
        return
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
    if _is_of_full_disk(path, error):
        return _full(path)
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _locked(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _cannot_write(path, str(error))
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StorageFailed(
                f"{path} is damaged ({error}).",
                f"Move it away and a new one is begun; `sqlite3 {FILE_NAME} .recover` may save what it holds.",
            )
        case _:
            return StorageFailed(f"{path} cannot be used ({error}).", "Check the disk that it lies on.")


def _locked(path: Path) -> StorageFailed:
    return StorageFailed(
        f"Another process has kept {path} locked for {BUSY_S:.0f} seconds.", "Try again when it is done, or end it."
    )


def _is_of_full_disk(path: Path, error: sqlite3.Error) -> bool:
    """Whether SQLite failed since the disk is full, which it does not always say so."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    may_be = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
    return code == sqlite3.SQLITE_FULL or (may_be and is_full(path.parent))


def _full(path: Path) -> StorageFull:
    """With how much is there, as far as the system tells."""
    with suppress(OSError):
        free = shutil.disk_usage(path.parent).free
        needed = f"{free:,} bytes are free there, and changing anything takes about {RESERVE_BYTES:,}"
        return StorageFull(f"The disk that holds {path} is full: {needed}.", MAKE_ROOM)
    return StorageFull(f"The disk that holds {path} is full.", MAKE_ROOM)


def _cannot_write(path: Path, why: str) -> StorageFailed:
    return StorageFailed(
        f"{path} cannot be opened for writing ({why}).",
        "Set LONGDESK_HOME to a folder that you may write to.",
    )
