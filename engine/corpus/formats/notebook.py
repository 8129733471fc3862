"""Jupyter notebooks, formats 3 and 4: cells and their outputs as text, in order.

Of an output that is kept in several forms, the richest that can be read is taken: Markdown and LaTeX before plain text,
and tables of HTML or JSON where the plain text says no more than what kind of object it was. What cannot be read as
text, such as a plot, leaves a mark where it stood, and a note says how many of a kind. A picture of a notebook is no
page of a document, so it is not shown to a model that sees.
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

from engine.corpus.formats.format import Format, Incoming, quietly, without_surrogates
from engine.corpus.formats.html_words import words_of
from engine.corpus.formats.text import read_text
from engine.corpus.source import Cause, Skipped, Source, digest_text

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,[A-Za-z0-9+/=\s]{64,}?(?=[^A-Za-z0-9+/=\s]|$)")
_ATTACHED = re.compile(r"attachment:([^)\s\"'>]+)")
_NAMELESS = re.compile(  # what plain text says of an object that has nothing to say of itself
    r"\s*[\[(]?(?:<(?:[\w.]+\s+)?[\w.]*\s*object(?: at 0x[0-9a-fA-F]+)?>|<[^<>\n]+ at 0x[0-9a-fA-F]+>"
    r"|<Figure[^\n]*>|<[A-Z]\w+(?: \d+)? object>[^\n]*(?:\n[^\n]*){0,8}|alt\.\w*Chart\(\.\.\.\))[\])]?\s*"
)
_FORMAT_3 = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
}
_SEEN = ("image/", "video/", "audio/")
_CHARTS = {  # kinds of data that a program draws
    "vnd.plotly": "Plotly chart",
    "vnd.vegalite": "Vega-Lite chart",
    "vnd.vega": "Vega chart",
    "vnd.bokehjs": "Bokeh chart",
    "vnd.holoviews": "HoloViews chart",
    "vnd.jupyter.widget": "widget",
    "geo+json": "map",
    "javascript": "script",
    "pdf": "PDF",
}
_SVG_SIDE = r"<svg[^>]{0,500}?\sSIDE=[\"']([\d.]+)"
_HEAD_CHARACTERS = 64 * 1024  # of a picture in base64: its size stands in there


@dataclass(slots=True)
class _Reading:
    """A notebook on its way to text. left_out: the kinds of what has left its mark."""

    left_out: Counter[str] = field(default_factory=Counter)

    def mark(self, kind: str, what: str = "") -> str:
        self.left_out[kind] += 1
        return f"[{what or kind}, left out]"

    def blocks(self, number: int, cell: Any) -> Iterator[str]:
        if not isinstance(cell, dict):
            yield self.mark("entry that is no cell", f"entry {number}, which is no cell")
            return
        kind = str(cell.get("cell_type", "cell"))
        body = self._source(cell, _joined(cell.get("source", cell.get("input", ""))))
        if kind == "heading":  # of format 3
            level = cell.get("level", 1)
            body = "#" * (level if isinstance(level, int) and 0 < level < 7 else 1) + " " + body
        outputs = list(self._outputs(cell.get("outputs")))
        if body.strip() or outputs:
            yield f"[cell {number}, {kind}]\n{body}".rstrip("\n")
        if outputs:
            yield f"[output of cell {number}]\n" + "\n".join(outputs)

    def _source(self, cell: Mapping[str, Any], body: str) -> str:
        """With a mark for each picture that lies in the text or is attached to it."""
        attached = cell.get("attachments")
        attached = attached if isinstance(attached, dict) else {}
        named: set[str] = set()

        def marked(found: re.Match[str]) -> str:
            named.add(found[1])
            return self._attachment(found[1], attached.get(found[1]))

        body = self._without_data_urls(_ATTACHED.sub(marked, body) if attached else body)
        others = [self._attachment(name, data) for name, data in attached.items() if name not in named]
        return "\n".join([body, *others]) if others else body

    def _attachment(self, name: str, data: Any) -> str:
        kind, value = next(iter(data.items()), ("", "")) if isinstance(data, dict) else ("", "")
        return self.mark("attachment", f"{name}{_size(str(kind), value)}")

    def _outputs(self, outputs: Any) -> Iterator[str]:
        """One text each; what was printed to one stream in pieces is one."""
        stream, printed = "", ""
        for output in outputs if isinstance(outputs, list) else ():
            if not isinstance(output, dict):
                yield self.mark("entry that is no output")
                continue
            name = str(output.get("name", output.get("stream", ""))) if output.get("output_type") == "stream" else ""
            if name != stream and printed.strip("\n"):
                yield printed.strip("\n")
            if name != stream:
                stream, printed = name, ""
            piece = self._output(output)
            if name:
                printed += piece
            elif piece.strip("\n"):
                yield piece.strip("\n")
        if printed.strip("\n"):
            yield printed.strip("\n")

    def _output(self, output: Mapping[str, Any]) -> str:
        """The words of an output: what was printed, the error, or the richest form of what was shown."""
        if "traceback" in output or "ename" in output:
            traceback = output.get("traceback")
            lines = "\n".join(map(str, traceback)) if isinstance(traceback, list) else _joined(traceback or "")
            said = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
            return _plain(lines if lines.strip() else said)
        data = output.get("data")
        if not isinstance(data, dict):
            if output.get("output_type") in ("stream", None) or set(output) <= {
                "output_type",
                "text",
                "name",
                "stream",
            }:
                return self._without_data_urls(_plain(_joined(output.get("text", ""))))
            data = {kind: output[key] for key, kind in _FORMAT_3.items() if key in output}
        return self._shown({str(kind): value for kind, value in data.items()})

    def _shown(self, data: Mapping[str, Any]) -> str:
        marks = "".join(f"{mark}\n" for mark in self._marks(data))
        for kind in ("text/markdown", "text/latex"):
            if kind in data and (words := _plain(_joined(data[kind]))).strip():
                return marks + self._without_data_urls(words)
        plain = _plain(_joined(data.get("text/plain", "")))
        if plain.strip() and not _NAMELESS.fullmatch(plain):
            return marks + self._without_data_urls(plain)
        for words in self._others(data, has_marks=bool(marks)):
            if words.strip():
                return marks + words
        if marks or plain.strip():
            return marks or plain
        unread = [kind for kind in data if not kind.startswith("text/")]
        return self.mark(unread[0]) if unread else ""

    def _others(self, data: Mapping[str, Any], *, has_marks: bool) -> Iterator[str]:
        """What is readable besides plain text, one after the other."""
        if "text/html" in data:
            words, left_out = words_of(self._without_data_urls(_joined(data["text/html"])))
            self.left_out.update(left_out)
            yield words
        for kind, value in data.items():
            if kind.startswith("application/vnd.code.notebook."):
                yield _of_vs_code(value)
            elif kind == "application/json" or (kind.startswith("text/") and kind not in ("text/plain", "text/html")):
                yield (
                    _plain(_joined(value)) if isinstance(value, str | list) and "json" not in kind else _as_json(value)
                )
        if "text/html" in data and not has_marks:
            yield self.mark("HTML without words")

    def _marks(self, data: Mapping[str, Any]) -> Iterator[str]:
        """One for each that is to be seen and not read; of the same in several forms, one."""
        plain = _joined(data.get("text/plain", ""))
        pictures = [kind for kind in data if kind.startswith(_SEEN)]
        if pictures:
            kind = min(pictures, key=lambda each: (each == "image/svg+xml", each))
            name = "plot" if plain.startswith("<Figure") else kind
            yield self.mark(name, name + _size(kind, data[kind]))
            return
        for kind in data:
            name = next((name for sign, name in _CHARTS.items() if kind.startswith(f"application/{sign}")), "")
            if name:
                yield self.mark(name, name + _title(data[kind]))
                return

    def _without_data_urls(self, text: str) -> str:
        return _DATA_URL.sub(lambda found: self.mark(found[1]), text)

    @property
    def notes(self) -> tuple[str, ...]:
        """ "Left out, each with a mark where it stood: 2 plots, 1 widget." """
        if not self.left_out:
            return ()
        kinds = (f"{n_times:,} x {kind}" for kind, n_times in sorted(self.left_out.items()))
        return (f"Left out, each with a mark where it stood: {', '.join(kinds)}.",)


def read_notebook(text: str) -> tuple[str, tuple[str, ...]] | str:
    """The cells as text, each below a line such as "[cell 3, code]", and notes on what was left out; "" without a cell
    that holds anything. A str alone says why `text` is no notebook."""
    reading = _Reading()
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            return "it holds no cells"
        cells = document.get("cells")
        if cells is None:
            sheets = document.get("worksheets")
            if not isinstance(sheets, list):
                return "it holds no cells"
            cells = [cell for sheet in sheets for cell in sheet["cells"]]  # until format 3
        if not isinstance(cells, list) or (cells and not any(isinstance(cell, dict) for cell in cells)):
            return "it holds no cells"
        blocks = [block for number, cell in enumerate(cells, 1) for block in reading.blocks(number, cell)]
    except json.JSONDecodeError as error:
        return f"no JSON from line {error.lineno:,} on"
    except (ValueError, TypeError, KeyError, AttributeError):
        return "it is put together in another way"
    except RecursionError:
        return "it is nested too deeply"
    return ("\n\n".join(blocks) + "\n" if blocks else "", reading.notes)


def _joined(lines: Any) -> str:
    if isinstance(lines, str):
        return lines
    if isinstance(lines, Sequence):
        return "".join(line if isinstance(line, str) else _as_json(line) for line in lines)
    return "" if lines is None else _as_json(lines)


def _plain(text: str) -> str:
    """Without the colours of a terminal."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _of_vs_code(value: Any) -> str:
    """What Visual Studio Code keeps under types of its own: printed text, or an error as JSON."""
    if isinstance(value, dict):
        return _plain(str(value.get("stack") or f"{value.get('name', 'Error')}: {value.get('message', '')}"))
    return _plain(_joined(value))


