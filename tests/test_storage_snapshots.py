from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UsageError
from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


def record(store: Store, session: str, path: Path, ids: tuple[int, ...] = (1, 2, 3)) -> tuple[Path, ...]:
    return store.snapshots.record(session, path=path, model="fp", kv_k="q8_0", kv_v="f16", ids=ids, n_bytes=9)


def test_a_state_is_read_as_recorded(store: Store, tmp_path: Path) -> None:
    session = store.sessions.create(title="t", model="m").id
    assert store.snapshots.get(session) is None
    path, ids = tmp_path / "home" / "kv" / "a.bin", tuple(range(-1, 131_072))
    assert record(store, session, path, ids) == ()
    got = store.snapshots.get(session)
    assert got is not None
    assert (got.path, got.model, got.kv_k, got.kv_v, got.n_bytes) == (path, "fp", "q8_0", "f16", 9)
    assert (got.ids, got.n_tokens, got.session_ids) == (ids, len(ids), (session,))
    assert got.created == got.last_used and got.created.endswith("Z")


def test_the_next_state_frees_the_one_before(store: Store, tmp_path: Path) -> None:
    session = store.sessions.create(title="t", model="m").id
    one, two = tmp_path / "1", tmp_path / "2"
    record(store, session, one)
    assert record(store, session, two) == (one,)
    assert record(store, session, two, ids=(7,)) == ()
    assert [state.path for state in store.snapshots.list()] == [two]
    assert store.snapshots.remove(session) == (two,)
    assert store.snapshots.remove(session) == () == store.snapshots.list()
    assert store.snapshots.get(session) is None


def test_a_shared_state_stays_until_its_last_session_goes(store: Store, tmp_path: Path) -> None:
    first, second = sorted(store.sessions.create(title="t", model="m").id for _ in range(2))
    path = tmp_path / "shared"
    record(store, first, path)
    record(store, second, path)
    assert store.snapshots.list()[0].session_ids == (first, second)
    assert store.sessions.delete(first) == ()
    assert store.sessions.delete(second) == (path,)


def test_forgetting_takes_it_from_all(store: Store, tmp_path: Path) -> None:
    sessions = [store.sessions.create(title="t", model="m").id for _ in range(2)]
    for session in sessions:
        record(store, session, tmp_path / "shared")
    store.snapshots.forget(tmp_path / "shared")
    assert [store.snapshots.get(session) for session in sessions] == [None, None]


def test_the_one_not_used_for_longest_comes_first(store: Store, tmp_path: Path) -> None:
    for name in "abc":
        record(store, store.sessions.create(title=name, model="m").id, tmp_path / name)
    store.snapshots.touch(tmp_path / "a")
    listed = store.snapshots.list()
    assert [state.path.name for state in listed] == ["b", "c", "a"]
    assert [(state.ids, state.n_tokens) for state in listed] == [((), 3)] * 3


def test_a_home_can_be_moved(tmp_path: Path) -> None:
    inside, outside = tmp_path / "old" / "kv" / "\udcff.bin", tmp_path / "elsewhere.bin"
    with Store(tmp_path / "old") as store:
        ids = [store.sessions.create(title="t", model="m").id for _ in range(2)]
        record(store, ids[0], inside)
        record(store, ids[1], outside)
    (tmp_path / "old").rename(tmp_path / "new")
    with Store(tmp_path / "new") as store:
        paths = {state.path for state in store.snapshots.list()}
    assert paths == {tmp_path / "new" / "kv" / "\udcff.bin", outside}


def test_no_such_session(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no session"):
        record(store, "nothere", tmp_path / "a")
    assert store.snapshots.list() == ()
