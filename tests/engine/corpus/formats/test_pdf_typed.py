"""formats.pdf_typed: what people typed into a PDF, wherever the format lets it lie; and what is damaged among it."""

import pytest

from engine.corpus.source import Source
from tests.engine.corpus.formats.pdf_builder import (
    BODY_TEXT,
    DRAWING,
    DRAWN_TEXT,
    Objects,
    build,
    form,
    many,
    one,
    page,
    pages_of,
    read,
    shown,
    stream,
    widget,
)


def typed(data: bytes) -> list[str]:
    """The lines below the page's own text, which is there whatever else is."""
    (text,) = pages_of(read(data))
    assert text.startswith(BODY_TEXT), text
    return text.removeprefix(BODY_TEXT).strip().splitlines()


def test_fields_that_share_the_last_part_of_their_name() -> None:
    data = form(
        {
            10: widget(b"/FT /Tx /T (name) /V (Ann Buyer) /Parent 6 0 R"),
            11: widget(b"/FT /Tx /T (name) /V (Bob Seller) /Parent 7 0 R", y=560),
            12: widget(b"/FT /Tx /T (total) /V (990.00)", y=520),
        },
        {6: b"<< /T (buyer) /Kids [10 0 R] >>", 7: b"<< /T (seller) /Kids [11 0 R] >>"},
    )
    assert typed(data) == [
        "[form field buyer.name] Ann Buyer",
        "[form field seller.name] Bob Seller",
        "[form field total] 990.00",
    ]


