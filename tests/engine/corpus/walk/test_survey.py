"""What a reading comes across is told by the files' sizes, inodes and times: what changed shows."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from engine.corpus.collect import collect
from engine.corpus.readings import Readings
from engine.corpus.rules import Rules
from engine.corpus.walk.survey import survey
from engine.kept_files import KeptFiles


def later_ns() -> int:
    """A clock by which nothing was written just now."""
    return time.time_ns() + 10_000_000_000


def read(cache: Path, *paths: Path, rules: Rules = Rules(), now_ns: Callable[[], int] = later_ns) -> str | None:
    """What a reading wrote down."""
    return collect(paths, rules, readings=Readings(KeptFiles(cache, 1 << 20), now_ns=now_ns)).survey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout with all that a walk may meet."""
    root = tmp_path / "a project"
    for below in ("src/deep", "build", "node_modules/x", ".git/info", "inner/.git"):
        (root / below).mkdir(parents=True)
    for name in ("a.py", "page 2.txt", "page 10.txt", "src/b.py", "src/deep/c.md", "build/out.txt", "inner/d.py"):
        (root / name).write_text(f"{name}\n")
    (root / "node_modules/x/index.js").write_text("x")
    (root / "left.log").write_text("left out")
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (root / "empty.txt").write_text("")
    (root / "bytes.bin").write_bytes(bytes(range(256)))
    (root / "link").symlink_to(root / "a.py")
    os.mkfifo(root / "pipe")
    (root / "caf\udce9.txt").write_text("no UTF-8 in its name")
    with ZipFile(root / "some.zip", "w") as file:
        file.writestr("in.txt", "within")
    return root


def test_a_reading_writes_down_what_a_survey_says(tmp_path: Path, folder: Path) -> None:
    for paths in (
        [folder],
        [folder / "src"],
        [folder / "a.py"],
        [folder / "some.zip"],
        [folder / "link"],
        [folder / "left.log", folder, folder / "src", folder / "src" / "b.py"],
        [folder / "inner", folder / "src", folder / "src"],
    ):
        known = survey(paths, Rules())
        assert known is not None
        for _ in range(2):  # anew, and known
            assert read(tmp_path / "cache", *paths) == known
        assert read(tmp_path / "cache", *paths, rules=Rules(exclude=("*.md",))) == survey(
            paths, Rules(exclude=("*.md",))
        )


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is longer": lambda root: (root / "a.py").write_text("a.py, longer\n"),
    "a file has other bytes": lambda root: (root / "a.py").write_text("b.py\n"),
    "a file has other bytes and its old time": lambda root: rewritten(root / "a.py"),
    "a file deep below has other bytes": lambda root: (root / "src" / "deep" / "c.md").write_text("another\n"),
    "a file is new": lambda root: (root / "src" / "new.py").write_text("new"),
    "a file is gone": lambda root: (root / "src" / "b.py").unlink(),
    "a file has another name": lambda root: (root / "a.py").rename(root / "z.py"),
    "a file is another": lambda root: (root / "page 2.txt").replace(root / "page 10.txt"),
    "a folder has another name": lambda root: (root / "src").rename(root / "source"),
    "less is ignored": lambda root: (root / ".gitignore").write_text("*.log\n"),
    "more is ignored": lambda root: (root / ".gitignore").write_text("*.log\nbuild/\nsrc/\n"),
    "it is no checkout any more": lambda root: shutil.rmtree(root / ".git"),
    "a link leads on as a file": lambda root: ((root / "link").unlink(), (root / "link").write_text("a.py\n")),
    "a pipe is a file": lambda root: ((root / "pipe").unlink(), (root / "pipe").write_text("words")),
}


def rewritten(path: Path) -> None:
    """As a tool does that puts the time back: the time of the last change of any kind still tells."""
    before = path.stat()
    path.write_text("b.py\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(folder: Path, change: str) -> None:
    if change == "it is no checkout any more":
        (folder / ".git" / "info" / "exclude").write_text("src/\n")
    before = survey([folder], Rules())
    assert before == survey([folder], Rules())
    CHANGES[change](folder)
    assert survey([folder], Rules()) not in (before, None)


def test_what_cannot_be_told_by_looking_is_not_told(tmp_path: Path, folder: Path) -> None:
    for path in (
        folder / "pipe",
        Path("/proc/self/status"),
        Path("/proc/self"),
        tmp_path / "nothing",
        Path("/dev/stdin"),
    ):
        assert survey([folder, path], Rules()) is None


def test_what_was_written_just_now_is_not_trusted(tmp_path: Path, folder: Path) -> None:
    newest = max(path.lstat().st_ctime_ns for path in folder.rglob("*"))
    assert read(tmp_path / "cache", folder, now_ns=lambda: newest + 1_000_000) is None
    assert read(tmp_path / "cache", folder / "a.py", now_ns=lambda: newest + 1_000_000) is None
    assert read(tmp_path / "cache", folder, now_ns=lambda: newest + 10_000_000_000) == survey([folder], Rules())


def test_what_changes_while_it_is_read_is_not_trusted(tmp_path: Path, folder: Path) -> None:
    def change(found: object) -> None:
        (folder / "src" / "b.py").write_text(f"{time.time_ns()}")
        with ZipFile(folder / "some.zip", "a") as file:
            file.writestr(f"{time.time_ns()}.txt", "more")

    for given in (folder, folder / "some.zip"):
        readings = Readings(KeptFiles(tmp_path / "cache", 1 << 20), now_ns=later_ns)
        told = collect([given], on_file=change, readings=readings).survey
        assert told is None or told != survey([given], Rules())


def test_uploads_and_readings_for_a_session_are_not_told(folder: Path) -> None:
    assert collect([folder]).survey is None
    assert collect([folder], uploaded=True).survey is None
