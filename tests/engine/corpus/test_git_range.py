"""The commits of a range as sources: read without git being run on the checkout, whatever lies there."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from threading import Timer, main_thread

import pytest

from engine.corpus import git_range
from engine.corpus.git_range import at_known_paths, read_range
from engine.errors import LongdeskError, SourceRefused, UsageError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "Ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(at: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", at, *arguments], env=ENVIRONMENT, capture_output=True, check=True, text=True)
    return run.stdout.strip()


def commit(at: Path, message: str, **files: str) -> str:
    for name, text in files.items():
        (at / name.replace("__", "/")).parent.mkdir(exist_ok=True)
        (at / name.replace("__", "/")).write_text(text)
    git(at, "add", "-A")
    git(at, "commit", "-qm", message)
    return git(at, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    at = tmp_path / "checkout"
    at.mkdir()
    git(at, "init", "-q", "-b", "main")
    commit(at, "Begin", a="one\n")
    git(at, "tag", "v1")
    commit(at, "Add: \u00e9, b\n\nThe body.", sub__b="two\n")
    git(at, "tag", "-a", "v2", "-m", "Second")
    commit(at, "Change a", a="three\n")
    return at


def subjects(at: Path, span: str) -> list[str]:
    return [source.text.splitlines()[4] for source in read_range(at, span).sources]


def test_each_commit_is_a_source_with_its_message_and_its_diff(checkout: Path) -> None:
    first, second = read_range(checkout, "v1..v2").sources[0], read_range(checkout, "v2..HEAD").sources[0]
    id = git(checkout, "rev-parse", "v2^{commit}")
    assert first.path == f"commits/0001-{id[:8]}-add-b.diff" and first.kind == "text"
    assert f"commit {id}\nAuthor: Ada\n" in first.text and "Add: \u00e9, b\n\nThe body.\n" in first.text
    assert "+++ b/sub/b\n" in first.text and "+two\n" in first.text
    assert "-one\n+three\n" in second.text


def test_ranges_that_overlap_have_their_commits_in_common(checkout: Path) -> None:
    """By the paths that the first of them gave."""
    paths, later = [each.path for each in read_range(checkout, "v1..").sources], read_range(checkout, "v2..")
    [new] = later.sources
    assert len(paths) == 2 and new.path not in paths
    assert [each.path for each in at_known_paths(later, [*paths, "a.txt"]).sources] == paths[1:]
    assert at_known_paths(later, [paths[0], "a.txt"]) == later


def test_what_is_no_utf_8_in_a_diff_is_said(checkout: Path) -> None:
    (checkout / "latin").write_bytes(b"caf\xe9 \xef\xbf\xbd\n")
    commit(checkout, "Add latin")
    [source] = read_range(checkout, "HEAD~..HEAD").sources
    assert "+caf\ufffd \ufffd\n" in source.text
    assert source.notes == ("Not quite UTF-8: 1 place was replaced by \ufffd.",)
    assert read_range(checkout, "v1..v2").sources[0].notes == ()


@pytest.mark.parametrize(
    "span", ["v1..", "v1..HEAD", "v1..main", "HEAD~2..@", "main~2..refs/heads/main", "HEAD^^..HEAD"]
)
def test_ends_are_names_as_git_has_them(checkout: Path, span: str) -> None:
    assert subjects(checkout, span) == ["Add: \u00e9, b", "Change a"]


def test_packed_names_short_ids_worktrees_and_folders(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "pack-refs", "--all")
    git(checkout, "gc", "-q")
    assert len(subjects(checkout, "v1..main")) == 2
    assert len(subjects(checkout, f"{git(checkout, 'rev-parse', '--short', 'v1')}..v2")) == 1
    assert subjects(checkout / "sub", "v1..main") == ["Add: \u00e9, b"], "what changed below it"
    git(checkout, "worktree", "add", "-q", str(tmp_path / "tree"), "v2")
    assert len(subjects(tmp_path / "tree", "v1..")) == 1


@pytest.mark.parametrize(
    "span",
    ["HEAD", "..", "", "a..b", "v1...v2", "--output=x..HEAD", "-p..v2", "v1..-p", "v1..HEAD@{1}", "v1:a..v2",
     "v1..v2 v1", "../x..v2", "v1..v2\n", "v1..main^{/x}", "HEAD~9..HEAD", "v2..v1", "deadbeef..HEAD", "\0..v1"],
)  # fmt: skip
def test_what_is_no_range_of_commits_is_a_sentence(checkout: Path, span: str) -> None:
    if span.strip() == "v1..v2":
        assert len(subjects(checkout, span)) == 1
        return
    with pytest.raises((UsageError, SourceRefused), match=r"\.$"):
        read_range(checkout, span)
    assert not (checkout / "x").exists()


def test_nothing_of_the_checkout_is_run(checkout: Path, tmp_path: Path) -> None:
    mark, program = tmp_path / "it-ran", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "diff.external", "diff.x.command", "diff.x.textconv", "gpg.program",
                "core.sshCommand", "core.alternateRefsCommand", "pager.log", "filter.x.smudge"):  # fmt: skip
        git(checkout, "config", key, str(program))
    git(checkout, "config", "log.showSignature", "true")
    (checkout / ".git" / "info").mkdir(exist_ok=True)
    (checkout / ".git" / "info" / "attributes").write_text("* diff=x filter=x\n")
    for name in ("post-checkout", "pre-commit", "reference-transaction"):
        (checkout / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(program, checkout / ".git" / "hooks" / name)
    assert len(subjects(checkout, "v1..main")) == 2
    assert not mark.exists()


def test_a_folder_without_git_and_one_that_points_elsewhere_are_said(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".git").write_text(f"gitdir: {checkout / '.git'}\n")
    for folder in ("plain", "other"):
        with pytest.raises(UsageError, match="lies in no git checkout"):
            read_range(tmp_path / folder, "v1..v2")


def test_too_much_is_refused_and_never_cut(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_range, "MOST_COMMITS", 1)
    with pytest.raises(SourceRefused, match="more than 1 commits"):
        read_range(checkout, "v1..main")
    monkeypatch.setattr(git_range, "MOST_BYTES", 100)
    with pytest.raises(LongdeskError, match="Name a smaller range"):
        read_range(checkout, "v1..main")


def test_ctrl_c_while_git_reads_is_no_other_error(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(KeyboardInterrupt):
        Timer(0.5, signal.pthread_kill, (main_thread().ident, signal.SIGINT)).start()
        read_range(checkout, "v1..main")
