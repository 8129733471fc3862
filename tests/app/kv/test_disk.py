"""The disk tier of KV states: its budget, who goes, what crashes leave behind, and two processes over one home."""

import os
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from app.kv import disk, disk_lock
from app.kv.disk import MOST_BYTES, Tier
from app.kv.disk_lock import reserving
from app.settings import Settings
from engine.errors import LongdeskError
from engine.memory.budget import DISK_RESERVE_BYTES
from storage.store import Store
from tests.patience import PATIENCE_S

MIB = 1 << 20
DEAD = 4_194_303  # above what Linux gives out by default
ROOT = Path(__file__).parents[3]
Usage = namedtuple("Usage", "total used free")
NewTier = Callable[..., Tier]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as store:
        yield store


@pytest.fixture
def new_tier(tmp_path: Path, store: Store) -> NewTier:
    def build(budget: int | None = 10 * MIB) -> Tier:
        return Tier(Settings(home=tmp_path, snapshot_budget=budget), store.snapshots)

    return build


def put(
    tier: Tier, store: Store, name: str, n_bytes: int = MIB, *, n_tokens: int = 256, blocks: Sequence[bytes] = ()
) -> Path:
    """A state with its file. Named states are used one after the other; without blocks each holds its own."""
    tier.folder.mkdir(exist_ok=True)
    path = tier.folder / f"{name}.kv"
    path.write_bytes(b"k" * n_bytes)
    store.snapshots.record(
        path=path,
        binding={"model": "m"},
        n_tokens=n_tokens,
        n_bytes=n_bytes,
        blocks=blocks or [name.encode()],
        session_id=None,
    )
    return path


def names(tier: Tier) -> list[str]:
    """What the index knows, which is what lies in the folder."""
    listed = [snapshot.path for snapshot in tier.kept().snapshots]
    assert sorted(listed) == sorted(path for path in tier.folder.iterdir())
    return [path.stem for path in listed]