TEXT_FIELDS = {
    "indirect": (b"/FT /Tx /T (a) /V 20 0 R", {20: b"(Ann)"}, "[form field a] Ann"),
    "indirect twice": (b"/FT /Tx /T 21 0 R /V 20 0 R", {20: b"(Ann)", 21: b"(a)"}, "[form field a] Ann"),
    "on the parent": (b"/Parent 6 0 R", {6: b"<< /FT /Tx /T (a) /V (Ann) /Kids [10 0 R] >>"}, "[form field a] Ann"),
    "further up": (
        b"/T (c) /Parent 6 0 R",
        {6: b"<< /T (b) /Parent 7 0 R /Kids [10 0 R] >>", 7: b"<< /FT /Tx /T (a) /V (Ann) /Kids [6 0 R] >>"},
        "[form field a.b.c] Ann",
    ),
    "without a name": (b"/FT /Tx /V (Ann)", {}, "[form field] Ann"),
    "without a kind": (b"/T (a) /V (Ann)", {}, "[form field a] Ann"),
    "a slash of its own": (b"/FT /Tx /T (path) /V (/etc/hosts)", {}, "[form field path] /etc/hosts"),
    "a stream": (b"/FT /Tx /T (a) /V 20 0 R", {20: stream(b"Ann, at length")}, "[form field a] Ann, at length"),
    "a packed stream": (b"/FT /Tx /T (a) /V 20 0 R", {20: stream(b"Ann", packed=True)}, "[form field a] Ann"),
    "UTF-16": (b"/FT /Tx /T (a) /V <FEFF004D00FC006C006C00650072002020AC>", {}, "[form field a] Müller €"),
    "UTF-8": (b"/FT /Tx /T (a) /V <EFBBBF4DC3BC6C6C6572>", {}, "[form field a] Müller"),
    "octal": (b"/FT /Tx /T (a) /V (M\\374ller)", {}, "[form field a] Müller"),
    "a number": (b"/FT /Tx /T (a) /V 4200", {}, "[form field a] 4200"),
    "a name": (b"/FT /Tx /T (a) /V /Ann#20B", {}, "[form field a] Ann B"),
    "rich text alone": (
        b"/FT /Tx /T (a) /RV (<body xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ann &amp; <b>Bob</b></p></body>)",
        {},
        "[form field a] Ann & Bob",
    ),
    "a choice": (b"/FT /Ch /T (a) /V (DE) /Opt [[(DE) (Germany)] [(FR) (France)]]", {}, "[form field a] Germany (DE)"),
    "a plain choice": (b"/FT /Ch /T (a) /V (Red) /Opt [(Red) (Blue)]", {}, "[form field a] Red"),
    "a list of choices": (b"/FT /Ch /T (a) /V [(Red) (Blue)] /Opt [(Red) (Blue)]", {}, "[form field a] Red, Blue"),
    "choices by number": (b"/FT /Ch /T (a) /I [0 2] /Opt [(Red) (Green) (Blue)]", {}, "[form field a] Red, Blue"),
    "a check box": (b"/FT /Btn /T (a) /V /Yes /AS /Yes", {}, "[form field a] Yes"),
    "a check box by its state": (b"/FT /Btn /T (a) /AS /Agreed", {}, "[form field a] Agreed"),
    "a check box by its value": (b"/FT /Btn /T (a) /V /On", {}, "[form field a] On"),
    "a string beside a button": (b"/FT /Btn /T (a) /V (/On)", {}, "[form field a] /On"),
    "a button's caption": (b"/FT /Btn /Ff 65536 /T (go) /MK << /CA (Send) >>", {}, "[button go] Send"),
    "a signature": (
        b"/FT /Sig /T (sig) /V << /Type /Sig /Name (Ann Buyer) /Reason (I agree) >>",
        {},
        "[form field sig] Ann Buyer; reason: I agree",
    ),
    "hidden": (b"/FT /Tx /T (a) /V (Ann) /F 2", {}, "[hidden form field a] Ann"),
    "shown in print only": (b"/FT /Tx /T (a) /V (Ann) /F 36", {}, "[form field a] Ann"),
    "neither shown nor printed": (b"/FT /Tx /T (a) /V (Ann) /F 32", {}, "[hidden form field a] Ann"),
    "a name with brackets": (b"/FT /Tx /T (a[0]) /V (Ann)", {}, "[form field a(0)] Ann"),
    "a name in lines": (b"/FT /Tx /T (first\\nlast) /V (Ann)", {}, "[form field first last] Ann"),
    "its parent is itself": (b"/FT /Tx /T (a) /V (Ann) /Parent 10 0 R", {}, "[form field a] Ann"),
    "its parent is a word": (b"/FT /Tx /T (a) /V (Ann) /Parent (none)", {}, "[form field a] Ann"),
    "drawn alone": (b"/FT /Tx /T (a) /AP << /N 20 0 R >>", {20: DRAWING}, f"[form field a] {DRAWN_TEXT}"),
    "drawn by the form's fonts": (
        b"/FT /Tx /T (a) /AP << /N 20 0 R >>",
        {20: stream(shown([b"Ann"], x=2, y=12), b"/Subtype /Form /BBox [0 0 99 40]")},
        "[form field a] Ann",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "more", "line"), TEXT_FIELDS.values(), ids=TEXT_FIELDS)
def test_a_value_is_found_wherever_it_lies(entries: bytes, more: Objects, line: str) -> None:
    data = form({10: widget(entries)}, more, acroform=b"/DR << /Font << /F1 5 0 R >> >>")
    assert typed(data) == [line]


@pytest.mark.parametrize(
    "entries", [b"/FT /Tx /T (a)", b"/FT /Tx /T (a) /V ()", b"/FT /Tx /T (a) /V null", b"/FT /Tx /T (a) /V 99 0 R",
                b"/FT /Btn /T (a) /V /Off /AS /Off", b"/FT /Btn /T (a)", b"/FT /Ch /T (a) /V []"]
)  # fmt: skip
def test_what_is_empty_says_nothing(entries: bytes) -> None:
    assert typed(form({10: widget(entries)})) == []


