"""formats.pdf_text and glyphs: the words of a page as they stand, by the better of two readers."""

import io
import struct

import pytest
from reportlab.pdfgen import canvas

from engine.corpus.formats.pdfium import Pages, open_pages
from engine.corpus.source import Source
from tests.engine.corpus.formats.pdf_builder import (
    HELVETICA,
    build,
    by_font,
    composite,
    many,
    one,
    only_page,
    pages_of,
    read,
    shown,
    stream,
)

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


RAISED = {
    "a note's number": (b"(The rent) Tj 5 Ts /F1 8 Tf (1) Tj 0 Ts /F1 12 Tf ( is due.) Tj", "The rent1 is due."),
    "a smaller one": (b"(The rent) Tj 4 Ts /F1 6 Tf (12) Tj 0 Ts /F1 12 Tf ( is due.) Tj", "The rent12 is due."),
    "a power": (b"(E = mc) Tj 5 Ts /F1 8 Tf (2) Tj 0 Ts /F1 12 Tf (, as said) Tj", "E = mc2, as said"),
    "lowered": (b"(of CO) Tj -3 Ts /F1 8 Tf (2) Tj 0 Ts /F1 12 Tf ( a year) Tj", "of CO2 a year"),
    "by its place": (b"(10 m) Tj /F1 7 Tf 24 5 Td (2) Tj /F1 12 Tf 4 -5 Td ( let) Tj", "10 m2 let"),
    "at the end of a line": (
        b"(The rent) Tj 5 Ts /F1 8 Tf (1) Tj 0 Ts /F1 12 Tf T* (is due.) Tj", "The rent1\nis due.",
    ),
    "first": (b"5 Ts /F1 8 Tf (1) Tj 0 Ts /F1 12 Tf ( See there.) Tj", "1 See there."),
}  # fmt: skip


@pytest.mark.parametrize(("content", "text"), RAISED.values(), ids=RAISED)
def test_raised_and_lowered_numbers_part_no_line(content: bytes, text: str) -> None:
    assert only_page(build(one(b"BT /F1 12 Tf 18 TL 72 720 Td %s ET" % content))) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (b"/F1 150 Tf 1 0 0 -1 0 0 Tm 7480 -11300 Td (2) Tj", "last word.\n2"),
        (b"/F1 120 Tf 1 0 0 -1 0 0 Tm 7440 -11260 Td (2) Tj", "last word.\n2"),
        (b"/F1 200 Tf 1 0 0 -1 0 0 Tm 7400 -11250 Td (2) Tj", "last word.\n2"),
        (b"/F1 150 Tf 1 0 0 -1 0 0 Tm 7480 -11330 Td (12) Tj", "last word.\n12"),
        (b"/F1 150 Tf 1 0 0 -1 0 0 Tm 7480 -10700 Td (2) Tj", "last word.\n2"),
        (b"/F1 120 Tf 1 0 0 -1 0 0 Tm 7480 -10930 Td (2) Tj", "last word.2"),  # raised
        (b"/F1 200 Tf 1 0 0 -1 0 0 Tm 7480 -11000 Td (2) Tj", "last word.2"),
    ],
)
def test_a_pages_number_below_the_last_letter_is_a_line_of_its_own(number: bytes, text: str) -> None:
    """Where a program shows each letter by itself, PDFium takes it for the line's next one."""
    line = b"BT /F1 200 Tf 1 0 0 -1 0 0 Tm 6600 -11000 Td (last word) Tj 820 0 Td (.) Tj ET"
    assert only_page(build(one(b"q 0.06 0 0 -0.06 0 792 cm %s BT %s ET Q" % (line, number)))) == text


def test_a_column_of_single_letters_is_no_lines() -> None:
    letters = b" ".join(b"1 0 0 1 400 %d Tm (%c) Tj" % (300 - 20 * at, letter) for at, letter in enumerate(b"DRAFT"))
    assert only_page(build(one(b"BT /F1 12 Tf %s ET" % letters))) == "DRAFT"
