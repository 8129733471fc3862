"""A folder from a browser in a session: what is in it, what was left out and why, what can be brought back."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.desk import Desk
from app.folders import Folders
from app.intake import Intake
from app.settings import Settings
from engine.corpus.source import Cause
from engine.errors import SourceRefused
from tests.app.tab import PROJECT, TOKEN, Files, Tab, left, taken
from tests.engine.corpus.test_ignore import make_repository


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", model=str(llama_gguf)))) as opened:
        yield opened


@pytest.fixture
def intake(desk: Desk) -> Iterator[Intake]:
    with closing(Intake(desk)) as made:
        yield made
    assert left(desk.settings.home) == []


def bring(desk: Desk, intake: Intake, files: Files, said: Mapping[str, Any] | None = None) -> str:
    """A session with the folder in it."""
    folders = Folders()
    folders.expect(TOKEN, desk.settings.home, ())
    answer = Tab(folders).send(files, said)
    assert answer.status_code == 200, answer.text
    delivery = intake.read_arrival(taken(folders))
    session = desk.begin_session(delivery.title).id
    intake.add(session, delivery)
    return session


def test_a_session_has_the_folder_and_says_what_was_left_out(desk: Desk, intake: Intake) -> None:
    session = bring(desk, intake, PROJECT)
    view = desk.session(session)
    assert view.session.title == "proj"
    found = {link.path.removeprefix("proj/") for link in view.links}
    assert found == {".gitignore", "a.py", ".hidden", "keep.log", "sub/.gitignore", "sub/b.py", "sub/deep/only.txt",
                     "\u540d\u524d \u00e9.txt"}  # fmt: skip
    skipped = {one.path.removeprefix("proj/"): one for one in view.skipped}
    assert skipped.keys() == {"empty.txt", "x.log", "out/", "sub/c.tmp", "sub/only.txt", ".venv/"}
    assert "40 files were not sent" in skipped[".venv/"].reason and not skipped[".venv/"].can_include
    assert skipped["x.log"].can_include and "not sent" not in skipped["x.log"].reason
    path = skipped["x.log"].path
    assert intake.can_bring_back(session, path)
    intake.add(session, intake.read_back(session, path))
    assert path in {link.path for link in desk.session(session).links}


def test_what_git_says_by_itself_counts_too(desk: Desk, intake: Intake) -> None:
    files = {
        "clone/.git/HEAD": b"ref: refs/heads/main\n",
        "clone/.git/info/exclude": b"notes.txt\n",
        **{f"clone/.git/objects/{number:02x}/x": b"" for number in range(30)},
        "clone/notes.txt": b"mine\n",
        "clone/a.py": b"a\n",
    }
    session = bring(desk, intake, files)
    view = desk.session(session)
    assert [link.path.removeprefix("clone/") for link in view.links] == ["a.py"]
    reasons = {one.path.removeprefix("clone/"): one.reason for one in view.skipped}
    assert reasons["notes.txt"] == "ignored by .git/info/exclude: notes.txt"
    assert reasons[".git/"].startswith("version control data; its 32 files were not sent")


def test_what_git_tracks_is_sent_although_it_is_ignored(desk: Desk, intake: Intake, tmp_path: Path) -> None:
    clone = make_repository(tmp_path / "clone", ())
    for path in (".gitignore", "out/tracked.txt", "out/other.txt", "a.log", "b.log"):
        (clone / path).parent.mkdir(exist_ok=True)
        (clone / path).write_text("out/\n*.log\n" if path == ".gitignore" else f"{path}\n")
    subprocess.run(["git", "-C", str(clone), "add", "-f", ".gitignore", "out/tracked.txt", "a.log"], check=True)
    paths = sorted(path for path in clone.rglob("*") if path.is_file())
    session = bring(desk, intake, {f"clone/{path.relative_to(clone)}": path.read_bytes() for path in paths})
    view = desk.session(session)
    assert {link.path.removeprefix("clone/") for link in view.links} == {".gitignore", "out/tracked.txt", "a.log"}
    assert {one.path.removeprefix("clone/") for one in view.skipped} == {".git/", "out/other.txt", "b.log"}


def test_a_folder_of_which_nothing_is_wanted_says_why(desk: Desk, intake: Intake) -> None:
    with pytest.raises(SourceRefused, match="installed dependencies"):
        bring(desk, intake, {"p/.venv/a.py": b"a\n"})
    with pytest.raises(SourceRefused, match="1 empty, 1 not readable"):
        bring(desk, intake, {"p/a.txt": b"a\n", "p/b.txt": b""}, {"unreadable": [0]})
    with pytest.raises(SourceRefused, match="could not read it"):
        bring(desk, intake, {"a.txt": b"a\n"}, {"unreadable": [0]})


def test_an_unreadable_file_stays_named_in_the_session(desk: Desk, intake: Intake) -> None:
    session = bring(desk, intake, {"p/a.txt": b"a\n", "p/b.txt": b"b\n", "c.txt": b"c\n"}, {"unreadable": [1, 2]})
    skipped = {one.path.removeprefix("p/"): one.cause for one in desk.session(session).skipped}
    assert skipped == {"b.txt": Cause.UNREADABLE, "c.txt": Cause.UNREADABLE}
