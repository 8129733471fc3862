import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from xxhash import xxh3_128_digest

from engine.errors import UsageError
from engine.runtime.binding import Binding
from engine.runtime.chain import BLOCK
from storage import migrations, schema
from storage.store import Store
from tests.work import calls, instructions

BINDING: Mapping[str, Any] = Binding(model="fp", llama_cpp="1", kv_k="q8_0", kv_v="f16", lora=("a",)).fields()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


def blocks_of(*texts: int) -> tuple[bytes, ...]:
    """The chain of a prompt of so many blocks: the index takes digests as they come."""
    digests = [b""]
    for text in texts:
        digests.append(xxh3_128_digest(digests[-1] + str(text).encode()))
    return tuple(digests[1:])


def record(store: Store, path: Path, session: str | None, *blocks: int, more: int = 0, **given: Any) -> None:
    store.snapshots.record(
        path=path,
        binding=BINDING,
        n_tokens=len(blocks) * BLOCK + more,
        n_bytes=9,
        blocks=blocks_of(*blocks),
        session_id=session,
        **given,
    )


def found(store: Store, *blocks: int) -> list[tuple[str, int]]:
    return [(match.snapshot.path.name, match.n_blocks) for match in store.snapshots.matches(blocks_of(*blocks))]


def names(store: Store) -> list[str]:
    return [snapshot.path.name for snapshot in store.snapshots.list()]


def test_a_state_is_read_as_recorded(store: Store, tmp_path: Path) -> None:
    session = store.sessions.create(title="What is it?", model="m").id
    assert store.snapshots.list() == () and store.snapshots.total_bytes() == 0
    path = tmp_path / "home" / "kv" / "a.kv"
    record(store, path, session, 1, 2, more=17, model_name="Llama 4 \udcff")
    (got,) = store.snapshots.list()
    assert (got.path, got.n_tokens, got.n_bytes) == (path, 2 * BLOCK + 17, 9)
    assert got.binding == {**BINDING, "lora": ["a"]} and (got.model, got.kv_type) == ("fp", "q8_0 and f16")
    assert got.model_name == "Llama 4 \udcff"
    assert (got.session_ids, got.titles) == ((session,), ("What is it?",))
    assert got.created == got.last_used and got.created.endswith("Z")
    assert store.snapshots.total_bytes() == 9


def test_every_state_that_begins_alike_is_found_the_best_first(store: Store, tmp_path: Path) -> None:
    record(store, tmp_path / "other", None, 9, 2, 3)
    record(store, tmp_path / "short", None, 1)
    record(store, tmp_path / "longer", None, 1, 2, 3, 4, 5, 6)
    record(store, tmp_path / "whole", None, 1, 2, 3)
    record(store, tmp_path / "whole-and-more", None, 1, 2, 3, more=100)
    record(store, tmp_path / "parts-later", None, 1, 2, 7, 4, 5)
    record(store, tmp_path / "tiny", None, more=200)
    longer, parted = ("longer", 5), ("parts-later", 2)
    assert found(store, 1, 2, 3, 4, 5, 8) == [longer, ("whole-and-more", 3), ("whole", 3), parted, ("short", 1)]
    assert found(store, 1, 2, 3) == [("whole-and-more", 3), ("whole", 3), ("longer", 3), parted, ("short", 1)]
    cut = [("whole", 2), ("whole-and-more", 2), parted, ("longer", 2)]
    assert found(store, 1, 2) == [*cut, ("short", 1)]
    assert found(store, 5) == [] == found(store)


def test_the_number_of_shared_blocks_is_right_wherever_they_part(store: Store, tmp_path: Path) -> None:
    for n_blocks in (1, 2, 3, 8, 13):
        record(store, tmp_path / str(n_blocks), None, *range(n_blocks))
    for n_shared in range(1, 14):
        shared = dict(found(store, *range(n_shared), 99))
        assert shared == {str(n_blocks): min(n_blocks, n_shared) for n_blocks in (1, 2, 3, 8, 13)}


def keep_many(store: Store, folder: Path, n_blocks: int) -> list[bytes]:
    """Six states of so many blocks, and 294 of their beginning; a prompt that is another one in its last block."""
    blocks = [n_blocks.to_bytes(4, "big") + number.to_bytes(12, "big") for number in range(n_blocks)]
    for number in range(300):
        own = blocks if number < 6 else blocks[:100]
        path, n_tokens = folder / f"{n_blocks}-{number}", len(own) * BLOCK
        store.snapshots.record(path=path, binding=BINDING, n_tokens=n_tokens, n_bytes=1, blocks=own, session_id=None)
    return [*blocks[:-1], b"x" * 16]


@pytest.mark.slow  # 1.1 s
def test_ten_million_tokens_are_looked_up_at_once(store: Store, tmp_path: Path) -> None:
    """Ten times the tokens take a few steps more."""
    short, long = keep_many(store, tmp_path, 4_100), keep_many(store, tmp_path, 41_000)
    assert len(store.snapshots.matches(long)) == 300
    for cost in (calls, lambda look: instructions(store, look)):
        assert cost(lambda: store.snapshots.matches(long)) < 2 * cost(lambda: store.snapshots.matches(short)) < 100_000


