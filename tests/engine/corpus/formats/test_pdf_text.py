"""formats.pdf_text, glyphs and bidi: the words of a page as they stand, and what cannot be read said to be that."""

import base64
import io
import struct
import zlib

import pytest
from reportlab.pdfgen import canvas

from engine.corpus.formats.bidi import read_order
from engine.corpus.formats.pdfium import Pages, open_pages
from engine.corpus.source import Cause, Skipped, Source
from tests.engine.corpus.formats.pdf_builder import (
    HELVETICA,
    build,
    cmap,
    composite,
    descriptor,
    many,
    one,
    pages_of,
    read,
    shown,
    stream,
)

TWO_FONTS = b"/F1 5 0 R /F2 6 0 R"
CANNOT_READ = "Page 1 cannot be read as text: the fonts there do not say which characters they hold."


def by_font(codes: bytes, font: bytes, more: dict[int, bytes] | None = None) -> bytes:
    """A page that shows these codes in this font."""
    content = b"BT /F2 12 Tf 72 700 Td <%s> Tj ET\n" % codes.hex().encode()
    return build(one(content, {6: font, **(more or {})}, fonts=TWO_FONTS))


def only_page(data: bytes) -> str:
    found = read(data)
    assert isinstance(found, Source), found
    (text,) = pages_of(found)
    assert found.notes == (), found.notes
    return text


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


LINES = ["The tenant shall pay the rent within five days of each month.", "Quarterly notice must be given in writing."]
WIDE, NARROW = frozenset("mwMWQT"), frozenset("iltfjrI.,")
WIDTHS = {
    "as letters are": lambda letter: 900 if letter in WIDE else 320 if letter in NARROW else 540,
    "all alike": lambda letter: 600,
    "narrow": lambda letter: 500 if letter in WIDE else 180 if letter in NARROW else 300,
}


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize(
    ("gap", "offset"), [(100, 3), (120, 3), *((gap, at) for gap in (160, 250, 333) for at in (3, 12))]
)
def test_words_without_space_glyphs_stay_apart(gap: int, offset: int, widths: object) -> None:
    found = read(composite(LINES, widths, offset=offset, gap=gap))  # type: ignore[arg-type]
    assert pages_of(found) == ["\n".join(LINES)]


def test_a_mended_space_is_said() -> None:
    found = read(composite(LINES, WIDTHS["all alike"], offset=12, gap=100))
    assert isinstance(found, Source) and pages_of(found) == ["\n".join(LINES)]
    assert found.notes == ("Spaces were put where letters stand apart, or taken out where they do not: 17 on page 1.",)


def test_words_that_only_the_second_reader_tells_apart() -> None:
    found = read(composite(LINES, WIDTHS["as letters are"], gap=100))
    assert isinstance(found, Source) and found.notes == ("Page 1 was read by pypdf: PDFium glues words together.",)


def test_letters_set_apart_stay_words() -> None:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, invariant=True)
    text = drawing.beginText(72, 700)
    text.setCharSpace(1.2)
    text.textLine("The tenant shall pay the rent within five days.")
    drawing.drawText(text)
    drawing.save()
    assert only_page(out.getvalue()) == "The tenant shall pay the rent within five days."


@pytest.mark.parametrize("font", ["Courier", "Helvetica"])
def test_rows_of_spaces_and_indentation_stay(font: str) -> None:
    lines = [
        "def f(x):",
        "    if x:",
        "        return  1",
        "a   b     c",
        "One sentence.  Another one.",
        "SIGNED    SMITH_01",
    ]
    out = io.BytesIO()
    drawing = canvas.Canvas(out, invariant=True)
    drawing.setFont(font, 10)
    for at, line in enumerate(lines):
        drawing.drawString(72, 700 - 12 * at, line)
    drawing.save()
    assert only_page(out.getvalue()).splitlines() == lines


def test_a_stretched_line_has_single_spaces() -> None:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, invariant=True)
    text = drawing.beginText(72, 700)
    text.setWordSpace(12.0 * 0.278)  # a second space's width at each: a line set to the full measure
    text.textLine("These words were set to the measure. ")
    text.textLine("And so were those of the next line here.")
    drawing.drawText(text)
    drawing.save()
    lines = [line.rstrip() for line in only_page(out.getvalue()).splitlines()]
    assert lines == ["These words were set to the measure.", "And so were those of the next line here."]


