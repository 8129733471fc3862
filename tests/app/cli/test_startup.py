"""What a command imports before it needs it: that is most of what a short one costs."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from app.cli import COMMANDS, cli
from tests.patience import PATIENCE_S

# what takes long to import, and what only some commands need
ENGINE = {"llama_cpp", "gguf", "jinja2", "huggingface_hub"}
READERS = {"PIL", "pypdf", "pypdfium2", "pypdfium2_raw", "chardet", "cryptography"}
ENCODERS = {"numpy", "tiktoken", "gigatoken", "awkward", "regex"}
PAGE = {"streamlit", "starlette", "pandas", "markdown_it", "latex2mathml", "uvicorn", "mcp", "pydantic", "httpx2"}
REST = {"sqlite_utils", "asyncio", "typer", "rich", "click_default_group"}
OURS = {"app.desk", "app.cli.corpus", "engine.local.opened", "engine.corpus.collect"}


def imported(home: Path, *arguments: str) -> set[str]:
    """Every module that is loaded when a command has ended, by its names: a, a.b, a.b.c."""
    code = (
        "import atexit, sys\n"
        f"sys.argv = ['longdesk', *{list(arguments)!r}]\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr))\n"
        "from app.command import main\n"
        "main()\n"
    )
    environment = {**os.environ, "LONGDESK_HOME": str(home)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """One that is not new: the first command in a new one makes its database with sqlite-utils."""
    imported(tmp_path, "sessions", "list")
    return tmp_path


def test_help_imports_nothing_of_the_house_below_the_command_line(tmp_path: Path) -> None:
    loaded = imported(tmp_path, "--help")
    assert not loaded & (ENGINE | READERS | ENCODERS | PAGE | REST | OURS)
    assert {name for name in loaded if name.split(".")[0] in {"app", "engine", "storage"}} == {
        *("app", "app.command", "app.endings", "app.cli", "app.cli.signals", "app.cli.terminal"),
        *("engine", "engine.errors"),
    }


@pytest.mark.parametrize(
    "arguments", [("sessions", "list"), ("sessions", "list", "--json"), ("sessions", "search", "word")], ids=" ".join
)
def test_lists_of_sessions_import_no_engine(home: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(home, *arguments) & (ENGINE | READERS | ENCODERS | PAGE | REST | OURS)


def test_a_count_of_text_imports_no_engine_and_no_page(home: Path, tmp_path: Path, llama_gguf: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.txt").write_text("A few words.\n")
    arguments = ("count", str(corpus), "--model", str(llama_gguf), "--read-again")
    imported(home, *arguments)  # the vocabulary is proved now
    loaded = imported(home, *arguments)
    assert {"numpy", "tiktoken"} <= loaded
    assert not loaded & (ENGINE | READERS | PAGE | REST | {"gigatoken", "awkward", "psutil"})


def test_a_new_home_does_not_hide_what_is_imported(tmp_path: Path) -> None:
    """The test of this test: what is imported shows."""
    assert "sqlite_utils" in imported(tmp_path, "sessions", "list")


@pytest.mark.parametrize("group", ["sessions", "models", "snapshots"])
def test_help_of_a_group_imports_no_reader_and_no_page(tmp_path: Path, group: str) -> None:
    assert not imported(tmp_path, group, "--help") & (PAGE | {"llama_cpp", "sqlite_utils"})


def test_help_says_of_each_command_what_the_command_says_of_itself() -> None:
    for name, (_, help_) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None and command.name == name
        assert (command.help or "").partition("\n")[0] == help_


def test_a_command_ends_as_python_does(tmp_path: Path) -> None:
    """It takes nothing apart at its end, but waits for threads, does what is registered, and says all that was said."""
    code = (
        "import atexit, sys, threading, time\n"
        "sys.argv = ['longdesk', 'count', 'nowhere']\n"
        "atexit.register(print, 'registered')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('waited'))).start()\n"
        "print('begun')\n"
        "from app.command import main\n"
        "main()\n"
    )
    environment = {**os.environ, "LONGDESK_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S
    )
    assert (ended.returncode, ended.stdout.split()) == (2, ["begun", "waited", "registered"])
    assert "There is no file or folder at nowhere." in ended.stderr
