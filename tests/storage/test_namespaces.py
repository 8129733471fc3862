"""Two containers over one home: process ids that mean nothing there, clocks that differ, files of others."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from engine.errors import SessionBusy
from storage import heartbeats, hosts, leases
from storage.hosts import is_foreign, is_of_the_dead, own_mark, this_host
from storage.leases import STALE_AFTER_S, Holder
from storage.store import Store
from tests.patience import until

ROOT = Path(__file__).parents[2]
DEAD = 2**22 + 1
OTHER_HOST = "deadbeef"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def session(store: Store) -> str:
    return store.sessions.create(title="t", model="m").id


@pytest.fixture(autouse=True)
def nothing_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_WATCHED", {})


def elsewhere(store: Store, session: str, heartbeat: float) -> None:
    """A lease of another host, in place of whatever there is."""
    with store._database.write() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO leases VALUES (?, 'theirs', ?, 1.0, 'elsewhere', ?)",
            (session, os.getpid(), heartbeat),
        )


def is_busy(store: Store, session: str) -> bool:
    try:
        store.leases.acquire(session).release()
    except SessionBusy:
        return True
    return False


def test_our_own_process_id_elsewhere_is_not_ours(store: Store, session: str) -> None:
    elsewhere(store, session, time.time())
    with pytest.raises(SessionBusy, match="Another process"):
        store.leases.acquire(session)


@pytest.mark.parametrize("skew_s", [-86_400.0, -120.0, 120.0, 86_400.0])
def test_who_beats_by_another_clock_lives_once_that_was_seen(store: Store, session: str, skew_s: float) -> None:
    elsewhere(store, session, time.time() + skew_s)
    assert store.leases.holder(session) is None  # by the clock alone
    elsewhere(store, session, time.time() + skew_s + 10)
    assert is_busy(store, session)


def test_who_seems_fresh_and_stands_still_is_dead(store: Store, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is ahead makes a dead holder's last beat look fresh for hours."""
    elsewhere(store, session, time.time())
    assert is_busy(store, session)
    later = time.monotonic() + STALE_AFTER_S + 1
    monkeypatch.setattr(leases.time, "monotonic", lambda: later)
    assert not is_busy(store, session)


def test_a_machine_whose_clock_is_wrong_beats_by_the_files(
    store: Store, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with store.leases.acquire(session) as lease:
        monkeypatch.setattr(time, "time", lambda: real() - 7_200)
        lease.heartbeat()
        held = store.leases.holder(session)
        assert held is not None and abs(held.heartbeat - real()) < STALE_AFTER_S
        with store._database.write() as connection:
            connection.execute("UPDATE leases SET host = 'elsewhere'")
        assert store.leases.holder(session) is not None


def test_a_lease_is_renewed_while_its_question_says_nothing(
    store: Store, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT_S", 0.02)
    with store.leases.acquire(session):
        first = store.leases.holder(session)
        assert first is not None
        heartbeats.HEARTBEATS._changed.set()
        until(lambda: (store.leases.holder(session) or first).heartbeat > first.heartbeat)


def test_a_token_that_nobody_holds_is_free_in_its_own_process(store: Store, session: str) -> None:
    lease = store.leases.acquire(session)
    turn = store.turns.begin(lease, question="q")
    store.turns.append_text(turn.id, "so far")
    heartbeats.HEARTBEATS.let_go(lease.token)  # the question broke off, and nobody released it
    assert store.turns.get(turn.id).stop == "interrupted"
    assert not is_busy(store, session)


def test_a_process_that_sees_anothers_processes_trusts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_KNOWN", [])
    monkeypatch.setattr(hosts, "_sees_itself", lambda: False)
    assert "alone" in this_host()
    assert Holder(os.getpid(), hosts.own_start(), this_host(), time.time()).is_alive()


def test_a_shortage_of_descriptors_is_not_taken_for_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    known = this_host()
    monkeypatch.setattr(hosts, "_KNOWN", [])

    def none_left(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", none_left)
        this_host()
    assert this_host() == known


def test_whose_files_are_the_dead_ones() -> None:
    assert is_of_the_dead(f"{own_mark(DEAD)}1234.kv") and is_of_the_dead(f"{DEAD}-1234567890abcdef.kv")
    assert not is_of_the_dead(f"{own_mark()}1234.kv")
    assert not is_of_the_dead(f"{DEAD}-{OTHER_HOST}-1234.kv") and is_foreign(f"{DEAD}-{OTHER_HOST}-1234.kv")
    assert not is_of_the_dead("notes.txt") and not is_foreign(f"{own_mark(DEAD)}1234.kv")


HOLDING = """
import sys, time
from pathlib import Path
from app.uploads import private_folder
from storage.hosts import own_mark
from storage.store import Store
home = Path(sys.argv[1])
store = Store(home)
lease = store.leases.acquire(sys.argv[2])
(private_folder(home) / "copy.txt").write_text("mine")
(home / "snapshots").mkdir()
(home / "snapshots" / f"{own_mark()}feed.kv").write_text("mine")
(home / "snapshots" / f"{own_mark()}feed.kv.4194305.part").write_text("mine")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow  # a process in a namespace of its own
@pytest.mark.skipif(which("unshare") is None or os.geteuid() != 0, reason="needs namespaces")
@pytest.mark.parametrize("mounted", [True, False])
def test_a_process_of_another_namespace_keeps_its_lease_and_its_files(
    store: Store, session: str, tmp_path: Path, mounted: bool
) -> None:
    """mounted: whether it sees its own processes, or ours with ids that are not its own."""
    from app.kv.disk import Tier
    from app.settings import Settings
    from app.uploads import private_folder

    home = tmp_path / "home"
    apart = ["unshare", "--pid", "--fork", "--kill-child", *(["--mount-proc"] if mounted else [])]
    command = [*apart, sys.executable, "-c", HOLDING, str(home), session]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        assert is_busy(store, session)
        Tier(Settings(home=home, model="m"), store.snapshots).sweep()
        private_folder(home)
        assert len(list((home / "snapshots").iterdir())) == 2
        assert len(list(home.glob("uploads/*/copy.txt"))) == 1
    finally:
        process.communicate("")
    with store._database.write() as connection:  # a minute later, by the clock of the files
        connection.execute("UPDATE leases SET heartbeat = heartbeat - ?", (STALE_AFTER_S + 1,))
    assert not is_busy(store, session)