def _title(chart: Any) -> str:
    """The title of a chart in Plotly's or Vega's JSON, with a space in front; "" without one."""
    for path in (("layout", "title", "text"), ("layout", "title"), ("title", "text"), ("title",)):
        found = chart
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found.strip():
            return f' "{" ".join(found.split())[:120]}"'
    return ""


def _size(kind: str, value: Any) -> str:
    """ ", 640 x 480" of a picture, in pixels; "" where that cannot be told."""
    text = _joined(value)
    if kind == "image/svg+xml":
        sides = [re.search(_SVG_SIDE.replace("SIDE", side), text[:_HEAD_CHARACTERS]) for side in ("width", "height")]
        return ", " + " x ".join(f"{float(side[1]):.0f}" for side in sides if side) if all(sides) else ""
    if not kind.startswith("image/"):
        return ""
    from PIL import Image

    packed = "".join(text[:_HEAD_CHARACTERS].split())
    try:
        data = base64.b64decode(packed[: len(packed) // 4 * 4])
        with quietly(), Image.open(BytesIO(data)) as picture:
            return f", {picture.width} x {picture.height}"
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError):
        return ""


def _read(file: Incoming) -> Source | Skipped:
    """The cells as text; the file as it stands where it is no notebook but for its name."""
    read = read_text(file)
    if isinstance(read, Skipped):
        return read
    cells = read_notebook(read.text)
    if isinstance(cells, str):
        note = f"Called a notebook but not readable as one ({cells}); taken as plain text."
        return replace(read, notes=(*read.notes, note))
    words, notes = cells
    if not words:
        return file.skipped(Cause.NO_TEXT, "a notebook without cells")
    text = without_surrogates(words)
    return replace(read, kind=NOTEBOOK.kind, text=text, digest=digest_text(text), notes=(*read.notes, *notes))


NOTEBOOK = Format(
    kind="notebook",
    recognise=lambda head: "a notebook" if head.ending == "ipynb" and not head.other else None,
    read=_read,
)
