import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.answer.citations import Citation, Status
from engine.errors import SessionBusy, UsageError
from storage.leases import Lease
from storage.records import Outcome
from storage.store import Store
from tests.work import instructions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    with store.leases.acquire(store.sessions.create(title="t", model="m").id) as lease:
        yield lease


def test_a_turn_from_begin_to_end(store: Store, lease: Lease) -> None:
    begun = store.turns.begin(lease, question="Why?", vocabulary="v1", settings={"temperature": 0.5, "seed": None})
    assert (begun.index, begun.question, begun.text, begun.stop, begun.finished) == (0, "Why?", "", None, None)
    assert begun.settings == {"temperature": 0.5, "seed": None}
    store.turns.set_progress(begun.id, done=512, total=1000, reused=100)
    store.turns.append_text(begun.id, "Bec")
    store.turns.append_text(begun.id, "Because")
    store.turns.append_text(begun.id, "Because")
    running = store.turns.get(begun.id)
    assert (running.text, running.stop, running.prefill_done) == ("Because", None, 512)
    assert (running.prompt_tokens, running.reused_tokens) == (1000, 100)
    outcome = Outcome(
        text="Because.",
        stop="end",
        reply_ids=(0, 201134, -1, 2**31 - 1),
        prompt_tokens=1000,
        reused_tokens=99,
        reply_tokens=3,
        read_s=0.1,
        load_s=0.2,
        prefill_s=0.3,
        ttft_s=0.4,
    )
    ended = store.turns.finish(begun.id, outcome)
    assert ended == store.turns.get(begun.id) == store.turns.of(lease.session_id)[0]
    for name in Outcome.__dataclass_fields__:
        assert getattr(ended, name) == getattr(outcome, name), name
    assert ended.vocabulary == "v1" and ended.finished is not None and ended.finished.endswith("Z")
    with store._database.read() as connection:
        assert connection.execute("SELECT count(*) FROM pieces").fetchone()[0] == 0


CITED = (
    Citation(
        statement=(0, 9),
        status=Status.VERIFIED,
        quote="as it \udcff stands",
        places=2,
        held=True,
        logprob=-0.25,
        path="a/\udce4.pdf",
        source_digest="d",
        bytes=(3, 17),
        lines=(1, 2),
        page=7,
        box=(0.1, 0.2, 0.5, 0.25),
    ),
    Citation(statement=(10, 20), status=Status.MISSING),
)


