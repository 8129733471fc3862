"""A count that is kept is printed again for as long as nothing that it was made from changed, and no longer."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow

from app.kept_count import kept_count
from app.settings import Settings
from engine.corpus.rules import Rules
from tests.command_line import CommandLine, Run
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.patience import PATIENCE_S


@pytest.fixture
def longdesk(tmp_path: Path, llama_gguf: Path) -> CommandLine:
    """With a model of its own, so that it may be changed."""
    (tmp_path / "models").mkdir()
    return CommandLine(tmp_path / "home", shutil.copy(llama_gguf, tmp_path / "models" / "model.gguf"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that were not written just now."""
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "a.py").write_text("print('a')\n")
    (root / "b.txt").write_text("Some words, and others.\n")
    settle(root)
    return root


def settle(folder: Path) -> None:
    """Waits until a change of these files would show in their times."""
    while time.time_ns() < max(path.stat().st_ctime_ns for path in (folder, *folder.rglob("*"))) + 150_000_000:
        time.sleep(0.02)


def is_kept(longdesk: CommandLine, *paths: Path, **settings: object) -> bool:
    given = Settings(home=longdesk.home, model=str(longdesk.model), **settings)  # type: ignore[arg-type]
    return kept_count(paths, Rules(pipes=True), given).find() is not None


def imported(longdesk: CommandLine, *arguments: object) -> set[str]:
    """The modules that a command loads."""
    code = (
        f"import atexit, sys\nsys.argv = ['longdesk', *{list(map(str, arguments))!r}]\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr))\n"
        "from app.command import main\nmain()\n"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(
        command, env=longdesk.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S, check=True
    )
    return set(ended.stderr.split())


def test_a_second_count_of_a_folder_imports_nothing_that_counts(longdesk: CommandLine, folder: Path) -> None:
    assert {"numpy", "tiktoken", "app.desk"} <= imported(longdesk, "count", folder)
    assert not imported(longdesk, "count", folder) & {
        *("numpy", "tiktoken", "gigatoken", "PIL", "pypdf", "pypdfium2", "sqlite3", "psutil", "llama_cpp"),
        *("app.desk", "app.reading", "engine.backend", "engine.corpus.collect", "engine.gguf"),
    }


def test_it_prints_the_same(longdesk: CommandLine, folder: Path) -> None:
    (folder / "c.txt").write_bytes("naïve café, déjà vu, Straße".encode("latin-1"))
    (folder / "none.bin").write_bytes(bytes(range(256)))
    settle(folder)
    texts = [longdesk("count", folder), longdesk("count", folder)]
    documents = [longdesk("count", folder, "--json"), longdesk("count", folder, "--json", "--read-again")]
    assert texts[0] == texts[1] and documents[0] == documents[1] and is_kept(longdesk, folder)
    assert "1 skipped" in texts[0].out and "guess" in texts[0].out


CHANGES: dict[str, Callable[[CommandLine, Path], object]] = {
    "a file": lambda longdesk, root: (root / "a.py").write_text("print('b')\n"),
    "a new file": lambda longdesk, root: (root / "c.py").write_text("print('c')\n"),
    "the model": lambda longdesk, root: os.utime(longdesk.model, ns=(0, 0)),
    "a projector beside the model": lambda longdesk, root: (
        Path(longdesk.model).with_name("mmproj-x.gguf").write_bytes(b"x")
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_counted_anew(longdesk: CommandLine, folder: Path, change: str) -> None:
    first = longdesk("count", folder, "--json")
    assert first.code == 0 and is_kept(longdesk, folder)
    CHANGES[change](longdesk, folder)
    assert not is_kept(longdesk, folder)
    settle(folder)
    anew = longdesk("count", folder, "--json", "--read-again")
    assert longdesk("count", folder, "--json") == anew and is_kept(longdesk, folder)


def test_other_settings_are_counted_by_themselves(longdesk: CommandLine, folder: Path) -> None:
    longdesk("count", folder)
    assert is_kept(longdesk, folder)
    assert not is_kept(longdesk, folder, system="Another instruction.")
    assert not is_kept(longdesk, folder / "a.py")
    assert longdesk("count", folder, "--exclude", "*.py", "--json").document["sources"][0]["path"] == "b.txt"


def test_with_images_nothing_is_kept(longdesk: CommandLine, folder: Path) -> None:
    """What an image's name costs depends on the order of the sources, which sessions have a say in."""
    shutil.copy(cached("scout", **SMALL_SCOUT), longdesk.model)
    shutil.copy(cached("mmproj"), Path(longdesk.model).with_name("mmproj-scout.gguf"))
    Pillow.new("RGB", (400, 300)).save(folder / "image.png")
    settle(folder)
    document = longdesk("count", folder, "--json").document
    assert next(each for each in document["sources"] if each["path"] == "image.png")["images"]
    assert not is_kept(longdesk, folder) and longdesk("count", folder, "--json").document == document


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "another's"])
def test_a_damaged_count_is_made_anew(longdesk: CommandLine, folder: Path, how: str) -> None:
    wanted, other = longdesk("count", folder, "--json"), longdesk("count", folder / "a.py", "--json")
    counts = {path: path.read_bytes() for path in (longdesk.home / "cache" / "counts").glob("*.count")}
    assert len(counts) == 2
    for (path, content), another in zip(counts.items(), reversed(counts.values()), strict=True):
        middle = len(content) * 2 // 3
        path.write_bytes(
            {
                "flipped": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :],
                "cut": content[:middle],
                "emptied": b"",
                "another's": another,
            }[how]
        )
    assert not is_kept(longdesk, folder)
    for _ in range(2):
        assert longdesk("count", folder, "--json") == wanted
        assert longdesk("count", folder / "a.py", "--json") == other
    assert is_kept(longdesk, folder)


def test_what_goes_wrong_is_said_again(longdesk: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in (
        ("count", tmp_path / "empty"),
        ("count", tmp_path / "missing"),
        ("count", tmp_path, "--model", "no"),
    ):
        first: Run = longdesk(*arguments)
        assert first.code in (2, 4) and longdesk(*arguments) == first
