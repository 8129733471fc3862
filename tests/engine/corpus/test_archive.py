"""walk.zip_tree: zips, honest and not."""

import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Corpus
from tests.work import calls

Members = dict[str, bytes | str]


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def make_zip(folder: Path, members: Members, name: str = "x.zip") -> Path:
    path = folder / name
    path.write_bytes(zipped(members))
    return path


def paths(corpus: Corpus) -> list[str]:
    return [source.path for source in corpus.sources]


def reasons(corpus: Corpus) -> list[tuple[str, Cause, str]]:
    return [(skipped.path, skipped.cause, skipped.reason) for skipped in corpus.skipped]


def test_a_zip_is_read_by_the_same_rules_as_a_folder(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path,
        {
            "top/b10.txt": "b", "top/b2.txt": "b", "top/a/c.log": "c", "top/a/": "", "top/.gitignore": "*.log\n",
            "top/node_modules/a.js": "a", "top/yarn.lock": "a", "top/empty": "", "top/x.bin": bytes(9), "top/d.md": "d",
            "top/.git/info/exclude": "d.md\n", "__MACOSX/top/._a": "a",
        },
    )  # fmt: skip
    corpus = collect([path])
    assert paths(corpus) == ["top/.gitignore", "top/b2.txt", "top/b10.txt"]
    assert reasons(corpus) == [
        ("__MACOSX/", Cause.GENERATED, "resource forks of a Mac's zip"),
        ("top/.git/", Cause.GENERATED, "version control data"),
        ("top/a/c.log", Cause.IGNORED, "ignored by top/.gitignore: *.log"),
        ("top/d.md", Cause.IGNORED, "ignored by .git/info/exclude: d.md"),
        ("top/empty", Cause.EMPTY, "0 bytes"),
        ("top/node_modules/", Cause.GENERATED, "installed dependencies"),
        ("top/x.bin", Cause.BINARY, "not text"),
        ("top/yarn.lock", Cause.GENERATED, "a lock file"),
    ]
    excluded = collect([path], Rules(exclude=("top/b*.txt",), include=frozenset({"top/yarn.lock"})))
    assert paths(excluded) == ["top/.gitignore", "top/yarn.lock"]


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    names = [
        "../up.txt",
        "a/../../up.txt",
        "/etc/passwd",
        "\\\\host\\share",
        "C:\\x.txt",
        "d:/x.txt",
        "..\\up.txt",
        "a\\..\\x",
    ]
    path = make_zip(
        tmp_path, {**dict.fromkeys(names, "evil"), "good.txt": "good", "win\\dir\\a.txt": "a", "./b//c": "c"}
    )
    corpus = collect([path])
    assert paths(corpus) == ["b/c", "good.txt", "win/dir/a.txt"]
    assert [skipped.path for skipped in corpus.skipped] == names
    assert {(skipped.cause, skipped.can_include) for skipped in corpus.skipped} == {(Cause.UNSAFE, False)}


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, mode in (("link", stat.S_IFLNK), ("fifo", stat.S_IFIFO), ("plain", stat.S_IFREG), ("bare", 0)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            file.writestr(info, "/etc/passwd")
    corpus = collect([path])
    assert paths(corpus) == ["bare", "plain"]
    assert reasons(corpus) == [
        ("link", Cause.UNSAFE, "a link in an archive"),
        ("fifo", Cause.UNSAFE, "a pipe, socket or device in an archive"),
    ]


def test_names_in_old_and_new_code_pages(tmp_path: Path) -> None:
    data = bytearray(zipped({"XXX.txt": "old", "YYY.txt": "claims nothing", "日本.txt": "new"}))
    path = tmp_path / "x.zip"
    path.write_bytes(data.replace(b"XXX", b"\x84rz").replace(b"YYY", b"\xc3\xa9z"))
    assert sorted(paths(collect([path]))) == sorted(["ärz.txt", "éz.txt", "日本.txt"])


def test_encrypted_members(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": "a" * 50, "b.txt": "b"}))
    data[6] |= 1  # the flag in the member's own header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    corpus = collect([tmp_path / "x.zip"])
    assert paths(corpus) == ["b.txt"]
    assert reasons(corpus) == [("a.txt", Cause.ENCRYPTED, "behind a password; make the zip anew without one")]


def test_damaged_members_and_archives(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": "a sentence", "b.txt": "b"}, zipfile.ZIP_STORED))
    data[data.index(b"sentence")] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    corpus = collect([tmp_path / "x.zip"])
    assert paths(corpus) == ["b.txt"]
    assert reasons(corpus) == [("a.txt", Cause.BROKEN, "damaged in the archive (Bad CRC-32 for file 'a.txt')")]
    (tmp_path / "cut.zip").write_bytes(data[:60])
    (skipped,) = collect([tmp_path / "cut.zip"]).skipped
    assert (skipped.path, skipped.cause) == ("cut.zip", Cause.BROKEN)


@pytest.mark.parametrize("cut", range(0, 220, 3))
def test_no_damage_raises(tmp_path: Path, cut: int) -> None:
    data = bytearray(zipped({"a.txt": "a" * 50, "b/c.txt": "b" * 30}))
    data[cut % len(data)] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(data)
    collect([tmp_path / "x.zip"])


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zipped({"a.txt": "a"}, zipfile.ZIP_LZMA))
    (skipped,) = collect([tmp_path / "x.zip"]).skipped
    assert skipped.reason == "packed in a way other than deflate; make the zip anew with the usual settings"


def make_bomb(folder: Path) -> Path:
    """50 MiB in 50 KB, and a file that is honest."""
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("bomb.txt", "w") as member:
            for _ in range(50):
                member.write(b"a" * (1 << 20))
        file.writestr("good.txt", "good")
    return path


def test_a_bomb_by_ratio_takes_neither_memory_nor_time(tmp_path: Path) -> None:
    path = make_bomb(tmp_path)
    tracemalloc.start()
    corpus = collect([path])
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()
    assert calls(lambda: collect([path])) < 10_000  # to unpack 50 MiB piece by piece takes more
    assert paths(corpus) == ["good.txt"]
    assert reasons(corpus)[0][1:] == (
        Cause.UNSAFE, "unpacks to 1,029 times its packed size, over the limit of 200: a zip bomb"
    )  # fmt: skip


def test_a_header_that_lies_about_its_size_gains_nothing(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"a" * 3_000_000}))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 1000)
    (tmp_path / "small.zip").write_bytes(data)
    struct.pack_into("<L", data, at + 20, 3_000_000)  # packed size: as if the ratio were 1
    struct.pack_into("<L", data, at + 24, 3_000_000)
    (tmp_path / "ratio.zip").write_bytes(data)
    assert [skipped.cause for skipped in collect([tmp_path / "small.zip"]).skipped] == [Cause.BROKEN]
    assert not collect([tmp_path / "ratio.zip"]).sources


