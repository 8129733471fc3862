"""Files that are made to take a reader's time, memory or life: small ones, each of a few kilobytes.

By what they do: `DRAWN_FOR_EVER` on being drawn, `TOO_MUCH_TEXT` on being read, `IMAGES`, `NOTEBOOKS`, `RAW_PHOTOS`.
"""

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping

from tests.engine.corpus.formats.pdf_builder import HELVETICA, build, stream

Made = Callable[[], bytes]
_FONT = b"/Font << /F1 9 0 R >>"


def one_page(content: bytes, resources: bytes = b"", more: Mapping[int, bytes] = {}, *, page: bytes = b"") -> bytes:
    """A PDF of one page. more: objects from 10 on."""
    return pages_of([content], resources, more, page=page)


def pages_of(
    contents: list[bytes], resources: bytes = b"", more: Mapping[int, bytes] = {}, *, page: bytes = b""
) -> bytes:
    """A PDF with a page for each content, which is object 40 + 2 n. more: objects from 10 to 39."""
    kids = b" ".join(b"%d 0 R" % (41 + 2 * at) for at in range(len(contents)))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        9: HELVETICA,
        **more,
    }
    for at, content in enumerate(contents):
        objects[40 + 2 * at] = stream(content, packed=len(content) > 10_000)
        objects[41 + 2 * at] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << %s %s >> %s >>"
            % (40 + 2 * at, _FONT, resources, page)
        )
    return build(objects)


def words(text: bytes) -> bytes:
    """A content that shows a line."""
    return b"BT /F1 12 Tf 72 700 Td (" + text + b") Tj ET\n"


_TILED = b"/Pattern cs /P1 scn 0 0 612 792 re f\n"
_TILES = b"/Pattern << /P1 10 0 R >>"


def _tiling(step: bytes, content: bytes = b"0 0 1 rg 0 0 5 5 re f", extra: bytes = b"", more: bytes = b"") -> bytes:
    head = b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 10 10] /XStep %s /YStep %s "
    return stream(content, head % (step, step) + b"/Resources << %s >> %s" % (extra, more))


def tiny_pattern() -> bytes:
    """A page under tiles of ten points, each a thousandth of a point from the last."""
    return one_page(_TILED, _TILES, {10: _tiling(b"0.001")})


def tiny_pattern_on_one_of(n_pages: int, bad: int) -> bytes:
    """Such a page among others of words."""
    contents = [words(b"Page %d of the agreement." % (at + 1)) for at in range(n_pages)]
    contents[bad] = _TILED
    return pages_of(contents, _TILES, {10: _tiling(b"0.001")})


def pattern_in_pattern() -> bytes:
    return one_page(
        _TILED, _TILES, {10: _tiling(b"0.01", _TILED, b"/Pattern << /P1 11 0 R >>"), 11: _tiling(b"0.0001")}
    )


def _forms(depth: int, times: int, leaf: bytes) -> dict[int, bytes]:
    """Forms that each show the next so many times."""
    made = {}
    for level in range(depth):
        inner = b"/X Do " * times if level + 1 < depth else leaf
        below = b"/XObject << /X %d 0 R >>" % (11 + level) if level + 1 < depth else b""
        head = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << %s %s >>" % (below, _FONT)
        made[10 + level] = stream(inner, head)
    return made


def nested_forms() -> bytes:
    """10^8 squares by eight forms of ten each."""
    return one_page(b"/X Do", b"/XObject << /X 10 0 R >>", _forms(9, 10, b"0 0 1 rg 10 10 500 500 re f"))


def form_of_itself() -> bytes:
    form = stream(
        b"/X Do /X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X 10 0 R >> >>"
    )
    return one_page(b"/X Do", b"/XObject << /X 10 0 R >>", {10: form})


def forms_of_each_other(n_forms: int, words: bytes = b"") -> bytes:
    """Forms in a ring, each with the next one twice. words: on the page itself."""
    ring: dict[int, bytes] = {}
    for at in range(n_forms):
        next_one = b"/Resources << /XObject << /X %d 0 R >> >>" % (10 + (at + 1) % n_forms)
        head = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] " + next_one
        ring[10 + at] = stream(b"/X Do /X Do", head)
    return one_page(words + b"/X Do", b"/XObject << /X 10 0 R >>", ring)


