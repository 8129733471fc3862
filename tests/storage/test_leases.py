import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.errors import SessionBusy, UsageError
from storage.hosts import this_host
from storage.leases import STALE_AFTER_S, Holder
from storage.store import Store
from tests.patience import PATIENCE_S, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def session(store: Store) -> str:
    return store.sessions.create(title="t", model="m").id


def alter(store: Store, **columns: object) -> None:
    with store._database.write() as connection:
        for name, value in columns.items():
            connection.execute(f"UPDATE leases SET {name} = ?", (value,))


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_one_holder_at_a_time(store: Store, session: str) -> None:
    other = store.sessions.create(title="other", model="m").id
    with store.leases.acquire(session) as lease, store.leases.acquire(other):
        with pytest.raises(SessionBusy, match=rf"This process \(pid {os.getpid()}\) is answering in session {session}"):
            store.leases.acquire(session)
        lease.heartbeat()
        holder = store.leases.holder(session)
        assert holder is not None and holder.pid == os.getpid() and holder.is_alive()
    assert store.leases.holder(session) is None
    store.leases.acquire(session).release()
    lease.release()
    with pytest.raises(SessionBusy, match="taken over"):
        lease.heartbeat()


def test_of_two_threads_one_is_busy(store: Store, session: str) -> None:
    ready, got = threading.Barrier(8), []

    def work() -> None:
        ready.wait()
        try:
            store.leases.acquire(session)
            got.append("lease")
        except SessionBusy:
            got.append("busy")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["busy"] * 7 + ["lease"]


def test_the_lease_ends_with_its_block(store: Store, session: str) -> None:
    with pytest.raises(KeyError), store.leases.acquire(session):
        raise KeyError
    store.leases.acquire(session).release()


def test_no_such_session(store: Store) -> None:
    with pytest.raises(UsageError, match="no session"):
        store.leases.acquire("nothere")


@pytest.mark.parametrize("columns", [{"pid": 2**22 + 1}, {"started": 1.0}, {"started": 10.0**12}])
def test_a_pid_that_is_gone_or_was_given_to_another_is_replaced(
    store: Store, session: str, columns: dict[str, object]
) -> None:
    lease = store.leases.acquire(session)
    turn = store.turns.begin(lease, question="q")
    store.turns.append_text(turn.id, "so far")
    alter(store, **columns)
    assert store.leases.holder(session) is None
    with store.leases.acquire(session):
        left = store.turns.of(session)[0]
        assert (left.stop, left.text) == ("interrupted", "so far")
        with pytest.raises(SessionBusy, match="taken over"):
            lease.heartbeat()


def test_another_host_is_judged_by_its_heartbeat(store: Store, session: str) -> None:
    store.leases.acquire(session)
    alter(store, host="elsewhere", pid=2**22 + 1)
    with pytest.raises(SessionBusy, match="Another process"):
        store.leases.acquire(session)
    alter(store, heartbeat=time.time() - STALE_AFTER_S - 1)
    store.leases.acquire(session).release()


def test_appending_is_a_heartbeat(store: Store, session: str) -> None:
    with store.leases.acquire(session) as lease:
        turn = store.turns.begin(lease, question="q")
        for sign in (
            lambda: store.turns.append_text(turn.id, "text"),
            lambda: store.turns.set_progress(turn.id, done=1, total=2, reused=0),
            lease.heartbeat,
        ):
            begun = time.time()
            alter(store, heartbeat=0.0)
            sign()
            holder = store.leases.holder(session)
            assert holder is not None and holder.heartbeat >= begun


def test_a_zombie_is_dead() -> None:
    child = start("pass")
    started = psutil.Process(child.pid).create_time() - psutil.boot_time()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not Holder(pid=child.pid, started=started, host=this_host(), heartbeat=time.time()).is_alive()
    child.communicate()


ANSWERING = """
import sys, time
from pathlib import Path
from storage.store import Store
store = Store(Path(sys.argv[1]))
lease = store.leases.acquire(sys.argv[2])
turn = store.turns.begin(lease, question="Will you be killed?")
text = ""
for number in range(10_000):
    text += f"word {number} "
    store.turns.append_text(turn.id, text)
    print(number, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_kill_9_in_mid_turn_keeps_the_text_and_frees_the_session(store: Store, session: str) -> None:
    child = start(ANSWERING, store.home, session)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(20)]
    with pytest.raises(SessionBusy, match=f"pid {child.pid}"):
        store.leases.acquire(session)
    assert store.heal() == 0
    assert store.turns.of(session)[0].stop is None
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    last = int((lines + rest.split("\n")[:-1])[-1])
    [turn] = store.turns.of(session)
    assert turn.stop == "interrupted" and turn.finished is not None
    assert turn.text.startswith("".join(f"word {number} " for number in range(last + 1)))
    assert store.search("killed")[0].session_id == session
    with store.leases.acquire(session) as lease:
        assert store.turns.begin(lease, question="Again").index == 1


BUSY = """
import random, sys, time
from pathlib import Path
from engine.corpus.source import Source, digest_text
from engine.errors import SessionBusy
from storage.store import Store
from storage.turns import Outcome
store, shared, name = Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
own = store.sessions.create(title=name, model="m").id
def answer(session, question):
    while True:
        try:
            with store.leases.acquire(session) as lease:
                turn = store.turns.begin(lease, question=question)
                for end in range(5):
                    store.turns.append_text(turn.id, "x" * end * 100)
                store.turns.finish(turn.id, Outcome(text=question + " answered", stop="end", reply_ids=(1,)))
                return
        except SessionBusy:
            time.sleep(random.random() * 0.01)
for number in range(15):
    answer(own, f"{name} {number}")
    answer(shared, f"{name} {number}")
    store.sessions.rename(shared, f"{name} {number}")
    store.sessions.change(shared, settings={f"{name}{number}": number})
    text = f"text {number}" * 500
    store.sources.put(shared, [Source(f"{name}/{number}", "text", text, 1, digest_text(text))], turn_index=number)
    store.sessions.delete(store.sessions.create(title="gone", model="m").id)
    store.search(name), store.sessions.list(), store.sources.of(shared)
store.close()
"""


def test_four_processes_at_once_lose_nothing(store: Store, session: str) -> None:
    children = [start(BUSY, store.home, session, name) for name in "abcd"]
    for child in children:
        _, said = child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 0, said
    turns = store.turns.of(session)
    assert [turn.index for turn in turns] == list(range(60))
    expected = {f"{name} {number}" for name in "abcd" for number in range(15)}
    assert {turn.question for turn in turns} == expected
    assert all(turn.text == f"{turn.question} answered" and turn.stop == "end" for turn in turns)
    for name in "abcd":
        assert [turn.question[0] for turn in turns if turn.question[0] == name] == [name] * 15
    assert len(store.sessions.get(session).settings) == 60
    assert [one.position for one in store.sources.links(session)] == list(range(60))
    assert sorted(one.turns for one in store.sessions.list()) == [15, 15, 15, 15, 60]
    with store._database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("SELECT count(*) FROM contents").fetchone()[0] == 15
