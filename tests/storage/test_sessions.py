from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.corpus.source import Cause, Skipped, Source, digest_text
from engine.errors import SessionBusy, UsageError
from storage.identity import ALPHABET, LENGTH
from storage.records import Outcome, SessionRecord
from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


def with_ids(monkeypatch: pytest.MonkeyPatch, *ids: str) -> None:
    drawn = iter(ids)
    monkeypatch.setattr("storage.sessions.draw_id", lambda: next(drawn))


def test_a_session_is_read_as_it_was_made(store: Store) -> None:
    made = store.sessions.create(
        title="Contract review",
        model="scout.gguf",
        system="Be brief.",
        frozen_date="2026-01-31",
        settings={"kv": "q8_0", "ctx": 131072},
    )
    assert store.sessions.get(made.id) == made
    assert (made.title, made.model, made.system, made.frozen_date) == (
        "Contract review",
        "scout.gguf",
        "Be brief.",
        "2026-01-31",
    )
    assert made.settings == {"kv": "q8_0", "ctx": 131072}
    assert made.created == made.updated
    assert len(made.created) == len("2026-01-31T12:00:00Z") and made.created.endswith("Z")
    assert len(made.id) == LENGTH and set(made.id) <= set(ALPHABET)
    other = store.sessions.create(title="t", model="m")
    assert other.id != made.id and other.system is None and len(other.frozen_date) == 10


@pytest.mark.parametrize("text", ["\udcff.pdf", "a\0b", "'; DROP TABLE sessions; --", "Übersicht 東京 🗂", "\r\n"])
def test_ugly_texts_come_back(store: Store, text: str) -> None:
    made = store.sessions.create(title=text, model=text, system=text)
    assert (made.title, made.model, made.system) == (text, text, text)
    assert store.sessions.list()[0].title == text
    store.search(text)


