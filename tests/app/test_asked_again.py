"""What a question was asked with by itself, by a template or by options, is what it goes on with and is asked again
with; what is given anew counts."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.desk import Desk
from app.question import Answered, Question
from app.session_settings import as_asked, asked_with
from app.settings import Settings
from engine.runtime.events import Sampling
from storage.records import Turn
from tests.fake_backend import FakeBackend

OWN = "---\ntemperature: 0.5\nmax_tokens: 4\nstop: [END]\n---\nSay {{word}}.\n"
WORDS = "one two three four five six seven eight nine ten"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "mine.md").write_text(OWN)
    settings = Settings(home=tmp_path, model="fake.gguf", reply_tokens=50)
    with closing(Desk(settings, backend=FakeBackend(answer=lambda question: WORDS))) as desk:
        yield desk


def ask(desk: Desk, text: str = "", **known: Any) -> Turn:
    question = Question(text=text, **known)
    question = desk.filled(question) if text else question
    return [event for event in desk.ask(question, cancel=Flag()) if isinstance(event, Answered)][0].turn


def sampling(turn: Turn) -> Sampling:
    return asked_with(turn).sampling


def test_a_templates_settings_stay_with_its_question(desk: Desk) -> None:
    first = ask(desk, "/mine word: it", session=desk.begin_session("One").id)
    assert (first.text, first.stop) == ("one two three four", "length")
    wanted = sampling(first)
    assert (wanted.temperature, wanted.max_tokens, wanted.stops) == (0.5, 4, ("END",))
    on = ask(desk, session=first.session_id, goes_on=first.index)
    assert (on.text, sampling(on)) == ("one two three four five six seven eight", wanted)
    on = ask(desk, session=first.session_id, goes_on=first.index)
    assert on.text == WORDS and asked_with(on).template == "mine"
    again = ask(desk, session=first.session_id, beside=first.index)
    assert (again.text, sampling(again)) == ("one two three four", wanted)
    another = ask(desk, "Something else", session=first.session_id, beside=first.index)
    assert another.text == WORDS and sampling(another).stops == ()


def test_what_is_given_anew_counts(desk: Desk) -> None:
    first = ask(desk, "/mine word: it", session=desk.begin_session("One").id)
    desk.settings = replace(desk.settings, reply_tokens=2)
    again = ask(desk, session=first.session_id, beside=first.index, own=frozenset({"reply_tokens"}))
    assert again.text == "one two" and sampling(again).temperature == 0.5
    once_more = ask(desk, session=first.session_id, beside=again.index)
    assert once_more.text == "one two" and sampling(once_more).stops == ("END",)


def test_a_reply_goes_on_as_it_began(desk: Desk) -> None:
    """Also where the settings of all are others by now; how long it may become is theirs."""
    desk.settings = replace(desk.settings, reply_tokens=3, temperature=0.7, seed=5)
    first = ask(desk, "Count", session=desk.begin_session("One").id)
    desk.settings = replace(desk.settings, reply_tokens=5, temperature=0.0, seed=None)
    on = ask(desk, session=first.session_id, goes_on=first.index)
    assert on.text == "one two three four five six seven eight"
    assert (sampling(on).temperature, sampling(on).seed, sampling(on).max_tokens) == (0.7, 5, 5)


def test_what_no_engine_takes_is_not_taken_from_a_strangers_turn(desk: Desk) -> None:
    first = ask(desk, "/mine word: it", session=desk.begin_session("One").id)
    strange = replace(first, settings={**first.settings, "temperature": -1.0})
    assert as_asked(desk.settings, strange) == desk.settings
