"""walk.zip_names: the names in a zip, in the encoding that they are in; a guess is said to be one."""

from pathlib import Path

import pytest

from engine.corpus.source import Cause
from engine.corpus.walk.zip_names import RawName, decode_names
from tests.names_in_zips import measured, share
from tests.zips import UTF8, Entry, found, read, unicode_path

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
    "code page 775": ("cp775", ["Ąžuolas.txt", "Sutartis žemės.txt", "šūda.txt"]),
    "Windows-1257": ("cp1257", ["Ąžuolas.txt", "Sutartis žemės.txt", "Pēteris.txt"]),
    "code page 855": ("cp855", ["Уговор.txt", "Рачун за струју.txt", "Њушка.txt"]),
    "code page 861": ("cp861", ["Þór.txt", "Samþykkt.txt", "Garðabær.txt"]),
    "code page 869": ("cp869", ["Συμβόλαιο.txt", "Αθήνα.txt"]),
    "Mac Roman": ("mac_roman", ["Résumé.txt", "Größe.txt", "Année/Début.txt"]),
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
        ("cp866", "Ёлка.txt"), ("cp437", "groß.txt"), ("cp850", "Santé.txt"), ("cp932", "図.txt"), ("gbk", "文.txt"),
        ("euc_kr", "과제.txt"), ("big5", "文件.txt"), ("cp850", "Årsrapport.txt"), ("cp1251", "смета.csv"),
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


def test_many_names_are_guessed_from_some(tmp_path: Path) -> None:
    names = [RawName(f"合同/第{number}号文件.txt".encode("gbk"), False) for number in range(20_000)]
    decoded = decode_names(names)
    assert decoded[-1].text == "合同/第19999号文件.txt" and decoded[0].guess == "GBK"


@pytest.mark.slow  # 2.6 s
def test_most_archives_of_two_dozen_languages_are_read_right() -> None:
    right, all_of = measured()
    assert share(1, right, all_of) >= 0.96 and share(2, right, all_of) >= 0.99
    assert share(4, right, all_of) >= 0.995 and share(8, right, all_of) == 1
