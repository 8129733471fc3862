"""formats.pdf_enclosed: files inside a PDF, portfolios and XFA forms are said, and what can be read of them is."""

import base64

import pytest

from engine.corpus.source import Cause, Skipped, Source
from tests.engine.corpus.formats.pdf_builder import (
    BODY_TEXT,
    Objects,
    build,
    datasets,
    embedded,
    holding,
    many,
    one,
    page,
    pages_of,
    read,
    shown,
    specification,
    stream,
)

MEMO = "The memo: the budget is 9 million."
INSIDE = "Inside this PDF is 1 file: {}."


def below(data: bytes) -> str:
    (text,) = pages_of(read(data))
    assert text.startswith(BODY_TEXT)
    return text.removeprefix(BODY_TEXT).strip()


READ = {
    "a text": (b"memo.txt", MEMO.encode(), MEMO),
    "a table": (b"sums.csv", b"a;b\n1;2\n", "a;b\n1;2"),
    "XML, as invoices have it": (b"factur-x.xml", b"<sum unit='EUR'>4200</sum>", "<sum unit='EUR'>4200</sum>"),
    "JSON": (b"data.json", b'{"sum": 4200}', '{"sum": 4200}'),
    "UTF-16": (b"memo.txt", "Gebühr".encode("utf-16"), "Gebühr"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "text"), READ.values(), ids=READ)
def test_a_short_text_is_read_below_the_last_page(name: bytes, data: bytes, text: str) -> None:
    found = read(holding((name, data)))
    assert below(holding((name, data))) == f"[file inside: {name.decode()}]\n{text}"
    assert isinstance(found, Source)
    assert found.notes == (
        INSIDE.format(f"{name.decode()} ({len(data)} bytes)"),
        f"Read below the last page: {name.decode()}.",
    )


NAMED = {
    "a workbook": (b"plan.xlsx", b"PK\x03\x04" + bytes(60), "plan.xlsx (64 bytes)"),
    "an image": (b"photo.jpg", b"\xff\xd8\xff\xe0" + bytes(200), "photo.jpg (204 bytes)"),
    "a long text": (b"log.txt", b"a line of a log\n" * 9000, "log.txt (140.6 KiB)"),
    "nothing": (b"empty.txt", b"", "empty.txt (0 bytes)"),
    "a path": (b"C:\\\\docs\\\\plan.bin", b"\x00\x01\x02" * 20, "plan.bin (60 bytes)"),
}


@pytest.mark.parametrize(("name", "data", "said"), NAMED.values(), ids=NAMED)
def test_what_is_not_read_is_named_with_its_size_and_how_to_get_at_it(name: bytes, data: bytes, said: str) -> None:
    found = read(holding((name, data)))
    assert isinstance(found, Source) and below(holding((name, data))) == ""
    short = said.partition(" ")[0]
    assert found.notes == (
        INSIDE.format(said),
        f"Not read: {short}; save what you need from a PDF viewer and give it by itself.",
    )


def test_a_portfolio_is_said_to_be_one() -> None:
    data = holding(
        (b"memo.txt", MEMO.encode()), (b"plan.xlsx", b"PK\x03\x04" + bytes(60)), catalog=b"/Collection << >> "
    )
    found = read(data)
    assert below(data) == f"[file inside: memo.txt]\n{MEMO}"
    assert isinstance(found, Source)
    assert found.notes == (
        "This PDF is a portfolio, a cover around 2 files: memo.txt (34 bytes), plan.xlsx (64 bytes).",
        "Read below the last page: memo.txt.",
        "Not read: plan.xlsx; save what you need from a PDF viewer and give it by itself.",
    )


def test_pdfs_in_a_portfolio_are_read_page_by_page() -> None:
    data = holding((b"lease.pdf", build(many(2))), catalog=b"/Collection << >> ")
    assert below(data) == (
        "[file inside: lease.pdf]\n[page 1 of lease.pdf]\nPage 1 says number 1000.\n\n"
        "[page 2 of lease.pdf]\nPage 2 says number 1001."
    )
    found = read(data)
    assert isinstance(found, Source) and found.n_pages == 1


def test_a_pdf_in_a_pdf_in_a_pdf_ends() -> None:
    data = build(many(1))
    for _ in range(5):
        data = holding((b"inner.pdf", data))
    assert below(data).count("[file inside: inner.pdf]") == 1


