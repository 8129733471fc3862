"""What a stranger's rules, names and pipes may cost: counted, not timed."""

import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.rules import Rules
from engine.corpus.source import Corpus
from engine.corpus.walk import folder_walk, ignore, streams
from engine.corpus.walk.ignore import MAX_IGNORE_BYTES, MAX_PATTERNS, parse, why_unheeded
from engine.corpus.walk.listed_tree import choose
from engine.corpus.wording import Names
from tests.zips import Entry, raw_zip

TOO_MUCH: dict[str, Callable[[], bytes]] = {
    "a MiB of lines": lambda: b"".join(b"%06d\n" % at for at in range(150_000)),
    "a MiB of brackets": lambda: b"[!a]\n" * 200_000,
    "empty lines": lambda: b"\n" * 300_000,
    "stars in one line": lambda: b"*a" * 10_000,
    "globs over folders": lambda: b"**/a*/\n" * 9_000,
    "a line over all paths": lambda: b"x" * 5_000 + b"\n",
    "comments": lambda: b"# x\n" * 80_000,
}


def noted(corpus: Corpus, path: str) -> tuple[str, ...]:
    return next(source.notes for source in corpus.sources if source.path == path)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The patterns that are made into expressions."""
    lines: list[bytes] = []
    real = ignore._compile

    def counting(line: bytes) -> ignore.Pattern:
        lines.append(line)
        return real(line)

    monkeypatch.setattr(ignore, "_compile", counting)
    return lines


@pytest.mark.parametrize("what", TOO_MUCH)
@pytest.mark.parametrize("where", ["folder", "zip"])
def test_rules_that_are_too_much_are_not_applied_and_that_is_said(
    tmp_path: Path, compiled: list[bytes], what: str, where: str
) -> None:
    data, given = b"secret.txt\n" + TOO_MUCH[what](), tmp_path / "x"
    given.mkdir()
    (given / ".gitignore").write_bytes(data)
    (given / "secret.txt").write_text("x")
    if where == "zip":
        with zipfile.ZipFile(given := tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr(".gitignore", data)
            zipped.writestr("secret.txt", "x")
    corpus = collect([given])
    assert compiled == [], "not one of them costs anything"
    told = [*(note for source in corpus.sources for note in source.notes), *(one.reason for one in corpus.skipped)]
    assert any("patterns were not applied" in each for each in told), told
    assert "secret.txt" in [source.path for source in corpus.sources]


def test_what_people_write_is_applied() -> None:
    for data in (b"", b"*.log\n", b"[!a]\n" * 100, b"x\n" * (MAX_PATTERNS - 1), b"# words\n" * 4_000):
        assert why_unheeded(data) is None
    for data in (b"x\n" * (MAX_PATTERNS + 1), b"y" * (MAX_IGNORE_BYTES + 1), b"z" * 4_097):
        assert why_unheeded(data) is not None


def test_rules_of_many_folders_together_are_bounded(
    tmp_path: Path, compiled: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_walk, "MAX_PATTERNS_IN_ALL", 100)
    for name in "abcde":
        (tmp_path / name).mkdir()
        (tmp_path / name / ".gitignore").write_text("".join(f"{name}{at}.txt\n" for at in range(39)))
        (tmp_path / name / f"{name}1.txt").write_text("x")
    corpus = collect([tmp_path])
    assert len(compiled) == 78
    assert [one.path for one in corpus.skipped] == ["a/a1.txt", "b/b1.txt"]
    assert [noted(corpus, f"{name}/.gitignore") == () for name in "abcde"] == [True, True, False, False, False]


def test_rules_of_a_checkout_that_are_too_much_are_said_beside_its_git(tmp_path: Path) -> None:
    (tmp_path / ".git" / "info").mkdir(parents=True)
    (tmp_path / ".git" / "info" / "exclude").write_bytes(TOO_MUCH["globs over folders"]())
    (tmp_path / "a.txt").write_text("x")
    [git] = collect([tmp_path]).skipped
    assert git.reason.startswith("version control data; the patterns of its info/exclude were not applied: 9,001 lines")


def test_work_is_counted_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many paths against many patterns: from some file on they do not count any more."""
    monkeypatch.setattr(folder_walk, "MAX_WORK", 20_000)
    (tmp_path / ".gitignore").write_text("".join(f"*x{at}*y\n" for at in range(50)) + "*.log\n")
    for at in range(90):
        (tmp_path / f"a{at:03}.log").write_text("x")
    corpus = collect([tmp_path])
    assert 0 < len([one for one in corpus.skipped if one.cause == "ignored"]) < 90
    assert noted(corpus, ".gitignore") == (folder_walk._NOT_TO_ALL,)


