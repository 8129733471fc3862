"""Notes of passes: found by their keys, put in place, and pruned by when they were used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UsageError
from storage import notes
from storage.store import Store

SIZE = 1_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    ticks = iter(range(10_000))
    monkeypatch.setattr(notes, "pack_time", lambda: f"2026-01-01T{next(ticks):02}:00:00.000000Z")
    with Store(tmp_path) as store:
        yield store


def put(store: Store, session: str, *keys: str, **known: Any) -> None:
    for key in keys:
        store.notes.put(key, session, {"text": "x" * SIZE}, **known)


def there(store: Store, keys: str) -> str:
    return "".join(key for key in keys if store.notes.stamp(key) is not None)


def test_what_was_not_used_for_longest_goes_first(store: Store) -> None:
    session = store.sessions.create(title="One", model="m").id
    put(store, session, *"abcd", f"summary {session}")
    assert store.notes.get("a") == {"text": "x" * SIZE}
    put(store, session, "e", budget=4 * SIZE)
    assert there(store, "abcde") == "ade", "a was used since"
    assert store.notes.get(f"summary {session}") is not None, "it is the session's own"
    put(store, session, "f", budget=0)
    assert there(store, "abcdef") == ""


def test_pruning_says_what_went_and_what_is_left(store: Store) -> None:
    session = store.sessions.create(title="One", model="m").id
    put(store, session, *"abcd", f"summary {session}")
    gone = store.notes.prune(to_bytes=3 * SIZE)
    assert gone.n_notes == 2 and gone.n_bytes == 2 * (SIZE + 11) and gone.left_bytes == gone.n_bytes
    assert there(store, "abcd") == "cd"
    assert store.notes.prune(older_than="2026-01-01T00").n_notes == 0
    assert store.notes.prune(older_than="2027").n_notes == 2 and there(store, "cd") == ""
    assert store.notes.stamp(f"summary {session}") is not None


def test_notes_go_with_their_session(store: Store) -> None:
    one, two = (store.sessions.create(title=title, model="m").id for title in ("One", "Two"))
    put(store, one, *"ab", f"summary {one}")
    put(store, two, "c")
    store.sessions.delete(one)
    assert there(store, "abc") == "c" and store.notes.stamp(f"summary {one}") is None
    with pytest.raises(UsageError):
        put(store, one, "d")


def test_a_stamp_is_another_with_each_that_is_put(store: Store) -> None:
    session = store.sessions.create(title="One", model="m").id
    put(store, session, "a")
    before = store.notes.stamp("a")
    assert store.notes.get("a") is not None and store.notes.stamp("a") == before
    put(store, session, "a")
    assert store.notes.stamp("a") != before and store.notes.stamp("b") is None
