"""formats.pdf_text: characters by a font's maps and encodings, and what cannot be read said to be that."""

import base64
import struct
import zlib

import pytest

from engine.corpus.source import Cause, Skipped, Source
from tests.engine.corpus.formats.pdf_builder import (
    ONE_BYTE,
    TWO_FONTS,
    build,
    by_font,
    cmap,
    descriptor,
    identity,
    many,
    only_page,
    pages_of,
    read,
    stream,
    type3,
)

CHINESE, JAPANESE, KOREAN = "合同金额为一百万元。", "契約金額は百万円である。", "계약 금액은 백만 원이다."
TAIWANESE = "合約金額為一百萬元。"
CMAPS = [
    ("H", "Japan1", bytes(byte & 0x7F for byte in JAPANESE.encode("euc_jp")), JAPANESE),
    ("EUC-H", "Japan1", JAPANESE.encode("euc_jp"), JAPANESE),
    ("90ms-RKSJ-H", "Japan1", JAPANESE.encode("cp932"), JAPANESE),
    ("90msp-RKSJ-H", "Japan1", JAPANESE.encode("cp932"), JAPANESE),
    ("UniJIS-UTF16-H", "Japan1", JAPANESE.encode("utf-16-be"), JAPANESE),
    ("UniJIS-UCS2-H", "Japan1", JAPANESE.encode("utf-16-be"), JAPANESE),
    ("KSCms-UHC-H", "Korea1", KOREAN.encode("cp949"), KOREAN),
    ("KSC-EUC-H", "Korea1", KOREAN.encode("euc_kr"), KOREAN),
    ("UniKS-UCS2-H", "Korea1", KOREAN.encode("utf-16-be"), KOREAN),
    ("GBK-EUC-H", "GB1", CHINESE.encode("gbk"), CHINESE),
    ("GBKp-EUC-H", "GB1", CHINESE.encode("gbk"), CHINESE),
    ("GB-EUC-H", "GB1", CHINESE.encode("gb2312"), CHINESE),
    ("UniGB-UTF16-H", "GB1", CHINESE.encode("utf-16-be"), CHINESE),
    ("B5pc-H", "CNS1", TAIWANESE.encode("big5"), TAIWANESE),
    ("ETen-B5-H", "CNS1", TAIWANESE.encode("big5"), TAIWANESE),
]


@pytest.mark.parametrize(("name", "ordering", "codes", "text"), CMAPS, ids=[each[0] for each in CMAPS])
def test_predefined_maps_of_cjk_fonts_that_are_not_embedded(name: str, ordering: str, codes: bytes, text: str) -> None:
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /F /Encoding /%s /DescendantFonts [7 0 R] >>" % name.encode()
    below = (
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /F /CIDSystemInfo << /Registry (Adobe) /Ordering (%s) "
        b"/Supplement 2 >> /DW 1000 /FontDescriptor 8 0 R >>" % ordering.encode()
    )
    assert only_page(by_font(codes, font, {7: below, 8: descriptor()})) == text


# A font of boxes whose own encoding is TeX's: ff 11, fi 12, quotes 92 and 34, dash 123
BOXES = (
    "eNpjZGBhYmBkZGRzyq9ILQaxRH9IM+3t/qHyo4N1H/9tge7vm4ReCyIpYWBg5GLIZchkKGfIZ3BicGFwY/Bi8GcIYAhlYGQQYuDj5olRqk5MTs3Myy9RMGTg"
    "Z2TklVQ1tPUMTcytbJ04d8GaHx17xb5/+tHx+xMb3+Bjo3ABMw2J9A=="
)
OWN = {
    "ligatures and quotes": (
        bytes((92, 111, 11, 105, 99, 101, 34, 32, 101, 11, 105, 99, 105, 101, 110, 116)), "“office” efficient"
    ),
    "a dash": (bytes((49, 123, 49)), "1–1"),
    "a ligature at the end": (bytes((111, 11)), "off"),
    "two in a row": (bytes((11, 12)), "fffi"),
    "one alone": (bytes((12,)), "fi"),
}  # fmt: skip


@pytest.mark.parametrize(("codes", "text"), OWN.values(), ids=OWN)
def test_fonts_with_an_encoding_of_their_own(codes: bytes, text: str) -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /AAAAAA+Boxes /FirstChar 0 /LastChar 255 /Widths [%s] " % (
        b"500 " * 256
    )
    program = stream(zlib.decompress(base64.b64decode(BOXES)), b"/Subtype /Type1C")
    more = {8: descriptor(b"/FontFile3 9 0 R"), 9: program}
    assert only_page(by_font(codes, font + b"/FontDescriptor 8 0 R >>", more)) == text


