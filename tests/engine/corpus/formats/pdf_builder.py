"""PDFs written by hand, object by object: what programs make when they make it wrong."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from PIL import Image as Pillow
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from engine.corpus.formats.format import whole_file
from engine.corpus.formats.reader import read_content
from engine.corpus.rules import Rules
from engine.corpus.source import Skipped, Source

HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
TWO_FONTS = b"/F1 5 0 R /F2 6 0 R"
ONE_BYTE = b"1 begincodespacerange\n<00> <FF>\nendcodespacerange\n"
DRAWN_TEXT = "Borrower: Mara Ellis, amount 48,500 EUR"
BODY_TEXT = "Loan agreement between the parties named below, in full text.\nThe sum is 48,500."
Objects = Mapping[int, bytes]


def stream(data: bytes, extra: bytes = b"", *, packed: bool = False) -> bytes:
    if packed:
        data, extra = zlib.compress(data, 9), extra + b" /Filter /FlateDecode"
    return b"<< /Length %d %s >>\nstream\n" % (len(data), extra) + data + b"\nendstream"


def build(
    objects: Objects, *, trailer: bytes = b"", startxref: int | None = None, end: bytes = b"%%EOF\n",
    head: bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
) -> bytes:  # fmt: skip
    """A file of these objects, of which the first is its catalogue."""
    out, places = bytearray(head), {}
    for number in sorted(objects):
        places[number] = len(out)
        out += b"%d 0 obj\n" % number + objects[number] + b"\nendobj\n"
    table, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 00001 f \n"
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n" % (size, trailer)
    return bytes(out) + b"%d\n" % (table if startxref is None else startxref) + end


def shown(lines: Sequence[bytes], *, x: int = 72, y: int = 720, font: bytes = b"F1") -> bytes:
    """A content that shows lines of text."""
    out = b"BT /%s 12 Tf 18 TL %d %d Td\n" % (font, x, y)
    for line in lines:
        for special in (b"\\", b"(", b")"):
            line = line.replace(special, b"\\" + special)
        out += b"(" + line + b") Tj T*\n"
    return out + b"ET\n"


BODY = shown(BODY_TEXT.encode().splitlines())


def page(contents: int = 4, *, fonts: bytes = b"/F1 5 0 R", more: bytes = b"", resources: bytes = b"") -> bytes:
    return (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
        b"/Resources << /Font << %s >> %s >> %s >>" % (contents, fonts, resources, more)
    )


def one(
    content: bytes = BODY, extra: Objects | None = None, *, catalog: bytes = b"", fonts: bytes = b"/F1 5 0 R",
    more: bytes = b"", resources: bytes = b"",
) -> dict[int, bytes]:  # fmt: skip
    """The objects of a file of one page."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: page(fonts=fonts, more=more, resources=resources),
        4: stream(content),
        5: HELVETICA,
    }
    return objects | dict(extra or {})


def many(n_pages: int) -> dict[int, bytes]:
    """The objects of a file whose pages, 10, 12 and so on, say their numbers."""
    kids = b" ".join(b"%d 0 R" % (10 + 2 * at) for at in range(n_pages))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, n_pages),
        5: HELVETICA,
    }
    for at in range(n_pages):
        objects[10 + 2 * at] = page(11 + 2 * at)
        objects[11 + 2 * at] = stream(shown([b"Page %d says number %d." % (at + 1, 1000 + at)]))
    return objects


def kids(objects: dict[int, bytes], references: bytes, count: bytes) -> dict[int, bytes]:
    """The objects with another root of the page tree."""
    return objects | {2: b"<< /Type /Pages /Kids [%s] /Count %s >>" % (references, count)}


def cmap(lines: bytes) -> bytes:
    """A map to characters, of a font's codes."""
    return stream(b"/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n" + lines + b"endcmap\nend end\n")


def descriptor(more: bytes = b"") -> bytes:
    return (
        b"<< /Type /FontDescriptor /FontName /AAAAAA+F /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 /Ascent 800 "
        b"/Descent -200 /CapHeight 700 /StemV 80 %s >>" % more
    )