def test_a_password_is_left_out_and_said() -> None:
    found = read(form({10: widget(b"/FT /Tx /Ff 8192 /T (pin) /V (1234)")}))
    assert isinstance(found, Source) and "1234" not in found.text
    assert found.notes == ("What was typed as a password was left out: pin.",)


def test_the_one_of_several_buttons_that_is_on() -> None:
    """A radio group's value lies on the parent, its buttons on several places."""
    data = form(
        {
            10: widget(b"/Parent 6 0 R /AS /Off /AP << /N << /bank 20 0 R /Off 20 0 R >> >>"),
            11: widget(b"/Parent 6 0 R /AS /card /AP << /N << /card 20 0 R /Off 20 0 R >> >>", y=560),
        },
        {6: b"<< /FT /Btn /Ff 32768 /T (pays) /V /card /Kids [10 0 R 11 0 R] >>", 20: DRAWING},
        fields=b"6 0 R",
    )
    assert typed(data) == ["[form field pays] card"]


def test_options_of_buttons_that_are_numbered() -> None:
    data = form(
        {10: widget(b"/Parent 6 0 R /AS /1")},
        {6: b"<< /FT /Btn /Ff 32768 /T (pays) /V /1 /Opt [(by bank) (by card)] /Kids [10 0 R] >>"},
        fields=b"6 0 R",
    )
    assert typed(data) == ["[form field pays] by card"]


def test_two_fields_of_one_name_are_two() -> None:
    data = form({10: widget(b"/FT /Tx /T (a) /V (Ann)"), 11: widget(b"/FT /Tx /T (a) /V (Bob)", y=560)})
    assert typed(data) == ["[form field a] Ann", "[form field a] Bob"]


def test_a_field_is_told_on_each_page_that_shows_it_and_once() -> None:
    objects = many(2)
    objects[10] = page(11, more=b"/Annots [20 0 R 21 0 R]")
    objects[12] = page(13, more=b"/Annots [22 0 R]")
    objects |= {6: b"<< /FT /Tx /T (who) /V (Ann) /Kids [20 0 R 21 0 R 22 0 R] >>"}
    objects |= {number: widget(b"/Parent 6 0 R") for number in (20, 21, 22)}
    first, second = pages_of(read(build(objects)))
    assert first == "Page 1 says number 1000.\n[form field who] Ann"
    assert second == "Page 2 says number 1001.\n[form field who] Ann"


def test_a_field_on_no_page_stands_below_the_last() -> None:
    objects = many(2)
    objects[1] = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>"
    objects |= {6: b"<< /T (buyer) /Kids [7 0 R] >>", 7: b"<< /FT /Tx /T (name) /Parent 6 0 R /V (Ann) >>"}
    assert pages_of(read(build(objects)))[1].splitlines()[1:] == ["[form field buyer.name, on no page] Ann"]


