"""Passes through `longdesk ask`, on a tiny real model: nothing that was read is lost, and nothing is read twice."""

import json
import shutil
import signal
import subprocess
from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from app.checking_again import verify_session
from app.desk import Desk
from app.passes.given import read_line
from app.question import Answered, Question
from app.settings import Settings
from engine.corpus.rules import Rules
from tests.command_line import LONGDESK, CommandLine, Run
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT

ASK = ("ask", "--ctx", "2048", "--threads", "1", "--max-tokens", "24", "--pass-tokens", "400")
QUESTION = ("-q", "What is said of bridges?")


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in "abcdefgh":
        lines = [f"Bridge {name}{at} crosses river {at * 7 % 11} and is {at * 13 % 89} metres long." for at in range(6)]
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    return folder


def passes(run: Run) -> list[dict[str, Any]]:
    """Those that are over."""
    return [event for event in run.events if event["event"] == "pass" and event["note"] is not None]


def begun(longdesk: CommandLine, corpus: Path, number: int) -> subprocess.Popen[str]:
    """An ask that has taken so many notes."""
    running = subprocess.Popen(
        [LONGDESK, *ASK, "--json", str(corpus), *QUESTION],
        env=longdesk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert running.stdout is not None
    noted = 0
    while noted < number:
        event = json.loads(running.stdout.readline())
        noted += event["event"] == "pass" and event["note"] is not None
    return running


@pytest.mark.slow
def test_each_source_is_read_once_a_second_question_reuses_it_and_what_changed_alone_is_read_again(
    longdesk: CommandLine, corpus: Path
) -> None:
    first = longdesk(*ASK, "--json", corpus, *QUESTION)
    assert first.code == 0, first.err
    session, slices = first.answer["session"], first.events[0]["slices"]
    assert first.events[0]["event"] == "passes" and first.events[0]["sources"] == 8 and len(slices) > 2
    assert not any(each["kept"] for each in passes(first)) and len(passes(first)) >= len(slices)
    read = [each for each in passes(first) if not each["merging"]]
    assert all(each["read_tokens"] + each["reused_tokens"] == each["prompt_tokens"] for each in read)
    verified = longdesk("sessions", "verify", session, "--json").document
    assert verified["holds"] and verified["unchecked"] == []
    assert (verified["passes"], verified["sources"], verified["prompts"]) == (len(slices), 8, 1)

    other = longdesk(*ASK, "--json", "--session", session, "-q", "Which river is crossed most?")
    again = [each for each in passes(other) if not each["merging"]]
    for each, plan in zip(again, slices, strict=True):
        assert not each["kept"] and each["reused_tokens"] >= plan["tokens"], each

    (corpus / "d.md").write_text((corpus / "d.md").read_text().replace("Bridge d0", "Bridge D9"))
    changed = longdesk(*ASK, "--json", "--session", session, corpus, "--at", "1", *QUESTION)
    at = [number for number, each in enumerate(passes(changed)) if not each["kept"] and not each["merging"]]
    assert len(at) == 1 and "d.md" in slices[at[0]]["title"] + "".join(
        piece["path"] for piece in changed.answer["receipt"]["passes"]["slices"][at[0]]["pieces"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_was_noted_before_a_stop_or_a_kill_is_kept(
    longdesk: CommandLine, corpus: Path, number: signal.Signals
) -> None:
    running = begun(longdesk, corpus, 2)
    running.send_signal(number)
    _, err = running.communicate()
    assert running.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL) and "Traceback" not in err
    [session] = longdesk("sessions", "list", "--json").document["sessions"]
    on = longdesk(*ASK, "--session", session["id"], "--again")
    assert on.code == 0, on.err
    noted = [line for line in on.err.splitlines() if line.startswith("Pass ")]
    assert [line.endswith("kept from before") for line in noted] == [True, True, False, False]
    assert "Read in 4 passes, 8 of 8 sources, each once." in on.err


@pytest.mark.slow
def test_what_is_refused_says_that_it_can_be_read_in_passes(longdesk: CommandLine, corpus: Path) -> None:
    (corpus / "large.md").write_text("Bridges and rivers. " * 6_000)
    refused = longdesk("ask", corpus, *QUESTION, "--max-tokens", "24", "--ctx", "2048")
    assert refused.code == 3 and "--pass-tokens auto" in refused.err and refused.out == ""
    plan = longdesk("plan", corpus, "--ctx", "2048", "--reply", "24", "--json").document
    assert [each["pass_tokens"] for each in plan["advice"]].count("auto") == 1
    small = longdesk("ask", corpus, *QUESTION, "--max-tokens", "24", "--ctx", "600", "--pass-tokens", "auto")
    assert small.code == 3 and "A pass has room for 0 tokens" in small.err


@pytest.mark.slow
def test_pictures_are_read_with_their_slices_and_keep_their_numbers(tmp_path: Path) -> None:
    shutil.copyfile(cached("mmproj"), tmp_path / "mmproj-scout.gguf")
    model = shutil.copyfile(cached("scout", **SMALL_SCOUT), tmp_path / "scout.gguf")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        rows = np.random.default_rng(number).integers(0, 256, (150, 200, 3), dtype=np.uint8)
        Pillow.fromarray(rows).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"Picture {number} was taken in year {1900 + number}.\n" * 4)
    desk = Desk(Settings(home=tmp_path / "home", model=str(model), n_ctx=2048, n_threads=1, reply_tokens=4))
    try:
        corpus = desk.read([folder], Rules())
        largest = max(document.n_tokens for document in desk.backend().documents(corpus.sources))
        asked = Question(text="Compare them.", corpus=corpus, in_passes=True, pass_tokens=largest + 150)
        events = list(desk.ask(asked, cancel=Flag()))
        [turn] = [event.turn for event in events if isinstance(event, Answered)][:1]
        assert turn.stop in ("end", "length"), turn.error
        assert turn.receipt is not None and len(turn.receipt["passes"]["slices"]) >= 3
        assert read_line(turn.receipt).endswith("6 of 6 sources, each once")
        assert sorted(each["first_image"] or 0 for each in turn.receipt["sources"]) == [0, 0, 0, 1, 2, 3]
        checked = verify_session(desk.record(turn.session_id), desk.backend)
        assert (checked.faults, checked.unchecked, checked.n_prompts) == ([], [], 1)
    finally:
        desk.close()
