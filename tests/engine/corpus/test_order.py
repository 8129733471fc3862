"""What changes most often stands last: from the commits of a checkout, else from times; and git runs nothing of it."""

import itertools
import os
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow

from engine.corpus.collect import collect
from engine.corpus.order import git_changes
from engine.corpus.order.git_changes import Histories, in_work, read_index, read_rates
from engine.corpus.order.ordering import Trace, estimated_tokens, order_for_reuse, volatilities, volatilities_of_times
from engine.corpus.rules import Rules
from engine.corpus.source import KeptFile, Picture, Source, digest_text
from engine.corpus.walk.disk_tree import DiskTree
from engine.tokens.tiles import llama_cpp_tiling, size_filling

GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="git is not installed")
Git = Callable[..., str]


def source(path: str, n_characters: int, volatility: float = 0.0) -> Source:
    text = "x" * n_characters
    return Source(path, "text", text, n_characters, digest_text(text), volatility=volatility)


def order_of(*paths: Path, uploaded: bool = False) -> list[str]:
    return [source.path for source in order_for_reuse(collect(paths, uploaded=uploaded).sources)]


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def set_times(folder: Path, **times: float) -> None:
    for name, time in times.items():
        os.utime(folder / f"{name}.txt", (time, time))


@pytest.fixture
def git(tmp_path: Path) -> Git:
    def run(folder: Path, *arguments: str) -> str:
        who = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        where = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
        command = [str(GIT), "-C", str(folder), *arguments]
        return subprocess.run(command, env=who | where, check=True, capture_output=True, text=True).stdout

    return run


@pytest.fixture
def checkout(tmp_path: Path, git: Git) -> Path:
    """a, b, c and d; then c is changed three times and b once, and all have the same age on disk."""
    folder = write(tmp_path / "repo", a="a" * 50, b="b" * 50, c="c" * 50, d="d" * 50)
    git(folder, "init", "-q", "-b", "main")
    for number, name in enumerate(["", "c", "c", "b", "c"]):
        if name:
            (folder / f"{name}.txt").write_text(f"{name}{number}" * 25)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", f"commit {number}")
    set_times(folder, a=1e9, b=1e9, c=1e9, d=1e9)
    return folder


def expected_cost(sources: Sequence[Source]) -> float:
    """Characters that an edit decodes again, with each source edited as often as its volatility says."""
    lengths = [150 + len(source.text) for source in sources]
    return sum(source.volatility * sum(lengths[at:]) for at, source in enumerate(sources))


def test_no_other_order_decodes_less_again() -> None:
    draw = random.Random(5)
    for _ in range(30):
        sources = [source(str(n), draw.randrange(5000), draw.choice([0, draw.random() * 9])) for n in range(6)]
        best = min(map(expected_cost, itertools.permutations(sources)))
        assert expected_cost(order_for_reuse(sources)) == pytest.approx(best)


def test_pictures_count_by_what_they_take() -> None:
    """Not under what Llama 4's tiles take, and not over half as much again."""
    sizes = [(100, 100), (336, 336), (337, 300), (640, 480), (1920, 1080), (4000, 3000), (3000, 400), (90, 2000)]
    for width, height in sizes:
        exact = llama_cpp_tiling(width, height).n_tokens(separators=False)
        drawn = replace(source("a", 0), pictures=(Picture(1, width, height),))
        assert exact <= estimated_tokens(drawn) - estimated_tokens(source("a", 0)) <= 1.77 * exact
    page = size_filling(713, 1008)  # of A4, as it is drawn at nine tiles
    exact = llama_cpp_tiling(page.width, page.height).n_tokens(separators=False)
    scan = scanned(40)
    assert 40 * exact <= estimated_tokens(scan) <= 1.5 * 40 * exact
    assert estimated_tokens(source("code", 12_000)) == pytest.approx(3_000, rel=0.02)


def scanned(n_pages: int, volatility: float = 0.0) -> Source:
    """A PDF with nothing but pictures, as it is read."""
    text = "".join(f"[page {number}]\n\n" for number in range(1, n_pages + 1))
    pictures = tuple(Picture(number, 713, 1008) for number in range(1, n_pages + 1))
    plain = Source("scan.pdf", "pdf", text, 9, digest_text(text), volatility=volatility)
    return replace(plain, pictures=pictures, kept_file=KeptFile("PDF", b"", scalable=True))