def composite(
    lines: Sequence[str], widths: Callable[[str], int], *, offset: int = 3, gap: int | None = None,
    has_map: bool = True,
) -> bytes:  # fmt: skip
    """Lines through a font of two-byte codes, left to right as they are given. gap: words apart by so many thousandths,
    without a space glyph."""
    letters = sorted({letter for line in lines for letter in line if gap is None or letter != " "})
    codes = {letter: at + offset for at, letter in enumerate(letters)}
    content, y = b"", 700
    for line in lines:
        words = [line] if gap is None else line.split(" ")
        coded = [b"<" + b"".join(b"%04x" % codes[letter] for letter in word) + b">" for word in words]
        content += b"BT /F2 10 Tf 72 %d Td [" % y + (b" %d " % -(gap or 0)).join(coded) + b"] TJ ET\n"
        y -= 16
    wide = b" ".join(b"%d [%d]" % (codes[letter], widths(letter)) for letter in letters)
    entries = b"".join(
        b"<%04x> <%s>\n" % (codes[letter], letter.encode("utf-16-be").hex().encode()) for letter in letters
    )
    fonts = {
        6: b"<< /Type /Font /Subtype /Type0 /BaseFont /AAAAAA+F /Encoding /Identity-H /DescendantFonts [7 0 R] %s >>"
        % (b"/ToUnicode 10 0 R" if has_map else b""),
        7: b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /AAAAAA+F /CIDSystemInfo << /Registry (Adobe) /Ordering "
        b"(Identity) /Supplement 0 >> /DW 1000 /W [%s] /FontDescriptor 8 0 R >>" % wide,
        8: descriptor(),
        10: cmap(
            b"1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n%d beginbfchar\n%sendbfchar\n"
            % (len(letters), entries)
        ),
    }
    return build(one(content, fonts, fonts=b"/F1 5 0 R /F2 6 0 R"))


def read(data: bytes, *, name: str = "a.pdf", draw_pages: str = "never", keep: bool = False) -> Source | Skipped:
    """The file as it goes into a corpus: recognised, then read."""
    file = whole_file(str(PurePosixPath(name)), data, Rules(draw_pages=draw_pages))
    taken = memoryview(data)

    def take(n_bytes: int) -> bytes:
        nonlocal taken
        found, taken = bytes(taken[:n_bytes]), taken[n_bytes:]
        return found

    return read_content(file.path, len(data), take, replace(file.rules), keep=keep)


def pages_of(found: Source | Skipped) -> list[str]:
    """The text of each page, without its mark."""
    assert isinstance(found, Source), found
    ends = (*found.page_starts[1:], len(found.text))
    parts = [found.text[start:end] for start, end in zip(found.page_starts, ends, strict=True)]
    for number, part in enumerate(parts, 1):
        assert part.startswith(f"[page {number}]\n"), part
    return [part.split("\n", 1)[1].strip("\n") for part in parts]


def by_font(codes: bytes, font: bytes, more: dict[int, bytes] | None = None) -> bytes:
    """A page that shows these codes in this font."""
    content = b"BT /F2 12 Tf 72 700 Td <%s> Tj ET\n" % codes.hex().encode()
    return build(one(content, {6: font, **(more or {})}, fonts=TWO_FONTS))


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


def identity(codes: bytes) -> bytes:
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /AAAAAA+F /Encoding /Identity-H /DescendantFonts [7 0 R] >>"
    below = (
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /AAAAAA+F /CIDSystemInfo << /Registry (Adobe) /Ordering "
        b"(Identity) /Supplement 0 >> /DW 600 >>"
    )
    return by_font(codes, font, {7: below})


def only_page(data: bytes) -> str:
    found = read(data)
    assert isinstance(found, Source), found
    (text,) = pages_of(found)
    assert found.notes == (), found.notes
    return text


def specification(name: bytes, at: int, *, more: bytes = b"") -> bytes:
    return b"<< /Type /Filespec /F (%s) /EF << /F %d 0 R >> %s >>" % (name, at, more)


def embedded(data: bytes, *, packed: bool = False) -> bytes:
    return stream(data, b"/Type /EmbeddedFile", packed=packed)


