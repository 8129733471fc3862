"""formats.text: what is read of texts in other encodings than UTF-8, and what is said of it."""

import random
from collections import defaultdict

import pytest

from engine.corpus.formats.decoding import Decoded, decode
from engine.corpus.formats.format import whole_file
from engine.corpus.formats.letters import cost
from engine.corpus.formats.text import read_text
from engine.corpus.rules import Rules
from engine.corpus.source import Skipped, Source, digest_bytes, digest_text
from tests.writing import samples


def read(data: bytes) -> Decoded:
    found = decode(data)
    assert found is not None, data[:80]
    return found


@pytest.mark.parametrize(
    "text",
    [
        "Müller;Köln;12,50 €\n",
        "Müller;Köln;12,50 €\nSchäfer;Düsseldorf;9,90 €\nWeiß;Nürnberg;7,00 €\n",
        "Die Gebühr beträgt 4.200 €, zahlbar „sofort“ – ohne Abzug.\n",
        "L’élève a été reçu à l’école. Le coût s’élève à 12 €, déjà payé. Où êtes-vous allé ?\n",
        "Perché la città è così bella? L’anno scorso c’erano più turisti. Il costo è di 15 €.\n",
        "Don’t panic.\n",
        "Temperature: 25 °C, tolerance ±0.5 °C, 10 µm filter, ½ load.\n",
        "The naïve café owner’s résumé was accepted.\n",
        "Señor Núñez pagó 30 € por la caña.\n",
        "São Paulo – 7 de março: R$ 12,00, preço à vista.\n",
        "Å jobbe på Ås er gøy.\n",
        "Räksmörgås 45:–\n",
        "Þórr átti hamar.\n",
        "// größer als 5 µs, ca. 3 × 10³ m²\nx = 1\n",
        "© 2019 Société Générale – tous droits réservés\n",
        "£9.99 · “special offer” · ¾ lb\n",
        "Crème fraîche €3\n",
        "Zoë\n",
        "naïve\n",
        "price;€\n5;7\n",
        "§ 5 Abs. 2 – gültig ab 1.1.\n",
        "Ort: Zürich, 47°22′ N\n".replace("′", "'"),
    ],
)
def test_windows_1252_is_right_on_short_texts(text: str) -> None:
    found = read(text.encode("cp1252"))
    assert (found.text, found.encoding) == (text, "cp1252")
    assert found.notes == ("Not UTF-8; read as cp1252, which is a guess.",)


HTML = '<html><head><meta charset="{}"></head><body>{}</body></html>\n'


@pytest.mark.parametrize(
    ("label", "body", "written", "encoding", "is_noted"),
    [
        ("iso-8859-1", "It’s the client’s café.", "cp1252", "cp1252", True),
        ("ISO-8859-1", "1939–1945 café", "cp1252", "cp1252", True),
        ("latin1", "Price: 5 € a café", "cp1252", "cp1252", True),
        ("us-ascii", "“café”", "cp1252", "cp1252", True),
        ("iso-8859-1", "café", "cp1252", "iso8859-1", False),
        ("iso-8859-9", "Ali’nin kağıdı", "cp1254", "cp1254", True),
        ("latin5", "İstanbul – Ankara", "cp1254", "cp1254", True),
        ("tis-620", "“สัญญา” เช่า", "cp874", "cp874", True),
        ("iso-8859-11", "ราคา 5 € ต่อชิ้น…", "cp874", "cp874", True),
        ("windows-874", "สัญญาเช่า", "cp874", "cp874", False),
        ("gb2312", "镕基先生，合同价款", "gbk", "gb18030", True),
        ("x-gbk", "合同价款", "gbk", "gbk", False),
        ("shift_jis", "①契約書～高橋さん", "cp932", "cp932", True),
        ("x-sjis", "契約書", "cp932", "shift_jis", False),
        ("ks_c_5601-1987", "똠방각하 펲시콜라", "cp949", "cp949", True),
        ("big5", "合約功能表", "big5", "big5", False),
        ("windows-1251", "да", "cp1251", "cp1251", False),
        ("cp-1250", "žluťoučký kůň", "cp1250", "cp1250", False),
        ("macintosh", "déjà vu – “café”", "mac_roman", "mac-roman", False),
        ("koi8-ru", "договір", "koi8-u", "koi8-u", False),
    ],
)
def test_labels_are_read_as_browsers_read_them(
    label: str, body: str, written: str, encoding: str, is_noted: bool
) -> None:
    text = HTML.format(label, body)
    found = read(text.encode(written))
    assert (found.text, found.encoding) == (text, encoding)
    noted = (f"It declares {label}; read as {encoding}, as browsers do.",)
    assert found.notes == (noted if is_noted else ())