def test_a_growing_checkpoint_replaces_the_one_before(store: Store, tmp_path: Path) -> None:
    first, second = (store.sessions.create(title="t", model="m").id for _ in range(2))
    record(store, tmp_path / "1", first, 1)
    store.snapshots.touch(tmp_path / "1", session_id=second)
    record(store, tmp_path / "2", first, 1, 2, replaces=tmp_path / "1")
    assert found(store, 1, 2) == [("2", 2)]
    assert store.snapshots.list()[0].session_ids == (first, second)  # whoever used it can use what continues it
    record(store, tmp_path / "2", first, 5)  # the same path again: what stood there is gone
    assert found(store, 1, 2) == [] and found(store, 5) == [("2", 1)]


def test_a_shared_state_stays_until_its_last_session_goes(store: Store, tmp_path: Path) -> None:
    first, second = (store.sessions.create(title="t", model="m").id for _ in range(2))
    shared, own = tmp_path / "shared", tmp_path / "own"
    record(store, shared, first, 1)
    record(store, own, first, 1, 2)
    record(store, tmp_path / "nobodys", None, 1)
    store.snapshots.touch(shared, session_id=second)
    store.snapshots.touch(shared, session_id="gone")
    assert store.sessions.delete(first) == (own,)
    assert names(store) == ["nobodys", "shared"]
    assert store.sessions.delete(second) == (shared,)
    assert names(store) == ["nobodys"]  # no session's state is not taken by another's end


def test_a_session_can_let_its_states_go(store: Store, tmp_path: Path) -> None:
    first, second = (store.sessions.create(title="t", model="m").id for _ in range(2))
    record(store, tmp_path / "shared", first, 1)
    record(store, tmp_path / "own", first, 1, 2)
    store.snapshots.touch(tmp_path / "shared", session_id=second)
    assert store.snapshots.remove(first) == (tmp_path / "own",)
    assert store.snapshots.remove(first) == () and store.snapshots.list()[0].session_ids == (second,)


def test_forgetting_takes_it_from_all(store: Store, tmp_path: Path) -> None:
    session = store.sessions.create(title="t", model="m").id
    record(store, tmp_path / "shared", session, 1)
    store.snapshots.forget(tmp_path / "shared")
    assert store.snapshots.list() == () and found(store, 1) == []
    with store._database.read() as connection:
        for table in ("snapshots", "snapshot_blocks", "session_snapshots"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table


def test_the_one_not_used_for_longest_comes_first(store: Store, tmp_path: Path) -> None:
    for name in "abc":
        record(store, tmp_path / name, None, 1)
    store.snapshots.touch(tmp_path / "a")
    assert names(store) == ["b", "c", "a"]


def test_a_home_can_be_moved(tmp_path: Path) -> None:
    inside, outside = tmp_path / "old" / "kv" / "\udcff.kv", tmp_path / "elsewhere.kv"
    with Store(tmp_path / "old") as store:
        record(store, inside, None, 1)
        record(store, outside, None, 1)
    (tmp_path / "old").rename(tmp_path / "new")
    with Store(tmp_path / "new") as store:
        paths = {state.path for state in store.snapshots.list()}
        assert paths == {tmp_path / "new" / "kv" / "\udcff.kv", outside}
        store.snapshots.forget(tmp_path / "new" / "kv" / "\udcff.kv")
        assert names(store) == ["elsewhere.kv"]


def test_no_such_session(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no session"):
        record(store, tmp_path / "a", "nothere", 1)
    assert store.snapshots.list() == ()


def test_a_home_of_the_first_version_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sessions stay; its states, which were found by their session, go, and their files with them."""
    first = migrations.Migrations("longdesk")
    first()(migrations.first_tables)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", 1)
        patch.setattr(migrations, "MIGRATIONS", first)
        Store(tmp_path).close()
    state, elsewhere = tmp_path / "snapshots" / "a.kv", tmp_path / "snapshots" / "not-ours"
    state.parent.mkdir()
    for file in (state, elsewhere):
        file.write_bytes(b"kv")
    connection = sqlite3.connect(tmp_path / schema.FILE_NAME)
    with connection:
        connection.execute("INSERT INTO sessions VALUES ('abc', 'kept', '1', '1', 'm', NULL, '2026-01-01', '{}')")
        for number, path in enumerate(("snapshots/a.kv", "snapshots/gone.kv")):
            connection.execute(
                "INSERT INTO snapshots VALUES (?, ?, 'm', 'f16', 'f16', 1, 1, '1', '1', x'00')", (number, path)
            )
        connection.execute("INSERT INTO session_snapshots VALUES ('abc', 0)")
    connection.close()
    with Store(tmp_path) as store:
        assert store.sessions.get("abc").title == "kept"
        assert store.snapshots.list() == ()
        record(store, tmp_path / "new", "abc", 1)
        assert found(store, 1, 2) == [("new", 1)]
    assert not state.exists() and elsewhere.exists()


def test_dates_are_those_of_states_and_of_sessions(store: Store) -> None:
    session = store.sessions.create(title="t", model="m", frozen_date="2026-11-12").id
    record(store, Path("a.kv"), session, 1, date="2026-01-02")
    record(store, Path("b.kv"), None, 2)
    assert sorted(store.snapshots.dates()) == ["2026-01-02", "2026-11-12"]
    assert sorted(each.date for each in store.snapshots.list()) == ["", "2026-01-02"]
    store.sessions.change(session, frozen_date="2026-11-30")
    assert sorted(store.snapshots.dates()) == ["2026-01-02", "2026-11-30"]
