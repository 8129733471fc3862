"""Thoughts cut from answers, as families write them: however the text comes in pieces, and whatever never comes."""

import random

import pytest

from engine.prompt.marks import IN_CHANNEL, THOUGHTS, Mark, opened_in
from engine.runtime.parting import Kind, Parting, Run
from engine.runtime.reply import Reply

THINK, LONG_AGO = THOUGHTS[0], -1e9
HARMONY = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>So."
CASES = [
    # reply, opened by the prompt, thought, answer
    ("So.", None, "", "So."),
    (" So.", None, "", " So."),
    ("<think>\nHm.\n</think>\n\nSo.", None, "Hm.", "So."),
    ("\n<think>Hm.</think>So.", None, "Hm.", "So."),
    ("Hm.\n</think>\n\nSo.", THINK, "Hm.", "So."),
    ("\n\n</think>\n\nSo.", THINK, "", "So."),
    ("</think>So.", None, "", "So."),
    ("<think>Hm, it goes on", None, "Hm, it goes on", ""),
    ("it goes on </thin", THINK, "it goes on </thin", ""),
    ("<thinking>a</think>b</thinking>So.", None, "a</think>b", "So."),
    ("<reasoning>Hm.</reasoning>\nSo.", None, "Hm.", "So."),
    ("<seed:think>Hm.</seed:think>So.", None, "Hm.", "So."),
    ("[THINK]Hm.[/THINK]So.", None, "Hm.", "So."),
    ("<|channel>thought\nHm.<channel|>So.", None, "Hm.", "So."),
    ("<think>Hm.</think>\n<answer>\nSo.\n</answer>", None, "Hm.", "So."),
    ("<answer>So.</answer>", None, "", "<answer>So.</answer>"),
    ("<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>So.<|END_RESPONSE|>", None, "Hm.", "So."),
    ("It says <think>a</think> there.", None, "", "It says <think>a</think> there."),
    ("<thin air> it is", None, "", "<thin air> it is"),
    ("<", None, "", "<"),
    ("Here is my thought process: Hm.\n\nHere is my response: So.", None, "Hm.", "So."),
    (HARMONY, None, "Hm.", "So."),
    ("<|channel|>final<|message|>So.", None, "", "So."),
    ("<|channel|>analysis<|message|>Hm.", None, "Hm.", ""),
    ("<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>So.", None, "Hm.", "So."),
    ("Hm.<|end|><|start|>assistant<|channel|>final<|message|>So.", IN_CHANNEL, "Hm.", "So."),
    (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|>",
        None,
        "ab",
        "",
    ),
]


def parted(pieces: list[str], opened: Mark | None = None) -> tuple[str, str, list[Run]]:
    parting, runs = Parting(opened=opened), list[Run]()
    for piece in pieces:
        runs += parting.add(piece)
    runs += parting.end()
    thought, answer = ("".join(run.text for run in runs if run.kind is kind) for kind in (Kind.THOUGHT, Kind.ANSWER))
    return thought, answer, runs


@pytest.mark.parametrize(("reply", "opened", "thought", "answer"), CASES)
def test_a_thought_and_an_answer(reply: str, opened: Mark | None, thought: str, answer: str) -> None:
    drawn = random.Random(reply)
    for n in range(60):
        cuts = sorted(drawn.sample(range(1, len(reply)), min(len(reply) - 1, n)) if n else [])
        pieces = [reply[a:b] for a, b in zip([0, *cuts], [*cuts, len(reply)], strict=True)]
        found_thought, found_answer, runs = parted(pieces, opened)
        assert (found_thought, found_answer) == (thought, answer), pieces
        assert "".join(run.text for run in runs) == reply  # nothing is lost, nothing twice
        assert all(run.text == reply[run.start : run.end] for run in runs)


def test_a_token_of_its_own_opens_a_thought_within_an_answer() -> None:
    parting = Parting(tokens=["<think>", "</think>"])
    runs = [*parting.add("So. "), *parting.add("<think>", token=True), *parting.add("Hm.")]
    runs += [*parting.add("</think>", token=True), *parting.add("Yes."), *parting.end()]
    assert [(run.kind.name, run.text) for run in runs if run.kind is not Kind.MARK] == [
        ("ANSWER", "So. "),
        ("THOUGHT", "Hm."),
        ("ANSWER", "Yes."),
    ]