@pytest.mark.parametrize(
    "head",
    [
        "# -*- coding: latin-1 -*-\n# {}\n",
        "/* vim: set fileencoding=iso-8859-1 : */\n{}\n",
        '<?xml version = "1.0" encoding = "iso-8859-1"?>\n<a>{}</a>\n',
        '@charset "iso-8859-1";\n/* {} */\n',
        "\\documentclass{{article}}\n\\usepackage[latin1]{{inputenc}}\n{}\n",
        "Content-Type: text/plain; charset=ISO-8859-1\n\n{}\n",
        "SET NAMES latin1;\nINSERT INTO a VALUES ('{}');\n",
    ],
)
def test_where_a_text_may_declare_its_encoding(head: str) -> None:
    text = head.format("Größe 5 – „Straße“")
    assert read(text.encode("cp1252")).text == text
    assert len(read(text.encode("cp1252")).notes) == 1
    plain = head.format("Größe")
    assert read(plain.encode("latin-1")).notes == ()


ORDER = '<?xml version="1.0" encoding="{}"?>\n<order><name>José García, señor</name><sum>{}</sum></order>\n'


@pytest.mark.parametrize("total", ["900", "9000"])  # one of them has an even number of bytes
@pytest.mark.parametrize("label", ["utf-16", "UTF-16LE", "utf-32", "unicode", "utf-8", "euc-kr", "gb2312", "cp1251"])
def test_a_declaration_that_the_bytes_contradict_loses(label: str, total: str) -> None:
    text = ORDER.format(label, total)
    found = read(text.encode("cp1252"))
    assert (found.text, found.encoding) == (text, "cp1252")
    assert found.notes == (
        f"It declares {label}, which its bytes are not.",
        "Not UTF-8; read as cp1252, which is a guess.",
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('<?xml version="1.0" encoding="iso-8859-1"?>\n<a>Договор аренды заключён между сторонами</a>\n', "cp1251"),
        ('<meta charset="windows-1252">\n<p>Příliš žluťoučký kůň úpěl ďábelské ódy\n', "cp1250"),
        ('<meta charset="koi8-r">\n<p>Договор аренды заключён между сторонами\n', "cp1251"),
        ("# -*- coding: shift_jis -*-\n# 合同自双方签字之日起生效，付款期限为三十日\n", "gb18030"),
        ('<meta charset="big5">\n<p>계약은 서명한 날부터 효력이 있다\n', "cp949"),
    ],
)
def test_a_declaration_of_another_language_loses(text: str, written: str) -> None:
    found = read(text.encode(written))
    assert found.text == text
    assert "which its bytes are not" in found.notes[0] and "guess" in found.notes[1]


def test_utf8_that_declares_something_else_says_so() -> None:
    found = read('<meta charset="iso-8859-1">\n<p>café\n'.encode())
    assert found.text.endswith("café\n") and found.notes == (
        "It declares iso-8859-1, but is UTF-8, and was read as that.",
    )
    assert read("response.charset = 'latin-1'  # café\n".encode()).notes == ()