ANNOTATIONS = {
    "typed in": (b"/Subtype /FreeText /Contents (Mara Ellis) /DA (/Helv 12 Tf 0 g)", ["[text box] Mara Ellis"]),
    "typed in, rich": (b"/Subtype /FreeText /RC (<p>Mara <i>Ellis</i></p>)", ["[text box] Mara Ellis"]),
    "typed in, drawn": (b"/Subtype /FreeText /AP << /N 7 0 R >>", [f"[text box] {DRAWN_TEXT}"]),
    "typewriter": (b"/Subtype /FreeText /IT /FreeTextTypeWriter /Contents 8 0 R", ["[text box] Said elsewhere."]),
    "note": (b"/Subtype /Text /Contents (Strike out clause 4.)", ["[note] Strike out clause 4."]),
    "note by someone": (b"/Subtype /Text /T (Ann) /Contents (No.)", ["[note by Ann] No."]),
    "reply": (b"/Subtype /Text /IRT 6 0 R /T (Bob) /Contents (Yes.)", ["[reply by Bob] Yes."]),
    "highlight": (b"/Subtype /Highlight /QuadPoints [72 735 300 735 72 715 300 715] /Contents (Wrong party.)",
                  ["[comment on highlight] Wrong party."]),
    "underline": (b"/Subtype /Underline /Contents (Check.)", ["[comment on underline] Check."]),
    "strike-out": (b"/Subtype /StrikeOut /T (Ann) /Contents (Out.)", ["[comment by Ann on strike-out] Out."]),
    "insertion": (b"/Subtype /Caret /Contents (and costs)", ["[comment on insertion mark] and costs"]),
    "square": (b"/Subtype /Square /Contents (This box.)", ["[comment on square] This box."]),
    "stamp": (b"/Subtype /Stamp /AP << /N 7 0 R >>", [f"[stamp] {DRAWN_TEXT}"]),
    "named stamp": (b"/Subtype /Stamp /Name /Approved", ["[stamp] Approved"]),
    "stamp with a comment": (b"/Subtype /Stamp /Contents (By Ann) /AP << /N 7 0 R >>",
                             ["[comment on stamp] By Ann", f"[stamp] {DRAWN_TEXT}"]),
    "watermark": (b"/Subtype /Watermark /AP << /N 7 0 R >>", [f"[watermark] {DRAWN_TEXT}"]),
    "drawn by its state": (b"/Subtype /Stamp /AS /On /AP << /N << /On 7 0 R /Off 9 0 R >> >>",
                           [f"[stamp] {DRAWN_TEXT}"]),
    "redaction": (b"/Subtype /Redact /OverlayText (WITHHELD)", ["[redaction] WITHHELD"]),
    "hidden note": (b"/Subtype /Text /F 2 /Contents (Do not show.)", ["[hidden note] Do not show."]),
    "of a kind to come": (b"/Subtype /Hologram /Contents (Shiny.)", ["[comment on hologram] Shiny."]),
    "of no kind": (b"/Contents (Bare.)", ["[comment] Bare."]),
    "in UTF-16": (b"/Subtype /Text /Contents <FEFF00DC0062006500720067006100620065>", ["[note] Übergabe"]),
    "over lines": (b"/Subtype /Text /Contents (One.\\rTwo.)", ["[note] One.", "Two."]),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "lines"), ANNOTATIONS.values(), ids=ANNOTATIONS)
def test_what_was_put_on_a_page_is_read_and_marked(entries: bytes, lines: list[str]) -> None:
    flags = b"" if b"/F 2" in entries else b"/F 4"
    annotation = b"<< /Type /Annot /Rect [72 600 400 640] %s %s >>" % (flags, entries)
    nothing = stream(b"", b"/Subtype /Form /BBox [0 0 9 9]")
    more = {6: annotation, 7: DRAWING, 8: b"(Said elsewhere.)", 9: nothing}
    assert typed(build(one(extra=more, more=b"/Annots [6 0 R]"))) == lines


