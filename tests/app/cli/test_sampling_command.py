"""Sampling and dates as scripts set and see them."""

from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.models.families import CHATML, LLAMA31
from tests.models.scripted import build_scripted

LLAMA = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
HOW = ("-q", "Why?", "--max-tokens", "8", "--no-quotes", "--threads", "1", "--json")
THINKING = CHATML + "{# enable_thinking #}"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("Apples are red. " * 60)
    return tmp_path / "a.txt"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--top-k", "-1"), "--top-k"),
        (("--top-k", "1.5"), "--top-k"),
        (("--repeat-penalty", "0"), "--repeat-penalty"),
        (("--presence-penalty", "nan"), "--presence-penalty"),
        (("--frequency-penalty", "11"), "--frequency-penalty"),
        (("--date", "yesterday"), "write it as 2026-11-12, or today"),
        (("--date", "2026-02-30"), "write it as 2026-11-12, or today"),
        (("--date", ""), "write it as 2026-11-12, or today"),
    ],
)
def test_what_is_refused(given: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    from app.cli.corpus import ask

    with pytest.raises(SystemExit) as ended:
        ask.main(["a.txt", "-q", "Why?", *given], standalone_mode=True)
    assert ended.value.code == 2 and said in capfd.readouterr().err


@pytest.mark.slow  # some processes that load a model
def test_makers_are_heard_at_every_door(tmp_path: Path, corpus: Path) -> None:
    sampling = {"temp": 0.6, "top_k": 20, "penalty_repeat": 1.05}
    model = build_scripted(tmp_path / "m.gguf", ["Hello", "."], template=THINKING, sampling=sampling)
    longdesk = CommandLine(tmp_path / "home", model)
    kept = longdesk("ask", corpus, *HOW).answer["receipt"]["settings"]
    assert (kept["temperature"], kept["top_k"], kept["repeat_penalty"]) == (0.6, 20, 1.05)
    assert kept["makers"] == ["temperature", "top_k", "repeat_penalty"]
    kept = longdesk("ask", corpus, *HOW, "--temperature", "0", "--top-k", "5").answer["receipt"]["settings"]
    assert (kept["temperature"], kept["top_k"], kept["makers"]) == (0.0, 5, ["repeat_penalty"])
    planned = longdesk("plan", "--json").document
    assert planned["sampling"]["temperature"] == 0.6 and planned["sampling"]["makers"]["used"] is True
    assert any("as the model's makers say" in note for note in planned["notes"])
    checks = longdesk("models", "verify", model, "--json").document["checks"]
    [check] = [check for check in checks if check["check"] == "sampling"]
    assert "temperature 0.6, top-k 20, repeat penalty 1.05" in check["detail"]


@pytest.mark.slow  # some processes that load a model
def test_a_date_stays_with_what_was_read(tmp_path: Path, corpus: Path) -> None:
    model = build_scripted(tmp_path / "m.gguf", ["Hello"], template=LLAMA31, control=LLAMA, end=LLAMA[0])
    longdesk = CommandLine(tmp_path / "home", model)
    first = longdesk("ask", corpus, *HOW, "--date", "2026-01-12").answer
    later = longdesk("ask", corpus, *HOW)
    assert later.answer["receipt"]["date"] == "2026-01-12" and "Read with the date of 12 January 2026" in later.err
    assert later.answer["reused_tokens"] == first["prompt_tokens"] - 1
    assert longdesk("snapshots", "list", "--json").document["snapshots"][0]["date"] == "2026-01-12"
    today = longdesk("ask", corpus, *HOW, "--date", "today")
    assert today.answer["receipt"]["date"] > "2026-01-12" and "Read with" not in today.err
    assert today.answer["reused_tokens"] < first["prompt_tokens"] / 4