def forms_without_end(leaf: bytes = b"") -> bytes:
    """2^29 times the same, by 29 forms."""
    return one_page(b"/X Do", b"/XObject << /X 10 0 R >>", _forms(29, 2, leaf))


def slanted_pattern() -> bytes:
    """Tiles that lie askew."""
    return one_page(_TILED, _TILES, {10: _tiling(b"0.001", more=b"/Matrix [1 0.01 0 1 0 0]")})


def nested_masks() -> bytes:
    """Groups with soft masks that are groups with soft masks, four times over each other at each level."""
    more: dict[int, bytes] = {}
    for level in range(10):
        at = 10 + 2 * level
        below = b"/ExtGState << /G %d 0 R >> /XObject << /X %d 0 R >>" % (at + 3, at + 2) if level < 9 else b""
        head = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Group << /S /Transparency /CS /DeviceRGB >> "
        inner = b"/G gs /X Do /X Do /X Do /X Do" if level < 9 else b"0 0 612 792 re f"
        more[at] = stream(inner, head + b"/Resources << %s >>" % below)
        more[at + 1] = b"<< /Type /ExtGState /SMask << /S /Luminosity /G %d 0 R >> >>" % at
    return one_page(b"/G gs /X Do", b"/ExtGState << /G 11 0 R >> /XObject << /X 10 0 R >>", more)


def shading_without_end() -> bytes:
    """A shading by a function that computes for long at each of its pixels, ten thousand times over each other."""
    code = b"{ " + b"dup mul sqrt sin cos " * 20_000 + b" dup dup }"
    shading = b"<< /ShadingType 1 /ColorSpace /DeviceRGB /Domain [0 612 0 792] /Function 11 0 R >>"
    function = stream(code, b"/FunctionType 4 /Domain [0 612 0 792] /Range [0 1 0 1 0 1]")
    return one_page(b"/S sh " * 10_000, b"/Shading << /S 10 0 R >>", {10: shading, 11: function})


DRAWN_FOR_EVER: dict[str, Made] = {
    "tiny pattern": tiny_pattern,
    "pattern in pattern": pattern_in_pattern,
    "nested forms": nested_forms,
    "slanted pattern": slanted_pattern,
    "nested masks": nested_masks,
    "shading": shading_without_end,
}


def nested_words() -> bytes:
    """10^8 words by eight forms of ten each."""
    return one_page(b"/X Do", b"/XObject << /X 10 0 R >>", _forms(9, 10, words(b"again and again")))


def long_map() -> bytes:
    """20 KB: one byte of the content stands for 500 characters."""
    to = b"0041" * 500
    table = b"1 beginbfchar\n<41> <%s>\nendbfchar\n" % to
    head = b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange\n<00> <FF>\nendcodespacerange\n"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /ToUnicode 11 0 R >>"
    content = b"BT /F2 12 Tf 72 700 Td " + (b"(" + b"A" * 1000 + b") Tj ") * 160 + b"ET"
    return one_page(content, b"/Font << /F1 9 0 R /F2 10 0 R >>", {10: font, 11: stream(head + table + b"endcmap")})


def shared_content(n_pages: int = 400, n_lines: int = 100) -> bytes:
    """Pages that all have one content, 100 characters a line."""
    kids = b" ".join(b"%d 0 R" % (41 + at) for at in range(n_pages))
    content = b"BT /F1 6 Tf 20 780 Td 7 TL " + (b"(" + b"all work and no play " * 5 + b") Tj T* ") * n_lines + b"ET"
    inherited = b"/MediaBox [0 0 612 792] /Resources << %s >>" % _FONT
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d %s >>" % (kids, n_pages, inherited),
        9: HELVETICA,
        40: stream(content, packed=True),
    }
    objects |= {41 + at: b"<< /Type /Page /Parent 2 0 R /Contents 40 0 R >>" for at in range(n_pages)}
    return build(objects)


def stream_bomb() -> bytes:
    """A content that is packed twice: 2 GiB of it from 4 KB."""
    once = zlib.compressobj(9)
    parts = [once.compress(b"q Q " * (1 << 20)) for _ in range(128)] + [once.flush()]
    twice = zlib.compress(b"".join(parts), 9)
    bomb = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(twice), twice)
    return one_page(b"", more={10: bomb}).replace(b"/Contents 40 0 R", b"/Contents 10 0 R")


