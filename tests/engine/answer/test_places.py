"""Where a passage stands: lines as editors count, pages, boxes on them, cells."""

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_LE
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from engine.answer.citations import Citation, PageBox, Status, citation_from
from engine.answer.places import Box, Places
from engine.corpus.collect import collect
from engine.corpus.formats.pdfium import find_words
from engine.corpus.rules import Rules
from engine.corpus.source import KeptFile, Source
from engine.runtime.quotes.text import Place
from tests.pdfs import written


def source_of(tmp_path: Path, name: str, data: bytes) -> Source:
    (tmp_path / name).write_bytes(data)
    [source] = collect([tmp_path / name], Rules()).sources
    return source


def cited(source: Source, words: str, *, file: bytes | None = None, nth: int = 0) -> Citation:
    def box_of(source: Source, *, page: int, words: str, before: str) -> Box | None:
        return find_words(KeptFile("PDF", file), number=page, words=words, before=before) if file else None

    places = Places([source], box_of=box_of)
    start = [match.start() for match in re.finditer(re.escape(words.encode()), places.documents[0])][nth]
    return places.citation(Place(0, start, start + len(words.encode())), statement=(0, 5))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["one", "\u00e9\u6771\U0001f600 one", "a\x0b\x0c\u2028\x85b"])
def test_bytes_are_those_of_the_file_and_lines_are_counted_as_editors_do(tmp_path: Path, end: str, first: str) -> None:
    text = end.join([first, "two words", "", "three\tand more", "last"])
    source = source_of(tmp_path, "a.txt", text.encode())
    found = cited(source, "two words")
    assert (found.path, found.source_digest, found.lines) == ("a.txt", source.digest, (2, 2))
    assert found.bytes is not None and text.encode()[slice(*found.bytes)] == b"two words"
    assert cited(source, f"words{end}{end}three").lines == (2, 4)
    assert cited(source, f"words{end}").lines == (2, 2)
    assert cited(source, "last").lines == (5, 5)
    assert (found.page, found.cell, found.box, found.quote) == (None, None, None, "two words")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""), ("utf-8", BOM_UTF8), ("utf-16-le", BOM_UTF16_LE), ("utf-16-be", BOM_UTF16_BE),
        ("utf-32-le", BOM_UTF32_LE), ("cp1252", b""), ("gb18030", b""), ("euc-jp", b""), ("iso2022_jp", b""),
        ("koi8-r", b""),
    ],
)  # fmt: skip
def test_bytes_are_those_of_the_file_on_disk_in_any_encoding(tmp_path: Path, encoding: str, mark: bytes) -> None:
    line = {
        "cp1252": "Der \u00c4rger mit den \u201eUmlauten\u201c",
        "gb18030": "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u5427",
        "euc-jp": "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059",
        "iso2022_jp": "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059",
        "koi8-r": "\u041c\u044b \u043f\u043e\u0448\u043b\u0438 \u0434\u043e\u043c\u043e\u0439",
    }.get(encoding, "caf\u00e9 \u6771\u4eac \U0001f600 z\u00f6lf")
    text = "\r\n".join([line] * 40 + [f"so {line} it is", line])
    data = mark + text.encode(encoding)
    found = cited(source_of(tmp_path, "a.txt", data), f"{line} it")
    assert found.bytes is not None and found.text_span is not None and found.lines == (41, 41)
    assert data[slice(*found.bytes)].decode(encoding) == f"{line} it"
    assert text.encode()[slice(*found.text_span)].decode() == found.quote == f"{line} it"


def test_of_a_file_whose_bytes_were_not_all_read_only_the_text_has_bytes(tmp_path: Path) -> None:
    data = "z\u00f6lf K\u00e4mpfer \u00fcber \u00d6l\n".encode() * 30 + b"broken \xff here\nwords behind"
    source = source_of(tmp_path, "a.txt", data)
    found = cited(source, "words behind")
    assert source.notes and found.bytes is None and found.to_json()["text_bytes"] is not None
    assert found.text_span is not None and source.text.encode()[slice(*found.text_span)] == b"words behind"


@pytest.mark.parametrize("encoding", ["idna", "punycode", "zlib", "no such", "undefined", "ascii"])
def test_an_encoding_that_a_stranger_names_is_none(encoding: str) -> None:
    source = Source("a.txt", "text", "caf\u00e9 so " * 1_000, 9_000, "d", encoding=encoding)
    assert cited(source, "so").bytes is None


def test_a_citation_of_an_older_version_has_the_bytes_of_the_text() -> None:
    old = {"statement": [0, 1], "status": "verified", "bytes": [3, 7], "unknown": 1}
    assert citation_from(old).text_span == (3, 7) and "text_bytes" not in citation_from(old).to_json()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_several_lines_of_code_begin_with_their_indentation(tmp_path: Path, end: str) -> None:
    text = end.join(["def f(x):", "    if x:", "\t  y = 1", "        return x"])
    places = Places([source_of(tmp_path, "a.py", text.encode())])

    def shown(words: str) -> str:
        start = text.index(words)
        return places.words(places.indented(Place(0, start, start + len(words))))

    assert shown(f"if x:{end}\t  y") == f"    if x:{end}\t  y"
    assert shown(f"y = 1{end}        return") == f"\t  y = 1{end}        return"
    assert shown(f"x:{end}\t  y = 1") == f"x:{end}\t  y = 1"  # in the middle of a line
    assert shown("return x") == "return x"
    assert shown(f"def f(x):{end}    if") == f"def f(x):{end}    if"


