"""What came as the answer and was a thought, since its end came and its beginning never did: at every door, kept, and
sent again."""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.cli.output.answer import event_json, print_answer, turn_json
from app.desk import Desk
from app.exchange.document import export_document, to_bytes
from app.exchange.reading import read_export
from app.jobs import Phase, Progress, advance
from app.next_turn import exchange_of
from app.question import Answered, Notice, Question
from app.serve.api import _Answer
from app.serve.asked import Asked
from app.serve.messages import ChatRequest
from app.settings import Settings
from engine.backend import Event, Finished, Stop, Text, Thinking
from engine.errors import EngineFailed
from tests.fake_backend import FakeBackend
from tests.patience import PATIENCE_S


class Closer(FakeBackend):
    """What it says before "</think>" is a thought. breaks: the engine fails behind the mark."""

    breaks = False

    def generate(self, *given: Any, **named: Any) -> Generator[Event, None, None]:
        case, told, n_thought = given[0], "", 0
        words = self.answer(self.question(case)).split()[: case.prompt.n_begun]
        told, watches, n_raw = " ".join(words), "</think>" not in words, 0
        for event in super().generate(*given, **named):
            n_raw += isinstance(event, Text)
            if isinstance(event, Text) and event.text.strip() == "</think>":
                n_thought, watches = n_raw, False
                yield Thinking(told.strip(), n_thought, ids=event.ids, takes_text=True)
                if self.breaks:
                    raise EngineFailed("It broke.")
            elif isinstance(event, Text):
                told += event.text
                yield replace(event, n_tokens=n_raw - n_thought, may_be_thought=watches)
            elif isinstance(event, Finished):
                yield replace(event, thoughts=((0, n_thought),) if n_thought else (), thought_tokens=n_thought)
            else:
                yield event


@pytest.fixture
def backend() -> Closer:
    return Closer(answer=lambda _: "let me see </think> So it is")


@pytest.fixture
def desk(tmp_path: Path, backend: Closer) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", model="fake"), backend=backend)) as desk:
        yield desk


def ask(desk: Desk, **question: Any) -> tuple[list[Any], Any]:
    events = list(desk.ask(Question(**{"text": "Why?", **question}), cancel=Flag()))
    return events, [event.turn for event in events if isinstance(event, Answered)][-1]


def test_the_turn_has_the_answer_and_the_thought(desk: Desk) -> None:
    events, turn = ask(desk)
    assert (turn.text, turn.stop, turn.reply_tokens) == (" So it is", "end", 3)
    assert turn.thought is not None and (turn.thought.text, turn.thought.spans) == ("let me see", ((0, 4),))
    assert turn.thought.n_tokens == 4 and not turn.thought.is_open
    assert not any("gave no answer" in event.text for event in events if isinstance(event, Notice))
    shown = turn_json(turn)
    assert (shown["text"], shown["thinking"], shown["thinking_tokens"]) == (" So it is", "let me see", 4)
    exchange = exchange_of(turn, (), desk.backend())
    assert exchange.thought and exchange.answer_ids.tolist() == list(turn.reply_ids[4:])
    document = export_document(desk.record(turn.session_id), max_tiles=9)
    assert document["turns"][0]["thinking"] == "let me see"
    assert read_export(to_bytes(document)).turns[0].thought == turn.thought


def test_the_text_events_since_it_was_taken_are_the_answer(desk: Desk) -> None:
    events, turn = ask(desk)
    lines = [line for event in events if (line := event_json(event)) is not None]
    assert [line["event"] for line in lines if line["event"] in ("text", "thinking")] == [
        *["text"] * 3,
        "thinking",
        *["text"] * 3,
    ]
    at = next(number for number, line in enumerate(lines) if line.get("takes_text"))
    before, after = ("".join(x["text"] for x in some if x["event"] == "text") for some in (lines[:at], lines[at:]))
    assert before.strip() == lines[at]["text"] == "let me see" and after == turn.text
    assert "takes_text" not in (event_json(Thinking("Hm", 1)) or {})


