"""Commits that the page reads for a question: of a checkout in a folder that it may read, and of no other."""

import shutil
import subprocess
from pathlib import Path

import pytest

from app.commits import read_commits
from engine.errors import LongdeskError
from tests.engine.corpus.test_git_range import ENVIRONMENT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def checkout(at: Path) -> Path:
    (at / "sub").mkdir(parents=True)
    for number, command in enumerate((["init", "-q"], ["add", "."], ["commit", "-qm", "First"], ["tag", "v1"])):
        (at / "sub" / "a.txt").write_text(f"{number}\n")
        subprocess.run(["git", "-C", at, *command], env=ENVIRONMENT, check=True)
    for command in (["add", "."], ["commit", "-qm", f"Change {at.name}"]):
        subprocess.run(["git", "-C", at, *command], env=ENVIRONMENT, check=True)
    return at


def subjects(wanted: str, *roots: Path, origins: tuple[str, ...] = (), known: tuple[str, ...] = ()) -> list[str]:
    corpus = read_commits(wanted, roots, origins=origins, known=known)
    return [source.path.split("-", 2)[2] for source in corpus.sources]


def test_the_checkout_is_named_or_that_of_the_sources_or_that_of_a_root(tmp_path: Path) -> None:
    one, two = (checkout(tmp_path / name) for name in ("one", "two"))
    assert subjects("one v1..", tmp_path) == subjects(f"{one} v1..HEAD", tmp_path) == ["change-one.diff"]
    assert subjects("v1..", one, two) == subjects("v1..", tmp_path / "none", one) == ["change-one.diff"]
    assert subjects("v1..", one, two, origins=(str(two / "sub" / "a.txt"),)) == ["change-two.diff"]
    [known] = read_commits("v1..", [one], origins=(), known=()).sources
    moved = known.path.replace("0001", "0007")
    assert [each.path for each in read_commits("v1..", [one], origins=(), known=(moved,)).sources] == [moved]


@pytest.mark.parametrize(
    ("wanted", "root", "says"),
    [
        ("../other v1..", "one", "may not read there"),
        ("/ v1..", "one", "may not read there"),
        ("v1..", "one/sub", "where the page may not read"),
        ("v1..", "none", "lies in no git checkout"),
        ("v1..", None, "may read no folder"),
        ("v1..v9", "one", "has no commit v9"),
        ("v1", "one", "is no range of commits"),
    ],
)
def test_what_may_not_be_read_is_a_sentence(tmp_path: Path, wanted: str, root: str | None, says: str) -> None:
    checkout(tmp_path / "one")
    checkout(tmp_path / "other")
    (tmp_path / "none").mkdir()
    with pytest.raises(LongdeskError, match=says):
        subjects(wanted, *([tmp_path / root] if root is not None else []))