def test_what_all_members_unpack_to_is_counted(tmp_path: Path) -> None:
    path = make_zip(tmp_path, {f"{number}.txt": f"{number} " * 20_000 for number in range(5)})
    corpus = collect([path], Rules(max_archive_bytes=100_000))
    assert paths(corpus) == ["0.txt", "1.txt"]
    assert reasons(corpus)[0] == (
        "2.txt", Cause.UNSAFE, "the archive unpacks to more than the limit of 97.7 KiB; from here on it is not read"
    )  # fmt: skip


def test_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"a" * 5000, "b.txt": b"b" * 5000, "c.txt": b"c" * 5000}))
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        struct.pack_into("<L", data, at + 42, 0)
    (tmp_path / "x.zip").write_bytes(data)
    assert reasons(collect([tmp_path / "x.zip"])) == [
        ("x.zip", Cause.UNSAFE, "2 of its 3 files share their bytes with others: a zip bomb")
    ]


def test_too_many_entries(tmp_path: Path) -> None:
    path = make_zip(tmp_path, {f"{number}": "x" for number in range(30)})
    (skipped,) = collect([path], Rules(max_archive_entries=20)).skipped
    assert (skipped.cause, skipped.reason) == (Cause.UNSAFE, "30 entries, over the limit of 20 for a zip")
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, data.rindex(b"PK\x05\x06") + 8, 1, 1)  # claims to hold one
    path.write_bytes(data)
    (skipped,) = collect([path], Rules(max_archive_entries=20)).skipped
    assert skipped.reason == "30 entries, over the limit of 20 for a zip"