def test_a_scan_in_a_portfolio_is_named() -> None:
    found = read(holding((b"scan.pdf", build(one(b"")))))
    assert isinstance(found, Source) and found.notes[-1].startswith("Not read: scan.pdf;")


OUTLINES = b"0 0 m 5 9 l 9 0 l h f\n" * 30
LEFT = {
    "a workbook": (b"/AF [20 0 R]", {}, b"", "Inside this PDF is 1 file: plan.xlsx (64 bytes). Not read: plan.xlsx; "),
    "in the list": (
        b"/Names << /EmbeddedFiles << /Names [(a) 20 0 R] >> >>", {}, b"", "Inside this PDF is 1 file: plan.xlsx",
    ),
    "a portfolio": (b"/Collection << >> /AF [20 0 R]", {}, b"", "This PDF is a portfolio, a cover around 1 file: plan"),
    "a pin on the page": (
        b"", {31: b"<< /Subtype /FileAttachment /Rect [0 0 9 9] /FS 20 0 R >>"}, b"31 0 R", "Not read: plan.xlsx; save",
    ),
    "an XFA form": (b"/AcroForm << /XFA 32 0 R >>", {32: stream(b"<xfa")}, b"", "This PDF is an XFA form. The data"),
    "a damaged annotation": (b"", {}, b"99 0 R", "1 annotation is damaged and left out, on page 1"),
    "a link": (
        b"", {31: b"<< /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (https://example.org) >> >>"}, b"31 0 R",
        "1 link's address is not sent",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("catalog", "more", "annotations", "said"), LEFT.values(), ids=LEFT)
def test_a_pdf_that_is_skipped_says_what_else_lies_in_it(
    catalog: bytes, more: Objects, annotations: bytes, said: str
) -> None:
    objects = {20: specification(b"plan.xlsx", 21), 21: embedded(b"PK\x03\x04" + bytes(60)), **more}
    data = build(one(OUTLINES, objects, catalog=catalog, more=b"/Annots [%s]" % annotations))
    found = read(data)
    assert isinstance(found, Skipped) and found.cause is Cause.NO_TEXT
    assert found.reason.startswith("1 page without text: a drawing") and said in found.reason
    assert not found.reason.endswith(".") and ".." not in found.reason


PLACES = {
    "a tree of names": (
        b"/Names << /EmbeddedFiles << /Kids [30 0 R 30 0 R] >> >>",
        {30: b"<< /Names [(memo.txt) 20 0 R] >>"},
        b"",
    ),
    "a list of its own": (b"/AF [20 0 R]", {}, b""),
    "a pin on the page": (b"", {31: b"<< /Subtype /FileAttachment /Rect [0 0 9 9] /FS 20 0 R >>"}, b"31 0 R"),
    "a name tree in a circle": (
        b"/Names << /EmbeddedFiles 30 0 R >>", {30: b"<< /Kids [30 0 R] /Names [(memo.txt) 20 0 R] >>"}, b"",
    ),
    "by the unicode name": (
        b"/AF [22 0 R]", {22: b"<< /UF <FEFF006D0065006D006F002E007400780074> /EF << /UF 21 0 R >> >>"}, b"",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("catalog", "more", "annotations"), PLACES.values(), ids=PLACES)
def test_files_are_found_wherever_they_hang(catalog: bytes, more: Objects, annotations: bytes) -> None:
    objects = {20: specification(b"memo.txt", 21), 21: embedded(MEMO.encode(), packed=True), **more}
    data = build(one(extra=objects, catalog=catalog, more=b"/Annots [%s]" % annotations))
    assert f"[file inside: memo.txt]\n{MEMO}" in below(data) and below(data).count(MEMO) == 1


@pytest.mark.parametrize(
    "objects",
    [
        {20: b"null"},
        {20: b"<< /Type /Filespec /F (memo.txt) >>"},
        {20: b"<< /F (memo.txt) /EF << /F 99 0 R >> >>"},
        {20: b"<< /F (memo.txt) /EF 5 >>"},
        {20: b"(memo.txt)"},
    ],
)
def test_a_damaged_entry_costs_nothing(objects: Objects) -> None:
    data = build(one(extra=objects, catalog=b"/Names << /EmbeddedFiles << /Names [(memo.txt) 20 0 R] >> >>"))
    assert below(data) == ""


def test_a_damaged_file_is_named() -> None:
    broken = b"<< /Length 9 /Filter /FlateDecode /Params << /Size 4096 >> >>\nstream\nxxxxxxxxx\nendstream"
    found = read(build(one(extra={20: specification(b"memo.txt", 21), 21: broken}, catalog=b"/AF [20 0 R]")))
    assert (
        isinstance(found, Source) and "memo.txt" in found.notes[0] and found.notes[1].startswith("Not read: memo.txt")
    )


WAIT = [b"Please wait...", b"If this message is not replaced, your viewer cannot show this kind of document."]
XFA_NOTES = (
    "This PDF is an XFA form, whose pages are made by the program that opens it; print it to a new PDF to send them.",
    "The data of the XFA form was read: 2 values.",
)
FORM = "<form1><Applicant>Noor Haddad</Applicant><Sum>12000</Sum></form1>"
WHOLE = b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'>" + datasets(FORM) + b"</xdp:xdp>"
XFA = {
    "one stream": (b"6 0 R", {6: stream(WHOLE)}),
    "packed": (b"6 0 R", {6: stream(WHOLE, packed=True)}),
    "packets": (b"[(template) 7 0 R (datasets) 6 0 R]", {6: stream(datasets(FORM)), 7: stream(b"<template/>")}),
    "torn over packets": (
        b"[(preamble) 6 0 R (datasets) 7 0 R (postamble) 8 0 R]",
        {6: stream(WHOLE[:50]), 7: stream(WHOLE[50:-10]), 8: stream(WHOLE[-10:])},
    ),
    "UTF-16": (b"6 0 R", {6: stream(WHOLE.decode().encode("utf-16"))}),
    "the list elsewhere": (b"9 0 R", {6: stream(datasets(FORM)), 9: b"[(datasets) 6 0 R]"}),
}


@pytest.mark.parametrize(("xfa", "more"), XFA.values(), ids=XFA)
def test_the_data_of_an_xfa_form_is_read_and_said(xfa: bytes, more: Objects, capfd: pytest.CaptureFixture[str]) -> None:
    data = build(one(shown(WAIT), more, catalog=b"/NeedsRendering true /AcroForm << /Fields [] /XFA %s >>" % xfa))
    for draw_pages in ("never", "all"):
        found = read(data, draw_pages=draw_pages)
        assert pages_of(found) == [
            b"\n".join(WAIT).decode() + "\n[form field form1.Applicant] Noor Haddad\n[form field form1.Sum] 12000"
        ]
        assert isinstance(found, Source) and found.notes == XFA_NOTES
    assert capfd.readouterr() == ("", "")


VALUES = {
    "groups": ("<f><a><b>1</b></a><a><b>2</b></a></f>", ["f.a.b] 1", "f.a.b] 2"]),
    "rich text": (
        "<f><t><body xmlns='http://www.w3.org/1999/xhtml'><p>Two <b>bold</b> words</p></body></t></f>",
        ["f.t] Two bold words"],
    ),
    "attributes": ("<f><a unit='EUR'>5</a></f>", ["f.a.unit] EUR", "f.a] 5"]),
    "signs": ("<f><a>R &amp; D &lt;5</a></f>", ["f.a] R & D <5"]),
    "umlauts": ("<f><name>Müller</name></f>", ["f.name] Müller"]),
    "nothing": ("<f><a/><b> </b></f>", []),
}


@pytest.mark.parametrize(("data", "lines"), VALUES.values(), ids=VALUES)
def test_values_of_xfa(data: str, lines: list[str]) -> None:
    form = build(one(extra={6: stream(datasets(data))}, catalog=b"/AcroForm << /XFA 6 0 R >>"))
    assert below(form).splitlines() == [f"[form field {line}" for line in lines]


def test_a_value_that_a_field_shows_is_told_once() -> None:
    field = b"<< /Subtype /Widget /FT /Tx /T (form1[0].Applicant[0]) /V (Noor Haddad) /Rect [0 0 9 9] >>"
    more = {6: stream(datasets(FORM)), 7: field}
    data = build(one(extra=more, more=b"/Annots [7 0 R]", catalog=b"/AcroForm << /Fields [7 0 R] /XFA 6 0 R >>"))
    assert below(data).splitlines() == [
        "[form field form1(0).Applicant(0)] Noor Haddad",
        "[form field form1.Sum] 12000",
    ]


@pytest.mark.parametrize(
    "xfa",
    [b"<xfa", b"", b"\x00\x01", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>" * 50_000],
    ids=["cut", "empty", "no text", "entities", "deep"],
)
def test_damaged_xfa_is_said(xfa: bytes) -> None:
    found = read(build(one(extra={6: stream(xfa)}, catalog=b"/AcroForm << /XFA 6 0 R >>")))
    assert isinstance(found, Source) and BODY_TEXT in found.text
    assert found.notes == ("This PDF is an XFA form.", "The data of the XFA form could not be read.")


def test_files_on_a_page_among_several_stand_below_the_last() -> None:
    objects = many(2) | {20: specification(b"memo.txt", 21), 21: embedded(MEMO.encode())}
    objects |= {31: b"<< /Subtype /FileAttachment /Rect [0 0 9 9] /FS 20 0 R >>"}
    objects[10] = page(11, more=b"/Annots [31 0 R]")
    assert pages_of(read(build(objects)))[1].endswith(f"[file inside: memo.txt]\n{MEMO}")


LOGIN = b"<html><body>Session expired, please log in</body></html>\n"


@pytest.mark.parametrize(
    ("name", "data", "note"),
    [
        ("a.pdf", LOGIN, "Named as a PDF, but it holds a web page and is sent as text."),
        ("a.PDF", b"<!DOCTYPE html>\n" + LOGIN, "Named as a PDF, but it holds a web page and is sent as text."),
        ("a.pdf", b'{"error": "not found"}\n', "Named as a PDF, but it holds text and is sent as text."),
        ("a.docx", LOGIN, "Named as a Word document, but it holds a web page and is sent as text."),
        ("a.xls", b"a;b\n1;2\n", "Named as a spreadsheet, but it holds text and is sent as text."),
        ("a.pptx", LOGIN, "Named as a presentation, but it holds a web page and is sent as text."),
        ("a.pdf", b"\xef\xbb\xbf" + LOGIN, "Named as a PDF, but it holds a web page and is sent as text."),
    ],
)
def test_a_text_that_goes_by_a_documents_name_says_so(name: str, data: bytes, note: str) -> None:
    found = read(data, name=name)
    assert isinstance(found, Source) and found.kind == "text" and note in found.notes


@pytest.mark.parametrize("name", ["a.txt", "a.html", "notes.key", "a.pages"])
def test_other_names_say_nothing(name: str) -> None:
    found = read(LOGIN, name=name)
    assert isinstance(found, Source) and found.notes == ()


def in_base64(data: bytes, *, before: bytes = b"", width: int = 76) -> bytes:

    packed = base64.b64encode(data)
    return before + b"\n".join(packed[at : at + width] for at in range(0, len(packed), width)) + b"\n"


BASE64 = "The file is base64; the PDF in it was read."
WRAPPED = {
    "in base64": (in_base64(build(many(2))), BASE64),
    "in base64 on one line": (in_base64(build(many(2)), width=1 << 20), BASE64),
    "in a data address": (in_base64(build(many(2)), before=b"data:application/pdf;base64,", width=1 << 20), BASE64),
    "in base64 below white space": (in_base64(build(many(2)), before=b"\r\n  "), BASE64),
    "its header late": (b"\n" * 2000 + build(many(2)), "The PDF's header comes late, after 2,000 bytes of nothing."),
    "below an answer's head": (
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1500 + b"\r\n\r\n" + build(many(2)),
        "1,524 bytes stood before the PDF's header and were left out.",
    ),
    "without a header": (build(many(2), head=b""), "The file has no PDF header; it was read as a PDF all the same."),
    "without a header, with a line before": (
        build(many(2), head=b"%\xe2\xe3\xcf\xd3\n"), "The file has no PDF header; it was read as a PDF all the same.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "note"), WRAPPED.values(), ids=WRAPPED)
def test_a_pdf_is_read_in_spite_of_its_beginning(data: bytes, note: str) -> None:
    for draw_pages in ("never", "all"):
        found = read(data, draw_pages=draw_pages)
        assert pages_of(found) == ["Page 1 says number 1000.", "Page 2 says number 1001."]
        assert isinstance(found, Source) and note in found.notes and found.n_bytes == len(data)
    assert len(found.pictures) == 2


def test_what_only_looks_like_one_is_damaged() -> None:
    for data in (in_base64(b"%PDF-1.7\nand no more"), b"1 0 obj\n<< >>\nendobj\n", b"\n" * 2000 + b"%PDF-1.7\n"):
        found = read(data)
        assert isinstance(found, Skipped) and found.cause is Cause.BROKEN
