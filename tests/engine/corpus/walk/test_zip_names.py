"""walk.zip_names and walk.zip_directory: names in the encoding that they are in, and what costs a zip nothing."""

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
from engine.corpus.source import Cause, Corpus
from engine.corpus.walk.zip_names import RawName, decode_names
from engine.corpus.wording import printable
from engine.errors import SourceRefused
from tests.names_in_zips import measured, share
from tests.zips import UTF8, Entry, raw_zip, unicode_path


def read(folder: Path, *entries: Entry, **how: object) -> Corpus:
    path = folder / "x.zip"
    path.write_bytes(raw_zip(*entries, **how))  # type: ignore[arg-type]
    return collect([path])


def found(corpus: Corpus) -> list[str]:
    return [source.path for source in corpus.sources]


ARCHIVES = {
    "Shift-JIS": ("cp932", ["新しいフォルダ/ソース表.txt", "予定表.txt", "能力/十分.md", "構造.txt"]),
    "GBK": ("gbk", ["合同/付款条款.txt", "新建文件夹/说明.txt", "会议记录.md"]),
    "Big5": ("big5", ["合約/功能.txt", "成功許願.txt", "專案計畫書.txt"]),
    "code page 866": ("cp866", ["Договор/Приложение.txt", "Новая папка/отчет.csv"]),
    "Windows-1251": ("cp1251", ["Договор/Приложение.txt", "Новая папка/отчет.csv"]),
    "KOI8-R": ("koi8-r", ["Договор/Приложение.txt", "Новая папка/отчет.csv"]),
    "Korean (code page 949)": ("cp949", ["계약서/첨부.txt", "새 폴더/설명.txt"]),
    "code page 437": ("cp437", ["Überträge/Größe.txt", "Müller.txt"]),
    "code page 850": ("cp850", ["Relatório/Ação.txt", "São Paulo.csv", "Índice.txt"]),
    "Windows-1252": ("cp1252", ["Überträge/Größe.txt", "Müller.txt"]),
    "code page 852": ("cp852", ["zażółć gęślą jaźń.txt", "Łódź.txt"]),
    "Windows-1250": ("cp1250", ["Příloha.txt", "Účetnictví.csv", "Město.txt"]),
    "code page 737": ("cp737", ["Συμβόλαιο.txt", "Νέος φάκελος/περιγραφή.txt"]),
    "Windows-1253": ("cp1253", ["Συμβόλαιο.txt", "Νέος φάκελος/περιγραφή.txt"]),
    "code page 862": ("cp862", ["תיקייה חדשה/תיאור.txt", "ירושלים.txt"]),
    "Windows-1256": ("cp1256", ["مجلد جديد/وصف.txt", "القاهرة.txt"]),
    "Thai (code page 874)": ("cp874", ["โฟลเดอร์ใหม่/คำอธิบาย.txt", "กรุงเทพ.txt"]),
}


@pytest.mark.parametrize("guess", ARCHIVES)
def test_names_are_read_in_the_encoding_that_they_are_in_and_a_guess_is_said(tmp_path: Path, guess: str) -> None:
    encoding, names = ARCHIVES[guess]
    corpus = read(tmp_path, *(Entry(name=name.encode(encoding), data=name.encode()) for name in names))
    assert sorted(found(corpus)) == sorted(names) and not corpus.skipped
    assert {source.path: source.text for source in corpus.sources} == {name: name for name in names}
    assert {source.notes for source in corpus.sources} == {(f"Its name in the zip was read as {guess}, a guess.",)}


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp932", "新しいフォルダ/ソース表.txt"), ("gbk", "合同/付款条款.txt"), ("big5", "合約/功能.txt"),
        ("cp866", "Договор/Приложение.txt"), ("cp949", "계약서/첨부.txt"), ("cp437", "Größe.txt"),
        ("gbk", "简历.txt"), ("cp932", "表.txt"), ("cp932", "能力.txt"), ("big5", "許功蓋.txt"), ("gbk", "照片.txt"),
        ("cp949", "똠방각하.txt"), ("cp1251", "инструкция.txt"), ("cp1252", "Prüfung für Jörg.txt"),
    ],
)  # fmt: skip
def test_one_name_alone_is_enough_where_it_says_something(tmp_path: Path, encoding: str, name: str) -> None:
    assert found(read(tmp_path, Entry(name=name.encode(encoding)))) == [name]


def test_a_byte_5c_within_a_character_is_no_folder_and_one_by_itself_is(tmp_path: Path) -> None:
    names = ["ソ能表/十貼.txt", "資料\\申請.txt"]
    corpus = read(tmp_path, *(Entry(name=name.encode("cp932")) for name in names))
    assert sorted(found(corpus)) == sorted(["ソ能表/十貼.txt", "資料/申請.txt"])
    big5 = ["許功蓋/淚.txt", "開\\餐.txt", "成功.txt"]
    corpus = read(tmp_path, *(Entry(name=name.encode("big5")) for name in big5))
    assert sorted(found(corpus)) == sorted(["許功蓋/淚.txt", "開/餐.txt", "成功.txt"])


