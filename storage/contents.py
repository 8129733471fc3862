"""Contents: the bytes of texts and of kept files, each stored once under its digest, compressed where that is worth it.

They go in and out piece by piece, each piece in a transaction of its own, so that nobody who writes a turn waits for
more than one of them. All that refers to them follows in one transaction; which session links which is left to
`sources`.

A file beside the database is locked by whoever puts contents, by several at once; it has a byte in it from the first
put to the end of the last. A byte that nobody has a lock for says that somebody was killed in between: what he put and
nothing refers to is removed by who comes next.
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import TypeVar

from storage.schema import Database, StorageFailed

# Level 1 shrinks source code to 29 % at 130 MB/s; level 6 to 23 % at 37 MB/s (1 MB of Python, one core).
_LEVEL = 1
_FEWEST_BYTES = 256
_WORTH_IT = 0.9
_KEYS_A_QUERY = 500
# Of data that one transaction writes or deletes: it holds the lock of all writers for about 30 ms.
PIECE_BYTES = 4 << 20
ROWS_AT_ONCE = 500
_LOCK_NAME = "contents.lock"
_TRIES = 20
Written = TypeVar("Written")
_DEFLATED, _IN_PIECES = 1, 2  # flags of the column `deflated`


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes and their digest."""

    digest: str
    data: bytes
    is_text: bool

    def packed(self) -> tuple[int, bytes]:
        """Whether they are compressed, and what is stored; images and PDFs are compressed already."""
        if self.is_text and len(self.data) >= _FEWEST_BYTES:
            deflated = zlib.compress(self.data, _LEVEL)
            if len(deflated) <= _WORTH_IT * len(self.data):
                return _DEFLATED, deflated
        return 0, self.data


def put_contents(database: Database, contents: Iterable[Content]) -> None:
    """Stores contents, some at a time; those that are there already stay. Raises StorageFailed."""
    rows: list[tuple[str, int, bytes]] = []
    for content in contents:
        deflated, data = content.packed()  # while nobody waits for it
        if rows and (sum(len(row[2]) for row in rows) + len(data) > PIECE_BYTES or len(rows) == ROWS_AT_ONCE):
            _put_rows(database, rows)
            rows = []
        if len(data) > PIECE_BYTES:
            _put_in_pieces(database, content.digest, deflated, data)
        else:
            rows.append((content.digest, deflated, data))
    if rows:
        _put_rows(database, rows)


def _put_rows(database: Database, rows: list[tuple[str, int, bytes]]) -> None:
    with database.write_beside() as connection:
        connection.executemany("INSERT OR IGNORE INTO contents (digest, deflated, data) VALUES (?, ?, ?)", rows)


def _put_in_pieces(database: Database, digest: str, deflated: int, data: bytes) -> None:
    """A large one: it is there once its row is, which comes last. Two who put the same one have pieces of their own."""
    put, is_ours = token_hex(8), False
    try:
        for number, start in enumerate(range(0, len(data), PIECE_BYTES)):
            with database.write_beside() as connection:
                cells = (put, number, data[start : start + PIECE_BYTES])
                connection.execute("INSERT INTO content_pieces (put, number, data) VALUES (?, ?, ?)", cells)
        with database.write_beside() as connection:
            is_ours = (
                connection.execute(
                    "INSERT OR IGNORE INTO contents (digest, deflated, data) VALUES (?, ?, ?)",
                    (digest, deflated | _IN_PIECES, put.encode()),
                ).rowcount
                > 0
            )
    finally:
        if not is_ours:
            with suppress(StorageFailed):  # then the next who puts something finds them
                _drop_pieces(database, put)


def known_digests(connection: sqlite3.Connection, digests: Iterable[str]) -> set[str]:
    """Those of the digests whose contents are stored."""
    wanted = list(digests)
    known: set[str] = set()
    for some in _some(wanted):
        rows = connection.execute(f"SELECT digest FROM contents WHERE digest IN ({_marks(some)})", some)
        known.update(row["digest"] for row in rows)
    return known


_UNUSED = """NOT EXISTS (SELECT 1 FROM session_sources WHERE text_content = contents.digest)
    AND NOT EXISTS (SELECT 1 FROM session_sources WHERE file_content = contents.digest)"""