def test_citations_and_the_receipt_come_behind_the_answer(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q")
    ended = store.turns.finish(turn.id, Outcome(text="It stands. It falls.", stop="end"))
    assert (ended.citations, ended.receipt) == (None, None)
    assert store.turns.cite(turn.id, CITED[:1]).citations == CITED[:1]
    grown = store.turns.cite(turn.id, CITED)
    assert grown.citations == CITED and grown.receipt is None
    whole = store.turns.cite(turn.id, receipt={"sent": 7, "sources": [["a", None]]})
    assert whole == store.turns.get(turn.id) == store.turns.of(lease.session_id)[0]
    assert whole.citations == CITED and whole.receipt == {"sent": 7, "sources": [["a", None]]}
    assert whole.text == "It stands. It falls." and whole.finished == ended.finished
    assert store.turns.cite(turn.id, ()).citations == ()  # looked, and found none
    with pytest.raises(UsageError, match="no turn 99"):
        store.turns.cite(99, CITED)


def test_citations_of_a_newer_longdesk_are_read_as_far_as_they_are_known(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q")
    store.turns.finish(turn.id, Outcome(text="t", stop="end"))
    cell = json.dumps([{**CITED[0].to_json(), "supports": True}])
    with store._database.write() as connection:
        connection.execute("UPDATE turns SET citations = ? WHERE id = ?", (cell, turn.id))
    assert store.turns.get(turn.id).citations == CITED[:1]


def test_turns_are_numbered_in_their_session(store: Store, lease: Lease) -> None:
    with store.leases.acquire(store.sessions.create(title="other", model="m").id) as other:
        for number in range(3):
            for held in (lease, other):
                turn = store.turns.begin(held, question=str(number))
                assert turn.index == number
                store.turns.finish(turn.id, Outcome(text="", stop="cancelled"))
    assert [turn.question for turn in store.turns.of(lease.session_id)] == ["0", "1", "2"]


@pytest.mark.parametrize("text", ["", "a\0b", "\udce4 \ud83d", "👩‍👩‍👧 e\u0301", "\r\n", "\u2028"])
def test_ugly_texts_come_back(store: Store, lease: Lease, text: str) -> None:
    turn = store.turns.begin(lease, question=text)
    for end in range(len(text) + 1):
        store.turns.append_text(turn.id, text[:end])
    assert store.turns.get(turn.id).text == text
    ended = store.turns.finish(turn.id, Outcome(text=text, stop="error", error=text))
    assert (ended.question, ended.text, ended.error) == (text, text, text)
    store.search(text)


def test_appending_to_a_long_answer_stays_cheap(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q")
    whole = "All work and no play. " * 50_000  # 1.1 MB
    ends = range(0, len(whole), 5000)
    costs = [instructions(store, lambda end=end: store.turns.append_text(turn.id, whole[:end])) for end in ends]
    assert sum(costs[-50:]) < 1.5 * sum(costs[:50]) and max(costs) < 1_000, costs
    with store._database.read() as connection:
        (n_written,) = connection.execute("SELECT sum(length(text)) FROM pieces").fetchone()
    assert n_written == ends[-1], "only what is new is written"
    assert store.turns.get(turn.id).text == whole[: ends[-1]]
    assert store.turns.finish(turn.id, Outcome(text=whole, stop="length")).text == whole


def test_counters_that_finish_does_not_know_stay(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q")
    store.turns.set_progress(turn.id, done=10, total=20, reused=5)
    ended = store.turns.finish(turn.id, Outcome(text="", stop="error", error="It broke."))
    assert (ended.prefill_done, ended.prompt_tokens, ended.reused_tokens, ended.reply_tokens) == (10, 20, 5, None)


def test_a_turn_without_its_lease_is_interrupted_and_can_still_be_finished(store: Store, lease: Lease) -> None:
    turn = store.turns.begin(lease, question="q")
    store.turns.append_text(turn.id, "so far")
    assert store.heal() == 0
    lease.release()
    assert store.sessions.list()[0].turns == 1
    left = store.turns.get(turn.id)
    assert (left.stop, left.text) == ("interrupted", "so far") and left.finished is not None
    assert store.search("far")[0].turn_index == 0
    with pytest.raises(SessionBusy, match="not running any more"):
        store.turns.append_text(turn.id, "so far, so good")
    with pytest.raises(SessionBusy, match="not running any more"):
        store.turns.set_progress(turn.id, done=1, total=2, reused=0)
    assert store.turns.finish(turn.id, Outcome(text="so far, so good", stop="end")).stop == "end"
    assert store.heal() == 0


def test_the_next_turn_interrupts_one_that_was_left_unfinished(store: Store, lease: Lease) -> None:
    first = store.turns.begin(lease, question="1")
    store.turns.append_text(first.id, "half")
    store.turns.begin(lease, question="2")
    assert [(turn.stop, turn.text) for turn in store.turns.of(lease.session_id)] == [
        ("interrupted", "half"),
        (None, ""),
    ]


def test_what_is_not_there(store: Store, lease: Lease) -> None:
    with pytest.raises(UsageError, match="no session"):
        store.turns.of("nothere")
    with pytest.raises(UsageError, match="no turn 99"):
        store.turns.get(99)
    with pytest.raises(SessionBusy):
        store.turns.append_text(99, "x")
    with pytest.raises(UsageError, match="deleted"):
        store.turns.finish(99, Outcome(text="", stop="end"))
    turn = store.turns.begin(lease, question="q")
    for stop in ("interrupted", "bored", ""):
        with pytest.raises(ValueError, match="stop is"):
            store.turns.finish(turn.id, Outcome(text="", stop=stop))


def test_beginning_needs_the_lease(store: Store, lease: Lease) -> None:
    lease.release()
    with pytest.raises(SessionBusy, match="taken over"):
        store.turns.begin(lease, question="q")
    with store.leases.acquire(lease.session_id), pytest.raises(SessionBusy, match="taken over"):
        store.turns.begin(lease, question="q")
    assert store.turns.of(lease.session_id) == ()
