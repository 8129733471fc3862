"""What servers send of a model's thoughts, in fields of their own or as text with marks: it goes one way."""

import pytest

from engine.backend import Event, Finished, Text, Thinking
from engine.prompt.prompt import Prompt
from engine.remote.compatible import Piece, Request, Usage
from engine.remote.hearing import Heard
from tests.engine.remote import stubs
from tests.engine.remote.test_engines import opened

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
        (["the tag </think> ends it"], "", "the tag </think> ends it"),
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
