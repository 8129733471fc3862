"""Ctrl-C while a corpus is counted: the command ends, whatever works for it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from storage.store import Store
from tests.command_line import LONGDESK, CommandLine
from tests.models.cache import cached
from tests.patience import PATIENCE_S, until

_TOKENIZER = "engine.tokens.llama_tokenizer"


def tokenizer_below(running: subprocess.Popen[str]) -> psutil.Process:
    """llama.cpp's tokenizer, once it runs."""
    found: list[psutil.Process] = []

    def look() -> bool:
        for child in psutil.Process(running.pid).children():
            with suppress(psutil.NoSuchProcess):
                found.extend([child] if _TOKENIZER in child.cmdline() else [])
        return bool(found)

    until(look)
    return found[0]


@pytest.mark.slow  # 3 s
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_ids_are_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    """The tokenizer stands still: a command that waited for it would never end."""
    longdesk = CommandLine(tmp_path / "home", cached("gemma3"))  # a vocabulary that llama.cpp alone can encode with
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "small.txt").write_text("a few words\n")
    assert longdesk("count", folder).code == 0
    (folder / "large.txt").write_text("word " * 900_000)
    command = [LONGDESK, "count", folder, "--json"]
    with subprocess.Popen(
        command, env=longdesk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as running:
        tokenizer = tokenizer_below(running)
        tokenizer.suspend()
        running.send_signal(number)
        out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130 and out == "" and "Traceback" not in err
    until(lambda: not tokenizer.is_running() or tokenizer.status() == psutil.STATUS_ZOMBIE)
    assert longdesk("count", folder).code == 0, "nothing is left half written"


_ENDING = """
import atexit, signal, sys, threading, time
from app.cli.signals import end_at_once, interrupt
signal.signal(signal.SIGINT, interrupt)
atexit.register(sys.stderr.write, "tidied up")
threading.Thread(target=time.sleep, args=(60,)).start()
sys.stdout.write("the answer")
print("ending", file=sys.stderr, flush=True)
end_at_once(0)
"""


def test_ctrl_c_at_a_commands_end_loses_nothing_that_was_printed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ENDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as running:
        assert running.stderr is not None and running.stderr.readline() == "ending\n"
        time.sleep(0.5)  # it waits for its thread by then
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, out, err) == (130, "the answer", "tidied up")


_WAITING = """
import signal, sys, time
from app.cli import signals
from app.endings import polite_signals
for number in polite_signals():
    signal.signal(number, signals.interrupt)
try:
    print("waiting", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    signals.leave(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_the_exit_code_says_whether_the_terminal_was_closed(number: signal.Signals, code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _WAITING], stdout=subprocess.PIPE, encoding="utf-8") as running:
        assert running.stdout is not None and running.stdout.readline() == "waiting\n"
        running.send_signal(number)
        assert running.wait(PATIENCE_S) == code


def test_a_command_below_nohup_outlives_its_terminal() -> None:
    command = ["nohup", sys.executable, "-c", _WAITING]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as running:
        assert running.stdout is not None and running.stdout.readline() == "waiting\n"
        running.send_signal(signal.SIGHUP)
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == 130, "the hangup was not heard"


@pytest.mark.slow  # 2 s
def test_a_closed_terminal_keeps_the_turn(tmp_path: Path, llama_gguf: Path) -> None:
    """The terminal goes, and with it where progress is printed: writing there fails from then on."""
    longdesk = CommandLine(tmp_path / "home", llama_gguf)
    (tmp_path / "a.txt").write_text("words\n")
    assert longdesk("count", tmp_path / "a.txt").code == 0
    ours, theirs = os.openpty()
    command = [LONGDESK, "ask", tmp_path / "a.txt", "-q", "Q", "--max-tokens", "3000", "--no-quotes"]
    with subprocess.Popen(
        ["setsid", "--ctty", *command], env=longdesk.environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        until(lambda: _has_text(longdesk.home))  # nobody reads what it prints: it waits for that
        os.close(ours)
        assert running.wait(PATIENCE_S) == 129
    with Store(longdesk.home) as store:
        [session] = store.sessions.list()
        [turn] = store.turns.of(session.id)
    assert turn.stop == "cancelled" and turn.text


def _has_text(home: Path) -> bool:
    if not (home / "longdesk.db").exists():
        return False
    with Store(home) as store:
        return any(turn.text for session in store.sessions.list() for turn in store.turns.of(session.id))