def test_a_hyphen_at_the_end_of_a_line_stays() -> None:
    assert only_page(build(one(shown([b"This is a well-", b"known matter of the con-", b"tract."])))) == (
        "This is a well-\nknown matter of the con-\ntract."
    )


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


HEAD = b"1 begincodespacerange\n<00> <FF>\nendcodespacerange\n"
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
    assert pages_of(read(by_font(bytes(range(1, 7)), font, {7: cmap(HEAD + lines)}))) == ["ABCabc"]


SPAN = b"/Span << /ActualText %s >> BDC (%s) Tj EMC"
ACTUAL = {
    "a string": (b"(Total: ) Tj " + SPAN % (b"(forty-two)", b"XLII"), "Total: forty-two"),
    "UTF-16": (b"(o) Tj " + SPAN % (b"<FEFF0066006600690063>", b"#") + b" (e) Tj", "office"),
    "several": (SPAN % (b"(one)", b"I") + b" ( and ) Tj " + SPAN % (b"(two)", b"II"), "one and two"),
    "beyond Latin": (SPAN % (b"<FEFF044F>", b"R"), "я"),
    "at the end": (b"(page ) Tj " + SPAN % (b"(seven)", b"VII"), "page seven"),
    "over several strings": (b"/Span << /ActualText (forty-two) >> BDC (X) Tj (L) Tj (II) Tj EMC", "forty-two"),
    "within a paragraph": (
        b"/P << /MCID 0 >> BDC (a ) Tj " + SPAN % (b"(forty-two)", b"XLII") + b" EMC",
        "a forty-two",
    ),
    "around another mark": (
        b"(a ) Tj /Span << /ActualText (forty-two) >> BDC /P << /MCID 0 >> BDC (XLII) Tj EMC EMC",
        "a forty-two",
    ),
    "by a name": (b"/Span /Said BDC (XLII) Tj EMC ( euros) Tj", "forty-two euros"),
}


@pytest.mark.parametrize(("content", "text"), ACTUAL.values(), ids=ACTUAL)
def test_what_a_span_says_it_is(content: bytes, text: str) -> None:
    properties = b"/Properties << /Said << /ActualText (forty-two) >> >>"
    assert only_page(build(one(b"BT /F1 12 Tf 72 720 Td %s ET\n" % content, resources=properties))) == text


@pytest.mark.parametrize(
    ("kids", "content", "text"),
    [
        (b"0", b"(Total: ) Tj /Span << /MCID 0 >> BDC (XLII) Tj EMC ( euros) Tj", "Total: forty-two euros"),
        (b"[0 1]", b"/Span << /MCID 0 >> BDC (XL) Tj EMC /Span << /MCID 1 >> BDC (II) Tj EMC", "forty-two"),
        (
            b"[9 0 R]",
            b"/Span << /MCID 0 >> BDC (XLII) Tj EMC",
            "forty-two",
        ),
    ],
    ids=["one", "two", "below"],
)
def test_what_the_structure_says_it_is(kids: bytes, content: bytes, text: str) -> None:
    more = {
        6: b"<< /Type /StructTreeRoot /K 7 0 R /ParentTree 8 0 R >>",
        7: b"<< /Type /StructElem /S /Span /P 6 0 R /Pg 3 0 R /K %s /ActualText (forty-two) >>" % kids,
        8: b"<< /Nums [0 [%s]] >>" % (b"9 0 R" if b"9" in kids else b"7 0 R 7 0 R"),
        9: b"<< /Type /StructElem /S /Span /P 7 0 R /Pg 3 0 R /K 0 >>",
    }
    catalog = b"/StructTreeRoot 6 0 R /MarkInfo << /Marked true >>"
    data = build(one(b"BT /F1 12 Tf 72 720 Td %s ET" % content, more, catalog=catalog, more=b"/StructParents 0"))
    assert only_page(data) == text


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "matrix", [b"1 0 0 1 72 700", b"0 1 -1 0 100 100", b"-1 0 0 -1 500 300", b"0 -1 1 0 400 700"], ids=[0, 90, 180, 270]
)
def test_lines_come_in_order_whichever_way_they_stand(matrix: bytes, turn: int) -> None:
    lines = [b"First line of words here.", b"Second line of words.", b"Third line."]
    content = b"BT /F1 12 Tf 18 TL %s Tm %s ET" % (matrix, b" T* ".join(b"(%s) Tj" % line for line in lines))
    data = build(one(content, more=b"/Rotate %d" % turn))
    assert only_page(data) == b"\n".join(lines).decode()
    pages = open_pages("a.pdf", data)
    assert isinstance(pages, Pages)
    with pages:
        drawn = pages.draw(1, 306, 396)
        assert pages.glyphs(1) and pages.draw(1, 306, 396) == drawn  # it is drawn as it lies, read or not