def test_a_page_and_the_box_on_it(tmp_path: Path) -> None:
    data = written("Some words\nthat stand here", "Other words\nthat stand here too\nthat stand here too", "Third")
    source = source_of(tmp_path, "a.pdf", data)
    found = cited(source, "that stand here too", file=data)
    assert found.page == 2 and found.box is not None
    left, top, right, bottom = found.box
    width, height = 595.27, 841.89  # A4; the second line stands at 706 points from below
    assert abs(left - 72 / width) < 0.01 and right < 0.35
    assert top < 1 - 706 / height < bottom + 0.002 and bottom - top < 0.03
    again = cited(source, "that stand here too", file=data, nth=1)
    assert again.box is not None and again.box[1] == pytest.approx(top + 14 / height, abs=0.001)
    both = cited(source, "words\nthat stand here", file=data)
    assert both.page == 1 and both.box is not None and both.box[3] - both.box[1] > 24 / height
    assert cited(source, "that stand here too").box is None  # no file
    assert citation_from(json.loads(json.dumps(found.to_json()))) == found


def test_a_passage_across_two_pages_is_boxed_on_both(tmp_path: Path) -> None:
    data = written("One\nThe end", "goes on\nTwo")
    source = source_of(tmp_path, "a.pdf", data)
    across = re.search(r"The end\s+\[page 2\]\s+goes", source.text)
    assert across
    found, alone = cited(source, across[0], file=data), cited(source, "The end", file=data)
    second = cited(source, "goes", file=data)
    assert (found.page, found.box) == (1, alone.box)
    assert found.boxes == (PageBox(1, alone.box), PageBox(2, second.box)) and found.boxes[1].box[1] < 0.2
    assert alone.boxes is None and cited(source, across[0]).boxes is None
    assert citation_from(json.loads(json.dumps(found.to_json()))) == found
    assert found.lines == (3, 6) and alone.lines == (3, 3)


def turned(data: bytes, degrees: int, crop: tuple[float, float, float, float]) -> bytes:
    writer, out = PdfWriter(), BytesIO()
    for page in PdfReader(BytesIO(data)).pages:
        page.rotate(degrees)
        page.cropbox.lower_left, page.cropbox.upper_right = crop[:2], crop[2:]
        writer.add_page(page)
    writer.write(out)
    return out.getvalue()


def test_a_box_is_one_on_the_page_as_it_is_seen(tmp_path: Path) -> None:
    data = turned(written("Some words stand here"), 90, (0, 400, 400, 800))
    box = cited(source_of(tmp_path, "a.pdf", data), "words", file=data).box
    assert box is not None
    left, top, right, bottom = box  # the left margin is above now, and the upper margin at the right
    assert 0.17 < top < 0.35 and 0.78 < left < 0.82 and right - left < bottom - top


def test_ligatures_accents_and_hyphens_are_found_on_the_page(tmp_path: Path) -> None:
    out = BytesIO()
    paper = Canvas(out, invariant=True)
    paper.drawString(72, 700, "caf\u00e9 na\u00efve exam-")
    paper.drawString(72, 686, "ple of it")
    paper.save()
    source = source_of(tmp_path, "a.pdf", out.getvalue())
    words = source.text[source.text.index("na\u00ef") : source.text.index(" of it")]
    assert cited(source, words, file=out.getvalue()).box is not None


@pytest.mark.parametrize("file", [b"", b"%PDF-1.4 no more of it", written("Other words altogether")])
def test_a_file_that_is_another_now_has_no_box(tmp_path: Path, file: bytes) -> None:
    source = source_of(tmp_path, "a.pdf", written("Some words"))
    assert cited(source, "Some words", file=file or b"x").box is None


def notebook(*cells: tuple[str, str, str]) -> bytes:
    """Cells of a type, a source and an output."""
    return json.dumps(
        {
            "nbformat": 4,
            "cells": [
                {
                    "cell_type": kind,
                    "source": source,
                    "outputs": [{"output_type": "stream", "name": "stdout", "text": output}] if output else [],
                }
                for kind, source, output in cells
            ],
        }
    ).encode()


def test_a_cell_of_a_notebook_and_its_output(tmp_path: Path) -> None:
    data = notebook(
        ("markdown", "# \u00dcber all", ""),
        ("code", "", ""),  # has no mark
        ("code", "print(70)\n\n[cell 9, code]\nx = 1", "seventy\n\n[cell 1, markdown]\nmore"),
        ("code", "y = 2", ""),
    )
    source = source_of(tmp_path, "a.ipynb", data)
    for words, cell in (("all", 1), ("print", 3), ("x = 1", 3), ("seventy", 3), ("more", 3), ("y = 2", 4)):
        assert cited(source, words).cell == cell, words
    assert cited(source, "[cell 4").cell == 4
    across = re.search(r"more\s+\[cell 4, code\]\s+y", source.text)
    assert across and cited(source, across[0]).cell == 3


def test_what_is_altered_has_the_place_of_what_stands_there(tmp_path: Path) -> None:
    places = Places([source_of(tmp_path, "a.txt", b"one\ntwo words")])
    found = places.citation(Place(0, 4, 13), statement=(1, 2), status=Status.ALTERED, quote="two birds", places=1)
    assert (found.status, found.quote, found.bytes, found.lines) == (Status.ALTERED, "two birds", (4, 13), (2, 2))
