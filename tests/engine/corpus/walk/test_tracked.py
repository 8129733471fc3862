"""walk.git_index and checkout: what git tracks is never ignored; a .git leads nowhere that does not say so itself."""

import os
import random
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.source import Cause, Corpus
from engine.corpus.walk.git_index import parse_index
from tests.engine.corpus.test_ignore import ENV, TREE, listed_by_git, make_repository, read_by_us

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
WHO = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=ENV | WHO, check=True, capture_output=True, text=True).stdout


def checkout(folder: Path, *init: str) -> Path:
    """Five files that git tracks, three of which its .gitignore names; two that it does not track."""
    for name, text in {".gitignore": "*.cfg\nvendor/\n.env*\n", "app.cfg": "a", "vendor/lib.c": "b", "a.c": "d",
                       "vendor/new.c": "c", "new.cfg": "f", ".env.example": "e"}.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "init", "-q", *init)
    git(folder, "add", "-f", ".gitignore", "app.cfg", "vendor/lib.c", "a.c", ".env.example")
    git(folder, "commit", "-qm", "x")
    return folder


TRACKED = [".env.example", ".gitignore", "a.c", "app.cfg", "vendor/lib.c"]
IGNORED = [("new.cfg", "ignored by .gitignore: *.cfg"), ("vendor/new.c", "ignored by .gitignore: vendor/")]


def paths(corpus: Corpus) -> list[str]:
    return [source.path for source in corpus.sources]


def ignored(corpus: Corpus) -> list[tuple[str, str]]:
    return [(one.path, one.reason) for one in corpus.skipped if one.cause is Cause.IGNORED]


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_tracked_files_are_read_whatever_gitignore_names(tmp_path: Path, version: str, kind: str) -> None:
    folder = checkout(tmp_path / "r", f"--object-format={kind}")
    git(folder, "update-index", "--index-version", version)
    corpus = collect([folder])
    assert paths(corpus) == TRACKED and ignored(corpus) == IGNORED


def test_a_split_index_a_skipped_checksum_and_an_intent_to_add(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "r")
    git(folder, "update-index", "--split-index")
    git(folder, "add", "-f", "new.cfg")
    corpus = collect([folder])
    assert paths(corpus) == sorted([*TRACKED, "new.cfg"]) and ignored(corpus) == IGNORED[1:]
    git(folder, "update-index", "--no-split-index")
    git(folder, "rm", "-q", "--cached", "new.cfg")
    git(folder, "config", "index.skipHash", "true")
    git(folder, "add", "-f", "-N", "vendor/new.c")
    assert paths(collect([folder])) == [*TRACKED, "vendor/new.c"]


def test_files_not_committed_yet_and_files_no_longer_tracked(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "r", ("a.log", "b.log"))
    (folder / ".gitignore").write_text("*.log\n")
    assert paths(collect([folder])) == [".gitignore"]
    git(folder, "add", "-f", "a.log")
    assert paths(collect([folder])) == [".gitignore", "a.log"]
    git(folder, "rm", "-q", "--cached", "a.log")
    assert paths(collect([folder])) == [".gitignore"]


def test_a_folder_of_a_checkout_given_by_itself(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "r")
    (folder / "sub").mkdir()
    (folder / "sub" / "old.cfg").write_text("a")
    (folder / "sub" / "new.cfg").write_text("b")
    git(folder, "add", "-f", "sub/old.cfg")
    corpus = collect([folder / "sub"])
    assert paths(corpus) == ["old.cfg"] and ignored(corpus) == [("new.cfg", "ignored by ../.gitignore: *.cfg")]


