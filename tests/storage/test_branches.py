"""Asking again, another question in a turn's place, and going on with a reply: what stays, and what is current."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import SessionBusy, UsageError
from storage.leases import Lease
from storage.records import Outcome, Turn
from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    with store.leases.acquire(store.sessions.create(title="t", model="m").id) as lease:
        yield lease


def ask(store: Store, lease: Lease, question: str, *, beside: int | None = None) -> Turn:
    turn = store.turns.begin(lease, question=question, beside=beside)
    return store.turns.finish(turn.id, Outcome(text=f"To {question}", stop="end", reply_ids=(turn.index,)))


def branch(store: Store, lease: Lease) -> list[str]:
    return [turn.question for turn in store.turns.of(lease.session_id)]


def test_a_branch_leaves_the_old_turns_where_they_are(store: Store, lease: Lease) -> None:
    for question in ("a", "b", "c"):
        ask(store, lease, question)
    edited = ask(store, lease, "B", beside=1)
    assert (edited.index, edited.parent, edited.alternatives) == (3, 0, (1, 3))
    assert branch(store, lease) == ["a", "B"]
    after = ask(store, lease, "C")
    assert (after.index, after.parent, after.alternatives) == (4, 3, (4,))
    assert branch(store, lease) == ["a", "B", "C"]
    first = ask(store, lease, "A", beside=0)
    assert (first.parent, first.alternatives) == (None, (0, 5)) and branch(store, lease) == ["A"]
    assert [turn.question for turn in store.turns.all(lease.session_id)] == ["a", "b", "c", "B", "C", "A"]
    assert store.turns.next_index(lease.session_id) == 6
    record = store.record(lease.session_id)
    assert [turn.index for turn in record.turns] == [5] and [turn.index for turn in record.others] == [0, 1, 2, 3, 4]
    assert [turn.index for turn in record.all_turns] == list(range(6))


def test_a_branch_can_be_gone_back_to(store: Store, lease: Lease) -> None:
    for question in ("a", "b", "c"):
        ask(store, lease, question)
    ask(store, lease, "B", beside=1)
    with pytest.raises(SessionBusy):
        store.turns.choose(lease.session_id, 1)
    lease.release()
    store.turns.choose(lease.session_id, 1)
    assert branch(store, lease) == ["a", "b", "c"], "to the end of the newest branch through it"
    store.turns.choose(lease.session_id, 3)
    assert branch(store, lease) == ["a", "B"]
    assert [turn.question for turn in store.turns.of(lease.session_id, before=2)] == ["a", "b"]
    assert store.turns.one(lease.session_id, 2).question == "c"
    for wrong in (4, -1):
        with pytest.raises(UsageError, match="no question"):
            store.turns.choose(lease.session_id, wrong)
        with pytest.raises(UsageError, match="no question"):
            store.turns.one(lease.session_id, wrong)
    with pytest.raises(UsageError, match="no question 9"):
        store.turns.begin(store.leases.acquire(lease.session_id), question="x", beside=8)


def test_search_says_which_branch_is_current(store: Store, lease: Lease) -> None:
    ask(store, lease, "apples")
    ask(store, lease, "pears", beside=0)
    [hit] = store.search("apples")
    assert (hit.turn_index, hit.current) == (0, False)
    [hit] = store.search("pears")
    assert (hit.turn_index, hit.current) == (1, True)
    assert store.search("t")[0].current


def test_a_reply_that_was_cut_goes_on(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q", vocabulary="old", settings={"model": "m", "joined": []})
    store.turns.cite(store.turns.finish(turn.id, Outcome(text="So it\N{REPLACEMENT CHARACTER}", stop="length")).id, [])
    resumed = store.turns.resume(lease, turn.id, reply_ids=(1, 2, 3), vocabulary="new", settings={"model": "n"})
    assert (resumed.stop, resumed.text, resumed.reply_ids) == (None, "So it", (1, 2, 3))
    assert (resumed.vocabulary, resumed.settings, resumed.citations) == ("new", {"model": "n"}, None)
    store.turns.append_text(turn.id, "So it is", (1, 2, 3, 4))
    assert (store.turns.get(turn.id).text, store.turns.get(turn.id).reply_ids) == ("So it is", (1, 2, 3, 4))
    lease.release()
    left = store.turns.get(turn.id)
    assert (left.stop, left.text, left.reply_ids) == ("interrupted", "So it is", (1, 2, 3, 4))
    assert store.search("is")[0].part == "text"


def test_what_was_sampled_before_a_crash_is_kept_as_ids(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q")
    store.turns.append_text(turn.id, "a", (7,))
    store.turns.append_text(turn.id, "a", (7, 8))  # half a character
    store.turns.append_text(turn.id, "ab", (7, 8, 9))
    lease.release()
    assert (store.turns.get(turn.id).text, store.turns.get(turn.id).reply_ids) == ("ab", (7, 8, 9))


def test_a_draft_is_kept_with_its_session_and_moves_it_nowhere(store: Store, lease: Lease) -> None:
    other = store.sessions.create(title="other", model="m")
    store.sessions.keep_draft(lease.session_id, "Why \udce4?")
    assert store.sessions.draft(lease.session_id) == "Why \udce4?" and store.sessions.draft(other.id) == ""
    assert [session.id for session in store.sessions.list()] == [other.id, lease.session_id]
    store.sessions.keep_draft(lease.session_id, "")
    assert store.sessions.draft(lease.session_id) == "" and store.sessions.draft("gone") == ""