def test_what_the_zip_says_itself_is_no_guess(tmp_path: Path) -> None:
    old = "表.txt".encode("cp932")
    corpus = read(
        tmp_path,
        Entry(name="日本.txt".encode(), flags=UTF8),
        Entry(name=old, extra=unicode_path("表.txt", old)),
        Entry(name="unmarked ü.txt".encode()),
    )
    assert sorted(found(corpus)) == sorted(["日本.txt", "表.txt", "unmarked ü.txt"])
    assert not any(source.notes for source in corpus.sources)


def test_a_unicode_path_field_of_another_name_does_not_count(tmp_path: Path) -> None:
    """Who renames a member without knowing the field leaves it behind."""
    name = "Договор.txt".encode("cp866")
    corpus = read(tmp_path, Entry(name=name, extra=unicode_path("old.txt", b"old")))
    assert found(corpus) == ["Договор.txt"]
    assert corpus.sources[0].notes == ("Its name in the zip was read as code page 866, a guess.",)


def test_names_are_guessed_together(tmp_path: Path) -> None:
    """A short one alone could be many things."""
    names = ["測試.txt", "會議記錄.txt", "專案計畫書.txt", "使用者手冊.txt"]
    assert sorted(found(read(tmp_path, *(Entry(name=name.encode("big5")) for name in names)))) == sorted(names)


def test_utf8_beside_an_old_code_page(tmp_path: Path) -> None:
    corpus = read(tmp_path, Entry(name="ärz.txt".encode("cp437")), Entry(name="éz.txt".encode()))
    assert sorted(found(corpus)) == sorted(["ärz.txt", "éz.txt"])
    assert sorted(len(source.notes) for source in corpus.sources) == [0, 1]


def test_a_flag_that_lies_and_bytes_that_are_nothing_cost_no_member(tmp_path: Path) -> None:
    corpus = read(
        tmp_path,
        Entry(name="合同条款说明.txt".encode("gbk"), flags=UTF8, data=b"a"),
        Entry(name=b"plain.txt", data=b"b"),
    )
    assert sorted(found(corpus)) == sorted(["合同条款说明.txt", "plain.txt"])
    corpus = read(tmp_path, Entry(name=bytes(range(0x80, 0x100)) + b".txt", data=b"a"), Entry(name=b"b.txt"))
    assert sorted(source.text for source in corpus.sources) == ["a", "hello\n"]


def test_a_nul_and_a_missing_name(tmp_path: Path) -> None:
    corpus = read(tmp_path, Entry(name=b"a.txt\0.exe"), Entry(name=b""), Entry(name=b"d/", data=b"x"))
    assert found(corpus) == ["a.txt\\x00.exe"]
    reason = "a folder with content of its own, or a file without a name"
    assert [(skipped.path, skipped.reason) for skipped in corpus.skipped] == [("unnamed", reason), ("d/", reason)]


def test_names_of_an_old_mac_and_of_windows_lead_nowhere(tmp_path: Path) -> None:
    names = [b"Q: what is this.txt", b"notes 10:30.txt", b"I:O.txt", b"c:x.txt", b"A:"]
    assert sorted(found(read(tmp_path, *(Entry(name=name) for name in names)))) == sorted(
        name.decode() for name in names
    )
    corpus = read(tmp_path, *(Entry(name=name) for name in (b"C:\\x.txt", b"C:/x.txt", b"\\x", b"/x", b"a/../../x")))
    assert {skipped.reason for skipped in corpus.skipped} == {"a path that leads out of the archive"}
    (skipped,) = read(tmp_path, Entry(name=b"a/../x")).skipped
    assert (skipped.cause, skipped.reason) == (
        Cause.UNSAFE, 'a path with ".." in it; make the zip anew with plain paths'
    )  # fmt: skip


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


def test_many_names_are_guessed_from_some(tmp_path: Path) -> None:
    names = [RawName(f"合同/第{number}号文件.txt".encode("gbk"), False) for number in range(20_000)]
    decoded = decode_names(names)
    assert decoded[-1].text == "合同/第19999号文件.txt" and decoded[0].guess == "GBK"


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


def test_most_archives_of_two_dozen_languages_are_read_right() -> None:
    right, all_of = measured()
    assert share(1, right, all_of) >= 0.93 and share(2, right, all_of) >= 0.95
    assert share(4, right, all_of) >= 0.985 and share(8, right, all_of) >= 0.99
