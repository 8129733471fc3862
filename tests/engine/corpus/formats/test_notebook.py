"""formats.notebook and html_words: what becomes of cells and outputs, and that nothing goes without a mark."""

import base64
import io
import json
import random
from copy import deepcopy
from typing import Any

import pytest
from PIL import Image as Pillow

from app.sources.listing import notes_on
from engine.corpus.formats.format import whole_file
from engine.corpus.formats.html_words import words_of
from engine.corpus.formats.notebook import NOTEBOOK, read_notebook
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped, Source

BROKEN = "Called a notebook but not readable as one ({}); taken as plain text."


def read(data: bytes) -> Source | Skipped:
    return NOTEBOOK.read(whole_file("a.ipynb", data, Rules()))


def written(*cells: Any, **more: Any) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}).encode()


def code(source: Any, *outputs: Any) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": source, "outputs": list(outputs)}


def shown(data: dict[str, Any], kind: str = "display_data") -> dict[str, Any]:
    return {"output_type": kind, "metadata": {}, "data": data}


def output_of(*outputs: Any) -> str:
    found = read(written(code("x", *outputs)))
    assert isinstance(found, Source), found
    return found.text.removeprefix("[cell 1, code]\nx\n").strip("\n").removeprefix("[output of cell 1]\n")


def picture(kind: str, width: int, height: int) -> str:
    out = io.BytesIO()
    Pillow.new("RGB", (width, height), "teal").save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def nameless(kind: str) -> list[str]:
    return [f"<IPython.core.display.{kind} object>"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"text/plain": nameless("Markdown"), "text/markdown": ["The margin was ", "**14 %**."]},
            "The margin was **14 %**.",
        ),
        ({"text/plain": nameless("Math"), "text/latex": "$\\frac{a}{b}=42$"}, "$\\frac{a}{b}=42$"),
        ({"text/plain": nameless("Latex"), "text/latex": ["$$x$$"]}, "$$x$$"),
        (
            {"text/plain": nameless("JSON"), "application/json": {"rows": 31337, "名": "é"}},
            '{"rows": 31337, "名": "é"}',
        ),
        ({"text/plain": "<pandas.io.formats.style.Styler at 0x7f00>", "text/html": ["<td>7731</td>"]}, "7731"),
        (
            {
                "text/plain": nameless("HTML"),
                "text/html": "<table><thead><tr><th>Region</th><th>Sum</th></tr></thead>"
                "<tr><td>North &amp; West</td><td>8812</td></tr></table>",
            },
            "Region | Sum\n--- | ---\nNorth & West | 8812",
        ),
        ({"text/plain": "   a\n0  1", "text/html": "<table><tr><td>1</td></tr></table>"}, "   a\n0  1"),
        ({"text/plain": "x**2", "text/latex": "$\\displaystyle x^{2}$"}, "$\\displaystyle x^{2}$"),
        ({"text/html": "<p>only <b>this</b></p><p>and that</p>"}, "only this\nand that"),
        ({"text/plain": "<great_tables.gt.GT object at 0x10a>", "text/html": "<style>x</style><td>5</td>"}, "5"),
        ({"text/plain": "<graphviz.Digraph object>", "text/vnd.graphviz": "digraph { a -> b }"}, "digraph { a -> b }"),
        ({"text/plain": "<__main__.Thing object at 0x7f3a>"}, "<__main__.Thing object at 0x7f3a>"),
        ({"text/plain": "[<matplotlib.lines.Line2D at 0x7f3a>]"}, "[<matplotlib.lines.Line2D at 0x7f3a>]"),
        ({"application/vnd.code.notebook.stdout": "printed\n"}, "printed"),
        (
            {"application/vnd.code.notebook.error": {"name": "E", "message": "no", "stack": "\x1b[31mE\x1b[0m: no"}},
            "E: no",
        ),
    ],
)
def test_the_richest_form_that_can_be_read_is_taken(data: dict[str, Any], words: str) -> None:
    for kind in ("display_data", "execute_result"):
        assert output_of(shown(data, kind)) == words


