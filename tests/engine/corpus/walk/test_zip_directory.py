"""walk.zip_directory: what costs a zip nothing, and why a member or a zip is left out."""

import io
import random
import re
import struct
import zipfile
from pathlib import Path

import pytest

from engine.corpus.collect import collect
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.corpus.wording import printable
from engine.errors import SourceRefused
from tests.zips import UTF8, Entry, found, raw_zip, read, unicode_path


def test_attributes_of_a_system_without_modes_make_no_device(tmp_path: Path) -> None:
    fifo, folder = 0x1000 << 16, 0x10
    corpus = read(
        tmp_path,
        Entry(name=b"dos.txt", attributes=fifo, system=0),
        Entry(name=b"unix.txt", attributes=fifo, system=3),
        Entry(name=b"folder", attributes=folder, data=b""),
        Entry(name=b"folder/a.txt"),
    )
    assert found(corpus) == ["dos.txt", "folder/a.txt"] or found(corpus) == ["folder/a.txt", "dos.txt"]
    assert [(skipped.path, skipped.reason) for skipped in corpus.skipped] == [
        ("unix.txt", "a pipe, socket or device in an archive")
    ]


COMMENTS = {
    "an end mark": b"PK\5\6 stands in this comment, and so on and on",
    "an end record": struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 99, 99, 0),
    "an empty end record": struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0),
    "one of another disk": struct.pack("<4s4H2LH", b"PK\5\6", 7, 7, 9, 9, 99, 99, 3) + b"abc",
    "thousands": b"PK\5\6" * 9000,
    "a whole zip's end": b"see PK\1\2 and PK\3\4 and PK\5\6" + b"\xff" * 30,
}


@pytest.mark.parametrize("what", COMMENTS)
def test_a_comment_may_hold_what_ends_a_zip(tmp_path: Path, what: str) -> None:
    corpus = read(tmp_path, Entry(name=b"a.txt"), comment=COMMENTS[what])
    assert found(corpus) == ["a.txt"] and not corpus.skipped


def test_bytes_before_and_behind_a_zip(tmp_path: Path) -> None:
    assert found(read(tmp_path, Entry(name=b"a.txt"), after=b"\n" * 40)) == ["a.txt"]
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip(Entry(name=b"a.txt"), Entry(name=b"b.txt"), before=b"\x7f\x01junk" * 9))
    assert found(collect([path])) == ["a.txt", "b.txt"]


def test_an_odd_extra_field_and_another_name_in_its_own_header_cost_no_member(tmp_path: Path) -> None:
    corpus = read(
        tmp_path,
        Entry(name=b"a.txt", extra=struct.pack("<HH", 0x5455, 999)),
        Entry(name=b"b.txt", local_name=b"B.TXT"),
        Entry(name=b"c.txt", extra=b"\1"),
    )
    assert found(corpus) == ["a.txt", "b.txt", "c.txt"]


def test_a_zip_in_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file, file.open("a.txt", "w", force_zip64=True) as member:
        member.write(b"hello")
    path.write_bytes(out.getvalue())
    assert found(collect([path])) == ["a.txt"]
    data = out.getvalue()
    end = data.rindex(b"PK\5\6")
    n_bytes, offset = struct.unpack_from("<2L", data, end + 12)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, n_bytes, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    small = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(data[:end] + record + locator + small)
    assert found(collect([path])) == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("part.zip.001", "one part of a split archive; unpack it with all its parts first"),
        ("part.ZIP.02", "one part of a split archive; unpack it with all its parts first"),
        ("part.z01", "one part of a split archive; unpack it with all its parts first"),
        ("whole.zip", "a zip that is cut short or damaged (the list of its files, at its end, is missing); "
                      "copy or download it anew"),
        ("letter.dotx", "a Word template; save it as PDF or text"),
        ("sheet.xltx", "a spreadsheet's template; save it as CSV or PDF"),
        ("slides.potx", "a presentation's template; save it as PDF or text"),
        ("show.ppsx", "a presentation; save it as PDF or text"),
        ("text.ott", "a word processor's template; save it as PDF or text"),
        ("picture.odg", "a drawing; save it as PDF or text"),
        ("plan.vsdx", "a drawing; save it as PDF or text"),
        ("sheet.xlsb", "a spreadsheet; save it as CSV or PDF"),
        ("app.ipa", "a software package"),
    ],
)  # fmt: skip
def test_what_is_a_zip_inside_says_what_it_is(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / name).write_bytes(raw_zip(Entry(name=b"a.txt", data=b"x\n" * 500))[:400])
    (skipped,) = collect([tmp_path / name]).skipped
    assert (skipped.path, skipped.reason) == (name, reason)


