"""walk.ignore and checkout: git itself is the judge, on a few hand-made repositories and many random ones."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.rules import Rules
from engine.corpus.source import Cause
from engine.corpus.walk.ignore import parse
from engine.corpus.wording import printable

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
TREE = (
    "a", "b.log", "c.txt", "é.txt", "#hash", "!bang", "tail ", "foo/a", "foo/b.log", "foo/bar/x", "foo/bar/y.log",
    "foobar/z", "build/out.o", "src/build/keep.py", "src/build.py", "src/deep/er/est.txt", "src/deep/er/b.log",
    "docs/a.md", "docs/sub/a.md", "docs/[1].md", "x/a/b/c", "x/b/c", "vendor/lib/a.go", "pkg/b.go", "bin/tool",
)  # fmt: skip


def make_repository(folder: Path, tree: tuple[str, ...] = TREE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env=ENV)
    for name in tree:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    return folder


def listed_by_git(folder: Path) -> list[str]:
    command = ["git", "-C", str(folder), "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, env=ENV).stdout.decode()
    return sorted(name for name in listed.split("\0") if name)


def read_by_us(folder: Path) -> list[str]:
    corpus = collect([folder])
    assert {skipped.cause for skipped in corpus.skipped} <= {Cause.IGNORED, Cause.GENERATED, Cause.EMPTY}
    return sorted(source.path for source in corpus.sources)


@pytest.mark.parametrize(
    "ignore",
    [
        {".gitignore": "*.log\n"},
        {".gitignore": "*.log\n!b.log\n"},
        {".gitignore": "*.log\n", "foo/.gitignore": "!b.log\n"},
        {".gitignore": "build/\n"},
        {".gitignore": "/build\n"},
        {".gitignore": "/build/\n!src/build\n"},
        {".gitignore": "build\n!build/out.o\n"},  # no way back into an ignored folder
        {".gitignore": "foo/*\n!foo/bar/\n"},
        {".gitignore": "foo/*\n!foo/bar\nfoo/bar/*\n!foo/bar/x\n"},
        {".gitignore": "foo\n!foo/\n"},
        {".gitignore": "**/er\n"},
        {".gitignore": "src/**/est.txt\n"},
        {".gitignore": "src/**\n!src/**/\n!src/build.py\n"},
        {".gitignore": "x/**/c\n"},
        {".gitignore": "foo**/x\n"},
        {".gitignore": "**.log\n"},
        {".gitignore": "d?cs/*.md\n"},
        {".gitignore": "?.txt\n"},  # é is two bytes: not matched
        {".gitignore": "docs/\\[1\\].md\n"},
        {".gitignore": "docs/[[]1].md\n"},
        {".gitignore": "[a-c].*\n[!a-z]*\n"},
        {".gitignore": "[[:alpha:]].txt\n[[:nonsense:]]*\n"},
        {".gitignore": "[]-a]\n[a\n"},
        {".gitignore": "\\#hash\n\\!bang\n#hash\n"},
        {".gitignore": "tail\\ \n"},
        {".gitignore": "a   \nc.txt\t\n"},
        {".gitignore": "*.log\r\n/build\r\n"},
        {".gitignore": "\ufeffa\n"},
        {".gitignore": "a\\\nfoo//\n/\n!\n//a\n"},
        {".gitignore": "*\n!*/\n!*.go\n"},
        {".gitignore": "vendor/\npkg/*.go\nbin\n"},
        {".git/info/exclude": "*.md\n", "docs/.gitignore": "!a.md\n"},
        {"foo/.gitignore": "/a\nbar/y.log\n", "src/deep/.gitignore": "*\n!.gitignore\n"},
        {"docs/.gitignore": "*\n"},
    ],
    ids=lambda ignore: " ".join(f"{name}={text!a}" for name, text in ignore.items())[:60],
)
def test_agrees_with_git(tmp_path: Path, ignore: dict[str, str]) -> None:
    folder = make_repository(tmp_path / "repository")
    for name, text in ignore.items():
        (folder / name).write_text(text, newline="")
    assert read_by_us(folder) == listed_by_git(folder)


PIECES = [*"ab?*/-. ", "**", "/", "[ab]", "[!a]", "[a-c]", "\\", "\\*", "!", "#", "\\ ", "é", "[[:alpha:]]", "[]a]",
          "[a", "**/", "/**", "[a-", "[[:x:]]", "[[:alpha:", "[\\]]", "[a\\-c]", "c/"]  # fmt: skip
NAMES = ["a", "b", "ab", "c", "abc", "a b", "é", "a ", "#a", "!a", "*", "a.b", ".a", "[a", "-", "a-", "]", "\\a"]


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_git_on_random_patterns(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folders = [""]
    for _ in range(40):
        path = chance.choice(folders) + chance.choice(NAMES)
        if path.count("/") < 3 and path + "/" not in folders:
            folders.append(path + "/")
    tree = tuple(folder + name for folder in folders for name in ("f", "z.b"))
    repository = make_repository(tmp_path / "repository", tree)
    for _ in range(12):
        for folder in chance.sample(folders, k=min(5, len(folders))):
            lines = ["".join(chance.choices(PIECES, k=chance.randint(1, 5))) for _ in range(4)]
            marked = [("!" if chance.random() < 0.25 else "") + line for line in lines]
            (repository / folder / ".gitignore").write_text("\n".join(marked), newline="")
        assert read_by_us(repository) == listed_by_git(repository)


def test_gitignore_of_the_parents_counts_up_to_the_checkout(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")  # outside of the checkout: says nothing
    folder = make_repository(tmp_path / "repository")
    (folder / ".gitignore").write_text("/src/deep/er/b.log\n")
    (folder / "src" / ".gitignore").write_text("build/\n")
    (folder / ".git" / "info" / "exclude").write_text("est.txt\n")
    corpus = collect([folder / "src"])
    assert [source.path for source in corpus.sources] == [".gitignore", "build.py"]
    assert [(skipped.path, skipped.reason) for skipped in corpus.skipped] == [
        ("build/", "ignored by .gitignore: build/"),
        ("deep/er/b.log", "ignored by ../.gitignore: /src/deep/er/b.log"),
        ("deep/er/est.txt", "ignored by .git/info/exclude: est.txt"),
    ]
    assert all(skipped.can_include and skipped.cause is Cause.IGNORED for skipped in corpus.skipped)


def test_a_folder_that_is_ignored_itself_is_read_when_named(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "repository")
    (folder / ".gitignore").write_text("build\n*.o\n")
    assert read_by_us(folder / "build") == ["out.o"]


def test_a_worktree_uses_the_exclude_of_its_repository(tmp_path: Path) -> None:
    git = tmp_path / "main" / ".git"
    (git / "worktrees" / "w").mkdir(parents=True)
    (git / "info").mkdir()
    (git / "info" / "exclude").write_text("*.log\n")
    (git / "worktrees" / "w" / "commondir").write_text("../..\n")
    folder = tmp_path / "w"
    folder.mkdir()
    (git / "worktrees" / "w" / "gitdir").write_text(f"{folder / '.git'}\n")
    (folder / ".git").write_text(f"gitdir: {git / 'worktrees' / 'w'}\n")
    (folder / "a.log").write_text("a")
    (folder / "a.txt").write_text("a")
    assert [source.path for source in collect([folder]).sources] == ["a.txt"]


def test_a_checkout_inside_has_only_its_own_patterns(tmp_path: Path) -> None:
    folder = make_repository(tmp_path / "outer", ("a.log", "a.txt"))
    make_repository(folder / "inner", ("b.log", "b.txt"))
    (folder / ".gitignore").write_text("*.log\n")
    assert "inner/b.log" in read_by_us(folder)


HOSTILE = (b"*a" * 30 + b"b", b"**/a/" * 12 + b"b", b"a/" + b"**/*a*a*a/" * 8 + b"b")


@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_pattern_takes_no_time(line: bytes) -> None:
    """One that is tried in every way there is would not be done in years, and is ended."""
    assert not matches_hostile_paths(line)


def matches_hostile_paths(line: bytes) -> bool:
    patterns = parse(line)
    paths = ((b"/".join([b"a" * 200] * 20), b"a" * 250), (b"a/" * 100 + b"c", b"c"))
    return any(patterns.last_match(path, name, False) for path, name in paths)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (b"[\0-b].txt", "b.txt"),
        (b"*\x1b*", "a\x1b[31m"),
        ("\u202e*".encode(), "\u202eb.txt"),
        ("*\x85*".encode(), "a\x85b"),
        (b"caf\xe9*", "caf\udce9.txt"),
        (b"b\r*", "b\rc"),
    ],
)
@pytest.mark.parametrize("place", [".gitignore", "--exclude"])
def test_a_rule_that_cannot_be_shown_is_shown_with_escapes(tmp_path: Path, rule: bytes, name: str, place: str) -> None:
    """What leaves a file out is said in a sentence, which a terminal or a page gets."""
    (tmp_path / name).write_text("text\n")
    if place == ".gitignore":
        (tmp_path / ".gitignore").write_bytes(rule + b"\n")
    corpus = collect([tmp_path], Rules(exclude=(os.fsdecode(rule),) if place == "--exclude" else ()))
    (left_out,) = [each for each in corpus.skipped if each.cause in (Cause.IGNORED, Cause.EXCLUDED)]
    assert printable(left_out.reason) == left_out.reason
