"""What a model thinks before it answers: kept apart from the answer while it comes, stored, exported, and history only
where the chat template lets it."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.cli.output.answer import event_json, turn_json
from app.desk import Desk
from app.exchange.document import export_document, to_bytes
from app.exchange.reading import read_export
from app.export import session_markdown
from app.jobs import Phase, Progress, advance
from app.next_turn import exchange_of
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.backend import Event, Finished, Text, Thinking
from engine.errors import UsageError
from storage.records import Thought, thought_from
from tests.fake_backend import FakeBackend


class Thinker(FakeBackend):
    """Thinks the first n_thoughts words of what it says."""

    n_thoughts = 2

    def generate(self, *given: Any, **named: Any) -> Generator[Event, None, None]:
        n_words = 0
        for event in super().generate(*given, **named):
            if isinstance(event, Text) and n_words < self.n_thoughts:
                n_words += 1
                yield Thinking(event.text, n_words, ids=event.ids)
            elif isinstance(event, Finished):
                n = min(self.n_thoughts, len(event.reply_ids))
                is_open = n == len(event.reply_ids)
                thoughts = ((0, n),) if n else ()
                yield replace(event, thoughts=thoughts, thought_tokens=n, thought_s=0.5, is_open=is_open)
            else:
                yield event


@pytest.fixture
def desk(tmp_path: Path) -> Generator[Desk, None, None]:
    backend = Thinker(answer=lambda _: "let me So it is")
    with closing(Desk(Settings(home=tmp_path / "home", model="fake"), backend=backend)) as desk:
        yield desk


def ask(desk: Desk, text: str, session: str | None = None) -> tuple[list[Any], Answered]:
    events = list(desk.ask(Question(text=text, session=session), cancel=Flag()))
    return events, [event for event in events if isinstance(event, Answered)][-1]


def test_it_stands_apart_while_it_comes_and_when_it_is_kept(desk: Desk) -> None:
    events, answered = ask(desk, "Why?")
    lines = [event_json(event) for event in events]
    assert [line["text"] for line in lines if line and line["event"] == "thinking"] == ["let", " me"]
    assert "".join(line["text"] for line in lines if line and line["event"] == "text") == " So it is"
    turn = desk.turns(answered.turn.session_id)[0]
    assert turn.text == " So it is" and turn.reply_tokens == 3 and len(turn.reply_ids) == 5
    assert turn.thought == Thought(text="let me", spans=((0, 2),), n_tokens=2, seconds=0.5)
    shown = turn_json(turn)
    assert (shown["thinking"], shown["thinking_tokens"], shown["thinking_s"]) == ("let me", 2, 0.5)
    exchange = exchange_of(turn, (), desk.backend())
    assert exchange.sampled and exchange.thought and exchange.answer_ids.tolist() == list(turn.reply_ids[2:])


def test_one_that_never_ends_is_no_answer_and_said(desk: Desk) -> None:
    backend = desk.backend()
    assert isinstance(backend, Thinker)
    backend.n_thoughts = 9
    events, answered = ask(desk, "Why?")
    turn = answered.turn
    assert turn.text == "" and turn.thought is not None and turn.thought.is_open and turn.stop == "end"
    assert any("gave no answer" in event.text for event in events if isinstance(event, Notice))
    assert not exchange_of(turn, (), backend).thought  # it stands as it was sent


def test_an_export_has_it_and_gives_it_back(desk: Desk) -> None:
    _, answered = ask(desk, "Why?")
    record = desk.record(answered.turn.session_id)
    document = export_document(record, max_tiles=9)
    assert document["turns"][0]["thinking"] == "let me"
    assert read_export(to_bytes(document)).turns[0].thought == answered.turn.thought
    assert "Thought:\n\n```text\nlet me\n```" in session_markdown(record)


@pytest.mark.parametrize("spans", [[[3, 1]], [["a", 2]], [[1]], "x"])
def test_a_strangers_thought_is_looked_at(spans: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        thought_from({"text": "", "spans": spans, "n_tokens": 0, "seconds": 0.0, "is_open": False})


def test_the_page_hears_of_it() -> None:
    progress = advance(Progress(), Thinking("Hm", 1))
    assert (progress.phase, progress.thought, progress.text) == (Phase.THINKING, "Hm", "")
    progress = advance(advance(progress, Thinking("", 2)), Text("So", 1))
    assert (progress.phase, progress.thought, progress.text) == (Phase.WRITING, "Hm", "So")
    assert advance(progress, Thinking("So", 1, takes_text=True)).text == ""


@pytest.mark.parametrize(
    ("value", "holds"), [("on", True), ("off", True), ("512", True), ("maybe", False), ("-1", False)]
)
def test_the_setting(value: str, holds: bool, tmp_path: Path) -> None:
    if holds:
        assert Settings(home=tmp_path, thinking=value).thinking == value
        return
    with pytest.raises(UsageError, match="thinking"):
        Settings(home=tmp_path, thinking=value)


def test_the_page_folds_it_and_draws_nothing_of_it() -> None:
    def page() -> None:
        from app.parts.turns import _draw_thought, thought_line
        from storage.records import Thought

        thought = Thought(text="<b>Hm</b>\nwell", n_tokens=1234, seconds=12.0)
        _draw_thought("a-0", thought.text, thought_line(thought))

    drawn = AppTest.from_function(page).run()
    assert not drawn.exception and drawn.expander[0].label == "Thought · 1,234 tokens · 12.0 s"
    [html] = drawn.get("html")
    assert "&lt;b&gt;Hm&lt;/b&gt;&#10;well" in html.proto.body and "<b>" not in html.proto.body
