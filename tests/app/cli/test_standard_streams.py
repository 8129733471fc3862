"""Standard input in whatever encoding, and standard streams that are closed."""

import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.cli.corpus import _question_text
from app.cli.input import read_stdin, text_from_stdin
from engine.errors import InputRefused, UsageError
from storage.store import Store
from tests.command_line import LONGDESK, CommandLine
from tests.patience import PATIENCE_S


def send(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["Wie groß ist sie?", "橋の長さは?", "How long?\r\n", "Q"])
def test_a_question_with_a_mark_or_in_utf_8(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], encoding: str, text: str
) -> None:
    send(monkeypatch, text.encode(encoding))
    assert _question_text("-") == text
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_either_order_of_bytes(monkeypatch: pytest.MonkeyPatch, mark: bytes) -> None:
    encoding = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    send(monkeypatch, mark + "Ünïcode?\n".encode(encoding))
    assert text_from_stdin() == "Ünïcode?\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp1252"])
def test_a_guess_says_that_it_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    send(monkeypatch, "Wie groß ist die Hütte?".encode(encoding))
    assert text_from_stdin() == "Wie groß ist die Hütte?"
    assert "a guess" in capsys.readouterr().err


def test_what_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, bytes(range(256)) * 3)
    with pytest.raises(InputRefused, match="no text"):
        text_from_stdin()


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_question(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    send(monkeypatch, data)
    with pytest.raises(UsageError, match="empty"):
        _question_text("-")


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="Standard input is closed"):
        read_stdin()


def shell(longdesk: CommandLine, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        env=longdesk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
    )


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", llama_gguf)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("ask {0} -q - <&-", 2, "Standard input is closed"),
        ("sessions import - <&-", 2, "Standard input is closed"),
        ("count - <&-", 4, "cannot be read"),
    ],
)
def test_a_closed_standard_input_is_said(
    longdesk: CommandLine, tmp_path: Path, command: str, code: int, said: str
) -> None:
    (tmp_path / "a.txt").write_text("words\n")
    done = shell(longdesk, f"{LONGDESK} {command.format(tmp_path / 'a.txt')}")
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_is_printed_never_gets_into_the_database(longdesk: CommandLine, tmp_path: Path, closed: str) -> None:
    with Store(longdesk.home) as store:
        session = store.sessions.create(title="Bridges", model="m", system="", frozen_date="2026-01-01")
    done = shell(longdesk, f"{LONGDESK} sessions rename {session.id} Rivers {closed}")
    assert done.returncode == 0, done.stderr
    assert ("Rivers" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    with sqlite3.connect(longdesk.home / "longdesk.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    with Store(longdesk.home) as store:
        assert store.sessions.get(session.id).title == "Rivers"


@pytest.mark.slow  # 2 s
def test_a_question_with_all_three_closed(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words\n")
    assert longdesk("count", tmp_path / "a.txt").code == 0
    done = shell(longdesk, f"{LONGDESK} ask {tmp_path / 'a.txt'} -q Q --max-tokens 2 <&- >&- 2>&-")
    assert done.returncode == 0
    shown = json.loads(shell(longdesk, f"{LONGDESK} sessions list --json 2>&-").stdout)
    assert [session["turns"] for session in shown["sessions"]] == [1]
