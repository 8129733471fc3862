"""engine.corpus.collect, rules and walk: folders and files on disk."""

import os
import random
import socket
import zipfile
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Corpus, Skipped, Source, digest_text
from engine.corpus.wording import printable
from engine.errors import SourceRefused, UsageError
from tests.work import bytes_read


def write(folder: Path, *names: str, text: str = "text\n") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def paths(corpus: Corpus) -> list[str]:
    return [source.path for source in corpus.sources]


def skipped_at(corpus: Corpus, path: str) -> Skipped:
    return next(skipped for skipped in corpus.skipped if skipped.path == path)


def test_a_source_holds_what_is_in_the_file(tmp_path: Path) -> None:
    text = "größe\r\nzwei\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "b.txt").write_bytes(text.encode("utf-16"))
    (tmp_path / "pic.svg").write_text("<svg/>")
    first, second, picture = collect([tmp_path]).sources
    assert (first.path, first.kind, first.text, first.n_bytes) == ("a.txt", "text", text, len(text.encode()))
    assert first.digest == second.digest == digest_text(text)
    assert (first.encoding, second.encoding) == ("utf-8", "utf-16")
    assert picture.kind == "text"


def test_order_is_by_path_and_folder_by_folder(tmp_path: Path) -> None:
    names = ["a/z", "a.txt", "a/b/c", "b10", "b2", "B", "c/page10/x", "c/page9/x"]
    write(tmp_path, *reversed(names))
    assert paths(collect([tmp_path])) == ["B", "a/b/c", "a/z", "a.txt", "b2", "b10", "c/page9/x", "c/page10/x"]
    assert collect([tmp_path]) == collect([tmp_path])


def test_paths_of_several_roots_are_unique(tmp_path: Path) -> None:
    write(tmp_path, "one/src/a", "two/src/a", "two/src/b", "more/two/src/a", "node_modules/x")
    write(tmp_path, "one/node_modules/x", "two/node_modules/x")
    roots = [tmp_path / "one", tmp_path / "two", tmp_path / "more/two", tmp_path / "two/src/b"]
    corpus = collect(roots)
    assert paths(corpus) == ["src/a", "two/src/a", "src/b", "two-2/src/a"]
    assert [skipped.path for skipped in corpus.skipped] == ["node_modules/", "two/node_modules/"]
    again = collect(roots, Rules(include=frozenset({"two/node_modules/"})))
    assert "node_modules/x" in paths(again)
    assert [skipped.path for skipped in again.skipped] == ["node_modules/"]


def test_a_source_knows_the_folder_or_zip_that_it_was_given_with(tmp_path: Path) -> None:
    write(tmp_path, "itsdangerous/src/a.py", "b.py")
    with zipfile.ZipFile(tmp_path / "click-main.zip", "w") as zipped:
        zipped.writestr("src/c.py", "c")
    corpus = collect([tmp_path / "itsdangerous", tmp_path / "b.py", tmp_path / "click-main.zip"])
    assert [source.folder for source in corpus.sources] == ["itsdangerous", None, "click-main"]


def test_what_is_given_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "one/a", "one/b", "two/a")
    (tmp_path / "link").symlink_to(tmp_path / "one" / "a")
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.chdir(one)
    assert paths(collect([one / "a", Path("a"), two / "a", tmp_path / "link", one / "a"])) == ["a", "two/a"]
    assert paths(collect([one, Path(".."), one / "..", Path(".")])) == paths(collect([one, tmp_path]))
    for given in ([one, one / "a"], [one / "a", one]):
        corpus = collect(given)
        assert paths(corpus) == ["a", "b"] and corpus.given == {str(one / "a")}


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_unprintable_names(tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"two\nlines.txt", b"caf\\xe9.txt"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"x")
    found = paths(collect([tmp_path]))
    assert found == [r"caf\xe9.txt", f"{tmp_path.name}/" + r"caf\xe9.txt", r"two\x0alines.txt"]