def long_line() -> bytes:
    """Lines of 30,000 letters, 150,000 on a page."""
    return one_page(b"BT /F1 1 Tf 10 700 Td 1 TL " + (b"(" + b"word " * 6_000 + b") Tj T* ") * 5 + b"ET")


def deep_tree(depth: int = 50_000) -> bytes:
    """A page below so many nodes."""
    objects = {1: b"<< /Type /Catalog /Pages 10 0 R >>", 9: HELVETICA}
    for at in range(depth):
        objects[10 + at] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (11 + at)
    objects[10 + depth] = b"<< /Type /Page /MediaBox [0 0 612 792] >>"
    return build(objects)


def wide_tree() -> bytes:
    """Ten nodes, each ten times below the one above: 10^10 pages."""
    objects = {1: b"<< /Type /Catalog /Pages 10 0 R >>", 9: HELVETICA}
    for at in range(10):
        objects[10 + at] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b"%d 0 R " % (11 + at) * 10, 10 ** (10 - at))
    objects[20] = b"<< /Type /Page /MediaBox [0 0 612 792] >>"
    return build(objects)


TOO_MUCH_TEXT: dict[str, Made] = {
    "nested words": nested_words,
    "long map": long_map,
    "shared content": shared_content,
    "stream bomb": stream_bomb,
    "long line": long_line,
    "deep tree": deep_tree,
    "wide tree": wide_tree,
}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, width: int = 8, height: int = 8, data: bytes | None = None) -> bytes:
    """A gray PNG with more chunks before its pixels."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress((b"\0" + bytes(width)) * height, 9) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + _chunk(b"IEND", b"")


def _bomb(n_mib: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(n_mib)] + [packer.flush()])


def png_text(name: bytes, n_mib: int = 64, times: int = 8) -> bytes:
    """Comments that unpack to so much each."""
    before = b"Comment\0\0" if name == b"zTXt" else b"Comment\0\1\0\0\0" if name == b"iTXt" else b"name\0\0"
    return png(*([_chunk(name, before + _bomb(n_mib))] * times))


def png_of_many_chunks() -> bytes:
    return png(*([_chunk(b"tEXt", b"Comment\0x")] * 200_000))


def png_pixels_bomb() -> bytes:
    """8 x 8 pixels by its head, and 512 MiB of them."""
    return png(data=_bomb(512))


def frames(name: str, n_frames: int) -> bytes:
    """An animation."""
    from PIL import Image

    out = io.BytesIO()
    mode = "RGB" if name == "WEBP" else "L"
    several = [
        Image.new(mode, (16, 16), ((at * 37) % 251,) * 3 if name == "WEBP" else at % 2) for at in range(n_frames)
    ]
    several[0].save(out, name, save_all=True, append_images=several[1:])
    return out.getvalue()


def tiff(entries: list[tuple[int, int, int]], *, n_frames: int = 1, strip: bytes = b"", order: str = "<") -> bytes:
    """A TIFF of frames that all have these entries (tag, kind, value) and one strip; tag 273 gets its place."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(strip)) + strip)
    for at in range(n_frames):
        out += struct.pack(order + "H", len(entries))
        for tag, kind, value in entries:
            value = 8 if tag == 273 else value
            packed = struct.pack(order + "I", value) if kind == 4 else struct.pack(order + "HH", value, 0)
            out += struct.pack(order + "HHI", tag, kind, 1) + packed
        end = len(out) + 4
        out += struct.pack(order + "I", end if at + 1 < n_frames else 0)
    return bytes(out)


def _gray(width: int, height: int, n_bytes: int, compression: int) -> list[tuple[int, int, int]]:
    return [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1), (273, 4, 0), (277, 3, 1),
        (278, 4, height), (279, 4, n_bytes),
    ]  # fmt: skip


def shared_strip(n_frames: int = 5_000) -> bytes:
    """A TIFF of so many frames of 64 megapixels that share one strip of 64 KB."""
    strip = _bomb(64)
    return tiff(_gray(8192, 8192, len(strip), 8), n_frames=n_frames, strip=strip)


def tiff_of_itself() -> bytes:
    """Its one frame is followed by itself."""
    made = bytearray(tiff(_gray(8, 8, 64, 1), strip=bytes(64)))
    made[-4:] = struct.pack("<I", 8 + 64)
    return bytes(made)