@pytest.mark.parametrize("line", [b"[!a]", b"[a-z]", b"[[:alpha:]_]", b"[^\\]]x", b"*[!/]*"])
def test_a_class_is_a_few_ranges(line: bytes) -> None:
    """One by one its 255 bytes took 1 KB of expression, and 4 ms to make."""
    assert len(parse(line).patterns[0].expression) < 60


def test_the_last_of_thousands_that_match_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [0]
    real = ignore.re.compile

    def counting(*given: object) -> object:
        made[0] += 1
        return real(*given)  # type: ignore[call-overload]

    patterns = parse(b"*.py\n" + b"".join(b"*%d\n!/a/%d\n" % (at, at) for at in range(2_000)))
    monkeypatch.setattr(ignore.re, "compile", counting)
    for at in range(200):
        found = patterns.last_match(b"a/%d" % at, b"%d" % at, False)
        assert found is not None and found.line == f"!/a/{at}"
    assert patterns.last_match(b"b.py", b"b.py", False).line == "*.py"  # type: ignore[union-attr]
    assert made[0] == 2, "not one for each pattern"


class _Counting(set[str]):
    n_asked = 0

    def __contains__(self, name: object) -> bool:
        self.n_asked += 1
        return super().__contains__(name)


@pytest.mark.parametrize("others", [(), ("root/x", "root-2/x", "root-5/x"), tuple(f"root-{at}/x" for at in range(900))])
def test_one_name_many_times_takes_as_many_looks(others: tuple[str, ...]) -> None:
    taken = _Counting()
    names = Names(taken)
    for other in others:
        names.claim(other, "root")
    claimed = [names.claim("x", "root") for _ in range(2_000)]
    assert len(set(claimed)) == 2_000 and claimed[0] == "x" and not set(claimed) & set(others)
    assert taken.n_asked < 3 * (2_000 + len(others))


def test_a_zip_of_one_name_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(raw_zip(*(Entry(name=b"a.txt", data=b"%d" % at) for at in range(300))))
    corpus = collect([tmp_path / "x.zip"])
    assert len({source.path for source in corpus.sources}) == 300


def test_names_that_cannot_be_printed_are_each_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a list that a browser sent."""
    from engine.corpus.walk import listed_tree

    n_written = [0]
    real = listed_tree.printable

    def counting(name: str) -> str:
        n_written[0] += 1
        return real(name)

    monkeypatch.setattr(listed_tree, "printable", counting)
    files = [f"top/a{at}\n.min.js" for at in range(500)]
    choice = choose(files, {}, Rules())["top"]
    assert len(choice.left_out) == 500 and all(one.at is not None for one in choice.left_out)
    assert n_written[0] < 3 * 500


def test_a_named_pipe_that_nobody_writes_into_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE_S", 0.0)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.txt").write_text("x")
    corpus = collect([tmp_path / "pipe", tmp_path / "a.txt"], Rules(pipes=True))
    assert [source.path for source in corpus.sources] == ["a.txt"]
    assert [one.reason for one in corpus.skipped] == ["cannot be read (nobody wrote into it for 0 s)"]


@pytest.mark.parametrize("data", ["", "words", "w" * 200_000])
def test_a_named_pipe_is_read_to_its_end(tmp_path: Path, data: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(data), daemon=True)
    writer.start()
    corpus = collect([tmp_path / "pipe"], Rules(pipes=True))
    writer.join()
    assert [source.text for source in corpus.sources] == ([data] if data else [])