def test_a_long_scan_beside_code_stands_first() -> None:
    """It takes 40,000 tokens: read again behind every edit of the code, it would cost more than all else together."""
    code = [source("hot.py", 9_000, 5.0), source("warm.py", 4_000, 1.0), source("still.py", 4_000)]
    for volatility in (0.0, 0.5, 1.0):  # as old as the stillest code, or written with some of it
        scan = scanned(40, volatility)
        ordered = [one.path for one in order_for_reuse([*code, scan])]
        assert set(ordered[:2]) == {"still.py", "scan.pdf"} and ordered[2:] == ["warm.py", "hot.py"]
    photo = replace(source("photo.png", 0, 1.0), kind="image", pictures=(Picture(1, 4000, 3000),))
    assert [one.path for one in order_for_reuse([source("a.py", 900, 0.9), photo])] == ["photo.png", "a.py"]


def test_a_long_scan_in_a_folder_of_code_stands_before_what_is_edited(tmp_path: Path) -> None:
    folder = write(tmp_path / "work", a="a" * 9_000, b="b" * 4_000, c="c" * 4_000)
    pages = [Pillow.new("L", (85, 110), 255 - number) for number in range(40)]
    pages[0].save(folder / "scan.pdf", save_all=True, append_images=pages[1:])
    set_times(folder, a=3_000, b=9_000, c=12_000)
    os.utime(folder / "scan.pdf", (11_000, 11_000))  # behind b, before c
    read = collect([folder], Rules(draw_pages="bare")).sources
    assert len(next(one for one in read if one.path == "scan.pdf").pictures) == 40
    assert [one.path for one in order_for_reuse(read)] == ["a.txt", "scan.pdf", "b.txt", "c.txt"]
    kept = order_for_reuse(read, earlier=[["a.txt", "b.txt", "c.txt", "scan.pdf"]])
    assert [one.path for one in kept] == ["a.txt", "b.txt", "c.txt", "scan.pdf"], "a session begun before goes on"


def test_what_nothing_is_known_of_stays_in_its_order() -> None:
    sources = [source("b", 900), source("z", 10), source("a", 50)]
    assert order_for_reuse(sources) == tuple(sources)
    assert [one.path for one in order_for_reuse([source("hot", 10, 1.0), *sources])] == ["b", "z", "a", "hot"]


def test_the_longest_beginning_that_may_be_kept_stays_in_front() -> None:
    sources = [source("hot", 400, 9.0), source("b", 300), source("c", 300), source("warm", 10, 1.0)]

    def order(*earlier: str) -> list[str]:
        return [one.path for one in order_for_reuse(sources, earlier=[each.split() for each in earlier])]

    assert order() == ["b", "c", "warm", "hot"]
    assert order("hot", "b") == ["hot", "b", "c", "warm"]
    assert order("b", "c b") == ["c", "b", "warm", "hot"]
    assert order("b", "c") == ["b", "c", "warm", "hot"], "of equals the first"
    assert order("warm") == ["b", "c", "warm", "hot"], "too little to be worth it"


def test_times_are_told_apart_by_the_pauses_between_them() -> None:
    def figures(*times: float | None) -> list[float]:
        return volatilities_of_times(times, breath_s=1.0)

    assert figures() == []
    assert figures(None, None) == [0, 0]
    assert figures(5.0, 5.4, 6.3, None) == [0, 0, 0, 0], "one breath: a folder that was copied"
    assert figures(5.0, 5.4, 90.0, 100.0, None) == [0, 0, 1 / 2, 1, 0]


