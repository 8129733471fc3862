"""The page's roots: held by descriptor from the start, so that no name leads out of them later."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.commits import read_commits
from app.desk import Desk
from app.found_again import file_of
from app.images.page_choice import can_be_drawn
from app.intake import Intake
from app.roots import Roots
from app.settings import Settings, read_settings
from engine.backend import Source
from engine.errors import LongdeskError, SourceRefused, UsageError
from storage.records import SourceLink
from tests.app.test_commits import checkout
from tests.engine.corpus.formats.pdf_builder import build, many
from tests.engine.corpus.walk.test_held import HARD, replaced
from tests.fake_backend import FakeBackend

SECRET = "the secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a project in it; beside it a folder of the same names that nobody gave."""
    for folder, text in (("root", "mine"), ("outside", SECRET)):
        project = tmp_path / folder / "project"
        (project / "node_modules").mkdir(parents=True)
        for name in ("a.txt", "b.min.js", "node_modules/c.js"):
            (project / name).write_text(text)
    return tmp_path / "root"


@pytest.fixture
def desk(tmp_path: Path, root: Path) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home", roots=(root,)), backend=FakeBackend())
    yield desk
    desk.close()


def words(delivery: object) -> set[str]:
    return {source.text for _, corpus in delivery.parts for source in corpus.sources}  # type: ignore[attr-defined]