TABLE = "Name,Amount\r\nAnn,12\r\nBob,15\r\n"


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("is_marked", [True, False])
@pytest.mark.parametrize("before", [TABLE, "Größe;Maß\r\nä;5 €\r\n" * 3, "Цена;Товар\r\nхлеб;5\r\n" * 3])
def test_damaged_utf16(order: str, is_marked: bool, before: str) -> None:
    whole = ("\ufeff" if is_marked else "").encode(order) + before.encode(order)
    guessed = 0 if is_marked else 1
    for added, text in (
        (b"Cid,19\r\n", before + "Cid,19\r\n"),
        (b"Cid,9\r\n", before + "Cid,9\r\n"),
        (b"\n", before + "\n"),
        (b"a line in ASCII\n" + before.encode(order), before + "a line in ASCII\n" + before),
        ("x\ud83d.txt\r\n".encode(order, "surrogatepass"), before + "x\ufffd.txt\r\n"),
    ):
        found = read(whole + added)
        assert found.text == text
        assert len(found.notes) == guessed + 1
    cut = read(whole[:-1])
    assert cut.text in (before, before[:-1] + "\ufffd") and len(cut.notes) == guessed + 1
    assert read(whole).notes[guessed:] == ()


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text",
    [
        "Die Gebühr beträgt 4.200 €, zahlbar „sofort“.\n" * 20,
        "甲方应于收到发票后三十日内付款，逾期按日支付违约金。\n" * 20,
        "契約は署名の日から効力を生じる。支払期限は三十日とする。\n",
        "계약은 서명한 날부터 효력이 있다. 기한은 삼십 일이다.\n",
        "Договор вступает в силу со дня подписания.\n",
        "يبدأ العقد من يوم التوقيع عليه.\n",
        "अनुबंध हस्ताक्षर के दिन से लागू होता है।\n",
        "ხელშეკრულება ძალაშია ხელმოწერის დღიდან.\n",
        "Hợp đồng có hiệu lực từ ngày ký.\n",
        "สัญญามีผลตั้งแต่วันลงนาม\nวันที่ 5\n",
        "The contract begins on the day of signing 🙂.\n",
    ],
)
def test_wide_encodings_without_a_mark_in_any_script(text: str, order: str) -> None:
    found = read(text.encode(order))
    assert found.text == text
    assert found.notes == (f"Read as {order.upper()}, a guess: the file has no byte order mark.",)
    marked = read(("\ufeff" + text).encode(order))
    assert (marked.text, marked.notes) == (text, ())
    if "32" in order:
        cut = read(("\ufeff" + text).encode(order)[:-2])
        assert cut.text[:-1] == text[:-1] and len(cut.notes) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("契約書①は本日から有効です。\n", "iso2022_jp_2004"),
        ("契約書は本日から有効です。\n", "iso2022_jp"),
        ("계약서는 오늘부터 유효하다. 기한은 오 일.\n", "iso2022_kr"),
        ("合同自签字之日起生效。\nsecond line\n", "hz"),
    ],
)
def test_encodings_of_seven_bits(text: str, written: str) -> None:
    found = read(text.encode(written))
    assert found.text == text and not found.notes


def test_a_cut_file_and_chinese_in_iso_2022() -> None:
    text = "契約書は本日から有効です。\n"
    cut = read((text * 3).encode("iso2022_jp")[:-5])
    assert cut.text.startswith(text * 2) and cut.encoding == "iso2022_jp"
    chinese = b"\x1b$)A\x0e" + bytes(byte & 0x7F for byte in "合同自签字之日起生效".encode("gb2312")) + b"\x0f.\n"
    assert read(chinese).text == "合同自签字之日起生效.\n"
    assert read(b"cost=$5 ~{not a text in HZ}~ and ~{more\n").text == "cost=$5 ~{not a text in HZ}~ and ~{more\n"
    assert read(b"\x1b[31mred\x1b[0m\n").text == "\x1b[31mred\x1b[0m\n"


def test_utf8_with_lines_in_another_encoding_and_with_broken_bytes() -> None:
    good, bad = "2026-01-01 Größe geändert\n", "2026-01-02 Müller löscht 5 €\n"
    mixed = read((good * 4).encode() + bad.encode("cp1252") * 2)
    assert mixed.text == good * 4 + bad * 2
    assert mixed.notes == ("2 lines are not UTF-8 and were read as cp1252, which is a guess.",)
    cut = read((good * 2).encode() + "Schluß".encode()[:-1])
    assert cut.text == good * 2 + "Schlu\ufffd" or "read as cp1252" in cut.notes[0]
    marked = read(b"\xef\xbb\xbf" + (good * 3).encode() + b"\xff\n")
    assert marked.text.startswith(good) and not marked.text.startswith("\ufeff") and marked.notes


LINES = b"2026-01-01 all went well\n" * 20
ZEROS = "{} zero bytes {} left out."