def test_without_a_checkout_what_was_changed_last_stands_last(tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", a="1" * 50, b="2" * 50, c="3" * 50, d="4" * 50)
    set_times(folder, a=3_000, b=9_000, c=3_000.5, d=6_000)
    assert order_of(folder) == ["a.txt", "c.txt", "d.txt", "b.txt"]
    assert [one.path for one in collect([folder]).sources] == ["a.txt", "b.txt", "c.txt", "d.txt"], "people read paths"
    set_times(folder, a=7, b=7.2, c=7.5, d=7.3)
    assert order_of(folder) == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_an_upload_has_no_times(tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", a="1", b="2")
    set_times(folder, a=9_000, b=3_000)
    assert order_of(folder, uploaded=True) == ["a.txt", "b.txt"]
    corpus = collect([folder], uploaded=True)
    assert corpus.roots == () and {one.origin for one in corpus.sources} == {None}


@pytest.mark.parametrize("uploaded", [False, True])
def test_members_of_a_zip_have_their_own_times(tmp_path: Path, uploaded: bool) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for name, time in (("a", (2024, 5, 1, 1, 1, 2)), ("b", (2024, 1, 1, 1, 1, 2)), ("c", (2024, 1, 1, 1, 1, 4))):
            file.writestr(zipfile.ZipInfo(name, time), name * 50)
        file.writestr(zipfile.ZipInfo("d"), "no time")
        file.writestr(zipfile.ZipInfo("e", (2024, 0, 0, 0, 0, 0)), "no month")
    assert order_of(tmp_path / "x.zip", uploaded=uploaded) == ["b", "c", "d", "e", "a"]


@needs_git
def test_in_a_checkout_what_commits_change_most_stands_last(checkout: Path) -> None:
    assert order_of(checkout) == ["a.txt", "d.txt", "b.txt", "c.txt"]
    set_times(checkout, a=2e9)
    assert order_of(checkout) == ["a.txt", "d.txt", "b.txt", "c.txt"], "commits outrank times"


@needs_git
def test_a_folder_or_a_file_inside_a_checkout_has_its_history(tmp_path: Path, checkout: Path, git: Git) -> None:
    (checkout / "sub").mkdir()
    for name in "wxyz":
        (checkout / "sub" / f"{name}.txt").write_text(name * 50)
        git(checkout, "add", "-A")
        git(checkout, "commit", "-qm", name)
    assert order_of(checkout / "sub") == ["w.txt", "x.txt", "y.txt", "z.txt"]
    assert order_of(*(checkout / "sub" / f"{name}.txt" for name in "zwyx")) == ["w.txt", "x.txt", "y.txt", "z.txt"]
    assert order_of(checkout / "c.txt", write(tmp_path / "else", n="n" * 50)) == ["n.txt", "c.txt"]


@needs_git
def test_a_checkout_whose_commits_say_nothing_goes_by_times(tmp_path: Path, git: Git) -> None:
    folder = write(tmp_path / "young", a="1" * 50, b="2" * 50)
    git(folder, "init", "-q")
    set_times(folder, a=9_000, b=3_000)
    assert order_of(folder) == ["b.txt", "a.txt"]
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all at once")
    assert order_of(folder) == ["b.txt", "a.txt"]


@needs_git
def test_what_somebody_works_on_counts_as_changed(tmp_path: Path, checkout: Path, git: Git) -> None:
    git(checkout, "update-index", "--refresh", "-q")
    (checkout / "a.txt").write_text("x" * 50)
    (checkout / "new.txt").write_text("y" * 50)
    assert order_of(checkout) == ["d.txt", "b.txt", "a.txt", "new.txt", "c.txt"]
    shutil.copytree(checkout, tmp_path / "copy", copy_function=shutil.copyfile)
    assert order_of(tmp_path / "copy") == ["a.txt", "d.txt", "b.txt", "new.txt", "c.txt"], "times that mean nothing"


@needs_git
@pytest.mark.parametrize("kind", ["sha1", "sha256"])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_index_is_read_in_every_version(tmp_path: Path, git: Git, version: int, kind: str) -> None:
    folder = tmp_path / "repo"
    (folder / "sub" / "deeper").mkdir(parents=True)
    names = [*(f"n{number}" * number for number in range(1, 30)), "sub/caf\udce9", "sub/deeper/" + "long" * 50, "z"]
    for name in names:
        (folder / name).write_bytes(b"x" * len(name))
    git(folder, "init", "-q", f"--object-format={kind}")
    git(folder, "config", "index.version", str(version))
    git(folder, "add", "-A")
    if version == 3:  # git writes it where an entry needs it
        git(folder, "rm", "-q", "--cached", "z")
        git(folder, "add", "--intent-to-add", "z")
    git(folder, "update-index", "--index-version", str(version))
    index = read_index(str(folder))
    assert index is not None and {os.fsdecode(path) for path in index} == set(names)
    assert index[b"n2n2"].n_bytes == 4 and in_work(str(folder), [str(folder / "n2n2")]) == [False]
    data = (folder / ".git" / "index").read_bytes()
    for n_bytes in range(0, len(data) - 1, 7):
        (folder / ".git" / "index").write_bytes(data[:n_bytes])
        assert read_index(str(folder)) is None
    git(folder, "init", "-q")
    (folder / ".git" / "index").write_bytes(data)
    git(folder, "update-index", "--split-index")
    assert read_index(str(folder)) is None, "half of it lies in another file"


@needs_git
def test_worktrees_shallow_clones_and_packed_references_have_histories(
    tmp_path: Path, checkout: Path, git: Git
) -> None:
    rates = read_rates(checkout)
    assert rates is not None and set(rates) == {b"b.txt", b"c.txt"} and rates[b"c.txt"] > 2.9
    git(checkout, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    assert read_rates(tmp_path / "tree") == rates
    git(tmp_path, "clone", "-q", "--depth", "3", checkout.as_uri(), "shallow")
    assert set(read_rates(tmp_path / "shallow") or {}) == {b"b.txt", b"c.txt"}
    git(checkout, "pack-refs", "--all")
    git(checkout, "gc", "-q")
    assert read_rates(checkout) == rates


@needs_git
def test_odd_names_and_both_kinds_of_ids(tmp_path: Path, git: Git) -> None:
    name = os.fsdecode(b"\n caf\xe9 \x01")
    for kind in ("sha1", "sha256"):
        folder = write(tmp_path / kind, a="1")
        git(folder, "init", "-q", f"--object-format={kind}")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "first")
        (folder / name).write_text("x")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "second")
        assert read_rates(folder) == {os.fsencode(name): 1.0}


@needs_git
def test_nothing_that_a_checkout_says_is_run(tmp_path: Path, checkout: Path, git: Git) -> None:
    (tmp_path / "trap").write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
    (tmp_path / "trap").chmod(0o755)
    trap = str(tmp_path / "trap")
    for key, value in {
        "core.fsmonitor": trap, "core.hooksPath": str(tmp_path), "core.pager": trap, "core.sshCommand": trap,
        "log.showSignature": "true", "gpg.program": trap, "diff.external": trap, "remote.o.url": f"ext::{trap}",
        "remote.o.promisor": "true", "remote.o.uploadpack": trap, "extensions.partialClone": "o",
        "core.repositoryformatversion": "1", "alias.log": f"!{trap}", "pager.log": trap,
    }.items():  # fmt: skip
        git(checkout, "config", key, value)
    lost = git(checkout, "rev-parse", "HEAD~2^{tree}").strip()
    assert read_rates(checkout) is not None
    (checkout / ".git" / "objects" / lost[:2] / lost[2:]).unlink()  # which a partial clone would fetch
    assert read_rates(checkout) is None
    assert order_of(checkout) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert not (tmp_path / "sprung").exists()


@needs_git
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HEAD", "ref: refs/heads/../../../secret\n"),
        ("HEAD", "--output=/tmp/x\n"),
        ("HEAD", ""),
        ("HEAD", "0" * 40),
        ("refs/heads/main", "no id\n"),
        ("shallow", "no id\n"),
    ],
)
def test_a_damaged_checkout_has_no_history(checkout: Path, name: str, text: str) -> None:
    (checkout / ".git" / name).write_text(text)
    assert read_rates(checkout) is None
    assert order_of(checkout) == ["a.txt", "b.txt", "c.txt", "d.txt"]