def test_no_way_back_into_an_ignored_folder_but_by_tracking(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "r", ("out/a.txt", "out/deep/b.txt", "out/deep/c.txt"))
    (folder / ".gitignore").write_text("out/\n!out/a.txt\n!out/deep/\n")
    git(folder, "add", "-f", "out/deep/b.txt")
    assert read_by_us(folder) == listed_by_git(folder) == [".gitignore", "out/deep/b.txt"]


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_git_on_random_files_that_are_tracked(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    repository = make_repository(tmp_path / "repository")
    patterns = ["*.log", "build/", "foo", "/src", "docs/**", "*", "!*.md", "vendor/", "x/*/b", "*.py", "!/foo/bar"]
    (repository / ".gitignore").write_text("\n".join(chance.sample(patterns, 4)) + "\n")
    git(repository, "--literal-pathspecs", "add", "-f", *chance.sample(TREE, 8))
    assert read_by_us(repository) == listed_by_git(repository)


def test_what_exclude_and_the_default_rules_leave_out_stays_out(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "r", ("yarn.lock", "node_modules/a.js", "b.txt"))
    git(folder, "add", "-f", ".")
    assert paths(collect([folder])) == ["b.txt"]


def test_a_checkout_in_a_zip(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "r")
    with zipfile.ZipFile(tmp_path / "r.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.rglob("*")):
            zipped.write(path, Path("r") / path.relative_to(folder))
    corpus = collect([tmp_path / "r.zip"])
    assert paths(corpus) == [f"r/{path}" for path in TRACKED]
    assert [path for path, _ in ignored(corpus)] == ["r/new.cfg", "r/vendor/new.c"]


def test_a_worktree_and_a_submodule_of_the_users_own(tmp_path: Path) -> None:
    main = checkout(tmp_path / "main")
    (main / ".git" / "info" / "exclude").write_text("a.c\n")
    git(main, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    (tmp_path / "tree" / "new.cfg").write_text("f")
    corpus = collect([tmp_path / "tree"])
    assert paths(corpus) == TRACKED and ignored(corpus) == IGNORED[:1]
    outer = make_repository(tmp_path / "outer", ("o.txt",))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(main), "sub")
    (outer / "sub" / "new.cfg").write_text("f")
    for given, before in ((outer, "sub/"), (outer / "sub", "")):
        corpus = collect([given])
        found = [path for path in paths(corpus) if path.startswith(before)]
        assert [path.removeprefix(before) for path in found if "gitmodules" not in path and path != "o.txt"] == TRACKED
        assert ignored(corpus) == [(f"{before}new.cfg", f"ignored by {before}.gitignore: *.cfg")]


def stranger(folder: Path, target: str) -> Path:
    """A folder whose .git is a file that points at a place, with an ignored file in it."""
    folder.mkdir()
    (folder / ".git").write_text(f"gitdir: {target}\n")
    (folder / ".gitignore").write_text("*.cfg\n")
    (folder / "app.cfg").write_text("a")
    (folder / "a.c").write_text("d")
    return folder


UNTOLD = "ignored by .gitignore: *.cfg (whether git tracks it cannot be told from here)"


def opened_below(folder: Path, monkeypatch: pytest.MonkeyPatch, given: Path) -> tuple[Corpus, list[str]]:
    """What is read, and the files below a folder that were opened on the way."""
    import builtins

    opened: list[str] = []
    real, real_os = builtins.open, os.open

    def note(path: object, dir_fd: int | None = None) -> None:
        if isinstance(path, int):
            return
        whole = os.fspath(path)  # type: ignore[call-overload]
        if dir_fd is not None:
            whole = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), whole)
        if os.path.isfile(whole) and os.path.realpath(whole).startswith(str(folder.resolve())):
            opened.append(whole)

    def opening(path: object, *rest: object, **more: object) -> object:
        note(path)
        return real(path, *rest, **more)  # type: ignore[call-overload]

    def os_opening(path: object, *rest: object, **more: object) -> int:
        note(path, more.get("dir_fd"))  # type: ignore[arg-type]
        return real_os(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "open", opening)
    monkeypatch.setattr(os, "open", os_opening)
    return collect([given]), opened


@pytest.mark.parametrize("how", ["absolute", "relative", "worktree of another", "missing", "remote", "nul", "link"])
def test_a_git_file_is_not_followed_out_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    victim = checkout(tmp_path / "victim")
    (victim / ".git" / "info" / "exclude").write_text("a.c\n")
    git(victim, "worktree", "add", "-q", "--detach", str(tmp_path / "theirs"))
    target = {
        "absolute": str(victim / ".git"),
        "relative": "../victim/.git",
        "worktree of another": str(victim / ".git" / "worktrees" / "theirs"),
        "missing": "/nowhere/at/all",
        "remote": "//host.invalid/share",
        "nul": "a\0b",
        "link": "",
    }[how]
    folder = stranger(tmp_path / "given", target)
    if how == "link":
        (folder / ".git").unlink()
        (folder / ".git").symlink_to(victim / ".git")
    corpus, opened = opened_below(victim, monkeypatch, folder)
    assert paths(corpus) == [".gitignore", "a.c"]
    assert ignored(corpus) == [("app.cfg", UNTOLD)]
    contents = [path for path in opened if not path.endswith(("gitdir", "config", "commondir"))]
    assert contents == [], "only whether the other side claims the folder is asked"


def test_a_commondir_and_a_linked_folder_within_do_not_lead_out(tmp_path: Path) -> None:
    victim = checkout(tmp_path / "victim")
    (victim / ".git" / "info" / "exclude").write_text("a.c\n")
    folder = stranger(tmp_path / "given", "fake")
    (folder / "fake").mkdir()
    (folder / "fake" / "commondir").write_text(str(victim / ".git"))
    assert ignored(collect([folder])) == [("app.cfg", UNTOLD)]
    (folder / "fake" / "commondir").unlink()
    (folder / "fake" / "info").symlink_to(victim / ".git" / "info")
    (folder / "fake" / "index").symlink_to(victim / ".git" / "index")
    assert "a.c" in paths(collect([folder])) and ignored(collect([folder])) == [("app.cfg", UNTOLD)]


def test_a_git_file_that_points_to_a_place_in_the_given_folder_is_followed(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "given" / "r")
    shutil.move(folder / ".git", tmp_path / "given" / "elsewhere")
    (folder / ".git").write_text("gitdir: ../elsewhere\n")
    corpus = collect([tmp_path / "given"])
    assert [path for path in paths(corpus) if path.startswith("r/")] == [f"r/{path}" for path in TRACKED]
    assert ignored(collect([folder]))[0][1] == f"ignored by .gitignore: .env*{UNTOLD[len(IGNORED[0][1]) :]}"


def test_a_damaged_index_is_said_and_none_means_that_nothing_is_tracked(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "r")
    index = folder / ".git" / "index"
    whole = index.read_bytes()
    index.write_bytes(whole[:-9])
    assert ("app.cfg", UNTOLD) in ignored(collect([folder]))
    index.unlink()
    assert ("app.cfg", IGNORED[0][1]) in ignored(collect([folder]))
    chance = random.Random(3)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        parse_index(bytes(data[:-20]) + bytes(20))  # a checksum of zeros: git was told to skip it