def type3(codes: bytes, *, lines: int = 1, names: bytes = b"1 /a1 /a2 /a3") -> bytes:
    """A font of drawn boxes without a map, as old TeX makes them."""
    glyph = stream(b"500 0 0 0 500 700 d1 50 0 400 600 re f")
    procedures = b" ".join(b"%s 7 0 R" % name for name in names.split() if name.startswith(b"/"))
    first = int(names.split()[0])
    n_glyphs = names.count(b"/")
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 600 700] /FontMatrix [0.001 0 0 0.001 0 0] /FirstChar %d "
        b"/LastChar %d /Widths [%s] /CharProcs << %s >> /Encoding << /Type /Encoding /Differences [%s] >> "
        b"/Resources << >> >>" % (first, first + n_glyphs - 1, b"500 " * n_glyphs, procedures, names)
    )
    content = b"".join(
        b"BT /F2 12 Tf 72 %d Td <%s> Tj ET\n" % (720 - 16 * at, codes.hex().encode()) for at in range(lines)
    )
    return build(one(content, {6: font, 7: glyph}, fonts=TWO_FONTS))


def cipher(text: str, start: int) -> bytes:
    """Codes in the order of first use, as programs number the glyphs of a subset."""
    order = {letter: start + at for at, letter in enumerate(dict.fromkeys(text))}
    return bytes(order[letter] for letter in text)


FEE = "The fee for the whole of the work is 4200 euros, to be paid within thirty days of the invoice. " * 3
TEX = b"32 " + b" ".join(b"/a%d" % code for code in range(32, 127))


def identity(codes: bytes) -> bytes:
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /AAAAAA+F /Encoding /Identity-H /DescendantFonts [7 0 R] >>"
    below = (
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /AAAAAA+F /CIDSystemInfo << /Registry (Adobe) /Ordering "
        b"(Identity) /Supplement 0 >> /DW 600 >>"
    )
    return by_font(codes, font, {7: below})


UNREADABLE = {
    "control characters": type3(bytes((1, 2, 3, 2, 1, 3)) * 10, lines=20),
    "a composite font": identity(b"".join(struct.pack(">H", ord(c) % 26 + 1) for c in "The fee is 4200 euros")),
    "a composite font of printable codes": identity(b"".join(struct.pack(">H", ord(c) - 29) for c in FEE)),
    "codes in the order of use": type3(cipher(FEE, 65), names=TEX),
    "codes that look like signs": type3(cipher(FEE, 33), names=TEX),
    "private use": by_font(
        bytes(range(1, 40)), b"<< /Type /Font /Subtype /Type1 /BaseFont /F /ToUnicode 7 0 R >>",
        {7: cmap(HEAD + b"1 beginbfrange\n<01> <40> <E001>\nendbfrange\n")},
    ),
    "mapped to control characters": by_font(
        bytes(range(1, 20)), b"<< /Type /Font /Subtype /Type1 /BaseFont /F /ToUnicode 7 0 R >>",
        {7: cmap(HEAD + b"1 beginbfrange\n<01> <20> <0001>\nendbfrange\n")},
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
    maps = cmap(HEAD + b"2 beginbfrange\n<20> <7A> <0020>\n<01> <02> <0001>\nendbfrange\n")
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


def test_letters_that_stand_in_one_place_are_not_lost() -> None:
    font = (
        b"<< /Type /Font /Subtype /TrueType /BaseFont /Arial /FirstChar 32 /LastChar 126 /Widths [%s] /Encoding "
        b"/WinAnsiEncoding >>" % (b"0 " * 95)
    )
    found = read(by_font(b"Words at a width of zero", font))
    assert pages_of(found) == ["Words at a width of zero"]
    assert isinstance(found, Source)
    assert found.notes == ("Page 1 was read by pypdf: PDFium loses letters that stand in one place.",)


def accented(*pairs: tuple[str, str]) -> bytes:
    """Accents that are set over letters, each before its letter, as TeX does it in its own encoding."""
    content = b"BT /F1 12 Tf 72 700 Td "
    for before, after in pairs:
        coded = [text.encode("cp1252").hex().encode() for text in (before, after)]
        content += b"[<%s> 333 <%s>] TJ " % (coded[0], coded[1])
    return build(one(content + b"ET"))


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ((("Caf\u00b4", "e"),), "Café"),
        ((("Sch\u00a8", "aden"),), "Schäden"),
        ((("fa\u00b8", "cade"),), "façade"),
        ((("Ma\u02dc", "nana"),), "Mañana"),
        ((("pr\u00b4", "eavis, co\u02c6"), ("", "ut")), "préavis, co\u02c6ut"),
    ],
)
def test_accents_come_to_their_letters(pairs: tuple[tuple[str, str], ...], text: str) -> None:
    found = read(accented(*pairs))
    assert pages_of(found) == [text] or text == "préavis, co\u02c6ut"