DIFFERENCES = {
    "names of glyphs": (b"[1 /ffi /fi /endash /quotedblleft]", bytes((1, 2, 3, 4)), "ffifi–“"),
    "names by number": (b"[1 /uni0416 /u1E9E /uni20AC]", bytes((1, 2, 3)), "Жẞ€"),
    "accents": (b"[200 /Aogonek /ccaron /germandbls]", bytes((200, 201, 202)), "Ąčß"),
    "Greek": (b"[1 /alpha /beta /rho]", bytes((1, 2, 3)), "αβρ"),
    "digits moved": (b"[65 /one /two /three]", b"ABC", "123"),
}


@pytest.mark.parametrize(("differences", "codes", "text"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_encodings_that_differ(differences: bytes, codes: bytes, text: str) -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding << /Type /Encoding /Differences %s >> >>"
    assert only_page(by_font(codes, font % differences)) == text


SPELLED = {
    "a ligature in parts": (b"/f_f_i", "ffi"),
    "another": (b"/T_h", "Th"),
    "one of a feature": (b"/c_t.dlig", "ct"),
    "a variant of a ligature": (b"/f_f.alt", "ff"),
    "two by number": (b"/uni00660069", "fi"),
    "beyond the first plane": (b"/u1F600", "\U0001f600"),
    "parts by number": (b"/uni0066_uni0069", "fi"),
}


@pytest.mark.parametrize("code", [1, 65, 128])
@pytest.mark.parametrize(("name", "text"), SPELLED.values(), ids=SPELLED)
def test_names_of_glyphs_in_parts(name: bytes, text: str, code: int) -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding << /Differences [%d %s] >> >>" % (
        code,
        name,
    )
    assert only_page(by_font(b"o" + bytes((code,)) + b"ce", font)) == f"o{text}ce"


@pytest.mark.parametrize("name", [b"/g41", b"/g_41", b"/c_g41", b"/glyph7", b"/uniXYZW"])
def test_names_that_say_nothing_stay_unread(name: bytes) -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding << /Differences [1 %s] >> >>" % name
    found = read(by_font(b"o\x01ce", font))
    assert isinstance(found, Source) and pages_of(found) == ["o\ufffdce"] and len(found.notes) == 1


MAPS = {
    "a line each": b"2 beginbfrange\n<01> <03> <0041>\n<04> <06> <0061>\nendbfrange\n",
    "on one line": b"2 beginbfrange <01> <03> <0041> <04> <06> <0061> endbfrange\n",
    "without spaces": b"2 beginbfrange<01><03><0041><04><06><0061>endbfrange\n",
    "an array over lines": b"2 beginbfrange\n<01> <03> <0041>\n<04> <06>\n[<0061>\n<0062>\n<0063>]\nendbfrange\n",
    "arrays on one line": b"2 beginbfrange <01> <03> [<0041><0042><0043>] <04> <06> [<0061> <0062> <0063>] "
    b"endbfrange\n",
    "characters and ranges": b"3 beginbfchar\n<01> <0041>\n<02> <0042>\n<03> <0043>\nendbfchar\n1 beginbfrange\n"
    b"<04> <06> <0061>\nendbfrange\n",
    "characters on one line": b"6 beginbfchar <01> <0041> <02> <0042> <03> <0043> <04> <0061> <05> <0062> <06> <0063> "
    b"endbfchar\n",
    "carriage returns": b"2 beginbfrange\r<01> <03> <0041>\r<04> <06> <0061>\rendbfrange\r",
    "a wrong number": b"1 beginbfrange\n<01> <03> <0041>\n<04> <06> <0061>\nendbfrange\n",
    "lower case": b"2 beginbfrange\n<01> <03> <0041>\n<04> <06> <0061>\nendbfrange\n".lower(),
}


@pytest.mark.parametrize("lines", MAPS.values(), ids=MAPS)
def test_every_range_of_a_map_counts(lines: bytes) -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /ToUnicode 7 0 R >>"
    assert pages_of(read(by_font(bytes(range(1, 7)), font, {7: cmap(ONE_BYTE + lines)}))) == ["ABCabc"]


CANNOT_READ = "Page 1 cannot be read as text: the fonts there do not say which characters they hold."


def cipher(text: str, start: int) -> bytes:
    """Codes in the order of first use, as programs number the glyphs of a subset."""
    order = {letter: start + at for at, letter in enumerate(dict.fromkeys(text))}
    return bytes(order[letter] for letter in text)


FEE = "The fee for the whole of the work is 4200 euros, to be paid within thirty days of the invoice. " * 3
TEX = b"32 " + b" ".join(b"/a%d" % code for code in range(32, 127))
UNREADABLE = {
    "control characters": type3(bytes((1, 2, 3, 2, 1, 3)) * 10, lines=20),
    "a composite font": identity(b"".join(struct.pack(">H", ord(c) % 26 + 1) for c in "The fee is 4200 euros")),
    "a composite font of printable codes": identity(b"".join(struct.pack(">H", ord(c) - 29) for c in FEE)),
    "codes in the order of use": type3(cipher(FEE, 65), names=TEX),
    "codes that look like signs": type3(cipher(FEE, 33), names=TEX),
    "private use": by_font(
        bytes(range(1, 40)), b"<< /Type /Font /Subtype /Type1 /BaseFont /F /ToUnicode 7 0 R >>",
        {7: cmap(ONE_BYTE + b"1 beginbfrange\n<01> <40> <E001>\nendbfrange\n")},
    ),
    "mapped to control characters": by_font(
        bytes(range(1, 20)), b"<< /Type /Font /Subtype /Type1 /BaseFont /F /ToUnicode 7 0 R >>",
        {7: cmap(ONE_BYTE + b"1 beginbfrange\n<01> <20> <0001>\nendbfrange\n")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_fonts_without_a_map_are_no_text_and_are_drawn(data: bytes) -> None:
    found = read(data)
    assert isinstance(found, Skipped) and found.cause is Cause.NO_TEXT
    assert found.reason == (
        "1 page without text: letters in fonts that do not say which they are. Reading such pages as images comes with "
        "a model that can see"
    )
    drawn = read(data, draw_pages="bare")
    assert isinstance(drawn, Source) and [picture.number for picture in drawn.pictures] == [1]
    assert pages_of(drawn) == [""] and drawn.notes == (CANNOT_READ,)
    assert drawn.is_wordless and drawn.nature == "letters in fonts that do not say which they are"


def test_codes_that_make_words_are_kept_and_said_to_be_a_guess() -> None:
    found = read(type3(FEE.encode(), names=TEX))
    (text,) = pages_of(found)
    assert text.startswith("The fee for the whole of the work is 4200 euros")
    assert isinstance(found, Source)
    (note,) = found.notes
    assert note.startswith("Characters that are a guess, for their fonts do not say which they are: ")


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        (b"The \x1bort of the \x1cve \x1doors is to be \x1cnished by the o\x1ecer. " * 3, "ffort fi fl ffi"),
        (b"The \x0bort of the \x0cve \x0doors is to be \x0cnished by the o\x0ecer. " * 3, "ffort fi fl ffi"),
        (
            b"The \x10words\x11 of the \x1cve and of the stra\xffe in the place for the \x1cle. " * 3,
            "“words” fi straße",
        ),
        (
            b"The \x5cwords\x22 of the \x0cve and of the stra\x19e in the place for the \x0cle. " * 3,
            "“words” fi straße",
        ),
        (b"The pages 1{9 of the \x0cle, to be read by the o\x0ecer in the place of the \x0cve. " * 3, "1–9 ffi fi"),
    ],
    ids=["T1", "OT1", "T1, signs", "OT1, signs", "OT1, a dash"],
)
def test_what_the_codes_of_texs_bitmap_fonts_stand_for(codes: bytes, text: str) -> None:
    names = b"1 " + b" ".join(b"/a%d" % code for code in range(1, 256))
    (found,) = pages_of(read(type3(codes, names=names)))
    assert all(part in found for part in text.split()) and "\ufffd" not in found


def test_one_unreadable_page_among_others_is_named_and_drawn() -> None:
    objects = many(3)
    glyph = stream(b"500 0 0 0 500 700 d1 50 0 400 600 re f")
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 600 700] /FontMatrix [0.001 0 0 0.001 0 0] /FirstChar 1 "
        b"/LastChar 1 /Widths [500] /CharProcs << /a1 7 0 R >> /Encoding << /Differences [1 /a1] >> /Resources << >> >>"
    )
    objects |= {6: font, 7: glyph}
    objects[12] = objects[12].replace(b"/F1 5 0 R", TWO_FONTS)
    objects[13] = stream(b"BT /F2 12 Tf 72 700 Td <%s> Tj ET" % (b"01" * 60))
    found = read(build(objects), draw_pages="bare")
    assert pages_of(found) == ["Page 1 says number 1000.", "", "Page 3 says number 1002."]
    assert isinstance(found, Source) and [picture.number for picture in found.pictures] == [2]
    assert found.notes == (CANNOT_READ.replace("1", "2"),)


def test_unreadable_signs_among_words_are_replaced_and_counted() -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /ToUnicode 7 0 R >>"
    maps = cmap(ONE_BYTE + b"2 beginbfrange\n<20> <7A> <0020>\n<01> <02> <0001>\nendbfrange\n")
    found = read(by_font(b"Ten \x01 of the clauses hold, and \x02 was struck out by hand.", font, {7: maps}))
    assert pages_of(found) == ["Ten \ufffd of the clauses hold, and \ufffd was struck out by hand."]
    assert isinstance(found, Source)
    assert found.notes == (
        "Characters that cannot be read stand as \ufffd, the fonts do not say which they are (2 on page 1).",
    )


def test_a_map_by_name_is_believed() -> None:
    """/ToUnicode /Identity-H: codes are characters, which PDFium does not take for a map."""
    for words in ("The fee is 4200 euros", "Zażółć gęślą jaźń, 4200 zł.", "QWX"):
        data = identity(words.encode("utf-16-be"))
        data = data.replace(b"/Encoding /Identity-H", b"/Encoding /Identity-H /ToUnicode /Identity-H")
        assert pages_of(read(data)) == [words]