def holding(*files: tuple[bytes, bytes], catalog: bytes = b"") -> bytes:
    """A page of text, and these files."""
    objects: dict[int, bytes] = {}
    names = b""
    for at, (name, data) in enumerate(files):
        objects |= {20 + 2 * at: specification(name, 21 + 2 * at), 21 + 2 * at: embedded(data)}
        names += b"(%s) %d 0 R " % (name, 20 + 2 * at)
    catalog += b"/Names << /EmbeddedFiles << /Names [%s] >> >>" % names
    return build(one(extra=objects, catalog=catalog))


def datasets(data: str) -> bytes:
    return (
        f"<xfa:datasets xmlns:xfa='http://www.xfa.org/schema/xfa-data/1.0/'><xfa:data>{data}</xfa:data></xfa:datasets>"
    ).encode()  # fmt: skip


DRAWING = stream(
    shown([DRAWN_TEXT.encode()], x=2, y=12),
    b"/Type /XObject /Subtype /Form /BBox [0 0 328 40] /Resources << /Font << /F1 5 0 R >> >>",
)


def widget(more: bytes, *, y: int = 600) -> bytes:
    flags = b"" if b"/F " in more else b"/F 4"
    return b"<< /Type /Annot /Subtype /Widget /Rect [72 %d 300 %d] %s %s >>" % (y, y + 20, flags, more)


def form(widgets: Objects, more: Objects | None = None, *, fields: bytes | None = None, acroform: bytes = b"") -> bytes:
    """A page of text with these widgets."""
    kids = b" ".join(b"%d 0 R" % number for number in widgets)
    catalog = b"/AcroForm << /Fields [%s] %s >>" % (kids if fields is None else fields, acroform)
    return build(one(extra={**widgets, **(more or {})}, more=b"/Annots [%s]" % kids, catalog=catalog))


def revisions(number: int) -> bytes:
    """Two pages in an object stream, and a third that a second revision adds under this number. The first revision's
    own cross-reference stream was number 90."""

    def revision(plain: dict[int, bytes], packed: dict[int, list[tuple[int, bytes]]], own: int, before: bytes,
                 previous: int | None) -> tuple[bytes, int]:  # fmt: skip
        out, entries = bytearray(before), {}
        for key, data in sorted(plain.items()):
            entries[key] = (1, len(out), 0)
            out += b"%d 0 obj\n" % key + data + b"\nendobj\n"
        for key, members in packed.items():
            index = bodies = b""
            for at, (member, data) in enumerate(members):
                index, bodies = index + b"%d %d " % (member, len(bodies)), bodies + data + b"\n"
                entries[member] = (2, key, at)
            entries[key] = (1, len(out), 0)
            what = b"/Type /ObjStm /N %d /First %d" % (len(members), len(index))
            out += b"%d 0 obj\n" % key + stream(index + bodies, what, packed=True) + b"\nendobj\n"
        place = len(out)
        entries[own] = (1, place, 0)
        rows = b"".join(struct.pack(">BIH", *entries[key]) for key in sorted(entries))
        what = b"/Type /XRef /Size 100 /Root 1 0 R /W [1 4 2] /Index [%s]" % b" ".join(
            b"%d 1" % key for key in sorted(entries)
        )
        what += b" /Prev %d" % previous if previous is not None else b""
        out += b"%d 0 obj\n" % own + stream(rows, what, packed=True) + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % place
        return bytes(out), place

    contents = [stream(shown([b"Page text " + word])) for word in (b"ONE", b"TWO", b"THREE")]
    tree = b"<< /Type /Pages /Kids [%s] /Count %d >>"
    first, place = revision(
        {5: HELVETICA, 20: contents[0], 21: contents[1]},
        {30: [(1, b"<< /Type /Catalog /Pages 2 0 R >>"), (2, tree % (b"10 0 R 11 0 R", 2)), (10, page(20)),
              (11, page(21))]},
        90, b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n", None,
    )  # fmt: skip
    added = {31: [(2, tree % (b"10 0 R 11 0 R %d 0 R" % number, 3))]}
    return revision({22: contents[2], number: page(22)}, added, 91, first, place)[0]


def picture(*, words: str = "") -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, invariant=True)
    drawing.drawImage(ImageReader(Pillow.radial_gradient("L").resize((300, 400))), 0, 0, 595, 842)
    drawing.drawString(10, 10, words)
    drawing.save()
    return out.getvalue()