IMAGES: dict[str, Made] = {
    "a.png": lambda: png_text(b"zTXt"),
    "b.png": lambda: png_text(b"iTXt"),
    "c.png": lambda: png_text(b"iCCP", times=1),
    "d.png": png_of_many_chunks,
    "e.png": png_pixels_bomb,
    "f.gif": lambda: frames("GIF", 3_000),
    "g.webp": lambda: frames("WEBP", 3_000),
    "h.tiff": shared_strip,
    "i.tiff": tiff_of_itself,
}


def notebook_of(cells: str) -> bytes:
    return ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [' + cells + "]}").encode()


def _code(outputs: str) -> str:
    return '{"cell_type": "code", "source": "1", "outputs": [' + outputs + "]}"


def _shown(data: Mapping[str, object]) -> str:
    return _code(json.dumps({"output_type": "display_data", "data": data}))


def deep_json(depth: int = 100_000) -> bytes:
    return notebook_of(
        _code('{"output_type": "display_data", "data": {"application/json": ' + "[" * depth + "]" * depth + "}}")
    )


def many_cells(n_cells: int = 1_000_000) -> bytes:
    return notebook_of(", ".join(['{"cell_type": "code", "source": "x"}'] * n_cells))


def attached_again(times: int = 100_000) -> bytes:
    """One attachment that the text names so many times."""
    data = {"image/png": base64.b64encode(png()).decode()}
    cell = {"cell_type": "markdown", "source": "![a](attachment:a.png)\n" * times, "attachments": {"a.png": data}}
    return notebook_of(json.dumps(cell))


def deep_html(depth: int = 300_000) -> bytes:
    return notebook_of(_shown({"text/html": "<div>" * depth + "word" + "</div>" * depth}))


def open_tags(times: int = 300_000) -> bytes:
    return notebook_of(_shown({"text/html": "<a <!-- <![CDATA[ <table " * times, "text/plain": "<Figure size 1x1>"}))


def half_addresses(times: int = 30_000) -> bytes:
    """What begins as data in an address does, again and again."""
    cell = {"cell_type": "markdown", "source": "data:image/png;base64," * times + "![a](<img src=" * times}
    return notebook_of(json.dumps(cell))


def escapes(times: int = 500_000) -> bytes:
    return notebook_of(_code(json.dumps({"output_type": "stream", "name": "stdout", "text": "\x1b]" * times})))


NOTEBOOKS: dict[str, Made] = {
    "deep json": deep_json,
    "many cells": many_cells,
    "attached again": attached_again,
    "deep html": deep_html,
    "open tags": open_tags,
    "half addresses": half_addresses,
    "escapes": escapes,
}


def raw_of_lies() -> bytes:
    """Says that its sensor saw four thousand million pixels a side."""
    return tiff(
        [
            (256, 4, 0xFFFFFFFF),
            (257, 4, 0xFFFFFFFF),
            (258, 3, 16),
            (259, 3, 1),
            (262, 3, 32803),
            (273, 4, 0),
            (279, 4, 0xFFFFFFFF),
        ]
    )


def raw_of_jpegs(times: int = 200_000) -> bytes:
    """So many beginnings of a JPEG, and no end."""
    return raw_of_lies() + b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xda\x00\x08" * times


def raw_of_marks(times: int = 4_000_000) -> bytes:
    """A JPEG of fill bytes."""
    return raw_of_lies() + b"\xff\xd8" + b"\xff" * times


def raw_of_directories(times: int = 60_000) -> bytes:
    """A directory of so many entries, each of which says that it holds 64 others."""
    entry = struct.pack("<HHII", 330, 4, 64, 8)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", times) + entry * times + bytes(4)


def jpeg_of_lies() -> bytes:
    """A raw photo whose preview says 65,000 x 65,000 pixels and has one scan of nothing."""
    head = b"\xff\xd8\xff\xc0\x00\x11\x08\xfd\xe8\xfd\xe8\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    return (
        raw_of_lies() + head + b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00" + bytes(1000) + b"\xff\xd9"
    )


RAW_PHOTOS: dict[str, Made] = {
    "a.dng": raw_of_lies,
    "b.nef": raw_of_jpegs,
    "c.cr2": raw_of_marks,
    "d.arw": raw_of_directories,
    "e.dng": jpeg_of_lies,
}
