"""walk.held: what is read lies below the folder that was given, whatever is put in its place between two looks.

Races are made certain: what a stranger would do at the right moment is done by a hook between listing and opening.
"""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Corpus
from engine.corpus.walk.disk_tree import DiskTree, is_gone, lies_there, tree_at
from engine.corpus.walk.held import (
    NotPlain,
    open_as_it_lay,
    open_given,
    read_as_it_lay,
)

pytestmark = pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="opened by name there")
SECRET = "the secret"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nobody gave, with files of the same names."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "deep/c.txt"):
        (folder / name).write_text(SECRET)
    return folder


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    (folder / "sub" / "deep").mkdir(parents=True)
    for name in ("sub/a.txt", "sub/b.txt", "sub/deep/c.txt", "z.txt"):
        (folder / name).write_text("mine")
    return folder


def replaced(path: Path, target: Path) -> None:
    """A link in its place; what was there goes on lying beside it."""
    path.rename(path.with_name(f"{path.name} before"))
    path.symlink_to(target)


SWAPS: dict[str, Callable[[Path, Path], None]] = {
    "a file": lambda given, outside: replaced(given / "sub" / "a.txt", outside / "a.txt"),
    "a folder": lambda given, outside: replaced(given / "sub", outside),
    "a folder in it": lambda given, outside: replaced(given / "sub" / "deep", outside / "deep"),
    "a file by a folder": lambda given, outside: ((given / "z.txt").unlink(), (given / "z.txt").mkdir()),  # type: ignore[func-returns-value]
    "the given folder": lambda given, outside: replaced(given, outside),
    "its parent": lambda given, outside: replaced(given.parent, outside.parent),
}


def words(corpus: Corpus) -> set[str]:
    return {source.text for source in corpus.sources}


@pytest.mark.parametrize("what", SWAPS)
@pytest.mark.parametrize("when", ["found", "read"])
def test_a_link_that_is_put_there_meanwhile_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, when: str
) -> None:
    top, outside = tmp_path / "top", tmp_path / "out" / "top" / "given"
    given = top / "given"
    for folder, text in ((given, "mine"), (outside, SECRET)):
        (folder / "sub" / "deep").mkdir(parents=True)
        for name in ("sub/a.txt", "sub/b.txt", "sub/deep/c.txt", "z.txt", "a.txt", "b.txt"):
            (folder / name).write_text(text)
    done = []

    def swap(*_: object) -> None:
        if not done:
            done.append(SWAPS[what](given, outside if what != "its parent" else outside.parents[0] / "x"))

    heard = {"on_found": swap} if when == "found" else {"on_file": swap}
    corpus = collect([given], **heard)  # type: ignore[arg-type]
    assert done and words(corpus) == {"mine"}
    told = {one.path: one.cause for one in corpus.skipped}
    assert set(told.values()) <= {Cause.LINK, Cause.UNREADABLE}
    assert len(corpus.sources) + len(told) >= 6 or told.keys() == {"sub/"}, "nothing is left out in silence"