SHOWN = {"plot", "image/jpeg"}  # to a model that sees: tests of pictures stand in test_embedded
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="89pt" height="188.0pt"><text>a</text></svg>'


@pytest.mark.parametrize(
    ("data", "words", "kind"),
    [
        (
            {"text/plain": "<Figure size 640x480 with 1 Axes>", "image/png": picture("PNG", 640, 480) + "\n"},
            "[plot, 640 x 480, left out]",
            "plot",
        ),
        (
            {"text/plain": nameless("Image"), "image/jpeg": picture("JPEG", 30, 20)},
            "[image/jpeg, 30 x 20, left out]",
            "image/jpeg",
        ),
        ({"text/plain": "Sum: 5", "image/png": "QUJD" * 1000}, "[image/png, left out]\nSum: 5", "image/png"),
        ({"text/plain": nameless("SVG"), "image/svg+xml": SVG}, "[image/svg+xml, 89 x 188, left out]", "image/svg+xml"),
        (
            {
                "application/vnd.plotly.v1+json": {"data": [], "layout": {"title": {"text": "Sales"}}},
                "text/html": "<script>1</script>",
            },
            '[Plotly chart "Sales", left out]',
            "Plotly chart",
        ),
        (
            {
                "application/vnd.vegalite.v5+json": {"title": "Rain"},
                "text/plain": "<VegaLite 5 object>\n\nIf you see this",
            },
            '[Vega-Lite chart "Rain", left out]',
            "Vega-Lite chart",
        ),
        (
            {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "  0%|   | 0/10"},
            "[widget, left out]\n  0%|   | 0/10",
            "widget",
        ),
        ({"text/plain": nameless("Javascript"), "application/javascript": "go()"}, "[script, left out]", "script"),
        ({"application/pdf": "QUJD", "text/plain": nameless("X")}, "[PDF, left out]", "PDF"),
        ({"text/plain": nameless("IFrame"), "text/html": "<iframe src='x'></iframe>"}, "[frame, left out]", "frame"),
        (
            {"text/plain": nameless("Audio"), "text/html": "<audio controls><source/></audio>"},
            "[sound, left out]",
            "sound",
        ),
        (
            {"text/html": "<img src='data:image/png;base64," + "QUJD" * 50 + "' alt='map'>"},
            "[image map, left out]",
            "image",
        ),
        ({"application/x-custom+json": {"a": 1}}, "[application/x-custom+json, left out]", "application/x-custom+json"),
        ({"text/html": "<div></div>"}, "[HTML without words, left out]", "HTML without words"),
    ],
)
def test_what_cannot_be_read_leaves_a_mark_and_a_note(data: dict[str, Any], words: str, kind: str) -> None:
    found = read(written(code("x", shown(data))))
    assert isinstance(found, Source)
    assert found.text == f"[cell 1, code]\nx\n\n[output of cell 1]\n{words}\n"
    said = "1 picture in it is left out" if found.pictures else f"1 x {kind}"
    notes = notes_on(found, sees=False)
    assert said in notes[0] and "left out" in notes[0].lower() and len(found.pictures) == (kind in SHOWN)


def test_streams_in_pieces_are_one_and_stand_apart_from_each_other() -> None:
    def printed(name: str, text: Any) -> dict[str, Any]:
        return {"output_type": "stream", "name": name, "text": text}

    assert (
        output_of(printed("stdout", "ab"), printed("stdout", ["cd\n", "e\n"]), printed("stderr", "w\n")) == "abcd\ne\nw"
    )
    assert output_of(printed("stdout", "a"), shown({"text/plain": "b"}), printed("stdout", "c")) == "a\nb\nc"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"ename": "E", "evalue": "no", "traceback": ["\x1b[0;31mE\x1b[0m", "\x1b]8;;u\x07E: no\x1b[K"]}, "E\nE: no"),
        ({"ename": "KeyError", "evalue": "'x'", "traceback": []}, "KeyError: 'x'"),
        ({"ename": "KeyError", "evalue": "'x'"}, "KeyError: 'x'"),
        ({"ename": "E", "evalue": "no", "traceback": "E: no\nin line 1"}, "E: no\nin line 1"),
        ({"ename": "E", "evalue": "", "traceback": None}, "E: "),
    ],
)
def test_errors(error: dict[str, Any], words: str) -> None:
    assert output_of({"output_type": "error", **error}) == words
    assert output_of({"output_type": "pyerr", **error}) == words