def test_default_rules_leave_real_source_alone(tmp_path: Path) -> None:
    real = [
        "bin/tool",
        "build/a.py",
        "dist/a.js",
        "env/a.py",
        "lib/a.py",
        "pkg/a.go",
        "target/a",
        "vendor/a.go",
        "venv/a.py",
    ]
    write(tmp_path, *real)
    write(tmp_path, "node_modules/a/index.js", ".git/HEAD", "x/__pycache__/a.py", ".mypy_cache/a.json", ".tox/a")
    write(tmp_path, "py/pyvenv.cfg", "py/lib/a.py", "made/CACHEDIR.TAG", "made/a", "p.egg-info/PKG-INFO")
    write(tmp_path, "package-lock.json", "Cargo.lock", "a.min.js", "a.js.map")
    corpus = collect([tmp_path])
    assert paths(corpus) == real
    assert [(skipped.path, skipped.reason) for skipped in corpus.skipped] == [
        (".git/", "version control data"),
        (".mypy_cache/", "a tool's cache"),
        (".tox/", "test environments"),
        ("Cargo.lock", "a lock file"),
        ("a.js.map", "a source map"),
        ("a.min.js", "minified"),
        ("made/", "marked as a cache by the tool that made it"),
        ("node_modules/", "installed dependencies"),
        ("p.egg-info/", "package metadata made by a build"),
        ("package-lock.json", "a lock file"),
        ("py/", "a Python virtual environment"),
        ("x/__pycache__/", "a tool's cache"),
    ]
    assert all(skipped.cause is Cause.GENERATED and skipped.can_include for skipped in corpus.skipped)


def test_what_was_left_out_can_be_brought_back(tmp_path: Path) -> None:
    write(
        tmp_path,
        "node_modules/a.js",
        "node_modules/b.min.js",
        "py/pyvenv.cfg",
        "py/a.py",
        "a.lock",
        "yarn.lock",
        "x.md",
    )
    (tmp_path / "py" / ".gitignore").write_text("*\n")
    (tmp_path / ".gitignore").write_text("a.lock\n")
    everything = collect([tmp_path], Rules(exclude=("*.md",)))
    include = frozenset(skipped.path for skipped in everything.skipped if skipped.can_include)
    corpus = collect([tmp_path], Rules(exclude=("*.md",), include=include))
    assert paths(corpus) == [
        ".gitignore", "a.lock", "node_modules/a.js", "py/.gitignore", "py/a.py", "py/pyvenv.cfg", "x.md", "yarn.lock"
    ]  # fmt: skip
    assert [skipped.path for skipped in corpus.skipped] == ["node_modules/b.min.js"]
    assert paths(collect([tmp_path], Rules(include=frozenset({"node_modules"}))))[1] == "node_modules/a.js"


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        (("*.md",), ["docs/a.txt", "docs/sub/c.txt", "x.py"]),
        (("docs/**",), ["a.md", "x.py"]),
        (("docs/",), ["a.md", "x.py"]),
        (("./a.md",), ["docs/a.md", "docs/a.txt", "docs/sub/c.txt", "x.py"]),
        (("/a.md", "sub"), ["docs/a.md", "docs/a.txt", "x.py"]),
        (("*.md", "!docs/*.md"), ["docs/a.md", "docs/a.txt", "docs/sub/c.txt", "x.py"]),
        (("*",), []),
    ],
)
def test_exclude(tmp_path: Path, globs: tuple[str, ...], left: list[str]) -> None:
    write(tmp_path, "a.md", "docs/a.md", "docs/a.txt", "docs/sub/c.txt", "x.py")
    corpus = collect([tmp_path], Rules(exclude=globs))
    assert paths(corpus) == left
    assert {skipped.cause for skipped in corpus.skipped} == {Cause.EXCLUDED}
    assert corpus.skipped[0].reason.startswith("left out by --exclude ")


def test_a_file_given_by_name_outranks_all_but_exclude(tmp_path: Path) -> None:
    write(tmp_path, ".git/HEAD", "a.log", "yarn.lock", "node_modules/a.js")
    (tmp_path / ".gitignore").write_text("*.log\n")
    given = [tmp_path / "a.log", tmp_path / "yarn.lock", tmp_path / "node_modules" / "a.js", tmp_path / "node_modules"]
    assert paths(collect(given)) == ["a.log", "yarn.lock", "a.js"]
    (skipped,) = collect(given[:1], Rules(exclude=("*.log",))).skipped
    assert (skipped.path, skipped.cause, skipped.can_include) == ("a.log", Cause.EXCLUDED, True)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("b", "a/b", "dangling", "nul\x00"):
        with pytest.raises(UsageError, match="^There is no file or folder at "):
            collect([tmp_path / "a", tmp_path / name])


