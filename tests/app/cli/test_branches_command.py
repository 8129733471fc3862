"""`ask --again`, `--at`, `--continue` and `sessions branch`, in real processes on a tiny real model."""

from pathlib import Path
from typing import Any

import pytest

from tests.command_line import CommandLine, Run

SENT = "The bridge at Ulm is 42 metres long.\n" * 5


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


def turns(longdesk: CommandLine, session: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = longdesk("sessions", "show", session, "--json").document["turns"]
    return shown


def test_continue_prints_the_reply_that_one_longer_one_would_have_been(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(SENT)
    whole = longdesk("ask", tmp_path / "a.txt", "-q", "How long?", "--max-tokens", 12, "--json").answer
    session = whole["session"]
    cut = longdesk("ask", "--session", session, "--at", 1, "--again", "--max-tokens", 5, "--temperature", 0, "--json")
    assert (cut.answer["index"], cut.answer["reply_tokens"], cut.answer["stop"]) == (1, 5, "length")
    assert cut.answer["reused_tokens"] == whole["prompt_tokens"] - 1
    gone_on = longdesk("ask", "--session", session, "--continue", "--max-tokens", 7, "--json")
    assert gone_on.answer["text"] == whole["text"] and gone_on.answer["reply_tokens"] == 12
    assert "".join(event["text"] for event in gone_on.events if event["event"] == "text") == whole["text"]
    assert gone_on.answer["prompt_tokens"] == whole["prompt_tokens"]
    assert [turn["current"] for turn in turns(longdesk, session)] == [False, True]
    printed = longdesk("ask", "--session", session, "--continue", "--max-tokens", 1)
    assert printed.out.startswith(whole["text"])


def test_branches_are_left_and_gone_back_to(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(SENT)

    def ask(*arguments: object) -> Run:
        return longdesk("ask", *arguments, "--max-tokens", 2, "--no-snapshot", "--json")

    session = ask(tmp_path / "a.txt", "-q", "One?").answer["session"]
    ask("--session", session, "-q", "Two?")
    ask("--session", session, "--at", 1, "-q", "Uno?")
    again = ask("--session", session, "--again")
    assert "Asked again at temperature 0.7" in again.err
    shown = turns(longdesk, session)
    assert [(turn["question"], turn["parent"]) for turn in shown] == [
        ("One?", None), ("Two?", 0), ("Uno?", None), ("Uno?", None),
    ]  # fmt: skip
    back = longdesk("sessions", "branch", session[:6], 1, "--json")
    assert back.document == {
        "id": session,
        "turns": [{"index": 0, "question": "One?"}, {"index": 1, "question": "Two?"}],
    }
    assert [turn["current"] for turn in turns(longdesk, session)] == [True, True, False, False]
    assert longdesk("sessions", "search", "uno", "--json").document["sessions"][0]["current"] is False
    text = longdesk("sessions", "show", session).out
    assert (
        text.index("(question 2, after 1)") < text.index("Of other branches:") < text.index("(question 3, the first)")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--again",), "nothing to ask about"),
        (("a.txt", "--again"), "Only a session"),
        (("--session", "x", "--again", "--continue"), "--again or --continue"),
        (("--session", "x", "--continue", "-q", "Q"), "Leave -q out"),
        (("--session", "x", "a.txt", "--continue"), "Add files with the next question"),
        (("--session", "x"), "The question is missing"),
        (("--session", "x", "--again"), "There is no session x"),
    ],
)
def test_what_does_not_go_together(
    longdesk: CommandLine, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "a.txt").write_text("a")
    run = longdesk("ask", *(tmp_path / each if each == "a.txt" else each for each in arguments))
    assert (run.code, said in run.err) == (2, True), run.err