@pytest.mark.parametrize(
    ("first", "data", "reason"),
    [
        (b"word/document.xml", b"<w/>", "a Word document; save it as PDF or text"),
        (b"xl/workbook.xml", b"<w/>", "a spreadsheet; save it as CSV or PDF"),
        (b"ppt/presentation.xml", b"<w/>", "a presentation; save it as PDF or text"),
        (b"mimetype", b"application/vnd.oasis.opendocument.spreadsheet", "a spreadsheet; save it as CSV or PDF"),
        (
            b"mimetype",
            b"application/vnd.oasis.opendocument.text",
            "a word processor's document; save it as PDF or text",
        ),
        (b"mimetype", b"application/epub+zip", "an e-book; save it as PDF or text"),
        (b"notes.txt", b"x", "a zip archive by another name; rename it to .zip to read it"),
    ],
)
def test_a_document_without_its_ending_is_known_by_what_is_in_it(
    tmp_path: Path, first: bytes, data: bytes, reason: str
) -> None:
    types = [Entry(name=b"[Content_Types].xml", data=b"<Types/>")] if b"/" in first else []
    (tmp_path / "report.bak").write_bytes(raw_zip(Entry(name=first, data=data), *types))
    assert [skipped.reason for skipped in collect([tmp_path / "report.bak"]).skipped] == [reason]


def test_the_last_part_of_a_split_zip_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"\x8f\x03 the middle of a file" + raw_zip(Entry(name=b"a.txt"), disk=4)[60:])
    (skipped,) = collect([path]).skipped
    assert skipped.reason == "the last of 5 parts of a split archive; join them into one zip first"


def test_a_zip_that_was_to_be_split_and_fits_in_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip(Entry(name=b"a.txt"), before=b"PK00"))
    assert found(collect([path])) == ["a.txt"]


def test_mutated_zips_never_raise_and_nothing_is_lost_in_silence(tmp_path: Path) -> None:
    """Whatever the directory still names is read, or said to be left out."""
    data = raw_zip(
        Entry(name="表.txt".encode("cp932")),
        Entry(name=b"../up.txt"),
        Entry(name="日本/ü.txt".encode(), flags=UTF8, extra=unicode_path("x", b"y")),
        Entry(name=b"dir/"),
        Entry(name=b".git/index", data=b"DIRC" + bytes(20)),
        comment=b"PK\5\6 and more",
    )
    chance = random.Random(12)
    path = tmp_path / "x.zip"
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(mutated))
            if chance.random() < 0.2:
                del mutated[at : at + chance.randint(1, 9)]
            else:
                mutated[at] = chance.choice((0, 0xFF, 0x5C, 0x2F, chance.randrange(256)))
        path.write_bytes(mutated)
        corpus = collect([path])
        assert corpus.sources or corpus.skipped or b"PK\1\2" not in mutated
        assert all(source.path.isprintable() for source in corpus.sources)


