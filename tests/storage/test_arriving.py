"""Contents on their way in: how much one transaction writes, who waits for it, and what a kill leaves."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from engine.corpus.source import KeptFile, Source
from engine.errors import UsageError
from storage import contents
from storage.contents import Content
from storage.schema import Database, StorageFailed
from storage.store import Store

ROOT = Path(__file__).parents[2]
PIECE = 64 << 10


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(contents, "PIECE_BYTES", PIECE)
    with Store(tmp_path / "home") as store:
        yield store


def noise(n_bytes: int, seed: int = 0) -> bytes:
    return Random(seed).randbytes(n_bytes)


def image(path: str, n_bytes: int, seed: int = 0) -> Source:
    data = noise(n_bytes, seed)
    return Source(path=path, kind="image", text="", n_bytes=n_bytes, digest=path, kept_file=KeptFile("PNG", data))


def count(store: Store, table: str) -> int:
    with store._database.read() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextmanager
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Of each transaction, the bytes of values that its statements were given."""
    totals: list[int] = []

    def size(value: object) -> int:
        return len(value) if isinstance(value, str | bytes) else 8

    class Counting:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def execute(self, sql: str, cells: object = ()) -> sqlite3.Cursor:
            if not sql.lstrip().startswith("SELECT"):
                totals[-1] += sum(map(size, cells))  # type: ignore[call-overload]
            return self._connection.execute(sql, cells)  # type: ignore[arg-type]

        def executemany(self, sql: str, rows: object) -> sqlite3.Cursor:
            rows = [tuple(row) for row in rows]  # type: ignore[attr-defined]
            totals[-1] += sum(size(cell) for row in rows for cell in row)
            return self._connection.executemany(sql, rows)

    write = Database.write

    @contextmanager
    def writing(self: Database) -> Iterator[Counting]:
        with write(self) as connection:
            totals.append(0)
            yield Counting(connection)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", writing)
        yield totals


SLACK = 8 << 10  # what links and the session's row take


@pytest.mark.parametrize(
    "sizes",
    [[100] * 40, [PIECE - 1] * 4, [PIECE] * 3, [PIECE + 1], [20 * PIECE + 7], [10, 3 * PIECE, 10, PIECE // 2] * 3],
)
def test_no_transaction_writes_more_than_a_piece(
    store: Store, monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    session = store.sessions.create(title="t", model="m").id
    sources = [image(f"{number}.png", size, number) for number, size in enumerate(sizes)]
    with written(monkeypatch) as totals:
        store.sources.put(session, sources, turn_index=0)
    assert sum(totals) >= sum(sizes) and max(totals) <= PIECE + SLACK
    assert [each.source for each in store.sources.of(session)] == sources
    with written(monkeypatch) as totals:
        store.sessions.delete(session)
    assert max(totals) <= PIECE + SLACK
    assert count(store, "contents") == count(store, "content_pieces") == 0


def test_an_imported_session_goes_in_piecewise_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    session = store.sessions.create(title="t", model="m").id
    store.sources.put(session, [image("a.png", 9 * PIECE)], turn_index=0)
    record = store.record(session)
    store.sessions.delete(session)
    with written(monkeypatch) as totals:
        again = store.put(record)
    assert max(totals) <= PIECE + SLACK and store.record(again.id).sources == record.sources


def test_a_long_text_is_compressed_and_in_pieces(store: Store) -> None:
    session = store.sessions.create(title="t", model="m").id
    text = "".join(f"{noise(20, number).hex()}\n" for number in range(20_000))
    store.sources.put(session, [Source.written("a.txt", text)], turn_index=0)
    assert store.sources.of(session)[0].source.text == text and count(store, "content_pieces") > 3


def test_who_writes_a_turn_goes_between_two_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By counting: of the pieces, some come before what another thread writes, and some after."""
    session = store.sessions.create(title="t", model="m").id
    put, order = contents._put_rows, []
    writer = Thread(target=lambda: (store.sessions.rename(session, "other"), order.append("turn")))

    def putting(*args: object) -> None:
        put(*args)  # type: ignore[arg-type]
        order.append("piece")
        if len(order) == 2:
            writer.start()
        elif len(order) == 4:
            writer.join()  # it would wait for ever, were the lock held

    monkeypatch.setattr(contents, "_put_rows", putting)
    store.sources.put(session, [image(f"{n}.png", PIECE - 10, n) for n in range(8)], turn_index=0)
    writer.join()
    assert order.index("turn") < len(order) - 1


@pytest.mark.parametrize("breaks_at", [0, 1, 2, 5])
def test_what_breaks_off_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch, breaks_at: int) -> None:
    session = store.sessions.create(title="t", model="m").id
    beside, n_calls = Database.write_beside, 0

    @contextmanager
    def breaking(self: Database) -> Iterator[object]:
        nonlocal n_calls
        n_calls += 1
        if n_calls - 1 == breaks_at:
            raise StorageFailed("full")
        with beside(self) as connection:
            yield connection

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write_beside", breaking)
        with pytest.raises(StorageFailed):
            store.sources.put(session, [image("a.png", 10), image("b.png", 5 * PIECE, 1)], turn_index=0)
    assert count(store, "contents") == count(store, "content_pieces") == count(store, "session_sources") == 0


def test_what_cannot_be_linked_leaves_nothing(store: Store) -> None:
    with pytest.raises(UsageError):
        store.sources.put("nothere", [image("a.png", 3 * PIECE)], turn_index=0)
    assert count(store, "contents") == count(store, "content_pieces") == 0


def test_two_who_put_the_same_large_content_have_it_once(store: Store) -> None:
    content = Content("d", noise(5 * PIECE), False)
    contents.put_contents(store._database, [content])
    n_pieces = count(store, "content_pieces")
    contents._put_in_pieces(store._database, "d", 0, content.data)  # who looked before the first one was done
    assert count(store, "content_pieces") == n_pieces and count(store, "contents") == 1


KILLED = """
import os, sys
from pathlib import Path
from engine.corpus.source import KeptFile, Source
from storage import contents
from storage.schema import Database
from storage.store import Store
contents.PIECE_BYTES = 65536
store = Store(Path(sys.argv[1]))
session = store.sessions.create(title="t", model="m").id
beside, left = Database.write_beside, int(sys.argv[2])
def killing(self):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    return beside(self)
Database.write_beside = killing
sizes = enumerate((70000, 60000, 300000))
files = [(n, KeptFile("PNG", os.urandom(size))) for n, size in sizes]
sources = [Source(path=f"{n}.png", kind="image", text="", n_bytes=1, digest="x", kept_file=file) for n, file in files]
store.sources.put(session, sources, turn_index=0)
"""


@pytest.mark.slow  # three processes
@pytest.mark.parametrize("n_pieces", [1, 3, 6])
def test_what_a_kill_leaves_is_removed_by_who_puts_next(store: Store, tmp_path: Path, n_pieces: int) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "home"), str(n_pieces)], cwd=ROOT)
    assert count(store, "contents") + count(store, "content_pieces") > 0
    session = store.sessions.create(title="t", model="m").id
    store.sources.put(session, [image("a.png", 10)], turn_index=0)
    assert (count(store, "contents"), count(store, "content_pieces")) == (1, 0)


def test_nothing_is_taken_for_left_behind_while_somebody_puts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[bool] = []
    monkeypatch.setattr(contents, "forget_left_behind", lambda database: swept.append(True))
    with Store(tmp_path / "home") as other:
        theirs = other.sessions.create(title="other", model="m").id
        with contents.putting(other._database):
            store.sources.put(theirs, [image("a.png", 10)], turn_index=0)
    assert swept == []