def test_attachments_and_pictures_in_markdown() -> None:
    attached = {"a b.png": {"image/png": picture("PNG", 64, 32)}, "loose.png": {"image/png": "x"}}
    cell = {
        "cell_type": "markdown",
        "source": ["See ![it](attachment:a b.png)".replace("a b", "ab")],
        "attachments": {},
    }
    cell["attachments"] = {"ab.png": attached["a b.png"], "loose.png": attached["loose.png"]}
    found = read(written(cell, {"cell_type": "markdown", "source": f"![x](data:image/png;base64,{'QUJD' * 50})"}))
    assert isinstance(found, Source)
    assert found.text == (
        "[cell 1, markdown]\nSee ![it]([ab.png, 64 x 32, left out])\n[loose.png, left out]\n\n"
        "[cell 2, markdown]\n![x]([image/png, left out])\n"
    )
    assert [(each.width, each.height) for each in found.pictures] == [(64, 32)]
    assert found.notes == (
        "Left out, each with a mark where it stood: 1 x attachment, 1 x image/png.",
        "1 picture of cell 1 cannot be shown: its base64 is damaged.",
        "1 picture of cell 2 cannot be shown: there is no image in it.",
    )


def test_format_3() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Sales"]},
        {"cell_type": "code", "language": "python", "input": ["plot()"], "outputs": [
            {"output_type": "stream", "stream": "stdout", "text": ["one\n"]},
            {"output_type": "pyout", "prompt_number": 1, "metadata": {}, "text": nameless("Math"), "latex": ["$x$"]},
            {"output_type": "display_data", "metadata": {}, "text": "<matplotlib.Figure at 0x1>",
             "png": picture("PNG", 9, 8)},
            {"output_type": "pyout", "text": ["4"]},
            {"output_type": "pyerr", "ename": "E", "evalue": "no", "traceback": []},
        ]},
        {"cell_type": "raw", "source": "as it is"},
    ]  # fmt: skip
    found = read(json.dumps({"nbformat": 3, "worksheets": [{"cells": cells[:1]}, {"cells": cells[1:]}]}).encode())
    assert isinstance(found, Source) and found.kind == "notebook"
    assert found.text == (
        "[cell 1, heading]\n## Sales\n\n[cell 2, code]\nplot()\n\n"
        "[output of cell 2]\none\n$x$\n[image/png, 9 x 8, left out]\n4\nE: no\n\n[cell 3, raw]\nas it is\n"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"cells": [', "no JSON from line 1 on"),
        (b'{\n<<<<<<< HEAD\n"cells": []}', "no JSON from line 2 on"),
        (b"[1, 2]", "it holds no cells"),
        (b'{"cells": 3}', "it holds no cells"),
        (b'{"cells": ["x"]}', "it holds no cells"),
        (b'{"a": 1}', "it holds no cells"),
        (b'{"worksheets": [3]}', "it is put together in another way"),
    ],
)
def test_what_is_no_notebook_is_read_as_text_and_the_note_says_why(data: bytes, why: str) -> None:
    found = read(data)
    assert isinstance(found, Source) and found.kind == "text" and found.text == data.decode()
    assert found.notes == (BROKEN.format(why),)


