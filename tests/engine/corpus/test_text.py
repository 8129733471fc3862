"""formats.text and sniff, and engine.corpus.wording."""

import codecs
import pickle

import pytest

from engine.corpus.formats.format import without_surrogates
from engine.corpus.formats.guess import surroundings
from engine.corpus.formats.reader import FORMATS, recognise
from engine.corpus.formats.sniff import look
from engine.corpus.formats.text import decode
from engine.corpus.wording import MIB, Names, counted, natural_key, over_limit, pages_in_words, printable, size_in_words

GERMAN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\r\nFür Ärger sorgt die Öffnung.\n"
RUSSIAN = (
    "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"
    "В чащах юга жил бы цитрус? Да, но фальшивый экземпляр!\n"
)
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。\nどこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。\n"
)


@pytest.mark.parametrize(
    ("text", "written", "encoding", "n_notes"),
    [
        ("plain\n", "ascii", "utf-8", 0),
        (GERMAN, "utf-8", "utf-8", 0),
        (GERMAN, "utf-8-sig", "utf-8-sig", 0),
        (GERMAN, "utf-16", "utf-16", 0),
        (GERMAN, "utf-32", "utf-32", 0),
        (GERMAN, "utf-16-le", "utf-16-le", 1),
        (GERMAN, "utf-16-be", "utf-16-be", 1),
        (GERMAN, "utf-32-le", "utf-32-le", 1),
        (GERMAN, "utf-32-be", "utf-32-be", 1),
        (GERMAN, "cp1252", None, 1),
        ("He said “no” – and left…\n" * 3, "cp1252", "cp1252", 1),
        (RUSSIAN, "koi8-r", "koi8-r", 1),
        (RUSSIAN, "cp1251", "cp1251", 1),
        (JAPANESE, "shift_jis", "cp932", 1),
        (JAPANESE, "euc_jp", "euc_jp", 1),
        (JAPANESE, "iso2022_jp", "iso2022_jp_2", 0),
        ("# -*- coding: koi8-r -*-\nx = 'ПЁС'\n", "koi8-r", "koi8-r", 0),
        ('<?xml version="1.0" encoding="iso-8859-1"?>\n<a>é</a>\n', "latin-1", "iso8859-1", 0),
        ('<html><meta charset="windows-1251"><p>да</p>\n', "cp1251", "cp1251", 0),
    ],
)
def test_encodings(text: str, written: str, encoding: str | None, n_notes: int) -> None:
    decoded = decode(text.encode(written))
    assert decoded is not None
    assert decoded.text == text
    assert encoding is None or decoded.encoding == encoding
    assert len(decoded.notes) == n_notes
    assert codecs.lookup(decoded.encoding)


def test_big_endian_marks() -> None:
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_BE, "utf-32-be")):
        decoded = decode(mark + GERMAN.encode(encoding))
        assert decoded is not None and decoded.text == GERMAN


LATE = b"x = 1  # nothing to see\n" * 400_000 + "# café\n".encode("latin-1")


def test_of_a_large_file_little_is_looked_at() -> None:
    assert len(surroundings(LATE)) < 1000  # a guess takes 20 ms for 3,000 bytes
    assert len(surroundings("é".encode("latin-1") * 1_000_000)) <= 3000
    decoded = decode(LATE)
    assert decoded is not None and decoded.text.endswith("café\n")


def test_a_broken_byte_in_utf8_does_not_change_the_rest() -> None:
    decoded = decode(("größer " * 50).encode() + b"\xff" + " älter".encode())
    assert decoded is not None
    assert (decoded.encoding, decoded.text[-7:]) == ("utf-8", "\ufffd älter")
    assert decoded.notes == ("Not quite UTF-8: 1 place was replaced by \ufffd.",)


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 8,
        b"\x00" * 100,
        b"\x01\x02\x03\x04" * 10,
        pickle.dumps({"a": [1.5, "b"] * 50}, protocol=4),
        b"\x1f\x8b\x08\x00" + bytes(range(255, 0, -1)) * 4,
        bytes((i * 7919) % 251 + 1 for i in range(4000)),
    ],
)
def test_no_text(data: bytes) -> None:
    assert decode(data) is None