def test_the_beginning_of_an_id_is_enough(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with_ids(monkeypatch, "abcdefghij", "abzzzzzzzz", "mmmmmmmmmm")
    for title in "123":
        store.sessions.create(title=title, model="m")
    assert store.sessions.get("m").title == "3"
    assert store.sessions.get(" ABC ").title == "1"
    with pytest.raises(UsageError, match="Several sessions begin with ab: abcdefghij, abzzzzzzzz"):
        store.sessions.get("ab")
    for call in (store.sessions.delete, store.turns.of, store.record):
        with pytest.raises(UsageError, match="Several"):
            call("ab")
    assert store.sessions.rename("abc", "new").id == "abcdefghij"


@pytest.mark.parametrize("wanted", ["", " ", "nothere", "%", "_", "*", "\udcff", "\0", "x" * 5000, "'"])
def test_no_such_session(store: Store, wanted: str) -> None:
    store.sessions.create(title="t", model="m")
    with pytest.raises(UsageError, match="There is no session .*`longdesk sessions list` shows them"):
        store.sessions.get(wanted)


def test_the_newest_update_comes_first(store: Store) -> None:
    ids = [store.sessions.create(title=str(i), model="m").id for i in range(4)]
    assert [one.id for one in store.sessions.list()] == ids[::-1]
    store.sessions.rename(ids[0], "renamed")
    assert [one.id for one in store.sessions.list(limit=2)] == [ids[0], ids[3]]
    with store.leases.acquire(ids[1]) as lease:
        store.turns.begin(lease, question="q")
    assert [one.id for one in store.sessions.list(limit=2, offset=1)] == [ids[0], ids[3]]
    first = store.sessions.list(limit=1)[0]
    assert (first.id, first.turns, first.title, first.model) == (ids[1], 1, "1", "m")


def test_a_title_stays_one_line(store: Store) -> None:
    session = store.sessions.create(title="t", model="m")
    assert store.sessions.rename(session.id, " two\n lines\t").title == "two lines"
    with pytest.raises(UsageError, match="cannot be empty"):
        store.sessions.rename(session.id, " \n")
    assert store.sessions.get(session.id).title == "two lines"


def test_changing_settings_keeps_the_others(store: Store) -> None:
    session = store.sessions.create(title="t", model="m", settings={"kv": "f16", "ctx": 1})
    assert store.sessions.change(session.id, settings={"ctx": 2}).settings == {"kv": "f16", "ctx": 2}
    assert store.sessions.change(session.id, model="n") == store.sessions.get(session.id)
    assert store.sessions.get(session.id).model == "n"


def test_deleting_takes_everything_but_what_others_use(store: Store, tmp_path: Path) -> None:
    shared, own = (
        Source(name, "text", text, len(text), digest_text(text)) for name, text in (("a", "shared"), ("b", "x" * 10**6))
    )
    one, two = (store.sessions.create(title=title, model="m").id for title in ("first", "second"))
    store.sources.put(one, [shared, own], turn_index=0)
    store.sources.put(two, [shared], turn_index=0)
    store.sources.put_skipped(one, [Skipped("c", Cause.EMPTY, "empty")])
    state = tmp_path / "home" / "kv" / "one.bin"
    store.snapshots.record(path=state, binding={}, n_tokens=256, n_bytes=1, blocks=[b"0" * 16], session_id=one)
    with store.leases.acquire(one) as lease:
        turn = store.turns.begin(lease, question="what")
        store.turns.append_text(turn.id, "par")
    assert store.sessions.delete(one) == (state,)
    assert [session.id for session in store.sessions.list()] == [two]
    assert [link.source for link in store.sources.of(two)] == [shared]
    with store._database.read() as connection:
        for table in (
            *("turns", "pieces", "session_skipped", "leases"),
            *("snapshots", "snapshot_blocks", "session_snapshots"),
        ):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table
        assert connection.execute("SELECT count(*) FROM contents").fetchone()[0] == 1
        assert connection.execute("SELECT count(*) FROM passages").fetchone()[0] == 1
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert store.search("what") == () == store.search("first")
    with pytest.raises(UsageError):
        store.sessions.delete(one)


def test_deleting_gives_the_space_back(tmp_path: Path) -> None:
    text = "".join(chr(33 + i * i * 7919 % 20011) for i in range(2 * 10**6))
    with Store(tmp_path) as store:
        session = store.sessions.create(title="t", model="m")
        store.sources.put(session.id, [Source("a", "text", text, 1, digest_text(text))], turn_index=0)
        with store._database.read() as connection:
            before = connection.execute("PRAGMA page_count").fetchone()[0]
        store.sessions.delete(session.id)
        with store._database.read() as connection:
            assert connection.execute("PRAGMA freelist_count").fetchone()[0] == 0
            assert connection.execute("PRAGMA page_count").fetchone()[0] < before - 20


def test_a_session_that_is_being_answered_is_not_deleted(store: Store) -> None:
    session = store.sessions.create(title="t", model="m")
    with store.leases.acquire(session.id), pytest.raises(SessionBusy):
        store.sessions.delete(session.id)
    store.sessions.delete(session.id)


def test_the_record_holds_everything(store: Store) -> None:
    session = store.sessions.create(title="t", model="m")
    source = Source("a.py", "text", "print()\r\n", 9, digest_text("print()\r\n"), encoding="utf-8")
    skipped = Skipped("b", Cause.BINARY, "no text", 3)
    store.sources.put(session.id, [source], turn_index=0)
    store.sources.put_skipped(session.id, [skipped])
    with store.leases.acquire(session.id) as lease:
        turn = store.turns.begin(lease, question="q")
        turn = store.turns.finish(turn.id, Outcome(text="a", stop="end"))
    record = store.record(session.id[:6])
    assert isinstance(record, SessionRecord)
    assert record.session == store.sessions.get(session.id)
    assert record.turns == (turn,)
    assert [one.source for one in record.sources] == [source]
    assert record.skipped == (skipped,)