DAMAGED = {
    "null": (b"[null]", {}, 0),
    "dangling": (b"[99 0 R]", {}, 1),
    "a number": (b"[5]", {}, 1),
    "a string": (b"[(x)]", {}, 1),
    "a link and a dangling one": (b"[6 0 R 88 0 R]", {6: b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] >>"}, 1),
    "parent is null": (b"[6 0 R]", {6: b"<< /Subtype /Widget /Parent null /Rect [0 0 9 9] >>"}, 0),
    "parent is dangling": (b"[6 0 R]", {6: b"<< /Subtype /Widget /Parent 77 0 R /Rect [0 0 9 9] >>"}, 0),
    "the list itself is dangling": (b"99 0 R", {}, 1),
    "the list is a number": (b"7", {}, 1),
    "the list is null": (b"null", {}, 0),
    "its kind is a number": (b"[6 0 R]", {6: b"<< /Subtype 5 /Rect [0 0 9 9] >>"}, 0),
    "its flags are words": (b"[6 0 R]", {6: b"<< /Subtype /Text /F (x) /Rect [0 0 9 9] >>"}, 0),
    "its drawing is a number": (b"[6 0 R]", {6: b"<< /Subtype /Stamp /Contents (x) /AP 5 /Rect [0 0 9 9] >>"}, 0),
    "options are a number": (b"[6 0 R]", {6: b"<< /Subtype /Widget /FT /Ch /T (a) /Opt 5 /I 7 /Rect [0 0 9 9] >>"}, 0),
    "kids of kids": (b"[6 0 R]", {6: b"<< /Subtype /Widget /FT /Btn /Parent 6 0 R /Kids [6 0 R] /AS /On >>"}, 0),
}  # fmt: skip


@pytest.mark.parametrize(("annotations", "more", "n_damaged"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_annotation_never_costs_the_page_its_text(annotations: bytes, more: Objects, n_damaged: int) -> None:
    found = read(build(one(extra=more, more=b"/Annots " + annotations)))
    assert isinstance(found, Source) and BODY_TEXT in found.text
    said = [note for note in found.notes if "damaged" in note]
    assert said == (["1 annotation is damaged and left out, on page 1."] if n_damaged else [])


def test_a_good_one_among_damaged_ones_is_read() -> None:
    note = b"<< /Subtype /Text /Contents (Good.) /Rect [0 0 9 9] >>"
    assert typed(build(one(extra={6: note}, more=b"/Annots [null 6 0 R (x)]"))) == ["[note] Good."]
    assert typed(build(one(extra={6: note}, more=b"/Annots 6 0 R"))) == ["[note] Good."]
    assert typed(build(one(extra={6: note, 7: b"[6 0 R]"}, more=b"/Annots 7 0 R"))) == ["[note] Good."]
    assert typed(build(one(extra={6: note}, more=b"/Annots [[6 0 R]]"))) == ["[note] Good."]


def test_the_second_page_of_three_keeps_its_text() -> None:
    objects = many(3)
    objects[12] = page(13, more=b"/Annots [null 99 0 R]")
    assert pages_of(read(build(objects))) == [f"Page {n} says number {999 + n}." for n in (1, 2, 3)]


def test_marks_without_words_and_links_are_counted() -> None:
    link = b"<< /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (https://example.org) >> >>"
    mark = b"<< /Subtype /Highlight /Rect [0 0 9 9] >>"
    found = read(build(one(extra={6: link, 7: mark, 8: mark}, more=b"/Annots [6 0 R 7 0 R 8 0 R]")))
    assert isinstance(found, Source)
    assert found.notes == ("Marks without words are not sent: highlight (2).", "1 link's address is not sent.")


def test_a_page_with_nothing_but_what_was_typed_is_no_scan() -> None:
    typed_in = b"<< /Subtype /FreeText /Contents (Paid) /Rect [72 600 400 640] >>"
    for draw_pages in ("never", "bare"):
        found = read(build(one(b"", {6: typed_in}, more=b"/Annots [6 0 R]")), draw_pages=draw_pages)
        assert pages_of(found) == ["[text box] Paid"]


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (b"<< /Odd (Ann) >>", "Form fields whose value is no text were left out: a."),
        (b"[<< /Odd (Ann) >>]", "Form fields whose value is no text were left out: a."),
        (b"[]", None),
        (b"<< >>", None),
        (b"()", None),
    ],
)
def test_a_value_that_is_no_text_is_said(value: bytes, note: str | None) -> None:
    found = read(form({10: widget(b"/FT /Tx /T (a) /V " + value)}))
    assert isinstance(found, Source) and found.notes == ((note,) if note else ())


def test_an_annotation_without_a_kind_is_a_comment() -> None:
    objects = {20: b"<< /Contents (Ann) /T (Bo) /Rect [0 0 9 9] >>"}
    assert typed(build(one(extra=objects, more=b"/Annots [20 0 R]"))) == ["[comment by Bo] Ann"]
