"""PDFs that are damaged at random: no exception, no line on standard error, and a reason for whatever is not read."""

import random

import pytest

from engine.corpus.source import Skipped, Source
from tests.engine.corpus.formats.pdf_builder import (
    DRAWING,
    build,
    composite,
    datasets,
    embedded,
    many,
    one,
    read,
    revisions,
    shown,
    specification,
    stream,
    type3,
    widget,
)
from tests.engine.corpus.formats.test_pdf_maps import NAMES, page_of, shifted
from tests.engine.corpus.formats.test_pdf_text import LINES

WORDS = (
    b"null",
    b"[",
    b"]",
    b"<<",
    b">>",
    b"99 0 R",
    b"1 0 R",
    b"-1",
    b"9" * 20,
    b"()",
    b"/",
    b"endobj",
    b"stream",
    b"\x00",
)


def everything() -> bytes:
    """A page with a form, comments, files inside and an XFA form."""
    objects = {
        6: b"<< /T (buyer) /Kids [10 0 R] >>",
        7: DRAWING,
        10: widget(b"/FT /Tx /T (name) /V (Ann Buyer) /Parent 6 0 R"),
        11: widget(b"/FT /Ch /T (land) /V [(DE)] /Opt [[(DE) (Germany)]]"),
        12: b"<< /Type /Annot /Subtype /Stamp /Rect [0 0 99 99] /AP << /N 7 0 R >> >>",
        13: b"<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents (A note.) >>",
        20: specification(b"memo.txt", 21),
        21: embedded(b"A memo."),
        22: stream(datasets("<f><a>5</a></f>")),
    }
    catalog = (
        b"/AcroForm << /Fields [6 0 R 11 0 R] /XFA 22 0 R >> /Names << /EmbeddedFiles << /Names [(m) 20 0 R] >> >>"
    )
    return build(one(extra=objects, more=b"/Annots [10 0 R 11 0 R 12 0 R 13 0 R]", catalog=catalog))


def marked() -> bytes:
    """Spans that give words, that are not read, and that lie in each other and in a form."""
    span = b"/Span << /ActualText %s >> BDC (%s) Tj EMC "
    inner = b"/P << /MCID 0 >> BDC " + span % (b"<FEFF>", b"--") + b"EMC "
    drawn = stream(b"BT /F1 12 Tf 9 9 Td %s ET" % inner, b"/Type /XObject /Subtype /Form /BBox [0 0 99 99]")
    content = span % (b"(one)", b"I") + span % (b"<FEFF00AD>", b"-") + b"T* " + inner + b"(two) Tj 5 Ts (3) Tj"
    return build(
        one(b"BT /F1 12 Tf 18 TL 72 720 Td %s ET /X1 Do" % content, {9: drawn}, resources=b"/XObject << /X1 9 0 R >>")
    )


SEEDS = {
    "all kinds of things": everything(),
    "pages": build(many(3)),
    "packed": revisions(90),
    "a composite font": composite(LINES, lambda letter: 540, gap=250),
    "drawn letters": type3(bytes((1, 2, 3)) * 9),
    "marks": marked(),
    "a wrong map": page_of("The tenant shall pay the rent within five days of each month.", NAMES, shifted),
    "words": build(one(shown([b"Some words, and some more of them."]))),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, words put in, parts left out or doubled, or the end cut off."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(out))
        match chance.randrange(5):
            case 0:
                out[at] = chance.randrange(256)
            case 1:
                out[at:at] = chance.choice(WORDS)
            case 2:
                del out[at : at + chance.randrange(1, 40)]
            case 3:
                out[at:at] = out[at : at + chance.randrange(1, 200)]
            case _:
                word = chance.choice(WORDS)
                out[at : at + len(word)] = word
    return bytes(out[: chance.randrange(len(out))] if chance.random() < 0.1 else out)


@pytest.mark.parametrize("name", SEEDS)
def test_no_damage_raises_or_prints(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(name)
    for number in range(60):
        data = damaged(SEEDS[name], chance)
        found = read(data, draw_pages="all" if number % 4 == 0 else "never")
        if isinstance(found, Skipped):
            assert found.reason
        else:
            found.text.encode()
            assert all(note[0].isupper() or note[0].isdigit() for note in found.notes), found.notes
    assert capfd.readouterr() == ("", "")


DROPPED = {
    "an annotation": (b"/Annots [12 0 R 99 0 R]", "damaged and left out, on page 1"),
    "a mark": (b"/Annots [23 0 R]", "Marks without words are not sent: underline."),
    "a link": (b"/Annots [24 0 R]", "1 link's address is not sent."),
    "a password": (b"/Annots [25 0 R]", "What was typed as a password was left out: pin."),
    "a file": (b"/AF [26 0 R]", "Not read: plan.bin"),
    "a page": (b"", "Page 2 could not be read."),
}


@pytest.mark.parametrize(("entry", "note"), DROPPED.values(), ids=DROPPED)
def test_whatever_is_dropped_leaves_a_note(entry: bytes, note: str) -> None:
    more = {
        12: b"<< /Subtype /Text /Contents (x) /Rect [0 0 9 9] >>",
        23: b"<< /Subtype /Underline /Rect [0 0 9 9] >>",
        24: b"<< /Subtype /Link /Rect [0 0 9 9] /A << /URI (https://example.org) >> >>",
        25: widget(b"/FT /Tx /Ff 8192 /T (pin) /V (1234)"),
        26: specification(b"plan.bin", 27),
        27: embedded(bytes(range(256))),
    }
    is_page = not entry
    objects = one(extra=more, more=b"" if b"/AF" in entry else entry, catalog=entry if b"/AF" in entry else b"")
    if is_page:
        objects |= {2: b"<< /Type /Pages /Kids [3 0 R 98 0 R] /Count 2 >>"}
    found = read(build(objects))
    assert isinstance(found, Source) and any(note in each for each in found.notes), found.notes