def test_empty_and_binary_files(tmp_path: Path) -> None:
    write(tmp_path, "empty.py", text="")
    write(tmp_path, "white.txt", text=" \n\t\n\u3000")
    (tmp_path / "mark.txt").write_bytes(b"\xef\xbb\xbf")
    (tmp_path / "data.bin").write_bytes(bytes(100))
    (tmp_path / "thing.docx").write_bytes(b"PK\x03\x04\x14\x00\x06\x00")
    (tmp_path / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9))
    (tmp_path / "lib.so").write_bytes(b"\x7fELF\x02\x01" + bytes(9))
    corpus = collect([tmp_path])
    assert [(skipped.path, skipped.cause, skipped.reason, skipped.n_bytes) for skipped in corpus.skipped] == [
        ("data.bin", Cause.BINARY, "not text", 100),
        ("empty.py", Cause.EMPTY, "0 bytes", 0),
        ("lib.so", Cause.BINARY, "a program or library", 15),
        ("mark.txt", Cause.EMPTY, "nothing but white space", 3),
        ("old.doc", Cause.BINARY, "an old Office document; save it as PDF or text", 17),
        ("thing.docx", Cause.BINARY, "a Word document; save it as PDF or text", 8),
        ("white.txt", Cause.EMPTY, "nothing but white space", 7),
    ]