def disk_of(tier: Tier, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with so much free beside what the states take and the reserve."""
    whole = free + DISK_RESERVE_BYTES + sum(path.stat().st_size for path in tier.folder.iterdir())

    def usage(path: Path) -> Usage:
        used = sum(file.stat().st_size for file in tier.folder.iterdir())
        return Usage(whole, used, whole - used)

    monkeypatch.setattr(disk.shutil, "disk_usage", usage)


def test_what_was_not_used_for_longest_goes_first(new_tier: NewTier, store: Store) -> None:
    tier = new_tier()
    for name in "abcde":
        put(tier, store, name, 2 * MIB)
    store.snapshots.touch(tier.folder / "a.kv")
    room = tier.keep(3 * MIB, protected=(tier.folder / "c.kv",))
    assert [snapshot.path.stem for snapshot in room.evicted] == ["b", "d"] and room.refusal is None
    assert names(tier) == ["c", "e", "a"]
    assert tier.keep(4 * MIB).evicted == ()  # a reservation of its own is replaced
    assert tier.kept().total_bytes == 6 * MIB and tier.kept().budget_bytes == 10 * MIB


def test_the_last_state_of_a_corpus_outlives_another_sessions_turns(new_tier: NewTier, store: Store) -> None:
    def blocks(corpus: str, session: str) -> list[bytes]:
        prefixes = [f"{corpus} {at}" for at in range(10)] + [f"{corpus} {session} {at}" for at in (10, 11)]
        return [prefix.encode() for prefix in prefixes]

    tier = new_tier(5 * MIB)
    for corpus, session in ("a1", "b1", "b2", "b3", "c1"):
        put(tier, store, corpus + session, n_tokens=1_300, blocks=blocks(corpus, session))
    assert [room.path.stem for room in tier.keep(MIB, blocks=blocks("d", "1")).evicted] == ["b1"]
    put(tier, store, "d1", n_tokens=1_300, blocks=blocks("d", "1"))
    grown = [*blocks("b", "3"), b"b 3 12"]
    assert [room.path.stem for room in tier.keep(MIB, blocks=grown).evicted] == ["b3"], (
        "it goes on in the one that comes"
    )
    put(tier, store, "b3+", n_tokens=1_600, blocks=grown)
    assert [room.path.stem for room in tier.keep(MIB).evicted] == ["b2"]
    assert [room.path.stem for room in tier.keep(3 * MIB).evicted] == ["a1", "c1"], "none of which is held elsewhere"


def test_nothing_goes_where_that_would_not_be_enough(new_tier: NewTier, store: Store) -> None:
    tier = new_tier()
    for name in "ab":
        put(tier, store, name, 4 * MIB)
    refusal = "takes 11.0 MiB, and all that are kept may take 10.0 MiB"
    assert refusal in str(tier.keep(11 * MIB).refusal)
    assert tier.keep(7 * MIB, protected=[tier.folder / "a.kv"]).refusal
    assert names(tier) == ["a", "b"]
    assert tier.keep(10 * MIB + 1).refusal and tier.keep(6 * MIB + 1, protected=[tier.folder / "a.kv"]).refusal
    assert names(tier) == ["a", "b"]
    assert tier.keep(6 * MIB, protected=[tier.folder / "a.kv"]).refusal is None
    assert tier.keep(10 * MIB).refusal is None
    assert new_tier(0).keep(1).refusal


def test_the_disk_is_never_filled(new_tier: NewTier, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = new_tier(100 * MIB)
    for name in "abc":
        put(tier, store, name, 2 * MIB)
    disk_of(tier, 3 * MIB, monkeypatch)
    assert tier.keep(9 * MIB + 1).refusal
    assert tier.keep(3 * MIB).evicted == ()
    assert [snapshot.path.stem for snapshot in tier.keep(6 * MIB).evicted] == ["a", "b"]
    refusal = tier.keep(10 * MIB).refusal
    assert refusal and refusal.endswith("takes 10.0 MiB, and 2.0 GiB of the disk are always left free.")
    assert names(tier) == ["c"]


def test_a_file_that_gives_nothing_back_is_no_room(
    new_tier: NewTier, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = new_tier(100 * MIB)
    put(tier, store, "a", 2 * MIB)
    put(tier, store, "b", 2 * MIB)
    monkeypatch.setattr(disk, "_FREED_AFTER_S", 0.1)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(9, 9, DISK_RESERVE_BYTES + MIB))
    assert "always left free" in str(tier.keep(2 * MIB).refusal)
    assert names(tier) == ["b"]


def test_the_default_budget_is_a_quarter_of_the_room(
    new_tier: NewTier, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = new_tier(None)
    put(tier, store, "a", 4 * MIB)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(0, 0, 36 * MIB))
    assert tier.budget_bytes() == 10 * MIB
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(0, 0, 1 << 50))
    assert tier.budget_bytes() == MOST_BYTES


def test_what_others_are_writing_counts(new_tier: NewTier) -> None:
    one, other = new_tier(), new_tier()
    assert one.keep(6 * MIB).refusal is None
    assert other.keep(6 * MIB).refusal is not None
    assert other.keep(4 * MIB + 1).refusal is not None
    assert other.keep(4 * MIB).refusal is None
    one.release()
    assert other.keep(10 * MIB).refusal is None


def test_what_a_dead_process_reserved_counts_for_nothing(new_tier: NewTier, tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from app.kv.disk import Tier; from app.settings import Settings\n"
    script += "from storage.store import Store; home = Path(sys.argv[1])\n"
    script += f"settings = Settings(home=home, snapshot_budget={10 * MIB})\n"
    script += f"assert Tier(settings, Store(home).snapshots).keep({9 * MIB}).refusal is None"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT)
    assert b"n_bytes" in (tmp_path / "snapshots.lock").read_bytes()
    assert new_tier().keep(10 * MIB).refusal is None
    (tmp_path / "snapshots.lock").write_bytes(b'{"half')
    assert new_tier().keep(10 * MIB).refusal is None


def test_a_lock_that_is_not_let_go(new_tier: NewTier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_lock, "_WAIT_S", 0.05)
    tier = new_tier()
    with reserving(tmp_path / "snapshots.lock", "other"):
        assert "locked for" in str(tier.keep(1).refusal)
        tier.release()
        tier.sweep()
        with pytest.raises(LongdeskError, match="locked for"):
            tier.prune()


def test_a_sweep_takes_what_nobody_needs_and_nothing_else(new_tier: NewTier, store: Store) -> None:
    tier = new_tier()
    known, gone = put(tier, store, "known"), put(tier, store, "gone")
    gone.unlink()
    long_ago = time.time() - 4_000
    os.utime(known, (long_ago, long_ago))
    stay = [f"x.kv.{os.getpid()}.part", "fresh.kv", f"{os.getpid()}-1.kv", "x.kv.part", "notes.txt", "2345672345-a.kv"]
    go = [f"x.kv.{DEAD}.part", "old.kv", f"{DEAD}-2.kv"]
    for name in stay + go:
        (tier.folder / name).write_bytes(b"")
    for name in ("old.kv", "notes.txt"):
        os.utime(tier.folder / name, (long_ago, long_ago))
    abandoned = tier.folder / f"y.kv.{os.getpid()}.part"
    abandoned.write_bytes(b"")
    os.utime(abandoned, (1, 1))
    tier.sweep()
    assert sorted(path.name for path in tier.folder.iterdir()) == sorted([*stay, "known.kv"])
    assert [snapshot.path for snapshot in tier.kept().snapshots] == [known]
    path = tier.new_path(DEAD)
    path.write_bytes(b"")
    assert tier.keep(MIB).refusal is None and not path.exists()


def test_what_a_killed_reading_held_goes_and_what_a_session_has_stays(new_tier: NewTier, store: Store) -> None:
    tier, session = new_tier(), store.sessions.create(title="t", model="m").id
    held, own, running = (put(tier, store, name) for name in (f"{DEAD}-a", f"{DEAD}-b", f"{os.getpid()}-c"))
    store.snapshots.touch(own, session_id=session)
    tier.sweep()
    assert not held.exists() and {snapshot.path for snapshot in tier.kept().snapshots} == {own, running}


def test_a_home_without_states_is_left_alone(new_tier: NewTier, tmp_path: Path) -> None:
    tier = new_tier()
    tier.sweep()
    assert tier.kept().snapshots == () and not tier.folder.exists() and not (tmp_path / "snapshots.lock").exists()


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_only_the_owner_may_read(new_tier: NewTier, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        tier = new_tier()
        tier.folder.mkdir(mode=0o755)
        tier.keep(1)
        assert tier.folder.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "snapshots.lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_pruning(new_tier: NewTier, store: Store) -> None:
    tier = new_tier()
    for name in "abcd":
        put(tier, store, name)
    assert tier.prune(older_than=timedelta(days=1)) == () == tier.prune(to_bytes=4 * MIB) == tier.prune()
    assert [snapshot.path.stem for snapshot in tier.prune(to_bytes=3 * MIB - 1)] == ["a", "b"]
    assert names(tier) == ["c", "d"]
    tier.delete(tier.folder / "d.kv")
    tier.delete(tier.folder / "d.kv")
    assert names(tier) == ["c"]
    with store._database.write() as connection:
        connection.execute("UPDATE snapshots SET last_used = '2026-01-01T00:00:00.000000Z'")
    put(tier, store, "e")
    assert [snapshot.path.stem for snapshot in tier.prune(older_than=timedelta(days=1))] == ["c"]
    assert len(tier.prune(to_bytes=0)) == 1 and names(tier) == []


def test_verifying_takes_the_broken_ones_away(new_tier: NewTier, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = new_tier()
    good, bad, gone = (put(tier, store, name) for name in ("good", "bad", "gone"))

    def problem_of(snapshot: disk.Snapshot) -> str | None:
        if snapshot.path == gone:
            tier.delete(gone)  # by another process
        return None if snapshot.path == good else "its checksum is wrong"

    monkeypatch.setattr(disk, "problem_of", problem_of)
    verified = [(each.snapshot.path, each.problem) for each in tier.verify()]
    assert verified == [(good, None), (bad, "its checksum is wrong")]
    assert names(tier) == ["good"]


def test_what_is_no_state_does_not_verify(new_tier: NewTier, store: Store) -> None:
    tier = new_tier()
    put(tier, store, "a")
    assert ["damaged" in str(each.problem) or "cut short" in str(each.problem) for each in tier.verify()] == [True]


WRITING_TOGETHER = """
import os, random, sys, time
from pathlib import Path
from app.settings import Settings
from app.kv.disk import Tier
from storage.store import Store

home, budget, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
with Store(home) as store:
    tier = Tier(Settings(home=home, snapshot_budget=budget), store.snapshots)
    kept = 0
    for number in range(40):
        size = draw.randrange(1, budget // 2)
        room = tier.keep(size)
        if room.refusal is None:
            path = tier.new_path(os.getpid())
            path.write_bytes(b"k" * size)
            time.sleep(draw.random() * 0.01)
            state = {"binding": {}, "n_tokens": 256, "blocks": [b"b" * 16], "session_id": None}
            store.snapshots.record(path=path, n_bytes=size, **state)
            kept += 1
        assert store.snapshots.total_bytes() <= budget, "over the budget"
        tier.release()
    assert kept > 10, kept
"""


def test_processes_that_keep_at_once_never_exceed_the_budget(new_tier: NewTier, tmp_path: Path) -> None:
    budget = 100_000
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITING_TOGETHER, str(tmp_path), str(budget), str(seed)],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )
        for seed in range(2)
    ]  # fmt: skip
    for child in children:
        _, said = child.communicate(timeout=PATIENCE_S)
        assert child.returncode == 0, said
    tier = new_tier(budget)
    assert 0 < tier.kept().total_bytes <= budget
    assert names(tier)
