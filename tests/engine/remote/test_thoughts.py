"""What servers send of a model's thoughts, in fields of their own or as text with marks: it goes one way."""

from collections.abc import Callable
from threading import Event as Flag

import pytest

from engine.backend import Event, Finished, Sampling, Text, Thinking, Wanted
from engine.prompt.prompt import Prompt
from engine.remote.compatible import Piece, Request, Usage
from engine.remote.hearing import Heard
from tests.engine.remote import stubs
from tests.engine.remote.test_engines import opened, prompt_of

ASKED = {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 9, "temperature": 0, "top_p": 1, "min_p": 0}


def heard(*pieces: str | Piece) -> tuple[str, str, list[Event]]:
    """Thought and answer, as whoever keeps events has them in the end."""
    listening, events = Heard(Prompt(()), Request(**ASKED), 0.0), list[Event]()
    for piece in (*pieces, Piece(finish="stop")):
        events += listening.take(Piece(text=piece) if isinstance(piece, str) else piece)
    thought = text = ""
    for event in events:
        if isinstance(event, Thinking):
            thought, text = thought + event.text, "" if event.takes_text else text
        elif isinstance(event, Text):
            text += event.text
    assert (thought, text) == (listening.reasoning, listening.text)
    return thought, text, events


@pytest.mark.parametrize(
    ("pieces", "thought", "text"),
    [
        (["So", " it is."], "", "So it is."),
        ([Piece(reasoning="Hm"), Piece(reasoning="."), "So."], "Hm.", "So."),
        (["<thi", "nk>\nHm.", "\n</think>\n\n", "So."], "Hm.", "So."),
        (["<reasoning>Hm.</reasoning>So."], "Hm.", "So."),
        (["Hm.", "\n</th", "ink>\n\nSo", "."], "Hm.", "So."),  # the server's template had opened it
        (["Hm.\n</think>", "\n\n", "So."], "Hm.", "So."),
        (["<think>Hm, it goes on"], "Hm, it goes on", ""),
        (["Let me see", "</think>", "So it is."], "Let me see", "So it is."),
        (["Let me see.", "[/THINK]", "So."], "Let me see.", "So."),
        (["Let me see.\n</th", "inking>\n", "So."], "Let me see.", "So."),
        (["Let me see.", "<|END_THINKING|>", "So."], "Let me see.", "So."),
        (["Let me see.</seed:think>So."], "Let me see.", "So."),
        (["Hm.\n</think>\n"], "Hm.", ""),
        (["the tag </think> ends it"], "", "the tag </think> ends it"),
        (
            ["Put `</think>` behind it.\n\n```\nHm.\n</think>\n```\n"],
            "",
            "Put `</think>` behind it.\n\n```\nHm.\n</think>\n```\n",
        ),
        ([Piece(reasoning="Hm."), "So.\n</think>\nYes."], "Hm.", "So.\n</think>\nYes."),  # it knows thoughts
        (["<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>So."], "Hm.", "So."),
    ],
)
def test_a_thought_is_a_thought_however_it_comes(pieces: list[str | Piece], thought: str, text: str) -> None:
    assert heard(*pieces)[:2] == (thought, text)


def test_tokens_of_thoughts_are_none_of_the_answers() -> None:
    listening = Heard(Prompt(()), Request(**ASKED), 0.0)
    usage = Usage(prompt_tokens=5, reply_tokens=30, reasoning_tokens=20)
    for piece in (Piece(reasoning="Hm"), Piece(text="So."), Piece(finish="stop", usage=usage)):
        list(listening.take(piece))
    with opened(stubs.vllm()) as backend:
        end = listening.finished(False, backend.about)
    assert isinstance(end, Finished)
    assert (end.reply_tokens, end.thought_tokens, end.written_tokens) == (10, 20, 30)


@pytest.mark.parametrize("stub", [stubs.vllm, stubs.sglang, stubs.hosted])
def test_a_server_without_a_parser_of_thoughts(stub: Callable[[], stubs.Stub]) -> None:
    server = stub()
    words = ("Let", " me", " see.\n", "</think>", "\n\n", "So", " it", " is.")
    server.routes["/v1/chat/completions"] = stubs.chat(words=words)
    with opened(server, name="meta/scout" if stub is stubs.hosted else "") as backend:
        case = backend.consider(prompt_of(backend), Wanted())
        events = list(backend.generate(case, Sampling(), session_id="s", cancel=Flag()))
        thought, text = "", ""
        for event in events:
            thought += event.text if isinstance(event, Thinking) else ""
            text = "" if isinstance(event, Thinking) and event.takes_text else text
            text += event.text if isinstance(event, Text) else ""
        end = events[-1]
        assert (thought, text) == ("Let me see.", "So it is.") and isinstance(end, Finished)
        assert (end.reply_tokens, end.thought_tokens, end.is_open) == (4, 4, False) and end.server is not None
        assert (
            end.server["reasoning"] == "Let me see." and backend.about.thinks
        )  # it is given room for thoughts from now on


def test_a_form_knows_no_thought() -> None:
    listening = Heard(Prompt(()), Request(**ASKED, form="root ::= [a-z]+"), 0.0)
    events = [*listening.take(Piece(text="a</think>b")), *listening.take(Piece(finish="stop"))]
    assert "".join(event.text for event in events if isinstance(event, Text)) == "a</think>b"


def test_what_comes_in_one_piece_with_the_mark_may_be_thought_too() -> None:
    _, _, events = heard("Let me see.</think>So.")
    assert [(event.text, event.may_be_thought) for event in events if isinstance(event, Text)] == [
        ("Let me see.", True),
        ("So.", False),
    ]