def test_a_huge_file_is_skipped_in_no_time(tmp_path: Path) -> None:
    for name in ("big.txt", "big.pdf", "model.gguf"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(2 << 30)
    found: list[Corpus] = []
    assert bytes_read(lambda: found.append(collect([tmp_path]))) < 1 << 20
    [corpus] = found
    assert [(skipped.cause, skipped.reason) for skipped in corpus.skipped] == [
        (Cause.TOO_LARGE, "2.0 GiB, over the limit of 256.0 MiB for a file of this kind"),
        (Cause.TOO_LARGE, "2.0 GiB, over the limit of 64.0 MiB for text"),
        (Cause.BINARY, "a model's weights"),
    ]
    assert not any(skipped.can_include for skipped in corpus.skipped)


def test_a_large_text_can_be_brought_back(tmp_path: Path) -> None:
    write(tmp_path, "big.txt", text="word " * 1000)
    rules = Rules(max_text_bytes=4999, max_file_bytes=6000)
    (skipped,) = collect([tmp_path], rules).skipped
    assert skipped.reason == "5,000 bytes, over the limit of 4,999 bytes for text"
    assert skipped.can_include
    rules = Rules(max_text_bytes=4999, max_file_bytes=6000, include=frozenset({"big.txt"}))
    assert paths(collect([tmp_path], rules)) == ["big.txt"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_are_not_followed_unless_given(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", "a/b.txt")
    secret = write(tmp_path, "secret.txt") / "secret.txt"
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "a" / "self").symlink_to("self")
    (folder / "secret").symlink_to(secret)
    (tmp_path / "link").symlink_to(folder)
    corpus = collect([folder])
    assert paths(corpus) == ["a/b.txt"]
    assert [(skipped.path, skipped.cause) for skipped in corpus.skipped] == [
        ("a/loop", Cause.LINK), ("a/self", Cause.LINK), ("secret", Cause.LINK)
    ]  # fmt: skip
    assert paths(collect([tmp_path / "link", folder / "secret"])) == ["a/b.txt", "in/secret"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos there")
def test_special_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        corpus = collect([Path("."), Path("pipe")])
    assert [skipped.cause for skipped in corpus.skipped] == [Cause.UNREADABLE] * 3
    assert corpus.skipped[0].reason == "not a plain file but a pipe, socket or device"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "closed/b.txt", "c.txt")
    (tmp_path / "a.txt").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        corpus = collect([tmp_path])
        hidden = collect([tmp_path / "closed" / "b.txt"])
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert paths(corpus) == ["c.txt"]
    assert {(skipped.path, skipped.reason) for skipped in (*corpus.skipped, *hidden.skipped)} == {
        ("a.txt", "no permission to read it"),
        ("closed/", "no permission to read it"),
        ("b.txt", "no permission to read it"),
    }


def test_a_failing_read_is_a_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt", "b.txt")
    real_open = os.open

    def failing_open(path: str, flags: int, **more: int) -> int:
        if str(path).endswith("a.txt"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, **more)

    monkeypatch.setattr(os, "open", failing_open)
    corpus = collect([tmp_path])
    assert paths(corpus) == ["b.txt"]
    assert skipped_at(corpus, "a.txt").reason == "no permission to read it"


def test_folders_may_lie_deep(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(400):
        folder = folder / "d"
    write(folder, "a.txt")
    assert paths(collect([tmp_path])) == ["d/" * 400 + "a.txt"]


def test_every_file_is_told_of_as_it_comes(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", "c/d")
    (tmp_path / "b").write_bytes(b"")
    seen: list[Source | Skipped] = []
    corpus = collect([tmp_path], on_file=seen.append)
    assert [found.path for found in seen] == ["a", "b", "c/d"]
    assert [type(found) for found in seen] == [Source, Skipped, Source]
    assert corpus.skipped == (seen[1],)


def test_relative_paths_and_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/b.txt", "b.txt")
    monkeypatch.chdir(tmp_path / "a")
    assert paths(collect([Path("."), Path(".."), Path("b.txt")])) == ["b.txt", f"{tmp_path.name}/b.txt"]


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        ([], "", r"^There are no files in .*\. Give a file"),
        (["a.py"], "", r"^a\.py was skipped: 0 bytes\. Give another file\.$"),
        (["yarn.lock"], "x", r"^yarn\.lock was skipped: a lock file\. Bring it back by naming it"),
        (
            ["a", "b", "yarn.lock"],
            "",
            r"all 3 entries were skipped \(2 empty, 1 left out by default\)\. a: 0 bytes\. .* Bring back",
        ),
    ],
)
def test_an_empty_corpus_is_refused_with_the_reason(tmp_path: Path, names: list[str], text: str, message: str) -> None:
    write(tmp_path, *names, text=text)
    with pytest.raises(SourceRefused, match=message):
        refuse_empty(collect([tmp_path]), [tmp_path])


def test_a_corpus_with_a_source_is_not_refused(tmp_path: Path) -> None:
    refuse_empty(collect([write(tmp_path, "a")]), [tmp_path])


def test_the_remedy_fits_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    (tmp_path / "b.docx").write_bytes(b"PK\x03\x04\x14\x00\x06\x00")
    for name, rules, message in (
        (
            "a.py",
            Rules(exclude=("a.*",)),
            r"^a\.py was skipped: left out by --exclude a\.\*\. Leave that --exclude away\.$",
        ),
        ("b.docx", Rules(), r"^b\.docx was skipped: a Word document; save it as PDF or text\.$"),
    ):
        with pytest.raises(SourceRefused, match=message):
            refuse_empty(collect([tmp_path / name], rules), [tmp_path / name])


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_every_file_of_a_folder_is_a_source_or_has_a_reason(tmp_path: Path) -> None:
    """Whatever lies there, and whatever git and the rules say of it."""
    chance = random.Random(11)
    names = [
        "a",
        "b.txt",
        ".git",
        "node_modules",
        "yarn.lock",
        "caf\udce9",
        "two\nlines",
        ".gitignore",
        "x.min.js",
        "é",
    ]
    contents = [
        b"",
        b"x",
        b"*.txt\n",
        b"a/\n!b.txt\n",
        bytes(40),
        b"PK\3\4" + bytes(30),
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
    ]
    for number in range(60):
        root = tmp_path / str(number)
        for _ in range(12):
            path = root.joinpath(*chance.choices(names, k=chance.randint(1, 3)))
            if any(parent.is_file() or parent.is_symlink() for parent in (path, *path.parents)) or path.is_dir():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if chance.random() < 0.1:
                path.symlink_to(tmp_path)
            else:
                path.write_bytes(chance.choice(contents))
        corpus = collect([root])
        said = {source.path for source in corpus.sources} | {skipped.path for skipped in corpus.skipped}
        folders = tuple(skipped.path for skipped in corpus.skipped if skipped.path.endswith("/"))
        for folder, _, files in os.walk(root):
            for name in files:
                path_below = printable(os.path.relpath(os.path.join(folder, name), root))
                assert path_below in said or path_below.startswith(folders), (path_below, said)
