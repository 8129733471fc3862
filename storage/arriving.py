"""Contents on their way in: put piece by piece beforehand, then all that refers to them in one transaction.

A file beside the database is locked by whoever puts contents, by several at once; it has a byte in it from the first
put to the end of the last. A byte that nobody has a lock for says that somebody was killed in between: what he put and
nothing refers to is removed by who comes next.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

from storage.contents import Content, forget_left_behind, forget_unused_contents, known_digests, put_contents
from storage.schema import Database, StorageFailed

_LOCK_NAME = "contents.lock"
_TRIES = 20

Written = TypeVar("Written")


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
