"""Closing marks that nothing opened: what stands before one is a thought, unless an answer speaks of it."""

import random
from dataclasses import astuple

import pytest

from engine.prompt.marks import THOUGHTS, Mark
from engine.runtime.events import Finished, Text, Thinking
from engine.runtime.manner import Manner, manner_from
from engine.runtime.parting import Kind, Parting
from engine.runtime.reply import Reply

LONG_AGO = -1e9
THOUGHT = [
    # reply, thought, answer
    ("Hm.\n</think>\n\nSo.", "Hm.", "So."),
    ("Let me see</think>So it is.", "Let me see", "So it is."),
    ("Let me see ...</think>so it is", "Let me see ...", "so it is"),
    ("Let me see ...</think> so it is", "Let me see ...", "so it is"),
    ("Hm. </think> So.", "Hm.", "So."),
    ("Hm.</think>", "Hm.", ""),
    ("Hm.\n</think>\n", "Hm.", ""),
    ("\n\nHm.\n\n</think>\n\n**So.**", "Hm.", "**So.**"),
    ('It is "done"</think>"So."', 'It is "done"', '"So."'),
    ("It is **done**</think>**So.**", "It is **done**", "**So.**"),
    ("\u55ef\u3002</think>\u7b54\u6848", "\u55ef\u3002", "\u7b54\u6848"),
    ("Hm.[/THINK]So.", "Hm.", "So."),
    ("Hm.<|END_THINKING|><|START_RESPONSE|>So.<|END_RESPONSE|>", "Hm.", "So."),
    ("Hm.\n</thinking>\n\nSo.", "Hm.", "So."),
    ("Hm.</seed:think>So.", "Hm.", "So."),
    ("Hm.</thought>\nSo.", "Hm.", "So."),
    ("Hm.<channel|>So.", "Hm.", "So."),
    ("Hm.\u25c1/think\u25b7So.", "Hm.", "So."),
    ("a</think>b</think>So.", "a", "b</think>So."),  # the first one ends it
    ("Hm.</think><think>More.</think>So.", "Hm.More.", "So."),
    # a mark that is spoken of, before the one that ends it
    (
        "They ask about the tag </think> here.\n</think>\n\nIt ends.",
        "They ask about the tag </think> here.",
        "It ends.",
    ),
    ("`</think>` is asked for.\n</think>\nIt ends.", "`</think>` is asked for.", "It ends."),
    ("I write `<think>` then.\n</think>\n\nSo.", "I write `<think>` then.", "So."),
    ("```\n<think>\n```\nso.\n</think>\n\nSo.", "```\n<think>\n```\nso.", "So."),
    ("Code:\n```py\nx = 1\n\nso.\n</think>\n\nSo.", "Code:\n```py\nx = 1\n\nso.", "So."),  # its block has no end
]
SPOKEN_OF = [
    "The tag </think> ends it.",
    "Models close with </think>.",
    "Close it with </think>, then answer.",
    "Close it with </think>\nThen answer.",
    "Put `</think>` behind it.",
    'Put "</think>" behind it.',
    "Put '</think>' there, (</think>) there, \u201c</think>\u201d there.",
    "The end is **</think>** here.",
    "So: ``a`</think>`` is.",
    "```xml\nHm.\n</think>\nSo.\n```\nThat is it.",
    "~~~~\nHm.\n</think>\n~~~\nSo.\n~~~~\n",
    "> ```\n> </think>\n> ```\nSo.",
    "- </think> ends it\n- </think>: ends it",
    "1. </think>\n2. more",
    "| mark | what |\n|---|---|\n| </think> | ends |\n|</think>| ends |",
    "It begins:\n<think>\nHm.\n</think>\nand ends.",
    "It says <think>Hm.</think>So. there.",
    "text.split('</think>')[-1] is it.",
    "mark=</think> is set.",
    "Hm.\n</think> is what ends it.",
    "\u6807\u7b7e</think>\u7ed3\u675f\u601d\u8003\u3002",
    "Here is how.\n\nHere is my response: yes.",
    "Hm.</thi",
    "Hm.</b>So.",
]


def cut(reply: str, n: int, drawn: random.Random) -> list[str]:
    cuts = sorted(drawn.sample(range(1, len(reply)), min(len(reply) - 1, n)) if n else [])
    return [reply[a:b] for a, b in zip([0, *cuts], [*cuts, len(reply)], strict=True)]


def parted(pieces: list[str], closing: tuple[Mark, ...] = THOUGHTS) -> tuple[str, str]:
    """Thought and answer, as whoever hears the runs has them in the end."""
    parting, runs = Parting(closing=closing), []
    for piece in pieces:
        runs += parting.add(piece)
    thought = answer = ""
    for run in (*runs, *parting.end()):
        thought += run.text if run.kind in (Kind.THOUGHT, Kind.TAKEN) else ""
        answer = answer + run.text if run.kind is Kind.ANSWER else "" if run.kind is Kind.TAKEN else answer
    return thought, answer


@pytest.mark.parametrize(("reply", "thought", "answer"), THOUGHT)
def test_what_stands_before_it_is_a_thought(reply: str, thought: str, answer: str) -> None:
    drawn = random.Random(reply)
    for n in range(30):
        assert parted(pieces := cut(reply, n, drawn)) == (thought, answer), pieces