@needs_git
def test_a_git_that_is_slow_or_missing_is_not_waited_for(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 30\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setattr(git_changes.shutil, "which", lambda name: str(tmp_path / "git"))
    histories = Histories(max_seconds=0.2)
    traces = [Trace(str(checkout / f"{name}.txt"), modified=1.0) for name in "abcd"]
    assert volatilities(traces, histories) == [0, 0, 0, 0]
    monkeypatch.setattr(git_changes.shutil, "which", lambda name: None)
    assert read_rates(checkout) is None


def test_where_sources_lie_is_known(tmp_path: Path) -> None:
    folder = write(tmp_path / "given", a="1")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("in/b.txt", "2")
    (tmp_path / "link").symlink_to(folder)
    lone = write(tmp_path / "lone", c="3") / "c.txt"
    corpus = collect([tmp_path / "link", tmp_path / "x.zip", lone])
    at = tmp_path.resolve()
    assert [one.origin for one in corpus.sources] == [f"{at}/given/a.txt", f"{at}/x.zip/in/b.txt", f"{at}/lone/c.txt"]
    assert corpus.roots == (f"{at}/given", f"{at}/x.zip")


def test_the_order_is_the_same_however_the_system_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "many", **{f"n{number}": "x" * number for number in range(30)})
    for number in range(30):
        set_times(folder, **{f"n{number}": 1000.0 * (number % 7)})
    first = collect([folder]).sources
    listed = DiskTree.list_folder
    monkeypatch.setattr(DiskTree, "list_folder", lambda self, where: listed(self, where)[::-1])
    again = collect([folder]).sources
    assert again == first and [one.volatility for one in again] == [one.volatility for one in first]
    assert order_for_reuse(again) == order_for_reuse(first)
