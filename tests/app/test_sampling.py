"""How questions are sampled: what was set, what the model's makers say, and what is kept of it."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.answers.receipt_table import receipt_rows
from app.desk import Desk
from app.question import Answered, Question
from app.session_settings import TurnSettings, asked_with, sampling_of
from app.settings import Settings, read_settings
from engine.backend import Makers
from engine.errors import UsageError
from engine.runtime.events import Sampling
from storage.records import Turn
from tests.fake_backend import FakeBackend

HOME = Path("/nowhere")
THEIRS = Makers(temperature=0.6, top_k=20, top_p=0.9, repeat_penalty=1.05, said_in="gguf", thinks=True)


@pytest.mark.parametrize(
    ("set_here", "sampled", "theirs"),
    [
        ({}, {"temperature": 0.6, "top_k": 20, "top_p": 0.9, "repeat_penalty": 1.05}, 4),
        ({"temperature": 0.0}, {"temperature": 0.0, "top_k": 20, "repeat_penalty": 1.05}, 1),
        ({"temperature": 1.0, "top_k": 0}, {"temperature": 1.0, "top_k": 0, "top_p": 0.9}, 2),
        ({"repeat_penalty": 1.0, "min_p": 0.0}, {"temperature": 0.6, "repeat_penalty": 1.0, "min_p": 0.0}, 3),
        ({"presence_penalty": 1.5}, {"presence_penalty": 1.5, "temperature": 0.6}, 4),
    ],
)
def test_what_was_set_wins_value_by_value(set_here: dict[str, Any], sampled: dict[str, Any], theirs: int) -> None:
    sampling, names = sampling_of(Settings(home=HOME, **set_here), THEIRS)
    assert {name: getattr(sampling, name) for name in sampled} == sampled
    assert len(names) == theirs and not set(names) & set(set_here)


@pytest.mark.parametrize("makers", [None, Makers(), Makers(thinks=True), replace(THEIRS, thinks=False)])
def test_without_makers_who_say_something_of_a_model_that_thinks_nothing_changes(makers: Makers | None) -> None:
    sampling, names = sampling_of(Settings(home=HOME), makers)
    assert sampling == Sampling() and sampling.temperature == 0.0 and names == ()


def test_who_cuts_off_by_hand_gets_no_mirostat() -> None:
    makers = Makers(temperature=0.8, mirostat=2, mirostat_tau=4.0, thinks=True)
    assert sampling_of(Settings(home=HOME), makers)[0].mirostat == 2
    assert sampling_of(Settings(home=HOME, top_p=0.9), makers)[0].mirostat == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", -1), ("top_k", 1_000_001), ("repeat_penalty", 0.0), ("repeat_penalty", 11.0),
        ("presence_penalty", float("nan")), ("frequency_penalty", -10.5), ("temperature", float("nan")),
    ],
)  # fmt: skip
def test_what_no_engine_could_take(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} is .* It must be from"):
        Settings(home=HOME, **{name: value})  # type: ignore[arg-type]


def test_the_file_of_settings(tmp_path: Path) -> None:
    text = "temperature = 0.5\ntop_k = 40\nrepeat_penalty = 1.1\npresence_penalty = 1\nfrequency_penalty = -0.5\n"
    (tmp_path / "config.toml").write_text(text)
    settings = read_settings({"LONGDESK_HOME": str(tmp_path)})
    assert (settings.temperature, settings.top_k, settings.repeat_penalty) == (0.5, 40, 1.1)
    assert (settings.presence_penalty, settings.frequency_penalty) == (1, -0.5)
    (tmp_path / "config.toml").write_text("top_k = 1.5\n")
    with pytest.raises(UsageError, match="top_k"):
        read_settings({"LONGDESK_HOME": str(tmp_path)})


def turn_of(settings: TurnSettings) -> Turn:
    kept = json.loads(json.dumps(settings.to_json()))
    return Turn(  # what asked_with looks at is the settings alone
        **{name: None for name in Turn.__slots__ if name != "settings"}, settings=kept
    )


def test_a_turn_keeps_it() -> None:
    sampling = Sampling(
        temperature=0.6, top_k=20, repeat_penalty=1.1, presence_penalty=0.5, frequency_penalty=0.1, repeat_last_n=128,
        mirostat=2, xtc_probability=0.5, stops=("x",),
    )  # fmt: skip
    asked = TurnSettings(model="m", sampling=sampling, makers=("top_k",), own=frozenset({"top_p"}))
    assert asked_with(turn_of(asked)) == asked
    plain = TurnSettings(model="m")
    assert asked_with(turn_of(plain)) == plain and "top_k" not in plain.to_json(), "as turns were before"


def ask(desk: Desk, text: str, **asked: Any) -> Turn:
    *_, end = desk.ask(Question(text=text, **asked), cancel=Flag())
    assert isinstance(end, Answered)
    return end.turn


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    backend = FakeBackend()
    backend.about = replace(backend.about, makers=THEIRS)
    made = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=backend)
    yield made
    made.close()


def test_a_turn_and_its_receipt_say_whose_values_they_are(desk: Desk) -> None:
    turn = ask(desk, "Why?")
    assert turn.receipt is not None
    kept = turn.receipt["settings"]
    assert (kept["temperature"], kept["top_k"], kept["repeat_penalty"]) == (0.6, 20, 1.05)
    assert kept["makers"] == ["temperature", "top_k", "top_p", "repeat_penalty"]
    [lines] = [lines for name, lines in receipt_rows(turn.receipt) if name == "Settings"]
    assert "temperature 0.6" in lines[0] and "top-k 20" in lines[0] and "presence" not in lines[0]
    assert lines[1] == "as the model's makers say: temperature, top-k, top-p, repeat-penalty"
    desk.use_sampling(temperature=0.0, repeat_penalty=1.0)
    turn = ask(desk, "Why?")
    assert turn.receipt is not None and "makers" not in turn.receipt["settings"]
    desk.use_sampling(temperature=None, repeat_penalty=None)
    assert asked_with(ask(desk, "Why?")).sampling.temperature == 0.6
    with pytest.raises(UsageError):
        desk.use_sampling(top_k=-1)


def test_a_question_that_is_asked_again_keeps_what_was_set_for_it(desk: Desk) -> None:
    own = replace(desk.settings, top_k=5, presence_penalty=1.0)
    first = ask(desk, "Why?", settings=own, own=frozenset({"top_k", "presence_penalty"}))
    again = ask(desk, "", session=first.session_id, beside=0)
    assert asked_with(again).sampling.top_k == 5 and asked_with(again).sampling.presence_penalty == 1.0
    assert asked_with(ask(desk, "More?", session=first.session_id)).sampling.top_k == 20