@pytest.mark.parametrize("reply", SPOKEN_OF)
def test_an_answer_may_speak_of_it(reply: str) -> None:
    drawn = random.Random(reply)
    for n in range(30):
        assert parted(pieces := cut(reply, n, drawn)) == ("", reply), pieces


def test_a_model_that_closes_nothing_so_has_answers_alone() -> None:
    whole = "Hm.\n</think>\n\nSo."
    assert parted([whole], ()) == ("", whole)
    assert parted([whole], (Mark("[THINK]", "[/THINK]"),)) == ("", whole)


def test_no_more_after_a_thought_that_was_known() -> None:
    assert parted(["<think>Hm.</think>So.\n</think>\n\nYes."]) == ("Hm.", "So.\n</think>\n\nYes.")
    parting = Parting(closing=THOUGHTS)
    parting.settle()  # it came in a field of its own
    assert [run.kind for run in (*parting.add("So.\n</think>\n\nYes."), *parting.end())] == [Kind.ANSWER]


def test_one_that_speaks_of_it_again_and_again_takes_no_time() -> None:
    reply = "The tag </think> ends it.\n" * 20_000
    assert parted([reply]) == ("", reply)


MARKS = {1: "<think>", 2: "</think>"}


def replied(*tokens: int | str, before: tuple[int | str, ...] = ()) -> tuple[Reply, str, str]:
    """A reply of tokens that are words, or control tokens by their ids; what it thinks and says in the end."""
    parting = Parting(tokens=list(MARKS.values()), closing=THOUGHTS[:1])
    parting.hear(MARKS, [(each, b"") if isinstance(each, int) else (9, each.encode()) for each in before])
    reply, thought, text, ids = Reply(LONG_AGO, parting=parting, marks=MARKS), "", "", list[int]()
    for number, token in enumerate((*tokens, None), 10):
        if token is not None:
            reply.add(token if isinstance(token, int) else number, b"" if isinstance(token, int) else token.encode())
        reply._sent_at = LONG_AGO
        for said in reply.due(last=token is None):
            text = "" if said.takes_text else text + said.text * (not said.is_thought)
            thought += said.text * said.is_thought
            ids += said.ids
    assert ids == reply.ids
    return reply, thought, text


@pytest.mark.parametrize(
    ("tokens", "thought", "text", "spans", "n_answer"),
    [
        (("Hm", ".", "</think>", "\n\n", "So", "."), "Hm.", "So.", [(0, 4)], 2),
        (("Hm", ".</", "think>\n", "\nSo", "."), "Hm.", "So.", [(0, 3)], 2),
        (("Hm", ".</think>So", "."), "Hm.", "So.", [(0, 1)], 2),
        (("Hm", ".", 2, "So", "."), "Hm.", "So.", [(0, 3)], 2),  # no text of its own
        (("Say ", 2, " so"), "Say", "so", [(0, 2)], 1),
        (("```\n", 2, "\n```"), "", "```\n\n```", [], 3),  # it stands in code
        (("Hm", ".", 2), "Hm.", "", [(0, 3)], 0),
        (("Hm", ".", 2, 1, "More", 2, "So"), "Hm.More", "So", [(0, 6)], 1),
        (("```\n", "x", "\n</think>", "\n", "So"), "```\nx", "So", [(0, 4)], 1),  # known at the end alone
        (("So", " </think>", " is"), "", "So </think> is", [], 3),
    ],
)
def test_its_tokens_are_the_thoughts(
    tokens: tuple[int | str, ...], thought: str, text: str, spans: list[tuple[int, int]], n_answer: int
) -> None:
    reply, found_thought, found_text = replied(*tokens)
    assert (found_thought, found_text, reply.thoughts, reply.n_answer) == (thought, text, spans, n_answer)
    assert not reply.is_open


def test_a_reply_that_goes_on_takes_its_beginning_with_it() -> None:
    reply, thought, text = replied(" see", ".", 2, "So", before=("Let", " me"))
    assert (thought, text, reply.thoughts, reply.n_answer) == ("Let me see.", "So", [(0, 3)], 1)
    reply, thought, text = replied("So", 2, "is", before=("Hm", 2, "Yes, "))  # it has thought
    assert (thought, text, reply.thoughts) == ("", "Sois", [])


def test_the_first_text_is_the_answers() -> None:
    reply, _, _ = replied("Hm", ".", 2, "So")
    assert reply.first_thought_at is not None and reply.first_text_at is not None
    assert reply.first_thought_at <= reply.first_text_at and not reply.may_be_thought


def test_what_comes_in_one_with_the_mark_may_be_thought_too() -> None:
    parting = Parting(tokens=list(MARKS.values()), closing=THOUGHTS[:1])
    reply = Reply(LONG_AGO, parting=parting, marks=MARKS)
    for token, piece in ((10, b"Hm"), (11, b" so"), (2, b""), (12, b"So"), (13, b".")):
        reply.add(token, piece)
    said = [(each.text, each.may_be_thought, each.takes_text) for each in reply.due(last=True) if each.text]
    assert said == [("Hm so", True, False), ("Hm so", False, True), ("So.", False, False)]


def test_it_goes_through_json() -> None:
    manner = Manner(closing=THOUGHTS[:2])
    assert manner_from(manner.fields() | {}) == manner and manner.parting().watches
    assert astuple(Text("a", 1))[-1] is False and Thinking("a", 1).takes_text is False and Finished