def test_line_ends_stay_and_a_late_nul_is_said() -> None:
    data = b"a\r\nb\rc\n" * 2000 + b"\x00"
    decoded = decode(data)
    assert decoded is not None
    assert decoded.text.encode() == data
    assert decoded.notes == ("Characters that are NUL: 1.",)


def test_git_lfs_pointer() -> None:
    decoded = decode(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert decoded is not None and "Git LFS" in decoded.notes[0]


def test_an_escaping_codec_is_not_believed() -> None:
    decoded = decode(b"# coding: unicode_escape\n# caf\xe9 \\x41\n")
    assert decoded is not None and "\\x41" in decoded.text


def test_surrogates() -> None:
    assert without_surrogates("a\ud83d\ude00b\ud800c") == "a😀b\ufffdc"
    assert without_surrogates("plain é 😀") == "plain é 😀"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"%PDF-1.7\n", "x.txt", "pdf"),
        (b"\x00junk\n%PDF-1.7\n", "x", "pdf"),
        (b'HEADER = b"%PDF-1.7"\n', "writer.py", "text"),
        (b"\x89PNG\r\n\x1a\n\x00", "x.txt", "image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "x", "image"),
        (b"BM\x46\x00\x00\x00\x00\x00\x00\x00", "x", "image"),
        (b"BMW is a car maker.\n", "x", "text"),
        (b"MZ is short for something.\n", "x", "text"),
        (b"MZ\x90\x00\x03\x00\x00\x00", "x", "binary"),
        (b"PK\x03\x04\x14\x00\x00\x00", "x.zip", "zip"),
        (b"PK\x03\x04\x14\x00\x00\x00", "x.docx", "binary"),
        (b"PK\x03\x04\x14\x00\x00\x00", "x", "binary"),
        (b"{\\rtf1 hello}", "x.rtf", "binary"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "x.svg", "text"),
        (b"", "x", "text"),
    ],
)
def test_what_a_file_is_taken_for(head: bytes, name: str, kind: str) -> None:
    seen = look(head, name)
    found = recognise(seen)
    assert (found.format.kind if found else "zip" if seen.is_zip else "binary") == kind
    assert found is not None or seen.other


def test_a_format_is_named_once() -> None:
    """By its kind, and by what its kept files go by: it is found by either."""
    kinds = [each.kind for each in FORMATS]
    drawn_from = [name for each in FORMATS for name in each.drawn_from]
    assert len(set(kinds)) == len(kinds) and len(set(drawn_from)) == len(drawn_from)
    assert all(bool(each.drawn_from) == (each.draw is not None) for each in FORMATS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 日本.txt", "plain é 日本.txt"),
        ("caf\udce9.txt", "caf\\xe9.txt"),
        ("a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
        ("txt.\u202egpj", "txt.\\u202egpj"),
        ("wide\u3000space", "wide\u3000space"),
    ],
)
def test_printable(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(name).encode()


def test_natural_order() -> None:
    names = ["b", "page10", "page2", "a10b2", "a10b10", "page02", "A", "9" * 5000, "10", "9", "²"]
    assert sorted(names, key=natural_key) == [
        "9", "10", "9" * 5000, "A", "a10b2", "a10b10", "b", "page02", "page2", "page10", "²"
    ]  # fmt: skip


def test_names_are_unique() -> None:
    names = Names()
    assert [names.claim("a", "r") for _ in range(4)] == ["a", "r/a", "r-2/a", "r-3/a"]


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (64 * MIB, "64.0 MiB"),
        (1 << 31, "2.0 GiB"),
    ],
)
def test_sizes_in_words(n_bytes: int, words: str) -> None:
    assert size_in_words(n_bytes) == words


def test_wording() -> None:
    assert size_in_words(MIB - 1) == "1.0 MiB"
    assert over_limit(1 << 31, 64 * MIB, "text") == "2.0 GiB, over the limit of 64.0 MiB for text"
    assert over_limit(64 * MIB + 1, 64 * MIB, "text") == "67,108,865 bytes, over the limit of 67,108,864 bytes for text"
    assert pages_in_words([3]) == "page 3"
    assert pages_in_words([3, 7, 8, 9]) == "pages 3, 7-9"
    assert [counted(n, "file") for n in (0, 1, 2, 1_240)] == ["0 files", "1 file", "2 files", "1,240 files"]
    assert [counted(n, "entry is", "entries are") for n in (1, 2)] == ["1 entry is", "2 entries are"]
