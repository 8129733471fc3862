"""A question runs straight down: what a text event passes on its way, and what is left when something goes wrong."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from types import FrameType

import pytest

from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.backend import Corpus, Text
from tests.fake_backend import FakeBackend


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=8))
    yield desk
    desk.close()


@pytest.mark.slow  # 1.2 s
def test_a_text_passes_at_most_four_generators(desk: Desk) -> None:
    """From the engine's child to a door."""
    passed: list[str] = []

    def watch(frame: FrameType, event: str, value: object) -> None:
        if event == "return" and isinstance(value, Text) and frame.f_code.co_flags & inspect.CO_GENERATOR:
            passed.append(frame.f_code.co_qualname)

    events = desk.ask(Question(text="Is it so?"), cancel=Flag())
    for event in events:
        if isinstance(event, Text):
            break
    sys.setprofile(watch)
    try:
        assert isinstance(next(events), Text)
    finally:
        sys.setprofile(None)
    *_, end = events
    assert isinstance(end, Answered)
    assert passed == ["EngineProcess.generate", "LocalBackend.generate", "answer", "Desk.ask"]


def test_an_error_before_anything_is_read_ends_the_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whatever kind: a turn that was begun is never left running."""
    desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=FakeBackend(breaks_at=0))
    try:
        *_, end = desk.ask(Question(text="Is it so?", corpus=Corpus()), cancel=Flag())
        assert isinstance(end, Answered) and (end.turn.stop, end.turn.text) == ("error", "")
        assert [turn.stop for turn in desk.turns(end.turn.session_id)] == ["error"]
    finally:
        desk.close()
