"""What questions cost with an engine that is paid for: before, while and after; a session in all."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.costs import cost_words, session_cost, total_words
from app.desk import Desk
from app.question import Answered, Begun, Question
from app.settings import Settings
from app.sizes import show_usd
from engine.answer.cost import Cost, Prices
from engine.backend import Corpus
from engine.corpus.source import Source, digest_text
from tests.fake_backend import FakeBackend

PRICES = Prices(input=1_000, output=2_000, cached=100)  # a tenth of a cent a word that is sent


class Paid(FakeBackend):
    """The engine of words, with a price."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.about = replace(self.about, prices=PRICES)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=Paid())
    yield desk
    desk.close()


def ask(desk: Desk, question: Question, *, stop_after: int | None = None) -> tuple[Begun, Answered]:
    cancel, begun, answered = Flag(), None, None
    for number, event in enumerate(desk.ask(question, cancel=cancel)):
        if isinstance(event, Begun):
            begun = event
        elif isinstance(event, Answered):
            answered = event
        if number == stop_after:
            cancel.set()
    assert begun is not None and answered is not None
    return begun, answered


def corpus(words: int) -> Corpus:
    text = " ".join(f"w{number}" for number in range(words))
    return Corpus((Source(path="a.txt", kind="text", text=text, n_bytes=len(text), digest=digest_text(text)),))


def test_a_question_says_what_it_costs_before_and_what_it_cost_after(desk: Desk) -> None:
    begun, answered = ask(desk, Question(text="Is it so ?", corpus=corpus(100)))
    turn = answered.turn
    cost = begun.cost
    assert cost is not None and turn.prompt_tokens is not None and turn.receipt is not None
    assert cost.input == pytest.approx(turn.prompt_tokens / 1000)
    assert cost.input_cached == pytest.approx((4 * 1000 + (turn.prompt_tokens - 4) * 100) / 1e6)
    assert cost.reply_most == pytest.approx(8 * 2000 / 1e6) and not cost.estimated
    paid = turn.receipt["cost"]
    assert paid["total"] == pytest.approx((turn.prompt_tokens * 1000 + 3 * 2000) / 1e6)
    assert (paid["prompt_tokens"], paid["cached_tokens"], paid["reply_tokens"]) == (turn.prompt_tokens, 0, 3)

    _, second = ask(desk, Question(text="And this ?", session=turn.session_id))
    again = second.turn.receipt["cost"] if second.turn.receipt else {}
    assert again["cached_tokens"] == second.turn.reused_tokens and again["cached_tokens"] > 100
    total = desk.cost(turn.session_id)
    assert total is not None and total["turns"] == 2
    assert total["total"] == pytest.approx(paid["total"] + again["total"])
    preview = desk.preview(turn.session_id)
    assert preview.cost is not None and preview.cost.input == pytest.approx(preview.prompt.n_tokens / 1000)


def test_an_answer_that_breaks_or_is_stopped_was_paid_for(tmp_path: Path) -> None:
    backend = Paid(breaks_at=1)
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=backend)
    try:
        _, broken = ask(desk, Question(text="Is it so ?"))
        assert broken.turn.stop == "error" and broken.turn.receipt is not None
        assert broken.turn.receipt["cost"]["prompt_tokens"] == backend.asked[0].prompt.n_tokens
        backend.breaks_at = None
        _, stopped = ask(desk, Question(text="Is it so ?"), stop_after=1)
        assert stopped.turn.stop == "cancelled" and stopped.turn.receipt is not None
        assert stopped.turn.receipt["cost"]["total"] > 0
    finally:
        desk.close()


def test_a_reply_that_goes_on_adds_to_what_it_cost(tmp_path: Path) -> None:
    backend = Paid(answer=lambda question: "one two three four five six")
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=2), backend=backend)
    try:
        _, first = ask(desk, Question(text="Count ."))
        before = first.turn.receipt["cost"] if first.turn.receipt else {}
        _, second = ask(desk, Question(text="", session=first.turn.session_id, goes_on=0))
        after = second.turn.receipt["cost"] if second.turn.receipt else {}
        assert second.turn.text == "one two three four" and after["reply_tokens"] == 4
        assert after["prompt_tokens"] > before["prompt_tokens"] and after["total"] > before["total"]
        total = desk.cost(first.turn.session_id)
        assert total is not None and total["total"] == after["total"]
    finally:
        desk.close()


def test_passes_are_all_paid_for(tmp_path: Path) -> None:
    backend = Paid(window=1500, answer=lambda question: "FACT: w1 .")
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=backend)
    try:
        begun, answered = ask(desk, Question(text="What is there ?", corpus=corpus(2_000), in_passes=True))
        assert answered.turn.stop == "end", answered.turn.error
        assert len(backend.asked) > 2 and answered.turn.receipt is not None
        sent = sum(case.prompt.n_tokens for case in backend.asked)
        assert answered.turn.receipt["cost"]["prompt_tokens"] == sent
        assert begun.cost is not None and begun.cost.estimated and begun.cost.input >= 2.0
    finally:
        desk.close()


def test_an_engine_without_prices_has_no_cost(tmp_path: Path) -> None:
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=FakeBackend())
    try:
        begun, answered = ask(desk, Question(text="Is it so ?"))
        assert begun.cost is None and answered.turn.receipt is not None and "cost" not in answered.turn.receipt
        assert desk.cost(answered.turn.session_id) is None
    finally:
        desk.close()


def test_an_exported_session_has_its_cost_and_imports_to_the_byte(desk: Desk, tmp_path: Path) -> None:
    _, answered = ask(desk, Question(text="Is it so ?", corpus=corpus(20)))
    data = desk.export(answered.turn.session_id)
    elsewhere = Desk(Settings(home=tmp_path / "other", model="fake.gguf"), backend=FakeBackend())
    try:
        imported = elsewhere.take_in(data)
        assert elsewhere.export(imported.session.id) == data and elsewhere.cost(imported.session.id) is not None
    finally:
        elsewhere.close()


def test_a_strangers_receipt_cannot_break_the_sum(desk: Desk) -> None:
    _, answered = ask(desk, Question(text="Is it so ?"))
    turn = answered.turn
    for cost in (3, [], {"total": "1"}, {"total": None}, {}):
        assert session_cost([replace(turn, receipt={"cost": cost})]) is None
    assert session_cost([replace(turn, receipt=None)]) is None


def test_costs_in_words() -> None:
    cost = Cost(input=0.1184, input_cached=0.0312, reply_most=0.00123, prices=PRICES)
    assert cost_words(cost) == (
        "$0.12 to read, $0.031 where the server has it in its cache; at most $0.0012 for the reply"
    )
    assert cost_words(replace(cost, input_cached=0.1184, estimated=True)) == (
        "~$0.12 to read; at most $0.0012 for the reply"
    )
    assert total_words({"total": 12.4, "estimated": True}) == "~$12.40"
    assert [show_usd(dollars) for dollars in (0, 1234.5, 0.1, 0.0999, 0.00012, 1e-9)] == [
        "$0.00", "$1,234.50", "$0.10", "$0.100", "$0.00012", "$0.0000000010",
    ]  # fmt: skip
