"""formats.marked_text: the words that marks and structure give for what is drawn."""

import pytest

from engine.corpus.source import Skipped, Source
from tests.engine.corpus.formats.pdf_builder import build, one, only_page, pages_of, read, stream

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


NOTHING = SPAN % (b"<FEFF>", b"%s")
LEFT_OUT = "Signs that the file says are not read, such as hyphens at line ends, were left out: {} on page 1."
SILENT = {
    "a hyphen within a line": (b"(con) Tj " + SPAN % (b"()", b"-") + b" (tract) Tj", "contract", 1),
    "a hyphen at a line's end": (b"(The con) Tj " + NOTHING % b"-" + b" T* (tract ends.) Tj", "The contract ends.", 1),
    "a soft hyphen": (b"(The con) Tj " + SPAN % (b"<FEFF00AD>", b"-") + b" T* (tract.) Tj", "The contract.", 1),
    "a hyphen that says nothing": (b"(The con-) Tj T* (tract ends.) Tj", "The con-\ntract ends.", 0),
    "a row of dots": (b"(Chapter 1 ) Tj " + NOTHING % b"........" + b" ( 5) Tj", "Chapter 1 5", 1),
    "dots without spaces": (b"(Chapter 1) Tj " + NOTHING % b"........" + b" (5) Tj", "Chapter 1 5", 1),
    "two": (NOTHING % b"*" + b" (one) Tj " + NOTHING % b"*", "one", 2),
    "several strings": (b"(a) Tj /Span << /ActualText () >> BDC (X) Tj (L) Tj (II) Tj EMC (b) Tj", "a b", 1),
    "by a name": (b"(forty-two) Tj /Span /Said BDC (XLII) Tj EMC ( euros) Tj", "forty-two euros", 1),
    "around another mark": (
        b"(a) Tj /Span << /ActualText () >> BDC /P << /MCID 0 >> BDC (XLII) Tj EMC EMC ( b) Tj", "a b", 1,
    ),
    "within another mark": (
        b"(a) Tj /P << /MCID 0 >> BDC /Span << /ActualText () >> BDC (XLII) Tj EMC EMC ( b) Tj", "a b", 1,
    ),
    "around one with words": (
        b"(a) Tj /Span << /ActualText () >> BDC /Span << /ActualText (b) >> BDC (XL) Tj EMC EMC ( c) Tj", "a c", 1,
    ),
    "within one with words": (
        b"(a ) Tj /Span << /ActualText (b) >> BDC /Span << /ActualText () >> BDC (XL) Tj EMC EMC ( c) Tj", "a b c", 0,
    ),
    "white space": (b"(a) Tj " + NOTHING % b" " + b" (b) Tj", "a b", 0),
    "in a form": (b"(a) Tj ET q /X1 Do Q BT /F1 12 Tf 72 702 Td (b) Tj", "a b", 1),
}  # fmt: skip


@pytest.mark.parametrize(("content", "text", "n_left_out"), SILENT.values(), ids=SILENT)
def test_nothing_is_read_where_a_span_says_so(content: bytes, text: str, n_left_out: int) -> None:
    drawn = stream(
        b"BT /F1 12 Tf 90 720 Td %s ET" % (NOTHING % b"***"),
        b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /F1 5 0 R >> >>",
    )
    resources = b"/Properties << /Said << /ActualText () >> >> /XObject << /X1 9 0 R >>"
    found = read(build(one(b"BT /F1 12 Tf 18 TL 72 720 Td %s ET\n" % content, {9: drawn}, resources=resources)))
    assert [each.strip() for each in pages_of(found)] == [text]
    assert isinstance(found, Source) and found.notes == ((LEFT_OUT.format(n_left_out),) if n_left_out else ())


def test_a_page_of_which_nothing_is_read_is_seen() -> None:
    data = build(one(b"BT /F1 12 Tf 72 720 Td %s ET" % (NOTHING % b"Draft")))
    found = read(data)
    assert isinstance(found, Skipped)
    assert found.reason.startswith("1 page without text: signs that the file says are not read. ")
    drawn = read(data, draw_pages="bare")
    assert isinstance(drawn, Source) and len(drawn.pictures) == 1 and drawn.notes == (LEFT_OUT.format(1),)
