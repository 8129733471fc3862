"""Ctrl-C while a corpus is counted: the command ends, whatever works for it."""

import signal
import subprocess
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