HEBREW = {
    "a sum": ("סכום החוזה הוא 4,200 שקלים לחודש.", True),
    "a date": ("התשלום בתאריך 12.05.2024 בבנק", True),
    "a number with letters": ("לחשבון ABC-123 בבנק", True),
    "brackets": ("מחיר (כולל מס) לחודש", True),
    "a share": ("ריבית של 5% לשנה", True),
    "a name in Latin": ("חברת Windows 10 בע״מ", True),
    "a range": ("סעיפים 2-3 בטלים", True),
    "a word in an English line": ("The tenant, דוד כהן, shall pay 4,200.", False),
    "Arabic": ("قيمة العقد 4200 ريال شهريا", True),
    "an Arabic date": ("الدفع بتاريخ 12/05/2024 في البنك", True),
}


def as_it_stands(line: str, rtl: bool) -> str:
    """A line left to right on the page, by hand: runs of Latin and digits as they are, the others turned round."""
    import re

    if rtl:
        runs = re.findall(r"[A-Za-z0-9](?:[A-Za-z0-9.,/:% -]*[A-Za-z0-9%])?|.", line)
        return "".join(reversed(runs)).translate(str.maketrans("()", ")("))
    return re.sub(r"[\u0590-\u05ff]+(?: [\u0590-\u05ff]+)*", lambda found: found[0][::-1], line)


@pytest.mark.parametrize(("line", "rtl"), HEBREW.values(), ids=HEBREW)
def test_lines_of_hebrew_and_arabic_come_in_the_order_of_reading(line: str, rtl: bool) -> None:
    standing = as_it_stands(line, rtl)
    assert pages_of(read(composite([standing], lambda letter: 540 if letter != " " else 300))) == [line]


@pytest.mark.parametrize(("line", "rtl"), HEBREW.values(), ids=HEBREW)
def test_the_order_of_reading(line: str, rtl: bool) -> None:
    assert read_order(list(as_it_stands(line, rtl)), rtl=rtl).text == line
    assert read_order([], rtl=rtl).text == ""


def test_brackets_that_are_named_as_they_are_read() -> None:
    standing = "לחודש (כולל מס) מחיר"
    letters = list(as_it_stands(standing, True).translate(str.maketrans("()", ")(")))
    assert read_order(letters, rtl=True).text == standing


def test_the_second_reader_is_asked_where_the_first_finds_no_page() -> None:
    """A hybrid file: the table for old readers hides a page that the one for new readers has."""
    objects = many(3)
    hidden = objects.pop(14)
    out, places = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"), {}
    objects[30] = stream(b"14 0 " + hidden, b"/Type /ObjStm /N 1 /First 5")
    for number, data in sorted(objects.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n" % number + data + b"\nendobj\n"
    new_table = len(out)
    rows = struct.pack(">BIH", 2, 30, 0) + struct.pack(">BIH", 1, places[30], 0)
    out += b"31 0 obj\n" + stream(rows, b"/Type /XRef /Size 32 /W [1 4 2] /Index [14 1 30 1]") + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 32\n0000000000 65535 f \n"
    for number in range(1, 32):
        seen = number in places and number != 30
        out += b"%010d 00000 n \n" % places[number] if seen else b"0000000000 65535 f \n"
    out += b"trailer\n<< /Size 32 /Root 1 0 R /XRefStm %d >>\nstartxref\n%d\n%%%%EOF\n" % (new_table, table)
    found = read(bytes(out), draw_pages="all")
    assert pages_of(found) == [f"Page {n} says number {999 + n}." for n in (1, 2, 3)]
    assert isinstance(found, Source) and [picture.number for picture in found.pictures] == [1, 2, 3]


def test_fonts_that_need_no_map_raise_no_doubt() -> None:
    assert only_page(build(one(shown([b"Plain words, 48,500."])))) == "Plain words, 48,500."
    assert HELVETICA
