"""Documents as they are printed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.cli.output import Json, answer, json_text
from app.cli.output.session import print_hits
from app.passes.progress import InPasses
from app.question import Passes, Passing
from engine.backend import Prefill


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": []},
        {"total": 1, "sources": [{"path": 'a"b\n\u2028é', "tiles": None}, {"images": [{"n": 1}], "of": {}}]},
        {"text": "[\n", "list": [[], [1, [2]], "x", None, True, 1.5], "nested": {"list": [1, 2]}},
    ],
)
def test_a_document_is_json_with_a_key_and_an_element_a_line(document: Json) -> None:
    text = json_text(document)
    assert json.loads(text) == document
    n_elements = sum(len(value) + 1 for value in document.values() if isinstance(value, list) and value)
    assert len(text.split("\n")) == 2 + max(1, len(document)) + n_elements


def test_a_terminal_says_which_pass_runs_and_how_long_all_that_are_left_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "monotonic", lambda: 20.0)
    plan = InPasses(plan=Passes(titles=("a", "b", "c"), tokens=(100, 100, 100), n_sources=3))
    assert answer._prefill_line(Prefill(50, 100, 0, 5.0), None) == "Reading  50% · 10 tok/s · 5 s left"
    first = plan.after(Passing(1, 3, "a", n_tokens=100), 10.0)
    line = answer._prefill_line(Prefill(50, 100, 0, 5.0), first)
    assert line == "Pass 1 of 3 · Reading  50% · 10 tok/s · 25 s left"
    begun = answer._prefill_line(Prefill(0, 100, 0, 0.0), first)
    assert begun == "Pass 1 of 3 · Reading   0%"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_search_that_finds_nothing_says_so(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    print_hits((), as_json=as_json)
    said = capsys.readouterr().out
    assert json.loads(said) == {"sessions": []} if as_json else said.startswith("No session holds all of these words")


@pytest.mark.parametrize("text", ["zebra", "", "   ", '"', "%", "a OR b", "\x00"])
def test_the_command_says_so_with_any_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path))
    done = CliRunner().invoke(cli, ["sessions", "search", text])
    assert done.exit_code == 0 and "No session holds" in done.output