@pytest.mark.parametrize(
    ("data", "text", "notes"),
    [
        (LINES + b"\0" + LINES, (LINES + b"\0" + LINES).decode(), ("Characters that are NUL: 1.",)),
        (LINES + bytes(3000), LINES.decode(), (ZEROS.format("3,000", "at its end"),)),
        (bytes(4096) + LINES, LINES.decode(), (ZEROS.format("4,096", "at its beginning"),)),
        (
            LINES + bytes(500) + LINES,
            LINES.decode() + "[500 zero bytes, left out]" + LINES.decode(),
            (ZEROS.format("500", "within it"),),
        ),
        (LINES * 30 + bytes(70), (LINES * 30).decode(), (ZEROS.format("70", "at its end"),)),
        (LINES * 30 + b"\0" + LINES, (LINES * 30 + b"\0" + LINES).decode(), ("Characters that are NUL: 1.",)),
        (b"text with\x00 one NUL", "text with\x00 one NUL", ("Characters that are NUL: 1.",)),
        (b"k = `${a}\x00${b}`;\n" * 3, "k = `${a}\x00${b}`;\n" * 3, ("Characters that are NUL: 3.",)),
        (b"HOME=/home/a\0PATH=/bin\0", "HOME=/home/a\0PATH=/bin\0", ("Characters that are NUL: 2.",)),
        ("Größe\0ä\n".encode() * 9, "Größe\0ä\n" * 9, ("Characters that are NUL: 9.",)),
    ],
)
def test_zeros_in_a_text(data: bytes, text: str, notes: tuple[str, ...]) -> None:
    found = read(data)
    assert (found.text, found.encoding, found.notes) == (text, "utf-8", notes)


def test_zeros_at_the_end_of_texts_in_other_encodings() -> None:
    german = "Größe geändert – 5 €\n" * 5
    found = read(german.encode("cp1252") + bytes(100))
    assert found.text == german and found.notes[-1] == ZEROS.format("100", "at its end")
    wide = read(b"\xff\xfe" + german.encode("utf-16-le") + bytes(64))
    assert wide.text.startswith(german) and wide.notes


@pytest.mark.parametrize(
    "line",
    [
        b"8=FIX.4.2\x019=65\x0135=D\x0149=BUY\x0156=SELL\x0155=IBM\x0154=1\x0110=062\x01\n",
        b"Ann\x0112\x0130\n",
        b"a\x1fb\x1fc\x1e",
        b"key\x01one\x02two\x02three\n",
        "Größe\x015\x01Köln\n".encode(),
        "Größe\x015\x01Köln\n".encode("cp1252"),
    ],
)
def test_fields_that_control_characters_separate(line: bytes) -> None:
    found = read(line * 20)
    assert found.text == (line * 20).decode("cp1252" if b"\xf6" in line else "utf-8")
    assert found.notes[-1].startswith("Control characters stand in it, and were kept: ")


@pytest.mark.slow  # 16.4 s
def test_the_shares_of_texts_that_are_wholly_right() -> None:
    """In all encodings together; `python -m tests.bench encodings` shows each."""
    right: dict[bool, list[bool]] = defaultdict(list)
    languages, encodings = set(), set()
    for sample in samples():
        found = decode(sample.data)
        right[sample.is_long].append(found is not None and found.text == sample.text)
        languages.add(sample.language)
        encodings.add(sample.encoding)
    assert len(languages) >= 40 and len(encodings) >= 20 and len(right[True]) >= 200
    assert sum(right[True]) >= 0.99 * len(right[True])
    assert sum(right[False]) >= 0.95 * len(right[False])


@pytest.mark.slow  # 7.2 s
def test_no_text_makes_the_reader_fail_and_nothing_goes_without_a_note() -> None:
    chance = random.Random(12)
    texts = [sample.data for sample in samples()]
    for _ in range(500):
        torn = bytearray(chance.choice(texts))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(torn) + 1)
            match chance.randrange(4):
                case 0:
                    torn[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
                case 1:
                    del torn[at : at + chance.randint(1, 5)]
                case 2:
                    torn[at:at] = chance.choice((b"\0" * 40, b"\0", b"\xff\xfe", b"\x1b$B", b"\x01", b"ascii line\n"))
                case 3:
                    torn += chance.choice(texts)[:50]
        found = read_text(whole_file("a.txt", bytes(torn), Rules()))
        assert isinstance(found, Source | Skipped)
        if isinstance(found, Source) and found.encoding == "utf-8" and not found.notes:
            assert found.text.encode() == torn


@pytest.mark.parametrize("text", ["Größe\n", "one\r\ntwo\r\n", "\ufffd kept, é\n", "plain\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_digest_is_of_the_text_in_utf8_whatever_the_file_is_in(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    source = read_text(whole_file("a.txt", data, Rules()))
    assert isinstance(source, Source) and source.text == text and source.n_bytes == len(data)
    assert source.digest == digest_text(text) == digest_bytes(text.encode())


def test_what_stands_behind_a_sign_counts_as_much_as_the_sign() -> None:
    """A capital behind a small letter beyond ASCII speaks against a reading, a small one does not."""
    assert cost("äB", ("de",)) > cost("äb", ("de",))
    assert cost("ab \xa0 ab", ("de",)) > cost("ab\xa0ab", ("de",))
