"""How long a first read takes: by what was measured, by a guess at a given speed, by nothing. No clock is asked."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import fields, replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.desk import Desk
from app.first_read import Duration, duration, first_read
from app.question import Question
from app.settings import Settings
from app.verdicts import first_reading
from engine.backend import Case, Event, Finished, Sampling
from engine.gguf import read_header
from engine.local.reading_time import ReadingWork, products_per_s, reading_work
from engine.memory.card import card_at
from storage.records import Turn
from tests.fake_backend import FakeBackend

LATER = "Later ones read only what is new."
FLAT = ReadingWork(per_token=1_000.0, per_look=0.0)
STEEP = ReadingWork(per_token=1_000.0, per_look=1.0)


def turn(**known: Any) -> Turn:
    """A turn of which nothing else is known."""
    return Turn(**{each.name: known.get(each.name) for each in fields(Turn)})


# the sentence


@pytest.mark.parametrize(
    ("seconds", "is_guess", "said"),
    [
        (25.4, False, "The first question reads 3,412 tokens, about 25 s on this machine."),
        (0.2, False, "The first question reads 3,412 tokens, about 1 s on this machine."),
        (340.0, False, "The first question reads 3,412 tokens, about 6 min on this machine."),
        (25.4, True, "The first question reads 3,412 tokens, ~30 s on this machine (a guess: this model read nothing"),
        (8.7, True, "The first question reads 3,412 tokens, ~9 s on this machine (a guess:"),
        (700.0, True, "The first question reads 3,412 tokens, ~10 min on this machine (a guess:"),
        (9_000.0, True, "The first question reads 3,412 tokens, ~2.0 h on this machine (a guess:"),
        (None, False, f"The first question reads 3,412 tokens. {LATER}"),
    ],
)
def test_it_is_said_how_long_and_how_sure(seconds: float | None, is_guess: bool, said: str) -> None:
    sentence = first_reading(3_412, seconds, is_guess=is_guess)
    assert sentence.startswith(said) and sentence.endswith(LATER)


def test_another_model_reads_all_of_an_old_session() -> None:
    assert first_reading(3_412, 25.0, is_first=False).startswith("The next question reads 3,412 tokens, about 25 s")


# the arithmetic


def test_work_adds_up_and_grows_with_what_is_looked_back_at() -> None:
    assert FLAT.between(200, 1_200) == 1_000 * 1_000
    assert STEEP.between(0, 1_000) == 1_000 * 1_000 + 1_000**2 / 2
    assert STEEP.between(0, 400) + STEEP.between(400, 1_000) == STEEP.between(0, 1_000)
    assert STEEP.between(1_000, 2_000) > STEEP.between(0, 1_000)


def test_a_windowed_layer_looks_back_at_its_window_only() -> None:
    windowed = ReadingWork(per_token=0.0, per_look=0.0, per_windowed_look=1.0, window=100)
    assert windowed.between(0, 100) == 100**2 / 2
    assert windowed.between(100, 1_100) == 1_000 * 100
    unsaid = replace(windowed, window=0)
    assert unsaid.between(0, 1_100) == 1_100**2 / 2


def test_what_was_measured_goes_before_a_guess() -> None:
    measured = turn(prompt_tokens=1_500, reused_tokens=500, prefill_s=2.0)
    never = pytest.fail
    assert duration(0, 3_000, last=measured, work=None, rate=None) == Duration(6.0)
    assert duration(0, 3_000, last=measured, work=FLAT, rate=lambda: never("asked")) == Duration(6.0)
    longer = duration(0, 3_000, last=measured, work=STEEP, rate=None)
    assert longer is not None and longer.seconds > 6.0, "each of many tokens takes longer than each of few"


def test_a_guess_is_one_and_there_is_none_without_work_or_rate() -> None:
    assert duration(0, 2_000, last=None, work=FLAT, rate=lambda: 500_000.0) == Duration(4.0, is_guess=True)
    assert duration(0, 2_000, last=None, work=FLAT, rate=None) is None
    assert duration(0, 2_000, last=None, work=None, rate=lambda: 500_000.0) is None
    assert duration(0, 2_000, last=turn(prompt_tokens=9, prefill_s=0.0), work=None, rate=None) is None


def test_the_processor_is_tried_for_a_moment() -> None:
    times = iter([0.0, 0.01, 0.02, 0.04])
    assert products_per_s(lambda: next(times)) == pytest.approx(2 * 16 * 64**3 / 0.04)


# the work of real models


def test_the_starters_work_is_its_matrices_and_its_heads(starter_gguf: Path) -> None:
    work = reading_work(card_at(starter_gguf))
    assert work is not None
    n_weights = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1_536)  # no embeddings, no output
    assert work.per_token == pytest.approx(n_weights / 0.2)  # Q4_1
    assert work.per_look == pytest.approx(30 * 9 * (64 + 64) / 0.3)
    assert work.per_windowed_look == 0


def test_of_scouts_experts_one_is_passed_and_most_layers_have_a_window(scout_gguf: Path) -> None:
    card, header = card_at(scout_gguf), read_header(scout_gguf)
    work = reading_work(card)
    assert work is not None
    sizes = {each.name: each.dims[0] * each.dims[1] for each in header.tensors if len(each.dims) > 1}
    experts = {each.name: each.dims[0] * each.dims[1] * each.dims[2] for each in header.tensors if len(each.dims) > 2}
    n_passed = sum(n for name, n in sizes.items() if name.startswith("blk.") and name not in experts)
    n_passed += sum(experts.values()) / 4  # it has four experts
    assert work.per_token == pytest.approx(n_passed / 0.4)
    assert work.window == 8_192
    assert work.per_windowed_look == pytest.approx(3 * work.per_look)


def test_of_what_no_rule_is_known_nothing_is_reckoned(starter_gguf: Path) -> None:
    card = card_at(starter_gguf)
    assert reading_work(replace(card, exact=False)) is None
    assert reading_work(replace(card, n_experts=8)) is None, "how many of them a token passes is not said"


# the session


class SlowBackend(FakeBackend):
    """Takes two seconds for every prefill, it says."""

    def generate(
        self, case: Case, sampling: Sampling, *, session_id: str, cancel: Flag, **how: Any
    ) -> Generator[Event, None, None]:
        for event in super().generate(case, sampling, session_id=session_id, cancel=cancel, **how):
            yield replace(event, prefill_s=2.0) if isinstance(event, Finished) else event


Put = Callable[[str, int], str]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(Settings(home=tmp_path / "home", model="words"), backend=SlowBackend())
    yield opened
    opened.close()


@pytest.fixture
def put(desk: Desk, tmp_path: Path) -> Put:
    """Begins a session with a text of so many words."""

    def begin(word: str, n_words: int) -> str:
        path = tmp_path / f"{word}.txt"
        path.write_text(" ".join(f"{word}{number}" for number in range(n_words)))
        session = desk.begin_session(word)
        desk.add_sources(session.id, desk.read([path]))
        return session.id

    return begin


def said(desk: Desk, session_id: str) -> str | None:
    return first_read(desk, desk.preview(session_id), desk.turns(session_id), pace=lambda: 1e9)


def test_where_nothing_was_measured_and_nothing_can_be_guessed_the_tokens_are_said(desk: Desk, put: Put) -> None:
    session_id = put("apple", 1_000)
    n_tokens = desk.preview(session_id).prompt.n_tokens
    assert said(desk, session_id) == f"The first question reads {n_tokens:,} tokens. {LATER}"


def test_little_and_no_corpus_are_not_worth_a_word(desk: Desk, put: Put) -> None:
    assert said(desk, put("pear", 20)) is None
    assert said(desk, desk.begin_session("empty", with_sources=False).id) is None


def test_it_is_said_until_it_was_read_and_known_from_then_on(desk: Desk, put: Put) -> None:
    first = put("apple", 1_000)
    list(desk.ask(Question(text="How many?", session=first), cancel=Flag()))
    assert said(desk, first) is None, "only the first read takes it"
    (asked,) = desk.turns(first)
    other = put("plum", 3_000)
    n_fresh = desk.preview(other).prompt.n_tokens - (desk.preview(other).reused_tokens or 0)
    n_read = (asked.prompt_tokens or 0) - (asked.reused_tokens or 0)
    sentence = said(desk, other)
    assert sentence is not None
    assert f"reads {n_fresh:,} tokens, about {2 * n_fresh / n_read:.0f} s on this machine" in sentence
    desk.settings = replace(desk.settings, model="another")
    assert "about" not in (said(desk, other) or ""), "another model was not measured"


def test_a_guess_goes_by_the_processor_and_its_cores(tmp_path: Path, llama_gguf: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("Who has read this before? " * 400)
    desk = Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), n_threads=4))
    try:
        session = desk.begin_session("a")
        desk.add_sources(session.id, desk.read([text]))
        work, preview = reading_work(card_at(llama_gguf)), desk.preview(session.id)
        assert work is not None
        rate = work.between(0, preview.prompt.n_tokens) / 30 / 4  # what each of four cores is to make: half a minute
        sentence = first_read(desk, preview, (), pace=lambda: rate)
        assert sentence is not None and "~30 s on this machine (a guess" in sentence
    finally:
        desk.close()
