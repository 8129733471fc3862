"""What was read before is not opened again, as long as nothing speaks against it."""

import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.corpus import readings
from engine.corpus.collect import collect
from engine.corpus.readings import Readings
from engine.corpus.rules import Rules
from engine.corpus.source import Corpus
from engine.corpus.unread import UnreadSource
from engine.errors import SourceRefused
from engine.kept_files import KeptFiles
from tests.engine.corpus.formats.pdf_builder import build, many

_OPENED: list[str] = []
_WATCHING = [False]


def _watch(event: str, details: tuple[Any, ...]) -> None:
    if _WATCHING[0] and event == "open" and isinstance(details[0], str | bytes):
        _OPENED.append(os.fsdecode(details[0]))


sys.addaudithook(_watch)  # it stays for the life of the process


@contextmanager
def watching(folder: Path) -> Iterator[list[str]]:
    """The files below the folder that are opened within, by their paths there."""
    found: list[str] = []
    _OPENED.clear()
    _WATCHING[0] = True
    real_open = os.open

    def noted(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """The hook is told of no folder that a name is below."""
        if dir_fd is not None and os.path.isfile(whole := f"{os.readlink(f'/proc/self/fd/{dir_fd}')}{os.sep}{path}"):
            _OPENED.append(whole)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    os.open = noted
    try:
        yield found
    finally:
        os.open = real_open
        _WATCHING[0] = False
        root = f"{folder.resolve()}{os.sep}"
        found += [name.removeprefix(root) for name in _OPENED if name.startswith(root)]


def later_ns() -> int:
    """A clock by which nothing was written just now."""
    return time.time_ns() + 10_000_000_000


def read(folder: Path, cache: Path, rules: Rules = Rules(), *, now_ns: Any = later_ns, **flags: Any) -> Corpus:
    given = flags.pop("paths", [folder])
    readings = Readings(KeptFiles(cache, 1 << 20), now_ns=now_ns, **flags)
    return collect(given, rules, readings=readings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of every kind of file some."""
    root = tmp_path / "corpus"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("print('a')\n")
    (root / "latin.txt").write_bytes("naïve café, Straße und Größe, déjà vu".encode("latin-1"))
    (root / "empty.txt").write_bytes(b"")
    (root / "binary.bin").write_bytes(bytes(range(256)) * 40)
    (root / "sub" / "b.md").write_text("# b\n")
    (root / "sub" / "doc.pdf").write_bytes(build(many(2)))
    (root / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "# N"}]}))
    return root


def test_nothing_that_is_as_it_was_is_opened(folder: Path, tmp_path: Path) -> None:
    with watching(folder) as opened:
        first = read(folder, tmp_path / "cache")
    assert sorted(set(opened)) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    with watching(folder) as opened:
        second = read(folder, tmp_path / "cache")
    assert opened == []
    assert all(isinstance(source, UnreadSource) for source in second.sources)
    assert second == first == collect([folder])  # comparing reads their texts
    assert [source.origin for source in second.sources] == [source.origin for source in first.sources]
    assert [source.notes for source in second.sources] == [source.notes for source in first.sources]


def test_read_again_opens_all(folder: Path, tmp_path: Path) -> None:
    read(folder, tmp_path / "cache")
    with watching(folder) as opened:
        read(folder, tmp_path / "cache", read_again=True)
    assert {"a.py", "empty.txt", "sub/doc.pdf"} <= set(opened)


@pytest.mark.parametrize("how", ["longer", "same size", "replaced", "touched"])
def test_a_file_that_was_changed_is_read_again(folder: Path, tmp_path: Path, how: str) -> None:
    read(folder, tmp_path / "cache")
    path = folder / "a.py"
    before = path.stat()
    match how:
        case "longer":
            path.write_text("print('longer')\n")
        case "same size":
            path.write_text("print('z')\n")
        case "replaced":
            (folder / "new").write_text("print('z')\n")
            os.replace(folder / "new", path)
        case _:
            path.touch()
    if how != "touched":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its other times tell
    with watching(folder) as opened:
        corpus = read(folder, tmp_path / "cache")
    assert opened == ["a.py"]
    assert corpus == collect([folder])
    with watching(folder) as opened:
        read(folder, tmp_path / "cache")
    assert opened == []


def test_a_file_that_was_written_just_now_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    """Within a tick of the clock it may be written again, and its times be the same."""
    for _ in range(2):
        with watching(folder) as opened:
            read(folder, tmp_path / "cache", now_ns=lambda: (folder / "a.py").stat().st_mtime_ns + 1_000_000)
        assert "a.py" in opened
    os.utime(folder / "a.py", ns=(1_000_000_000, 1_000_000_000))  # as FAT has times: of whole seconds
    now_ns = (folder / "a.py").stat().st_ctime_ns + 1_000_000_000
    for _ in range(2):
        with watching(folder) as opened:
            read(folder, tmp_path / "cache", now_ns=lambda: now_ns)
        assert "a.py" in opened
    with watching(folder) as opened:
        read(folder, tmp_path / "cache", now_ns=lambda: now_ns + 2_000_000_000)
        opened.clear()
    with watching(folder) as opened:
        read(folder, tmp_path / "cache", now_ns=lambda: now_ns + 2_000_000_000)
    assert opened == []


def test_other_rules_are_other_readings(folder: Path, tmp_path: Path) -> None:
    read(folder, tmp_path / "cache")
    for rules in (Rules(max_text_bytes=5), Rules(draw_pages="all")):
        corpus = read(folder, tmp_path / "cache", rules)
        assert corpus == collect([folder], rules)
        assert read(folder, tmp_path / "cache", rules) == corpus
    with watching(folder) as opened:  # what is left out says nothing of what is read
        corpus = read(folder, tmp_path / "cache", Rules(exclude=("*.md",), include=frozenset({"a.py"})))
    assert opened == ["a.py"] and [one.path for one in corpus.skipped if one.cause == "excluded"] == ["sub/b.md"]
    with watching(folder) as opened:
        read(folder, tmp_path / "cache")
    assert opened == [], "what was left out once is known still"


def test_files_by_name_and_uploads(folder: Path, tmp_path: Path) -> None:
    paths = [folder / "a.py", folder / "sub" / "b.md"]
    first = read(folder, tmp_path / "cache", paths=paths)
    second = read(folder, tmp_path / "cache", paths=paths)
    assert [each.path for each in second.sources] == ["a.py", "b.md"] and first == collect(paths)
    assert all(isinstance(each, UnreadSource) for each in second.sources), "opened once, to be held, and not read"
    assert [each.text for each in second.sources] == [each.text for each in first.sources]
    readings = Readings(KeptFiles(tmp_path / "cache", 1 << 20), now_ns=later_ns)
    uploaded = collect([folder], uploaded=True, readings=readings)
    assert not any(isinstance(source, UnreadSource) for source in uploaded.sources)


def test_what_is_gone_is_forgotten_and_what_comes_is_read(folder: Path, tmp_path: Path) -> None:
    read(folder, tmp_path / "cache")
    (folder / "a.py").unlink()
    (folder / "c.py").write_text("c = 1\n")
    assert read(folder, tmp_path / "cache") == collect([folder])
    (kept,) = (tmp_path / "cache").iterdir()
    assert b"/c.py" in kept.read_bytes() and b"/a.py" not in kept.read_bytes()


def test_a_text_that_was_changed_since_is_refused_not_guessed(folder: Path, tmp_path: Path) -> None:
    read(folder, tmp_path / "cache")
    corpus = read(folder, tmp_path / "cache")
    (folder / "a.py").write_text("another = text\n")
    source = next(source for source in corpus.sources if source.path == "a.py")
    with pytest.raises(SourceRefused, match=r"a\.py was changed"):
        _ = source.text


def test_broken_caches_and_other_readers_are_not_believed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = read(folder, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    for broken in (whole[:-9], whole[:40], b"", whole.replace(b"a.py", b"b.py"), whole + b"x" * 0):
        kept.write_bytes(broken)
        assert read(folder, tmp_path / "cache") == wanted
    files = KeptFiles(tmp_path / "cache", 1 << 20)
    head = files.read_head(kept.name)
    assert head is not None
    for lie in (b"[]", b"{}", b"5", head.replace(b'"files"', b'"filed"'), head.replace(b'"kind"', b'"kinds"')):
        files.write(kept.name, lie)
        assert read(folder, tmp_path / "cache") == wanted
    monkeypatch.setattr("engine.corpus.readings._reader", lambda: "a later one")
    with watching(folder) as opened:
        assert read(folder, tmp_path / "cache") == wanted
    assert "a.py" in opened


def test_without_a_place_for_the_cache_all_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    for _ in range(2):
        assert read(folder, tmp_path / "cache") == collect([folder])


def test_files_whose_times_tell_nothing_are_not_known(tmp_path: Path) -> None:
    assert Readings(KeptFiles(tmp_path, 1 << 20)).place("/proc/self", Rules()) is None


def test_the_libraries_that_it_names_are_installed_with_longdesk() -> None:
    """Not only with its tests: their versions are asked for wherever files are counted."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    installed = {re.split(r"[^\w-]", each)[0].lower() for each in project["dependencies"]}
    assert set(readings._LIBRARIES) <= installed