def test_a_reply_that_goes_on_takes_its_beginning_with_it(desk: Desk, backend: Closer) -> None:
    desk.settings = replace(desk.settings, reply_tokens=2)
    _, cut = ask(desk)
    assert (cut.text, cut.stop, cut.thought) == ("let me", Stop.LENGTH, None)
    desk.settings = replace(desk.settings, reply_tokens=9)
    events, turn = ask(desk, text="", session=cut.session_id, goes_on=0)
    assert turn.text == " So it is" and turn.thought is not None
    assert (turn.thought.text, turn.thought.n_tokens, turn.reply_tokens) == ("let me see", 4, 3)
    exchange = exchange_of(turn, (), backend)
    assert exchange.answer_ids.tolist() == list(turn.reply_ids[4:])


def test_what_breaks_behind_the_mark_keeps_both(desk: Desk, backend: Closer) -> None:
    backend.breaks = True
    _, turn = ask(desk)
    assert (turn.text, turn.stop) == ("", "error") and turn.thought is not None
    assert (turn.thought.text, turn.thought.spans) == ("let me see", ((0, 4),))


class Seen:
    """Whether standard output is a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_seen: bool) -> None:
        monkeypatch.setattr("app.cli.output.answer.sys.stdout.isatty", lambda: is_seen, raising=False)


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_terminal_is_told_and_a_file_has_the_answer_alone(
    desk: Desk, is_seen: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Seen(monkeypatch, is_seen)
    print_answer(desk.ask(Question(text="Why?"), cancel=Flag()), Flag(), as_json=False)
    said = capsys.readouterr()
    assert said.out == ("let me see\n So it is\n" if is_seen else " So it is\n")
    assert ("What stands above was a thought" in said.err) is is_seen


@pytest.mark.parametrize("is_seen", [True, False])
def test_an_answer_that_might_have_been_a_thought(
    desk: Desk, backend: Closer, is_seen: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Seen(monkeypatch, is_seen)
    backend.answer = lambda _: "So it is"
    print_answer(desk.ask(Question(text="Why?"), cancel=Flag()), Flag(), as_json=False)
    said = capsys.readouterr()
    assert said.out == "So it is\n" and "thought" not in said.err


def test_the_page_hears_of_it() -> None:
    progress = advance(advance(Progress(), Text("let me", 2)), Thinking("let me", 3, takes_text=True))
    assert (progress.phase, progress.text, progress.thought) == (Phase.WRITING, "", "let me")
    assert (progress.n_thought, progress.n_tokens) == (3, 0)
    progress = advance(progress, Text("So", 1))
    assert (progress.text, progress.thought, progress.n_tokens) == ("So", "let me", 1)


def test_the_page_folds_it_while_it_runs_and_when_it_is_done() -> None:
    def page() -> None:
        from types import SimpleNamespace

        from app.jobs import Progress, advance
        from app.parts.turns import draw_running
        from app.question import Question
        from engine.backend import Text, Thinking

        progress = Progress()
        for event in (Text("let me", 2), Thinking("let me", 3, takes_text=True), Text("So", 1)):
            progress = advance(progress, event)
        job = SimpleNamespace(
            progress=progress, question=Question(text="Why?"), stopping=False, session_id="a", stop=None
        )
        draw_running("a", 0, None, job)

    drawn = AppTest.from_function(page, default_timeout=PATIENCE_S).run()
    assert not drawn.exception and [each.label for each in drawn.expander] == ["Thought"]
    bodies = [each.proto.body for each in drawn.get("html")]
    assert any(">let me<" in body for body in bodies) and any("Writing" in body for body in bodies)


def test_a_served_stream_says_so(desk: Desk) -> None:
    answer = _Answer("m", ChatRequest(Asked(text="Why?"), stream=True))
    deltas = []
    for event in (Text("let me", 2), Thinking("let me", 3, takes_text=True), Thinking("", 3), Text("So", 1)):
        deltas += [json.loads(piece.removeprefix("data: "))["choices"][0]["delta"] for piece in answer.pieces(event)]
    taken = {"reasoning_content": "let me", "longdesk": {"takes_text": True}}
    assert deltas == [{"content": "let me"}, taken, {"content": "So"}]