def forget_unused_contents(database: Database, digests: Iterable[str]) -> None:
    """Removes those of the contents that no session links any more, some at a time. Raises StorageFailed."""
    for some in _some(sorted(digests)):
        with database.read() as connection:
            found = connection.execute(
                f"SELECT digest, length(data) FROM contents WHERE digest IN ({_marks(some)}) AND {_UNUSED}", some
            ).fetchall()
        batch: list[str] = []
        n_bytes = 0
        for digest, size in found:
            if batch and n_bytes + size > PIECE_BYTES:
                _forget(database, batch)
                batch, n_bytes = [], 0
            batch.append(digest)
            n_bytes += size
        if batch:
            _forget(database, batch)


def _forget(database: Database, digests: list[str]) -> None:
    with database.write_beside() as connection:  # one may be linked by now
        gone = connection.execute(
            f"""DELETE FROM contents WHERE digest IN ({_marks(digests)}) AND {_UNUSED}
            RETURNING CASE WHEN deflated >= {_IN_PIECES} THEN data END AS put""",
            digests,
        ).fetchall()
    for row in gone:
        if row["put"] is not None:
            _drop_pieces(database, row["put"].decode())


def forget_left_behind(database: Database) -> None:
    """Removes what was put and never linked: whoever put it was killed. Nobody may put anything meanwhile."""
    with database.read() as connection:
        unused = [row[0] for row in connection.execute(f"SELECT digest FROM contents WHERE {_UNUSED}")]
    forget_unused_contents(database, unused)
    with database.read() as connection:
        owned = {row[0].decode() for row in connection.execute("SELECT data FROM contents WHERE deflated >= 2")}
        puts = {row[0] for row in connection.execute("SELECT DISTINCT put FROM content_pieces")}
    for put in puts - owned:
        _drop_pieces(database, put)


def _drop_pieces(database: Database, put: str) -> None:
    is_left = True
    while is_left:
        with database.write_beside() as connection:
            is_left = (
                connection.execute(
                    """DELETE FROM content_pieces WHERE put = ?1
                AND number = (SELECT max(number) FROM content_pieces WHERE put = ?1)""",
                    (put,),
                ).rowcount
                > 0
            )


def unpacked(connection: sqlite3.Connection, deflated: int, data: bytes) -> bytes:
    """The bytes of a row."""
    if deflated & _IN_PIECES:
        rows = connection.execute("SELECT data FROM content_pieces WHERE put = ? ORDER BY number", (data.decode(),))
        data = b"".join(row["data"] for row in rows)
    return zlib.decompress(data) if deflated & _DEFLATED else data


def _some(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _KEYS_A_QUERY):
        yield keys[start : start + _KEYS_A_QUERY]


def _marks(keys: list[str]) -> str:
    return ",".join("?" * len(keys))


def put_and_link(
    database: Database, contents: Mapping[str, Content], link: Callable[[sqlite3.Connection], Written]
) -> Written:
    """What `link` writes and gives, in one transaction in which all these contents, by digest, are there. Where it
    fails, nothing of it is there afterwards, and no content either that nobody else links.

    Contents that are there already are not put again; one that another process deletes meanwhile is.
    """
    with putting(database):
        try:
            for _ in range(_TRIES):
                with database.read() as connection:
                    missing = contents.keys() - known_digests(connection, contents)
                put_contents(database, (content for digest, content in contents.items() if digest in missing))
                with database.write() as connection:
                    if len(known_digests(connection, contents)) == len(contents):
                        return link(connection)
        except BaseException:
            forget_unused_contents(database, contents)  # where that fails too, the byte stays
            raise
    raise StorageFailed(
        f"Another process has deleted from {database.path} what was stored, again and again.", "Try again."
    )


@contextmanager
def putting(database: Database) -> Iterator[None]:
    """While contents are put or removed: where that breaks off, whoever puts some next finds that out."""
    with ExitStack() as stack:
        path, file = database.path.parent / _LOCK_NAME, -1
        with suppress(OSError):  # without such locks, what a kill leaves stays
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, file)
            if _is_alone(file) and os.fstat(file).st_size:
                with suppress(StorageFailed):
                    forget_left_behind(database)
                    os.ftruncate(file, 0)
            fcntl.flock(file, fcntl.LOCK_SH)
            os.pwrite(file, b"1", 0)
        yield  # an exception leaves the byte: it may be that nothing could be removed
        with suppress(OSError):
            if file >= 0 and _is_alone(file):
                os.ftruncate(file, 0)


def _is_alone(file: int) -> bool:
    """Whether nobody else has a lock; it is ours alone then."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def forget_later(database: Database, digests: Iterable[str]) -> None:
    """Removes those of these contents that no session links any more. Where it cannot be done now, that is done when
    contents are put next."""
    if wanted := set(digests):
        with suppress(StorageFailed), putting(database):
            forget_unused_contents(database, wanted)
