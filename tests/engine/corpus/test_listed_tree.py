"""A folder that is only listed: what would be read of it is what is read of the folder itself, for the same reasons."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped
from engine.corpus.walk.disk_tree import tree_at
from engine.corpus.walk.folder_walk import File, Start, Walk
from engine.corpus.walk.listed_tree import Choice, choose, rule_files
from engine.corpus.wording import Names

Files = Mapping[str, str]


def chosen(files: Files, rules: Rules = Rules()) -> tuple[set[str], set[Skipped]]:
    """What is chosen of a list of files below "top": their paths, and what is left out."""
    listed = [f"top/{path}" for path in files]
    texts = list(files.values())
    contents = {at: texts[at].encode() for at in rule_files(listed)}
    choice = choose(listed, contents, rules).get("top", Choice((), ()))
    return {listed[at].removeprefix("top/") for at in choice.wanted}, {one.skipped for one in choice.left_out}


def walked(files: Files, root: Path, rules: Rules = Rules()) -> tuple[set[str], set[Skipped]]:
    """The same of the files as they lie on disk."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    with tree_at(root) as tree:
        found = list(Walk(tree, rules, Names(), Start(tree.held.path, "top")))
    return (
        {one.raw_path for one in found if isinstance(one, File)},
        {replace(one, n_bytes=None) for one in found if isinstance(one, Skipped)},  # a list knows no sizes
    )


@pytest.mark.parametrize(
    "files",
    [
        {
            ".gitignore": "*.log\n!keep.log\n",
            "a.log": "",
            "keep.log": "",
            "sub/b.log": "",
            "sub/.gitignore": "!b.log\n",
        },
        {".gitignore": "/build\nlogs/\n", "build": "a file", "sub/build/x": "", "logs/a": "", "sub/logs/b": ""},
        {".gitignore": "out/\n!out/keep.txt\n", "out/keep.txt": "", "out/x.txt": ""},  # no way back into a folder
        {".gitignore": "out/*\n!out/keep.txt\n", "out/keep.txt": "", "out/x.txt": ""},
        {
            ".git/info/exclude": "secret\n",
            "secret": "",
            "sub/secret": "",
            ".git/HEAD": "",
            ".gitignore": "!sub/secret\n",
        },
        {".gitignore": "*.txt\n", "a.txt": "", "inner/.git/HEAD": "", "inner/a.txt": ""},  # a checkout within
        {"venv/pyvenv.cfg": "", "venv/lib/a.py": "", "env/lib/a.py": ""},
        {"target/CACHEDIR.TAG": "", "target/a.o": "", "src/a.rs": ""},
        {"node_modules/a/.gitignore": "!*\n", "node_modules/a/index.js": "", "package-lock.json": "{}", "a.min.js": ""},
        {".git": "gitdir: /elsewhere\n", "a.py": ""},
        {".gitignore": "\u540d*.txt\n", "\u540d\u524d.txt": "", "line\nend.txt": "", "\u202eturned/a.txt": ""},
        {".gitignore": "\u202eturned/\n", "\u202eturned/a.txt": "", "\u202eturned/b.txt": ""},
        {"deep/" * 60 + "a.txt": "", ".gitignore": "deep/**/b.txt\n", "deep/" * 60 + "b.txt": ""},
    ],
)
def test_a_list_is_judged_as_the_folder_is(files: Files, tmp_path: Path) -> None:
    assert chosen(files) == walked(files, tmp_path)


def test_what_the_user_leaves_out_is_left_out(tmp_path: Path) -> None:
    files = {"a.md": "", "docs/b.py": "", "docs/c.md": "", "d.py": ""}
    rules = Rules(exclude=("docs/", "*.md", "!a.md"))
    assert chosen(files, rules) == walked(files, tmp_path, rules)
    assert chosen(files, rules)[0] == {"a.md", "d.py"}


@pytest.mark.parametrize("seed", range(60))
def test_random_folders_are_judged_alike(seed: int, tmp_path: Path) -> None:
    files = _random_files(Random(seed))
    assert chosen(files) == walked(files, tmp_path)


def _random_files(random: Random) -> Files:
    names = ("a", "b.py", "c.log", "node_modules", "build", ".venv", "x y", "\u00e9")
    patterns = (
        "*.log",
        "!c.log",
        "build",
        "/build/",
        "a/",
        "!a/",
        "**/b.py",
        "a/**",
        "x?y",
        "[ab]*",
        "!b.py",
        "*/c.log",
    )
    files = {}
    for _ in range(40):
        folders = [random.choice(names) for _ in range(random.randrange(4))]
        files[
            "/".join([*(f"{name}.d" for name in folders if "." in name[1:]), *folders, "f" + random.choice(names)])
        ] = "x"
        if random.random() < 0.3:
            lines = random.sample(patterns, random.randrange(1, 4))
            files["/".join([*folders, ".gitignore"])] = "\n".join(lines)
        if random.random() < 0.1:
            files["/".join([*folders, ".git/info/exclude"])] = random.choice(patterns)
    return files


def test_what_is_left_out_counts_its_files() -> None:
    files = [f"p/.venv/{n}/a.py" for n in range(1_000)] + ["p/out/a", "p/yarn.lock"]
    choice = choose(files, {}, Rules(exclude=("out",)))["p"]
    assert {(one.skipped.path, one.at, one.n_files) for one in choice.left_out} == {
        (".venv/", None, 1_000),
        ("out/", None, 1),
        ("yarn.lock", 1_001, 1),
    }
    reasons = {one.skipped.path: one.not_sent() for one in choice.left_out}
    assert "its 1,000 files were not sent" in reasons[".venv/"].reason
    assert "its 1 file was not sent" in reasons["out/"].reason
    assert "it was not sent" in reasons["yarn.lock"].reason
    assert not any(skipped.can_include for skipped in reasons.values())


def test_a_folder_that_cannot_be_listed_is_left_out_as_unreadable() -> None:
    choice = choose(["p/a.txt"], {}, Rules(), closed=("p/dark", "q"))
    assert choice["p"].wanted == (0,)
    (dark,), (whole,) = choice["p"].left_out, choice["q"].left_out
    assert (dark.skipped.path, dark.skipped.cause) == ("dark/", Cause.UNREADABLE)
    assert (whole.skipped.path, whole.skipped.cause) == ("q/", Cause.UNREADABLE)
    assert dark.not_sent() == dark.skipped


def test_only_files_with_rules_that_count_are_asked_for() -> None:
    paths = [
        "p/.gitignore", "p/sub/.gitignore", "p/.git/info/exclude", "p/.git/index", "p/sub/.git/info/exclude",
        "p/.gitignore/x", "p/.venv/.gitignore", "p/node_modules/a/.git/index", "p/.git/hooks/.gitignore", "p/index",
        "p/info/exclude", ".gitignore", "p/.git/sharedindex.0a1b",
    ]  # fmt: skip
    wanted = [paths[at] for at in rule_files(paths)]
    assert wanted == [*paths[:5], ".gitignore", "p/.git/sharedindex.0a1b"]


def test_a_file_that_is_given_by_itself_is_wanted_whatever_its_name() -> None:
    choices = choose(["yarn.lock", ".gitignore"], {1: b"*\n"}, Rules())
    assert [choices[name].wanted for name in ("yarn.lock", ".gitignore")] == [(0,), (1,)]
