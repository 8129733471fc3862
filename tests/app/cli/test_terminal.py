"""What is printed is never obeyed by a terminal, whoever wrote it; JSON says the same as ever."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event as Flag

import pytest

from app.cli.output import json_line
from app.cli.output.answer import print_answer
from app.cli.terminal import guard_streams, harmless, harmless_json
from engine.backend import Text
from storage.records import Outcome
from storage.store import Store
from tests.command_line import LONGDESK
from tests.patience import PATIENCE_S

OBEYED = {
    "a link": "\x1b]8;;http://evil.example/\x1b\\here\x1b]8;;\x1b\\",
    "the clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "a colour": "\x1b[31mred\x1b[0m",
    "a cleared screen": "\x1b[2J\x1b[H",
    "a title": "\x1b]0;owned\x07",
    "8 bits": "\x9b31m red \x9d52;c;eA==\x9c",
    "a device string": "\x90q\x9c\x1bPq\x1b\\",
    "the writing turned round": "user\u202etxt.exe\u202c \u2066x\u2069",
    "what stands there written over": "safe\rEVIL",
    "backspaces": "rm\b\b\x7fls",
    "a bell": "\x07\x00\x0e",
}


@pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)
def test_nothing_is_obeyed_and_everything_is_seen(text: str) -> None:
    shown = harmless(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert "\\x" in shown or "\\u" in shown
    assert harmless(shown) == shown


@pytest.mark.parametrize(
    "text", ["plain", "two\nlines\r\n\tand a tab", "café 橋 👩‍🔬", "עברית \u200f(ab)\u200e", "a\u00a0b\u00adc", ""]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text
    assert json_line(text) == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)
def test_json_stays_exact(text: str) -> None:
    line = json_line({text: [text, {"a": text}]})
    assert json.loads(line) == {text: [text, {"a": text}]}
    assert harmless(line) == line == harmless_json(line)


@pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)
def test_an_answer_as_it_comes(capsys: pytest.CaptureFixture[str], text: str) -> None:
    events = [
        Text(text="Here: ", ids=(), n_tokens=1),
        *(Text(text=letter, ids=(), n_tokens=1) for letter in text),
    ]  # one by one
    print_answer(iter(events), Flag(), as_json=False)
    assert capsys.readouterr().out == "Here: " + harmless(text)
    print_answer(iter(events), Flag(), as_json=True)
    lines = capsys.readouterr().out
    assert "".join(json.loads(line)["text"] for line in lines.splitlines()) == "Here: " + text
    assert harmless(lines) == lines


def test_streams_are_guarded_and_progress_still_writes_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="latin-1"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="latin-1"))
    guard_streams()
    print("é\x1b[31m", "a\rb")
    print("\rReading  50%   \r", end="", file=sys.stderr)
    print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    print("No file a\rb\x9b.", file=sys.stderr)
    sys.stdout.flush(), sys.stderr.flush()
    assert out.getvalue().decode() == "é\\x1b[31m a\\x0db\n"
    assert err.getvalue().decode() == "\rReading  50%   \r" + "\r" + " " * 20 + "\r" + "No file a\\x0db\\x9b.\n"


EVIL = "".join(OBEYED.values())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Store(tmp_path / "home") as store:
        session = store.sessions.create(title=f"T{EVIL}", model=f"m{EVIL}", system="", frozen_date="2026-01-01")
        with store.leases.acquire(session.id) as lease:
            turn = store.turns.begin(lease, question=f"Q{EVIL}", vocabulary="v", settings={})
            store.turns.finish(turn.id, Outcome(text=f"A{EVIL} | a |", stop="error", reply_ids=(), error=EVIL))
        store.kept_notes.add(session.id, title=f"N{EVIL}", text=f"note {EVIL}", turn_index=0, citations=())
    return tmp_path / "home"


def on_a_terminal(home: Path, *arguments: str) -> str:
    """All that a command writes to the terminal that it runs on."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [LONGDESK, *arguments],
        env={**os.environ, "LONGDESK_HOME": str(home)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            said += part
        running.wait(PATIENCE_S)
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list"),
        ("sessions", "show", "ID"),
        ("sessions", "export", "ID"),
        ("sessions", "export", "ID", "--format", "html"),
        ("sessions", "search", "note"),
        ("sessions", "notes", "ID"),
        ("sessions", "note", "ID", "1"),
        ("sessions", "branch", "ID", "1"),
        ("sessions", "rename", "ID", f"new{EVIL}".replace("\x00", "")),
        ("sessions", "show", f"x{EVIL}".replace("\x00", "")),
        ("sessions", "list", f"--{EVIL}".replace("\x00", "")),
        ("count", f"/{EVIL}".replace("\x00", "")),
    ],
    ids=lambda command: " ".join(command[:2]) if command[0] != "count" else "count",
)
def test_no_command_lets_a_terminal_obey(home: Path, command: tuple[str, ...]) -> None:
    with Store(home) as store:
        whole = store.sessions.list()[0].id
    said = on_a_terminal(home, *(whole if word == "ID" else word for word in command))
    assert said and harmless(said) == said, [letter for letter in set(said) if harmless(letter) != letter]


def test_json_on_a_terminal_and_files_in_a_pipe_are_exact(home: Path) -> None:
    with Store(home) as store:
        whole = store.sessions.list()[0].id
    shown = on_a_terminal(home, "sessions", "export", whole, "--json")
    assert harmless(shown) == shown and json.loads(shown)["title"] == f"T{EVIL}"
    environment = {**os.environ, "LONGDESK_HOME": str(home)}
    piped = subprocess.run([LONGDESK, "sessions", "export", whole], env=environment, capture_output=True).stdout
    assert OBEYED["a link"] in piped.decode()
