"""Jupyter notebooks, formats 3 and 4: cells and their outputs as text, in order.

Of an output that is kept in several forms, the richest that can be read is taken: Markdown and LaTeX before plain text,
and tables of HTML or JSON where the plain text says no more than what kind of object it was. What cannot be read as
text, such as a plot, leaves a mark where it stood. Pictures that lie in the notebook are shown there to a model that
sees: outputs, attachments, and data in the addresses of Markdown and HTML; see `embedded`. Of all else a note says how
many of a kind are left out. What Markdown names by a path or an address is not fetched.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.corpus.formats.embedded import PACKED, SVG, Embedded, draw_embedded, stated_size
from engine.corpus.formats.format import Format, Incoming, go_on, without_surrogates
from engine.corpus.formats.html_words import words_of
from engine.corpus.formats.text import read_text
from engine.corpus.rules import DEFAULT_RULES, Rules
from engine.corpus.source import LEFT_OUT, Cause, KeptFile, Picture, Skipped, Source, digest_text
from engine.corpus.wording import listed

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,[A-Za-z0-9+/=\s]{64,}?(?=[^A-Za-z0-9+/=\s]|$)")
_ATTACHED = re.compile(r"attachment:([^)\s\"'>]+)")
_NAMED = re.compile(  # an image in Markdown, by the address that it has
    r"!\[[^\[\]\n]{0,500}\]\(\s{0,9}<?([^)\s>]{1,500})|<img\b[^<>]{0,2000}?\bsrc\s*=\s*[\"']?([^\"'\s<>]{1,500})",
    re.IGNORECASE,
)
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


@dataclass(slots=True)
class _Reading:
    """A notebook on its way to text. left_out: the kinds of what has left its mark and is not shown. named: images that
    are not in it. cell: which one is read. step: see Incoming."""

    pictures: Embedded
    step: Callable[[str, int], bool] = go_on
    left_out: Counter[str] = field(default_factory=Counter)
    named: dict[str, None] = field(default_factory=dict)
    cell: int = 0

    def mark(self, kind: str, what: str = "", forms: Iterable[str] = ()) -> str:
        """forms: of a picture, each as base64, the best first."""
        text = f"[{what or kind}{LEFT_OUT}]"
        sign = self.pictures.add(forms, mark=len(text), kind=kind, cell=self.cell)
        self.left_out[kind] += not sign
        return text + sign

    def blocks(self, number: int, cell: Any) -> Iterator[str]:
        self.cell = number
        if not isinstance(cell, dict):
            yield self.mark("entry that is no cell", f"entry {number}, which is no cell")
            return
        if not self.step("cell", number):
            yield self.mark("cell that takes too long to read", f"cell {number}")
            return
        kind = str(cell.get("cell_type", "cell"))
        body = self._source(cell, _joined(cell.get("source", cell.get("input", ""))), is_shown=kind == "markdown")
        if kind == "heading":  # of format 3
            level = cell.get("level", 1)
            body = "#" * (level if isinstance(level, int) and 0 < level < 7 else 1) + " " + body
        outputs = list(self._outputs(cell.get("outputs")))
        if body.strip() or outputs:
            yield f"[cell {number}, {kind}]\n{body}".rstrip("\n")
        if outputs:
            yield f"[output of cell {number}]\n" + "\n".join(outputs)

    def _source(self, cell: Mapping[str, Any], body: str, *, is_shown: bool) -> str:
        """With a mark for each picture that lies in the text or is attached to it. is_shown: as Markdown."""
        if is_shown:
            self._note_named(body)
        attached = cell.get("attachments")
        attached = attached if isinstance(attached, dict) else {}
        named: dict[str, tuple[str, list[str]]] = {}  # once each, however often the text names them

        def marked(found: re.Match[str]) -> str:
            if found[1] not in named:
                named[found[1]] = _attachment(found[1], attached.get(found[1]))
            return self.mark("attachment", *named[found[1]])

        body = self._without_data_urls(_ATTACHED.sub(marked, body) if attached else body, is_shown=is_shown)
        others = [_attachment(name, data) for name, data in attached.items() if name not in named]
        return "\n".join([body, *(self.mark("attachment", *other) for other in others)])

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
                self._note_named(words)
                return marks + self._without_data_urls(words, is_shown=True)
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
            html = self._without_data_urls(_joined(data["text/html"]), is_shown=True)
            words, left_out = words_of(html, self.pictures.sign)
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
            kind = min(pictures, key=lambda each: (each == SVG, each))
            name = "plot" if plain.startswith("<Figure") else kind
            others = {other: data[other] for other in pictures if other != kind}
            forms = _forms({kind: data[kind], **others}) if kind.startswith("image/") else ()
            yield self.mark(name, name + stated_size(kind, _joined(data[kind])), forms)
            return
        for kind in data:
            name = next((name for sign, name in _CHARTS.items() if kind.startswith(f"application/{sign}")), "")
            if name:
                yield self.mark(name, name + _title(data[kind]))
                return

    def _without_data_urls(self, text: str, *, is_shown: bool = False) -> str:
        """is_shown: as Markdown or HTML, so that what is data in it is seen."""

        def marked(found: re.Match[str]) -> str:
            return self.mark(found[1], forms=_forms({found[1]: found[0].partition(",")[2]}) if is_shown else ())

        return _DATA_URL.sub(marked, text)

    def _note_named(self, markdown: str) -> None:
        for found in _NAMED.finditer(markdown):
            name = found[1] or found[2]
            if not name.lower().startswith(("attachment:", "data:")):
                self.named[name if len(name) <= 100 else f"{name[:100]}…"] = None

    @property
    def notes(self) -> tuple[str, ...]:
        """ "Left out, each with a mark where it stood: 2 plots, 1 widget." """
        notes = [*self.pictures.notes()]
        if left_out := +self.left_out:
            kinds = (f"{n_times:,} x {kind}" for kind, n_times in sorted(left_out.items()))
            notes.insert(0, f"Left out, each with a mark where it stood: {', '.join(kinds)}.")
        if self.named:
            notes.append(f"Images that Markdown names are not fetched: {listed([*self.named])}.")
        return tuple(notes)


Words = tuple[str, tuple[str, ...], tuple[Picture, ...], KeptFile | None]


def read_notebook(text: str, rules: Rules = DEFAULT_RULES, step: Callable[[str, int], bool] = go_on) -> Words | str:
    """The cells as text, each below a line such as "[cell 3, code]"; notes; the pictures, and what they are drawn from.
    Nothing of these without a cell that holds anything. A str alone says why `text` is no notebook. step: see Incoming.
    """
    from engine.corpus.readers import limits

    reading = _Reading(Embedded(text, rules), step)
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
        if len(cells) > limits.MOST_CELLS:
            return f"it has {len(cells):,} cells, over the limit of {limits.MOST_CELLS:,}"
        blocks = [block for number, cell in enumerate(cells, 1) for block in reading.blocks(number, cell)]
    except json.JSONDecodeError as error:
        return f"no JSON from line {error.lineno:,} on"
    except (ValueError, TypeError, KeyError, AttributeError):
        return "it is put together in another way"
    except RecursionError:
        return "it is nested too deeply"
    words = without_surrogates("\n\n".join(blocks) + "\n") if blocks else ""
    words, pictures, file, lost = reading.pictures.placed(words)
    reading.left_out.update(lost)
    return words, reading.notes, pictures, file


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


def _attachment(name: str, data: Any) -> tuple[str, list[str]]:
    """What its mark says, and the forms that it has."""
    kind, value = next(iter(data.items()), ("", "")) if isinstance(data, dict) else ("", "")
    return f"{name}{stated_size(str(kind), _joined(value))}", [*_forms(data)] if kind else []


def _forms(data: Mapping[Any, Any]) -> Iterator[str]:
    """The base64 of what shows pixels. An SVG does not: it is a drawing in words of its own."""
    return (_joined(value) for kind, value in data.items() if str(kind).startswith("image/") and kind != SVG)


def _read(file: Incoming) -> Source | Skipped:
    """The cells as text; the file as it stands where it is no notebook but for its name."""
    read = read_text(file)
    if isinstance(read, Skipped):
        return read
    cells = read_notebook(read.text, file.rules, file.step)
    if isinstance(cells, str):
        note = f"Called a notebook but not readable as one ({cells}); taken as plain text."
        return replace(read, notes=(*read.notes, note))
    text, notes, pictures, kept = cells
    if not text:
        return file.skipped(Cause.NO_TEXT, "a notebook without cells")
    digest = digest_text(text)
    if pictures:
        digest = digest_text(f"{digest} {[(each.digest, each.span) for each in pictures]}")
    read = replace(read, kind=NOTEBOOK.kind, text=text, digest=digest, notes=(*read.notes, *notes))
    return replace(read, pictures=pictures, kept_file=kept)


NOTEBOOK = Format(
    kind="notebook",
    recognise=lambda head: "a notebook" if head.ending == "ipynb" and not head.other else None,
    read=_read,
    draw=draw_embedded,
    drawn_from=frozenset({PACKED}),
    is_apart=True,
)