@pytest.mark.slow  # 1.4 s
def test_every_member_is_a_source_or_has_a_reason(tmp_path: Path) -> None:
    chance = random.Random(7)
    pieces = [
        "a",
        "b.txt",
        "..",
        ".",
        "",
        "C:",
        "x\\y",
        "node_modules",
        "表示能力",
        "yarn.lock",
        "d\0",
        ".git",
        ".gitignore",
    ]
    for _ in range(300):
        names = ["/".join(chance.choices(pieces, k=chance.randint(1, 4))) for _ in range(8)]
        entries = [Entry(name=name.encode("cp932"), data=f"member {at}".encode()) for at, name in enumerate(names)]
        corpus = read(tmp_path, *entries)
        texts = {source.text for source in corpus.sources}
        assert len({source.path for source in corpus.sources}) == len(corpus.sources)
        for at, name in enumerate(names):
            if f"member {at}" not in texts:
                assert any(stands_for(skipped.path, name) for skipped in corpus.skipped), (name, names)


def stands_for(path: str, name: str) -> bool:
    """Whether a skipped path is that of a member, made unique maybe, or of a folder that it lies in."""
    bare = re.sub(r"^x\.zip(-\d+)?/", "", path)
    plain = printable("/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".")))
    return (
        bare in (printable(name) or "unnamed", plain, f"{plain}/")
        or (bare.endswith("/") and plain.startswith(bare))
        or (name.startswith("/") and path.endswith(printable(name)))
    )


@pytest.mark.parametrize(
    ("names", "on_page", "remedy"),
    [
        (["yarn.lock"], False, "a lock file. Unpack the zip and give the file by itself, or give another one."),
        (["yarn.lock"], True, "a lock file. Unpack the zip and give the file by itself, or give another one."),
        (
            ["yarn.lock", "a.map"],
            False,
            "a source map. yarn.lock: a lock file. Unpack it and give what you need by itself, or give",
        ),
        (["node_modules/a.js"], False, "installed dependencies. Unpack the zip and give the file by itself, or give"),
        (["in.zip"], False, "an archive inside an archive; give it by itself to read it."),
        (
            ["in.zip", "b.zip"],
            True,
            "give it by itself to read it. Unpack it and give what you need by itself, or give other files.",
        ),
        (["a.docx"], False, "a Word document; save it as PDF or text."),
    ],
)
def test_a_zip_of_which_all_was_left_out_says_what_can_be_done(
    tmp_path: Path, names: list[str], on_page: bool, remedy: str
) -> None:
    inner = raw_zip(Entry(name=b"a.txt"))
    corpus = read(tmp_path, *(Entry(name=name.encode(), data=inner) for name in names))
    with pytest.raises(SourceRefused) as refused:
        refuse_empty(corpus, [tmp_path / "x.zip"], on_page=on_page)
    assert remedy in str(refused.value)


def test_what_the_remedy_says_works(tmp_path: Path) -> None:
    read(tmp_path, Entry(name=b"yarn.lock"), Entry(name=b"node_modules/a.js"))
    with zipfile.ZipFile(tmp_path / "x.zip") as zipped:
        zipped.extractall(tmp_path / "unpacked")
    given = [tmp_path / "unpacked" / "yarn.lock", tmp_path / "unpacked" / "node_modules"]
    assert found(collect(given)) == ["yarn.lock", "a.js"]
    (tmp_path / "large.txt").write_text("word " * 100)
    rules = Rules(max_text_bytes=400, max_file_bytes=600)
    assert collect([tmp_path], rules).skipped[-1].can_include
    assert found(collect([tmp_path / "large.txt"], rules)) == ["large.txt"]


def test_on_the_page_nothing_is_said_of_options_that_it_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "yarn.lock").write_text("x")
    for rules, remedy in ((Rules(), "Give it by itself, or give another file."),
                          (Rules(exclude=("*",)), 'Empty the field "Leave out what matches".')):  # fmt: skip
        with pytest.raises(SourceRefused) as refused:
            refuse_empty(collect([tmp_path], rules), [tmp_path], on_page=True)
        assert remedy in str(refused.value)