@pytest.mark.parametrize(
    ("asks", "mark"),
    [
        ("<|im_end|>\n<|im_start|>assistant\n<think>\n", THINK),
        ("<|Assistant|><think>", THINK),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", None),
        ("<|Assistant|></think>", None),
        ("<|start|>assistant", None),
        ("<|start|>assistant<|channel|>analysis<|message|>", IN_CHANNEL),
        ("<|start|>assistant<|channel|>final<|message|>", None),
        ("[/INST][THINK]", Mark("[THINK]", "[/THINK]")),
        ("Assistant:", None),
    ],
)
def test_what_a_generation_prompt_opens(asks: str, mark: Mark | None) -> None:
    assert opened_in(asks, THOUGHTS) == mark


MARKS = {1: "<think>", 2: "</think>"}


def replied(*tokens: int | str, opened: Mark | None = None, stops: tuple[str, ...] = ()) -> tuple[Reply, str, str]:
    """A reply of tokens that are words, or marks by their ids; what it thinks and says."""
    parting = Parting(opened=opened, tokens=list(MARKS.values()))
    reply, thought, text, ids = Reply(LONG_AGO, stops=stops, parting=parting, marks=MARKS), "", "", list[int]()
    for number, token in enumerate(tokens, 10):
        reply.add(token if isinstance(token, int) else number, b"" if isinstance(token, int) else token.encode())
        if reply.stopped:
            break
        reply._sent_at = LONG_AGO
        for said in reply.due():
            thought, text = thought + said.text * said.is_thought, text + said.text * (not said.is_thought)
            ids += said.ids
    for said in reply.due(last=True):
        thought, text = thought + said.text * said.is_thought, text + said.text * (not said.is_thought)
        ids += said.ids
    assert ids == reply.ids[: len(ids)]
    return reply, thought, text


@pytest.mark.parametrize(
    ("tokens", "opened", "thought", "text", "spans", "n_answer"),
    [
        (("So", "."), None, "", "So.", [], 2),
        ((1, "Hm", ".", 2, "\n\n", "So", "."), None, "Hm.", "So.", [(0, 5)], 2),
        (("Hm", ".", 2, "So", "."), THINK, "Hm.", "So.", [(0, 3)], 2),
        ((1, "Hm", ".", 2, "\n\nSo", "."), None, "Hm.", "So.", [(0, 4)], 2),
        (("Hm", "."), THINK, "Hm.", "", [(0, 2)], 0),
        ((1, "Hm"), None, "Hm", "", [(0, 2)], 0),
        (("So", 2, "."), None, "", "So.", [], 3),  # a control token within an answer says nothing
        (("Hm", ".</think>So", "."), THINK, "Hm.", "So.", [(0, 1)], 2),
        (("So", 1, "Hm", 2, "Yes"), None, "Hm", "SoYes", [(1, 4)], 2),
    ],
)
def test_tokens_belong_to_the_thought_or_to_the_answer(
    tokens: tuple[int | str, ...],
    opened: Mark | None,
    thought: str,
    text: str,
    spans: list[tuple[int, int]],
    n_answer: int,
) -> None:
    reply, found_thought, found_text = replied(*tokens, opened=opened)
    assert (found_thought, found_text, reply.thoughts, reply.n_answer) == (thought, text, spans, n_answer)
    assert reply.is_open == (text == "" and thought != "")


def test_a_stop_ends_the_answer_alone() -> None:
    reply, thought, text = replied(1, "a STOP b", 2, "c", " ST", "OP", " d", stops=("STOP",))
    assert (thought, text, len(reply.ids), reply.n_answer) == ("a STOP b", "c ", 5, 2)
    reply, thought, text = replied(1, "Hm", 2, "STOP", stops=("STOP",))
    assert (thought, text, len(reply.ids)) == ("Hm", "", 3)


def test_a_reply_that_goes_on_within_a_thought() -> None:
    parting = Parting(tokens=list(MARKS.values()))
    parting.hear(MARKS, [(1, b""), (11, b"Hm"), (12, b" \n")])
    reply = Reply(LONG_AGO, b"Hm \n", parting=parting, marks=MARKS)
    said = []
    for token, piece in ((13, b"well"), (2, b""), (14, b"So")):
        reply.add(token, piece)
        said += [(each.is_thought, each.text) for each in reply.due(last=token == 14)]
    assert "".join(text for is_thought, text in said if is_thought) == "well"
    assert "".join(text for is_thought, text in said if not is_thought) == "So"
    assert reply.thoughts == [(0, 2)] and reply.n_answer == 1