SWAPS: dict[str, Callable[[Path, Path], None]] = {
    "the root": lambda root, outside: replaced(root, outside),
    "the folder that was given": lambda root, outside: replaced(root / "project", outside / "project"),
    "a folder in it": lambda root, outside: replaced(
        root / "project" / "node_modules", outside / "project" / "node_modules"
    ),
    "a file": lambda root, outside: replaced(root / "project" / "b.min.js", outside / "project" / "b.min.js"),
    "the root by another folder": lambda root, outside: (root.rename(root.with_name("before")), outside.rename(root)),  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("what", SWAPS)
@pytest.mark.parametrize("path", ["b.min.js", "node_modules/"])
def test_nothing_outside_is_brought_back(desk: Desk, root: Path, what: str, path: str) -> None:
    intake = Intake(desk)
    session = desk.begin_session("t").id
    intake.add(session, intake.read_path("project"))
    SWAPS[what](root, root.parent / "outside")
    try:
        delivery = intake.read_back(session, path)
    except (UsageError, SourceRefused):
        return
    assert words(delivery) <= {"mine"}


@pytest.mark.parametrize("what", SWAPS)
@pytest.mark.parametrize("text", ["project", "project/b.min.js", "project/node_modules"])
def test_nothing_outside_is_read_by_its_name(desk: Desk, root: Path, what: str, text: str) -> None:
    intake = Intake(desk)
    SWAPS[what](root, root.parent / "outside")
    try:
        delivery = intake.read_path(text)
    except (UsageError, SourceRefused):
        return
    assert words(delivery) <= {"mine"}


@pytest.mark.parametrize("what", SWAPS)
def test_nothing_outside_is_read_between_finding_and_opening(
    desk: Desk, root: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, find = Intake(desk), Roots.find

    def finding(roots: Roots, text: str) -> Path:
        found = find(roots, text)
        SWAPS[what](root, root.parent / "outside")
        return found

    monkeypatch.setattr(Roots, "find", finding)
    try:
        delivery = intake.read_path("project")
    except (UsageError, SourceRefused):
        return
    assert words(delivery) <= {"mine"}


def test_a_root_that_became_another_folder_is_said_and_one_in_it_may_be_made_anew(root: Path) -> None:
    roots = Roots([root])
    (root / "project").rename(root / "old")
    (root / "project").mkdir()
    os.close(roots.open(roots.find("project")).descriptor)
    root.rename(root.with_name("before"))
    root.mkdir()
    with pytest.raises(UsageError, match="is not the folder that it was. Start Longdesk again"):
        roots.open(root)


def test_a_root_that_comes_later_is_held_from_then_on(tmp_path: Path) -> None:
    roots = Roots([tmp_path / "later", tmp_path / "here"])
    assert roots.folders()[0] == tmp_path / "later"
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.txt").write_text("a")
    given = roots.open(roots.find("a.txt"))
    assert os.read(given.descriptor, 9) == b"a" and given.top == str(tmp_path / "later")
    os.close(given.descriptor)


def test_a_root_may_be_a_link_when_it_is_named_and_a_link_within_may_lead_within(tmp_path: Path, root: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    (root / "inner").symlink_to(root / "project")
    roots = Roots([tmp_path / "link"])
    assert roots.find("inner/a.txt") == root / "project" / "a.txt"
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    assert roots.folders() == [root]


@pytest.mark.parametrize("name", HARD)
def test_a_root_of_a_hard_name_is_the_one_that_is_read(tmp_path: Path, name: str) -> None:
    """`a:b` is no two folders: the page is told of its roots as JSON."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.txt").write_text("mine")
    environment = {"LONGDESK_HOME": str(tmp_path / "home"), "LONGDESK_ROOTS": json.dumps([str(folder)])}
    roots = read_settings(environment).roots
    assert roots == (folder,) and Roots(roots).find("a.txt") == folder / "a.txt"


def test_roots_of_the_environment_may_still_be_written_as_paths(tmp_path: Path) -> None:
    for text, roots in (("/y:/z", ["/y", "/z"]), ("[a]", ["[a]"]), ('["/y:/z"]', ["/y:/z"]), ("[1]:/y", ["[1]", "/y"])):
        environment = {"LONGDESK_HOME": str(tmp_path), "LONGDESK_ROOTS": text}
        assert read_settings(environment).roots == tuple(map(Path, roots))


def pdf(at: Path) -> Source:
    data = build(many(2))
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(data)
    return Source(path=at.name, kind="pdf", text="x", n_bytes=len(data), digest="d", origin=str(at))


@pytest.mark.parametrize("what", ["file", "folder", "pipe", "parent", "device"])
def test_the_viewer_opens_a_file_where_it_lay_and_waits_for_nothing(tmp_path: Path, what: str) -> None:
    source = pdf(tmp_path / "given" / "sub" / "a.pdf")
    pdf(tmp_path / "outside" / "a.pdf")
    pdf(tmp_path / "outside" / "sub" / "a.pdf")
    at = tmp_path / "given" / "sub" / "a.pdf"
    assert file_of(source) is not None
    if what == "file":
        replaced(at, tmp_path / "outside" / "a.pdf")
    elif what == "folder":
        replaced(at.parent, tmp_path / "outside")
    elif what == "parent":
        replaced(at.parent.parent, tmp_path / "outside")
    elif what == "pipe":
        at.unlink()
        os.mkfifo(at)
    else:
        replaced(at, Path("/dev/zero"))
    assert file_of(source) is None
    assert not can_be_drawn(link_of(source))


def link_of(source: Source) -> SourceLink:
    return SourceLink(source.path, "pdf", 1, "d", 2, None, (), False, 0, 0, True, source.origin)


@pytest.mark.parametrize("what", ["alternates", "objects", "git", "worktree"])
def test_commits_that_lie_outside_of_the_roots_are_not_read(tmp_path: Path, what: str) -> None:
    outside = checkout(tmp_path / "outside")
    folder = tmp_path / "root" / "folder"
    folder.mkdir(parents=True)
    if what == "worktree":
        subprocess.run(["git", "-C", outside, "worktree", "add", "-q", "--detach", folder / "tree"], check=True)
        folder = folder / "tree"
    elif what == "git":
        (folder / ".git").symlink_to(outside / ".git")
    else:
        subprocess.run(["git", "clone", "-q", outside, folder / "clone"], check=True)
        folder = folder / "clone"
        assert len(read_commits(f"{folder} v1..", [tmp_path / "root"], origins=(), known=()).sources) == 1
        if what == "objects":
            replaced(folder / ".git" / "objects", outside / ".git" / "objects")
        else:
            (folder / ".git" / "objects" / "info" / "alternates").write_text(f"{outside}/.git/objects\n")
    with pytest.raises(LongdeskError):
        read_commits(f"{folder} v1..", [tmp_path / "root"], origins=(), known=())


def test_rules_above_a_root_are_not_read(tmp_path: Path, desk: Desk, root: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.txt\n# words of nobody's\n")
    read = Intake(desk).read_path("project")
    assert words(read) == {"mine"}
