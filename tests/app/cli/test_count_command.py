"""`count` of what was counted before: no file is opened again that did not change, and the document is the same."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_line import CommandLine, Run

_WATCHED = """
import os, sys
from app.command import main
names = {name for _, _, found in os.walk(sys.argv[1]) for name in found}
told = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def watch(event, details):
    if event == "open" and isinstance(details[0], str) and details[0].endswith((".py", ".txt")):
        if os.path.basename(details[0]) in names:  # opened from the folder, by a name in it
            os.write(told, os.path.basename(details[0]).encode() + b"\\n")
sys.addaudithook(watch)
sys.argv[:] = ["longdesk", *sys.argv[3:]]
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that were not written just now."""
    root = tmp_path / "corpus"
    (root / "sub").mkdir(parents=True)
    for at in range(5):
        (root / f"{at}.py").write_text(f"print({at})\n")
    (root / "sub" / "latin.txt").write_bytes("naïve café, Straße und Größe, déjà vu".encode("latin-1"))
    (root / "sub" / "none.txt").write_text("")
    while time.time_ns() < (root / "sub" / "none.txt").stat().st_ctime_ns + 150_000_000:
        time.sleep(0.05)
    return root


def watched(longdesk: CommandLine, told: Path, root: Path, *arguments: object) -> tuple[Run, list[str]]:
    """The command's end, and the files below the folder that it opened."""
    told.unlink(missing_ok=True)
    command = [sys.executable, "-c", _WATCHED, root, told, *arguments]
    ended = subprocess.run(
        [*map(str, command)], env=longdesk.environment, capture_output=True, encoding="utf-8", check=False
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return Run(ended.returncode, ended.stdout, ended.stderr), told.read_text().splitlines()


def test_a_second_count_opens_no_file(tmp_path: Path, llama_gguf: Path, folder: Path) -> None:
    longdesk, told = CommandLine(tmp_path / "home", llama_gguf), tmp_path / "told"
    first, opened = watched(longdesk, told, folder, "count", folder, "--json")
    assert len(set(opened)) == 7
    second, opened = watched(longdesk, told, folder, "count", folder, "--json")
    assert opened == [] and second.document == first.document
    notes = {source["path"]: source["notes"] for source in second.document["sources"]}
    assert notes["sub/latin.txt"] and not notes["0.py"]
    plan, opened = watched(longdesk, told, folder, "plan", folder, "--json")
    assert opened == [] and plan.document["prompt_tokens"] == first.document["total_tokens"]
    again, opened = watched(longdesk, told, folder, "count", folder, "--json", "--read-again")
    assert len(set(opened)) == 7 and again.document == first.document
    (folder / "0.py").write_text("print('another')\n")
    changed, opened = watched(longdesk, told, folder, "count", folder, "--json")
    assert opened == ["0.py"]
    tokens = [{each["path"]: each["tokens"] for each in run.document["sources"]} for run in (first, changed)]
    assert {path for path in tokens[0] if tokens[0][path] != tokens[1][path]} == {"0.py"}


def test_another_vocabulary_reads_what_it_needs(
    tmp_path: Path, llama_gguf: Path, gemma3_gguf: Path, folder: Path
) -> None:
    told = tmp_path / "told"
    watched(CommandLine(tmp_path / "home", llama_gguf), told, folder, "count", folder, "--json")
    alone = CommandLine(tmp_path / "other", gemma3_gguf)("count", folder, "--json").document
    gemma = CommandLine(tmp_path / "home", gemma3_gguf)
    other, opened = watched(gemma, told, folder, "count", folder, "--json")
    assert other.document == alone and "0.py" in opened and "none.txt" not in opened
    other, opened = watched(gemma, told, folder, "count", folder, "--json")
    assert other.document == alone and opened == []


@pytest.mark.parametrize("how", ["flipped", "cut", "swapped", "emptied", "a folder"])
def test_a_broken_cache_changes_nothing(tmp_path: Path, llama_gguf: Path, folder: Path, how: str) -> None:
    longdesk = CommandLine(tmp_path / "home", llama_gguf)
    wanted = longdesk("count", folder, "--json").document
    kept = sorted((longdesk.home / "cache" / "counts").iterdir())
    assert {path.suffix for path in kept} == {".ids", ".read", ".count"}
    contents = [path.read_bytes() for path in kept]
    for path, content, other in zip(kept, contents, reversed(contents), strict=True):
        middle = len(content) * 2 // 3
        match how:
            case "flipped":
                path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
            case "cut":
                path.write_bytes(content[:middle])
            case "swapped":
                path.write_bytes(other)
            case "emptied":
                path.write_bytes(b"")
            case _:
                path.unlink()
                path.mkdir()
    for _ in range(2):
        assert longdesk("count", folder, "--json").document == wanted


def test_commands_at_once_agree(tmp_path: Path, llama_gguf: Path, folder: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", llama_gguf)
    running = [longdesk.start("count", folder, "--json") for _ in range(3)]
    documents = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(documents)) == 1
    assert longdesk("count", folder, "--json").out == documents[0]


def test_no_budget_keeps_nothing(tmp_path: Path, llama_gguf: Path, folder: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", llama_gguf)
    longdesk.home.mkdir()
    (longdesk.home / "config.toml").write_text("count_cache_budget = 0\n")
    first = longdesk("count", folder, "--json")
    assert longdesk("count", folder, "--json").document == first.document
    assert not (longdesk.home / "cache" / "counts").exists()


def test_where_the_cache_cannot_be_written_all_goes_on(tmp_path: Path, llama_gguf: Path, folder: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", llama_gguf)
    os.makedirs(longdesk.home / "cache")
    (longdesk.home / "cache" / "counts").write_text("a file in its place")
    first = longdesk("count", folder, "--json")
    assert first.code == 0 and longdesk("count", folder, "--json").document == first.document
