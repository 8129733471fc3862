"""Ctrl-C while a corpus is counted: the command ends, whatever works for it."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

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