def test_a_link_in_place_of_a_folder_between_listing_and_entering(
    given: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = DiskTree.list_folder

    def listing(tree: DiskTree, where: str) -> object:
        found = listed(tree, where)
        if where == str(given):
            replaced(given / "sub", outside)
        return found

    monkeypatch.setattr(DiskTree, "list_folder", listing)
    corpus = collect([given])
    assert [source.path for source in corpus.sources] == ["z.txt"]
    assert [(one.path, one.cause) for one in corpus.skipped] == [("sub/", Cause.LINK)]


def test_a_pipe_in_place_of_a_file_is_not_waited_for(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipes(n_known: int, path: str) -> None:
        if path == "z.txt":
            (given / "z.txt").unlink()
            os.mkfifo(given / "z.txt")

    corpus = collect([given], on_found=pipes)
    assert [(one.path, one.reason) for one in corpus.skipped] == [
        ("z.txt", "not a plain file but a pipe, socket or device")
    ]


@pytest.mark.parametrize("what", ["pipe", "link", "folder", "socket", "dangling"])
@pytest.mark.parametrize("name", [".gitignore", ".git", "sub/.gitignore", ".longdeskignore"])
def test_files_of_rules_that_are_none_are_not_waited_for_and_not_followed(
    given: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    (outside / "rules").write_text("*.txt\n")
    monkeypatch.chdir(given)  # a socket's path is short
    if what == "pipe":
        os.mkfifo(name)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(name)
    elif what == "folder":
        Path(name).mkdir()
    else:
        Path(name).symlink_to(outside / ("rules" if what == "link" else "none"))
    corpus = collect([given])
    assert [source.path for source in corpus.sources] == ["sub/a.txt", "sub/b.txt", "sub/deep/c.txt", "z.txt"]


@pytest.mark.parametrize("what", ["index", "info/exclude", "info", "HEAD", "commondir", "objects"])
def test_a_pipe_within_git_is_not_waited_for(given: Path, what: str) -> None:
    (given / ".git").mkdir()
    (given / ".gitignore").write_text("b.txt\n")
    (given / ".git" / what).parent.mkdir(exist_ok=True)
    os.mkfifo(given / ".git" / what)
    assert "sub/a.txt" in [source.path for source in collect([given]).sources]


HARD = ("two\nlines", "a:b", "quo'te\"s", "back\\slash", " spaces ", "-q", "%s", "*", "a\u202eb", "\udce9")


@pytest.mark.parametrize("name", HARD)
def test_hard_names_are_held_alike(tmp_path: Path, outside: Path, name: str) -> None:
    folder = tmp_path / name / name
    folder.mkdir(parents=True)
    (folder / name).write_text("mine")
    assert words(collect([tmp_path / name])) == words(collect([folder])) == words(collect([folder / name])) == {"mine"}

    def swap(n_known: int, path: str) -> None:
        replaced(folder, outside)

    corpus = collect([tmp_path / name], on_found=swap)
    assert words(corpus) == {"mine"}, "its folder is held by then"


def test_the_given_path_may_be_a_link_and_is_opened_once(given: Path, outside: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(given)
    (tmp_path / "file").symlink_to(given / "z.txt")
    assert words(collect([tmp_path / "link"])) == words(collect([tmp_path / "file"])) == {"mine"}

    def swap(n_known: int, path: str) -> None:
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(outside)

    assert words(collect([tmp_path / "link"], on_found=swap)) == {"mine"}


def test_a_zip_in_a_folder_is_brought_back_from_where_it_lay(given: Path, tmp_path: Path) -> None:
    import zipfile

    for at, text in ((given / "sub" / "x.zip", "mine"), (tmp_path / "x.zip", SECRET)):
        with zipfile.ZipFile(at, "w") as zipped:
            zipped.writestr("in.txt", text)

    def swap(n_known: int, path: str) -> None:
        if path == "sub/x.zip":
            replaced(given / "sub" / "x.zip", tmp_path / "x.zip")

    corpus = collect([given], Rules(include=frozenset({"sub/x.zip"})), on_found=swap)
    assert words(corpus) == {"mine"} and [one.cause for one in corpus.skipped] == [Cause.LINK]


@pytest.mark.parametrize("part", ["z.txt", "given", "top"])
def test_what_is_opened_later_is_opened_where_it_lay(tmp_path: Path, part: str) -> None:
    at = tmp_path / "top" / "given" / "z.txt"
    for folder, text in (("top", "mine"), ("other", SECRET)):
        (tmp_path / folder / "given").mkdir(parents=True)
        (tmp_path / folder / "given" / "z.txt").write_text(text)
    assert read_as_it_lay(str(at), 10) == b"mine" and lies_there(str(at)) and not is_gone(str(at))
    assert read_as_it_lay(str(at), 3) is None
    path = next(each for each in (at, *at.parents) if each.name == part)
    replaced(path, tmp_path / "other" / path.relative_to(tmp_path / "top"))
    assert at.read_text() == SECRET, "by its name it would be read"
    assert read_as_it_lay(str(at), 100) is None and not lies_there(str(at))
    assert is_gone(str(at)) == (part != "z.txt")
    with pytest.raises(OSError):
        open_as_it_lay(str(at))


def test_pipes_sockets_devices_and_folders_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound, tree_at(tmp_path) as tree:
        bound.bind("socket")
        for name in ("pipe", "folder", "socket"):
            with pytest.raises(NotPlain):
                tree.held.open_file(str(tmp_path / name))
            assert read_as_it_lay(str(tmp_path / name), 10) is None
    for path in ("pipe", "socket", "/dev/null", "/dev/zero"):
        with pytest.raises(NotPlain):
            open_given(Path(path))


def test_a_pipe_that_is_given_is_not_opened_to_look_at_it(tmp_path: Path) -> None:
    """Who writes into it would be heard, and then lose their reader."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.txt").write_text("mine")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("piped"), daemon=True)
    writer.start()
    corpus = collect([tmp_path / "a.txt", tmp_path / "pipe"], Rules(pipes=True))
    assert words(corpus) == {"mine", "piped"}
    writer.join()


@pytest.mark.parametrize("path", ["", "/..", "/sub/../../outside/a.txt", "/sub/./a.txt", "/sub//a.txt", "-twin/a.txt"])
def test_only_what_lies_below_can_be_asked_for(given: Path, outside: Path, path: str) -> None:
    with tree_at(given) as tree, pytest.raises(OSError):
        tree.held.open_file(str(given) + path)


def test_a_deep_tree_takes_few_descriptors_and_each_folder_is_opened_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_deep, folder = 400, str(tmp_path)
    for _ in range(n_deep):
        folder += "/d"
        os.mkdir(folder)
        with open(f"{folder}/a", "w") as file:
            file.write("x")
    opened, most = [0], [0]
    real_open = os.open

    def counting(*given: object, **more: object) -> int:
        opened[0] += 1
        most[0] = max(most[0], descriptor := real_open(*given, **more))  # type: ignore[arg-type]
        return descriptor

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "open", counting)
    assert len(collect([tmp_path]).sources) == n_deep
    monkeypatch.undo()
    assert opened[0] < 8 * n_deep, "linear"
    assert most[0] < before + 120 and len(os.listdir("/proc/self/fd")) == before, "all are closed again"


def test_nothing_stays_open_where_reading_is_stopped(given: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for heard in ("on_found", "on_file"):
        with pytest.raises(KeyboardInterrupt):
            collect([given, given / "z.txt"], **{heard: stop})  # type: ignore[arg-type]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_was_moved_is_still_the_one_that_was_given(given: Path, tmp_path: Path) -> None:
    with tree_at(given) as tree:
        given.rename(tmp_path / "moved")
        assert sorted(tree.held.list_folder(tree.held.path, lambda entry: entry.name)) == ["sub", "z.txt"]
        assert tree.held.read_small(f"{tree.held.path}/sub/a.txt", 10) == b"mine"
