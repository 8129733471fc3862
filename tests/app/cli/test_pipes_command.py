"""`longdesk` in a pipeline: -, /dev/stdin, <(command), and a question that comes the same way."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import LONGDESK, CommandLine
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash there")


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


def found(document: Any) -> list[tuple[str, str, int]]:
    return [(source["path"], source["kind"], source["bytes"]) for source in document["sources"]]


@pytest.mark.slow  # 1.9 s
@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_standard_input_is_a_source(longdesk: CommandLine, name: str) -> None:
    assert found(longdesk("count", "--json", name, stdin="hello\n").document) == [("stdin", "text", 6)]


@pytest.mark.slow  # 1.7 s
def test_a_file_that_is_called_so_is_given_with_its_folder(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "-").write_text("a file\n")
    assert found(longdesk("count", "--json", tmp_path / "-").document) == [("-", "text", 7)]


@pytest.mark.slow  # 2.1 s
def test_what_a_shell_puts_in_place_of_a_command(longdesk: CommandLine) -> None:
    command = f"{LONGDESK} count --json <(echo hello) <(echo of another) - < <(echo third)"
    ended = subprocess.run(
        ["bash", "-c", command],
        env=longdesk.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert '"stdin"' in ended.stdout and ended.stdout.count('"dev/fd/') == 2


@pytest.mark.slow  # 6.9 s
def test_a_question_and_a_source_by_pipe(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The fee is 4,200.")
    asked = longdesk("ask", tmp_path / "a.txt", "-q", "-", "--json", "--max-tokens", "2", stdin="What is the fee?")
    assert asked.code == 0, asked.err
    asked = longdesk("ask", "-", "-q", "What is the fee?", "--json", "--max-tokens", "2", stdin="The fee is 4,200.")
    assert asked.code == 0, asked.err
    shown = longdesk("sessions", "show", asked.answer["session"], "--json").document
    assert [source["path"] for source in shown["sources"]] == ["stdin"]
    again = ("ask", "--session", asked.answer["session"], "-", "-q", "And now?", "--json", "--max-tokens", "2")
    assert longdesk(*again, stdin="The fee is 4,300.").code == 0


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_both_by_standard_input_is_a_mistake(longdesk: CommandLine, name: str) -> None:
    refused = longdesk("ask", name, "-q", "-", stdin="What?")
    assert refused.code == 2
    assert "Standard input cannot be the question and a source. Give the question with -q TEXT." in refused.err


@pytest.mark.slow  # 2.3 s
def test_nothing_on_standard_input(longdesk: CommandLine) -> None:
    refused = longdesk("count", "-", stdin="")
    assert refused.code == 4 and "stdin was skipped: 0 bytes. Give another file." in refused.err
    closed = subprocess.run(
        ["bash", "-c", f"{LONGDESK} count - <&-"], env=longdesk.environment, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert closed.returncode == 4 and "Traceback" not in closed.stderr


@pytest.mark.slow  # 1.8 s
def test_a_file_as_standard_input(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    command = f"{LONGDESK} count --json - < {tmp_path / 'a.txt'}"
    ended = subprocess.run(
        ["bash", "-c", command],
        env=longdesk.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert found(json.loads(ended.stdout)) == [("stdin", "text", 6)]
