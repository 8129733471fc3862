import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.corpus.source import Source
from engine.errors import LongdeskError
from storage import schema
from storage.migrations import MIGRATIONS
from storage.schema import Database, StorageFailed
from storage.store import Store
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "home")
    yield database
    database.close()


def headers(path: Path, **pragmas: int) -> None:
    connection = sqlite3.connect(path)
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}")
    connection.commit()
    connection.close()


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_only_the_owner_may_read(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    old = os.umask(0)
    try:
        with Store(home) as store:
            store.sessions.create(title="t", model="m")
            assert home.stat().st_mode & 0o777 == 0o700
            assert {path.stat().st_mode & 0o777 for path in home.iterdir()} == {0o600}
            assert len(list(home.iterdir())) == 4  # the file, its log and the log's index, and the reserve
    finally:
        os.umask(old)


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    Store(tmp_path).close()
    (tmp_path / schema.FILE_NAME).chmod(0o644)
    Store(tmp_path).close()
    assert (tmp_path / schema.FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_how_a_connection_is_set_up(database: Database) -> None:
    with database.read() as connection:

        def value(pragma: str) -> object:
            return connection.execute(f"PRAGMA {pragma}").fetchone()[0]

        assert value("journal_mode") == "wal"
        assert value("foreign_keys") == 1
        assert value("synchronous") == 1
        assert value("busy_timeout") == 10_000
        assert value("auto_vacuum") == 2
        assert value("application_id") == schema.APPLICATION_ID


def test_version_counts_the_migrations(database: Database) -> None:
    assert len(MIGRATIONS._migrations) == schema.VERSION
    with database.read() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
        assert connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0] == schema.VERSION


def test_opening_again_does_not_import_sqlite_utils(tmp_path: Path) -> None:
    Store(tmp_path).close()
    script = "import sys; from pathlib import Path; from storage.store import Store\n"
    script += f"Store(Path({str(tmp_path)!r})).close(); assert 'sqlite_utils' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_a_migration_that_fails_leaves_an_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import storage.migrations

    monkeypatch.setattr(storage.migrations, "TABLES", (*storage.migrations.TABLES, "CREATE TABLE sessions (id)"))
    with pytest.raises(LongdeskError):
        Store(tmp_path)
    monkeypatch.undo()
    with Store(tmp_path) as store:
        assert store.sessions.list() == ()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    path = tmp_path / schema.FILE_NAME
    headers(path, user_version=schema.VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match="newer Longdesk.*Update Longdesk"):
        Store(tmp_path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / schema.FILE_NAME)
    connection.execute("CREATE TABLE sessions (id)")
    connection.commit()
    connection.close()
    with pytest.raises(StorageFailed, match="another program"):
        Store(tmp_path)


@pytest.mark.parametrize("content", [b"not a database, but some text " * 40, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / schema.FILE_NAME
    path.write_bytes(content)
    with pytest.raises(StorageFailed, match="is damaged.*Move it away"):
        Store(tmp_path)
    assert path.read_bytes() == content


def test_a_page_that_was_overwritten_becomes_an_error_in_words(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for i in range(200):
            store.sessions.create(title=f"session {i}", model="m")
    path = tmp_path / schema.FILE_NAME
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StorageFailed), Store(tmp_path) as store:
        store.sessions.list()


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(StorageFailed, match="cannot be opened for writing.*LONGDESK_HOME"):
            Store(home)
    (tmp_path / "home" / schema.FILE_NAME).mkdir(parents=True)
    with pytest.raises(StorageFailed, match="LONGDESK_HOME"):
        Store(tmp_path / "home")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home(tmp_path: Path) -> None:
    Store(tmp_path / "home").close()
    (tmp_path / "home" / schema.FILE_NAME).chmod(0o400)
    (tmp_path / "home").chmod(0o500)
    with pytest.raises(StorageFailed, match="LONGDESK_HOME"):
        Store(tmp_path / "home")
    (tmp_path / "home").chmod(0o700)


def test_a_write_that_is_not_allowed(database: Database) -> None:
    with pytest.raises(StorageFailed, match="LONGDESK_HOME"), database.read() as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("DELETE FROM sessions")


def test_a_full_disk_undoes_the_write_and_leaves_the_store_usable(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        session = store.sessions.create(title="kept", model="m")
        connection = store._database._idle[0]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        with pytest.raises(StorageFailed, match="disk.* is full.*Free some space"):
            store.sessions.rename(session.id, "x" * 100_000)
        assert store.sessions.get(session.id).title == "kept"
        connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert store.sessions.rename(session.id, "after").title == "after"


def test_a_lock_that_is_kept_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_S", 0.05)
    with Store(tmp_path) as store, Store(tmp_path) as other:
        with other._database.write(), pytest.raises(StorageFailed, match="kept .* locked"):
            store.sessions.create(title="t", model="m")
        store.sessions.create(title="t", model="m")


def test_a_second_store_of_a_process_leaves_the_first_its_locks(tmp_path: Path) -> None:
    """Without them another process takes itself for the last one, and removes the log that the first writes to."""
    another = "import sys; from pathlib import Path; from storage.store import Store; "
    another += "print(len(Store(Path(sys.argv[1])).sessions.list()))"
    with Store(tmp_path) as first:
        Store(tmp_path).close()
        counted = []
        for _ in range(3):
            first.sessions.create(title="t", model="m")
            run = [sys.executable, "-c", another, str(tmp_path)]
            counted.append(subprocess.run(run, capture_output=True, check=True, timeout=PATIENCE_S, cwd=ROOT).stdout)
    assert [int(number) for number in counted] == [1, 2, 3]


def test_no_connection_comes_back_in_a_transaction(database: Database) -> None:
    class Stopped(BaseException):
        pass

    for lend in (database.read, database.write):
        with pytest.raises(Stopped), lend() as connection:
            connection.execute("SELECT * FROM sessions").fetchone()
            raise Stopped
        with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
            connection.execute("INSERT INTO pieces VALUES (1, 1, '')")
    assert len(database._idle) == 1
    assert not database._idle[0].in_transaction


def test_threads_share_few_connections_and_leave_none_behind(tmp_path: Path) -> None:
    with Store(tmp_path) as store:

        def work(number: int) -> None:
            session = store.sessions.create(title=f"by {number}", model="m")
            assert store.sessions.get(session.id) == session

        for number in range(40):  # the page has a new thread for every rerun
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            thread.join()
        assert len(store._database._idle) == 1
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(200)))
        assert len(store._database._idle) <= 8
        assert len(store.sessions.list()) == 240


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store._database.read() as connection:
        store.close()
        assert connection.execute("SELECT count(*) FROM sessions").fetchone()[0] == 0
    store.close()
    with pytest.raises(StorageFailed, match="is closed"):
        store.sessions.list()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")


OPENING_TOGETHER = """
import os, sys
from pathlib import Path
from storage.store import Store
import storage.migrations
from tests.patience import until
base, n_processes = Path(sys.argv[1]), int(sys.argv[2])
for number in range(6):
    (base / f"ready-{number}-{os.getpid()}").touch()
    until(lambda: len(list(base.glob(f"ready-{number}-*"))) == n_processes, every_s=0.0)
    with Store(base / str(number)) as store:
        store.sessions.create(title="one", model="m")
"""


@pytest.mark.slow  # 3.6 s
def test_processes_that_open_a_new_home_at_once_never_collide(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", OPENING_TOGETHER, str(tmp_path), "4"]
    children = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        _, said = child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 0, said
    for number in range(6):
        with Store(tmp_path / str(number)) as store:
            assert len(store.sessions.list()) == 4


def test_notes_of_drawn_pages_that_were_kept_are_dropped(tmp_path: Path) -> None:
    """What an earlier Longdesk wrote is true no more where the model of now cannot see."""
    with Store(tmp_path) as store:
        session = store.sessions.create(title="t", model="m")
        kept = ("Page 2 is sent as an image.", "Pages 1-2, 4 are sent as images.", "Page 3 could not be read.")
        source = Source("a.pdf", "pdf", "x", 1, "d", page_starts=(0,), notes=kept)
        store.sources.put(session.id, [source], turn_index=0)
    connection = sqlite3.connect(tmp_path / schema.FILE_NAME)
    connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'notes_of_drawn_pages'")
    connection.commit()
    connection.close()
    headers(tmp_path / schema.FILE_NAME, user_version=schema.VERSION - 1)
    with Store(tmp_path) as store:
        assert store.sources.links(session.id)[0].notes == ("Page 3 could not be read.",)
