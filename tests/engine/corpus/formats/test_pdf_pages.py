"""formats.pdf: every page under its own number, whatever is wrong with the file around it; and why nothing is left."""

import io

import pytest
from pypdf import PdfReader, PdfWriter

from engine.corpus.source import Cause, Skipped, Source
from tests.engine.corpus.formats.pdf_builder import (
    build,
    kids,
    many,
    one,
    page,
    pages_of,
    picture,
    read,
    revisions,
    shown,
    stream,
)

FOUR = [f"Page {n} says number {999 + n}." for n in (1, 2, 3, 4)]
ALL = b"10 0 R 12 0 R 14 0 R 16 0 R"


def branched(inner: bytes, count: bytes) -> dict[int, bytes]:
    """Pages 2 and 3 below a node of their own, which states how many they are."""
    objects = kids(many(4), b"10 0 R 18 0 R 16 0 R", b"4")
    return objects | {18: b"<< /Type /Pages /Parent 2 0 R /Kids [%s] /Count %s >>" % (inner, count)}


WHOLE = {
    "as it should be": build(many(4)),
    "a count too small": build(kids(many(4), ALL, b"2")),
    "a count too large": build(kids(many(4), ALL, b"9")),
    "a count below zero": build(kids(many(4), ALL, b"-4")),
    "a count of zero": build(kids(many(4), ALL, b"0")),
    "a count that is a word": build(kids(many(4), ALL, b"(four)")),
    "no count": build(many(4) | {2: b"<< /Type /Pages /Kids [%s] >>" % ALL}),
    "a branch": build(branched(b"12 0 R 14 0 R", b"2")),
    "a branch with a count too small": build(branched(b"12 0 R 14 0 R", b"1")),
    "a branch with a count too large": build(branched(b"12 0 R 14 0 R", b"7")),
    "a branch that comes back to the root": build(branched(b"12 0 R 14 0 R 2 0 R", b"3")),
    "an empty branch": build(kids(many(4), b"10 0 R 18 0 R 12 0 R 14 0 R 16 0 R", b"4")
                             | {18: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
    "pages without a type": build({n: data.replace(b"/Type /Page ", b"") for n, data in many(4).items()}),
    "no end mark": build(many(4), end=b""),
    "half an end mark": build(many(4), end=b"%%EO"),
    "zeros at the end": build(many(4)) + bytes(5000),
    "words at the end": build(many(4)) + b"\n<!-- served by cache 7 -->\n" * 90,
    "a wrong place for its table": build(many(4), startxref=5),
    "no place for its table": build(many(4)).replace(b"startxref", b"startxerf"),
    "no table and no end": build(many(4))[: build(many(4)).index(b"startxref")],
}  # fmt: skip


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_all_pages_are_there(data: bytes) -> None:
    found = read(data)
    assert pages_of(found) == FOUR
    assert isinstance(found, Source) and len(found.notes) <= 1
    drawn = read(data, draw_pages="all")
    assert isinstance(drawn, Source) and [picture.number for picture in drawn.pictures] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "objects",
    [
        kids(many(4), b"10 0 R null 14 0 R 16 0 R", b"4"),
        kids(many(4), b"10 0 R 77 0 R 14 0 R 16 0 R", b"4"),
        many(4) | {12: b"(not a page)"},
        many(4) | {12: b"<< /Type /Nothing >>"},
        many(4) | {13: b"<< /Length 10 /Filter /FlateDecode >>\nstream\nxxxxxxxxxx\nendstream"},
        many(4) | {12: page(99)},
    ],
    ids=["null", "dangling", "a string", "of another kind", "a damaged content", "a content that is not there"],
)
def test_a_lost_page_is_named_and_renumbers_no_other(objects: dict[int, bytes]) -> None:
    found = read(build(objects))
    assert pages_of(found) == [FOUR[0], "", *FOUR[2:]]
    assert isinstance(found, Source) and found.notes == ("Page 2 could not be read.",)


@pytest.mark.parametrize("number", [90, 12, 40, 99])
def test_a_page_under_a_number_that_was_used_before(number: int) -> None:
    found = read(revisions(number))
    assert pages_of(found) == ["Page text ONE", "Page text TWO", "Page text THREE"]
    assert isinstance(found, Source) and found.notes == ()


@pytest.mark.parametrize("depth", [5, 99, 101, 150, 600])
def test_a_deep_page_tree_is_read(depth: int) -> None:
    tree = one(shown([b"A page far down in its tree."]))
    for level in range(depth):
        down = 3 if level == depth - 1 else 1001 + level
        tree[2 if level == 0 else 1000 + level] = b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>" % down
    assert pages_of(read(build(tree))) == ["A page far down in its tree."]


def test_a_missing_end_mark_is_said() -> None:
    found = read(build(many(2), end=b""))
    assert isinstance(found, Source)
    assert found.notes == ("The file ends without its end mark (%%EOF): it may be cut short.",)


@pytest.mark.parametrize("n_strokes", [1_000, 40_000])
def test_a_large_drawing_costs_no_words(n_strokes: int) -> None:
    strokes = b"".join(
        b"%d %d m %d %d l S\n" % (at % 600, at * 7 % 780, at * 13 % 600, at % 780) for at in range(n_strokes)
    )
    objects = one() | {4: stream(shown([b"Map legend: river 5, scale 1:25000"]) + strokes, packed=True)}
    assert pages_of(read(build(objects))) == ["Map legend: river 5, scale 1:25000"]


STROKES = b"".join(b"%d 100 m %d 700 l S\n" % (at, at + 3) for at in range(300))
OUTLINES = b"0 0 m 5 9 l 9 0 l h f\n" * 30
NATURES = {
    "a scan": (picture(), "a scan"),
    "a drawing": (build(one(STROKES)), "a drawing (a plan or a map, or letters turned into shapes)"),
    "outlines": (build(one(OUTLINES)), "a drawing (a plan or a map, or letters turned into shapes)"),
}


@pytest.mark.parametrize(("data", "nature"), NATURES.values(), ids=NATURES)
def test_a_page_is_called_a_scan_only_where_it_is_one(data: bytes, nature: str) -> None:
    found = read(data)
    assert isinstance(found, Skipped) and found.cause is Cause.NO_TEXT
    such = "scans" if nature == "a scan" else "such pages"
    assert found.reason == f"1 page without text: {nature}. Reading {such} as images comes with a model that can see"
    drawn = read(data, draw_pages="bare")
    assert isinstance(drawn, Source) and [one.number for one in drawn.pictures] == [1]
    assert drawn.nature == nature


LOCKS = {
    "by password": (b"/Standard", "a PDF behind a password; save a copy without one and give that"),
    "by certificate": (
        b"/Adobe.PubSec",
        "a PDF encrypted by certificate, for certain people; open it as one of them and save a copy without",
    ),
    "by a shop": (
        b"/EBX_HANDLER",
        "a PDF behind a shop's or maker's own lock (EBX_HANDLER), which only its reader opens; ask for an open copy",
    ),
    "by a publisher": (
        b"/FOPN_fLock",
        "a PDF behind a shop's or maker's own lock (FOPN_fLock), which only its reader opens; ask for an open copy",
    ),
    "by a company": (
        b"/MicrosoftIRMServices",
        "a PDF behind a shop's or maker's own lock (MicrosoftIRMServices), which only its reader opens; ask for an "
        "open copy",
    ),
}


@pytest.mark.parametrize(("handler", "reason"), LOCKS.values(), ids=LOCKS)
def test_each_lock_has_its_reason(handler: bytes, reason: str) -> None:
    if handler == b"/Standard":
        writer, out = PdfWriter(clone_from=PdfReader(io.BytesIO(build(many(2))))), io.BytesIO()
        writer.encrypt("secret", "owner", algorithm="AES-256")
        writer.write(out)
        data = out.getvalue()
    else:
        lock = b"<< /Filter %s /SubFilter /adbe.pkcs7.s5 /V 4 /Length 128 /Recipients [(x)] >>" % handler
        data = build(many(2) | {7: lock}, trailer=b"/Encrypt 7 0 R /ID [(a) (b)]")
    found = read(data)
    assert isinstance(found, Skipped) and (found.cause, found.reason) == (Cause.ENCRYPTED, reason)