def test_a_zip_inside_is_offered_and_opened_one_deep(tmp_path: Path) -> None:
    inner = zipped({"a.txt": "a", "deeper.zip": zipped({"b.txt": "b"}), "n.log": "n"})
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "in.zip").write_bytes(inner)
    outer = make_zip(tmp_path, {"in.zip": inner, "c.txt": "c"}, "outer.zip")
    for given, name, place in ((folder, "sub/in.zip", "a folder"), (outer, "in.zip", "an archive")):
        (skipped,) = collect([given]).skipped
        assert (skipped.path, skipped.cause, skipped.can_include) == (name, Cause.BINARY, True)
        assert skipped.reason == f"an archive inside {place}; give it by itself to read it"
        deeper = f"{name}/deeper.zip"
        corpus = collect([given], Rules(include=frozenset({name, deeper}), exclude=("*.log",)))
        assert [path for path in paths(corpus) if path != "c.txt"] == [f"{name}/a.txt"]
        assert [skipped.path for skipped in corpus.skipped] == [deeper, f"{name}/n.log"]
        assert not corpus.skipped[0].can_include


def test_documents_that_are_zips_are_not_opened(tmp_path: Path) -> None:
    for name in ("a.docx", "b.xlsx", "c.jar", "d.epub", "e"):
        make_zip(tmp_path, {"[Content_Types].xml": "<x/>"}, name)
    words = [
        skipped.reason
        for name in ("a.docx", "b.xlsx", "c.jar", "d.epub", "e")
        for skipped in collect([tmp_path / name]).skipped
    ]
    assert words == [
        "a Word document; save it as PDF or text",
        "a spreadsheet; save it as CSV or PDF",
        "a Java archive",
        "an e-book; save it as PDF or text",
        "a zip archive by another name; rename it to .zip to read it",
    ]


def test_text_called_zip_is_text_and_an_empty_zip_is_empty(tmp_path: Path) -> None:
    (tmp_path / "notes.zip").write_text("only text\n")
    assert paths(collect([tmp_path / "notes.zip"])) == ["notes.zip"]
    assert collect([make_zip(tmp_path, {})]) == Corpus()


def test_the_same_name_twice_and_a_file_that_is_a_folder_too(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as file:
        for name, text in (("a", "1"), ("a", "2"), ("a/b", "3")):
            file.writestr(name, text)
    corpus = collect([path])
    assert sorted(source.text for source in corpus.sources) == ["1", "2", "3"]
    assert len(set(paths(corpus))) == 3


def test_a_very_deep_path(tmp_path: Path) -> None:
    path = make_zip(tmp_path, {"d/" * 1500 + "a.txt": "a", "d/" * 5000 + "b.txt": "b"})
    corpus = collect([path])
    assert paths(corpus) == ["d/" * 1500 + "a.txt"]
    assert corpus.skipped[0].reason == "a path of 10,005 characters, over the limit of 4,096"


def test_folders_count_as_entries(tmp_path: Path) -> None:
    path = make_zip(tmp_path, {f"{number}/" + "d/" * 20 + "a.txt": "a" for number in range(10)})
    (skipped,) = collect([path], Rules(max_archive_entries=100)).skipped
    assert (skipped.cause, skipped.reason) == (Cause.UNSAFE, "105 entries, over the limit of 100 for a zip")