def test_odd_notebooks() -> None:
    empty = read(b'{"cells": [], "nbformat": 4}')
    assert isinstance(empty, Skipped) and (empty.cause, empty.reason) == (Cause.NO_TEXT, "a notebook without cells")
    deep = read(b"[" * 100_000)
    assert isinstance(deep, Source) and deep.kind == "text" and len(deep.notes) == 1
    lone = read(b'{"cells": [{"cell_type": "code", "source": "\\ud800"}]}')
    assert isinstance(lone, Source) and "\ufffd" in lone.text
    mixed = read(written("torn", code("1"), {"source": None}, code(["a", 5])))
    assert isinstance(mixed, Source)
    assert mixed.text == "[entry 1, which is no cell, left out]\n\n[cell 2, code]\n1\n\n[cell 4, code]\na5\n"
    assert "1 x entry that is no cell" in mixed.notes[0]
    colab = {**code("#@title Run\nx"), "metadata": {"id": "x", "colab": {"height": 35}}}
    found = read(written(colab, metadata={"colab": {"provenance": []}}))
    assert isinstance(found, Source) and found.text == "[cell 1, code]\n#@title Run\nx\n"


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<h2>A</h2><ul><li>one<li>two</ul>", "## A\n- one\n- two"),
        ("a<br>b &lt; c 1 < 2", "a\nb < c 1 < 2"),
        ("<pre>  x\n    y</pre>", "  x\n    y"),
        ('<a href="https://e.org/a?b=1&amp;c">the page</a>', "the page (https://e.org/a?b=1&c)"),
        ('<p title="1 > 2">x</p><!-- no --><script>if (a < b) {}</script>y', "x\ny"),
        ("<table><tr><th>a</th><td>1</td></tr><tr><th>b</th><td>2</td></tr></table>", "a | 1\nb | 2"),
        ("<svg><text>no</text></svg>done", "[drawing, left out]done"),
        ("<p", "<p"),
    ],
)
def test_html_as_words(html: str, words: str) -> None:
    assert words_of(html)[0] == words


@pytest.mark.parametrize("piece", ["<a ", "<!--", "<a href='", "<![CDATA[", "</", "<svg>", "<td>x", "<script>", "&#"])
def test_html_that_does_not_end_takes_no_longer_than_other_html(piece: str) -> None:
    words_of(piece * 5_000)  # html.parser takes minutes for the first three


def test_whatever_is_shown_is_read_or_leaves_a_mark() -> None:
    """Whatever the only form is that an output has."""
    kinds = (
        "text/plain",
        "text/markdown",
        "text/latex",
        "text/html",
        "application/json",
        "image/png",
        "video/mp4",
        "application/pdf",
        "application/vnd.plotly.v1+json",
        "application/x-y",
        "text/csv",
        "application/vnd.a+json",
    )
    for kind in kinds:
        value = {"json": {"k": "w1"}, "html": "<p>w1</p>"}.get(kind.rpartition("/")[2].rpartition("+")[2], "w1")
        words = output_of(shown({kind: value}))
        assert "w1" in words or "left out]" in words, kind


@pytest.mark.slow  # 6.0 s
def test_no_notebook_makes_the_reader_fail() -> None:
    chance = random.Random(12)
    whole = written(
        code(["a\n", "b"], shown({"text/plain": nameless("X"), "text/html": "<table><tr><td>1</td></tr></table>"})),
        {"cell_type": "markdown", "source": "![x](attachment:a.png)", "attachments": {"a.png": {"image/png": "QUJD"}}},
        code("x", {"output_type": "error", "ename": "E", "evalue": "no", "traceback": ["t"]}),
        code(
            "y", {"output_type": "stream", "name": "stdout", "text": ["p"]}, shown({"image/png": picture("PNG", 4, 4)})
        ),
    )
    values = [None, 3, "", [], {}, [None], {"a": None}, "x" * 50, -1.5, True, ["a", {"b": 1}]]
    for _ in range(400):
        document = json.loads(whole)
        for _ in range(chance.randint(1, 4)):
            at = document
            while True:
                keys = list(at) if isinstance(at, dict) else list(range(len(at)))
                if not keys:
                    break
                key = chance.choice(keys)
                if not isinstance(at[key], dict | list) or chance.random() < 0.15:
                    at[key] = deepcopy(chance.choice(values))
                    break
                at = at[key]
        assert isinstance(read_notebook(json.dumps(document)), tuple | str)
        torn = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            torn[chance.randrange(len(torn))] = chance.randrange(256)
        assert isinstance(read(bytes(torn[: chance.randint(1, len(torn))])), Source | Skipped)
