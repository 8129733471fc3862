"""Jupyter notebooks: cells and their outputs as text, in order. Pictures in outputs are left out, and said to be."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from engine.corpus.formats.format import Format, Incoming, without_surrogates
from engine.corpus.formats.text import read_text
from engine.corpus.source import Cause, Skipped, Source, digest_text

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,[A-Za-z0-9+/=\s]{64,}?(?=[^A-Za-z0-9+/=\s]|$)")


def read_notebook(text: str) -> str | None:
    """The cells as text, each below a line such as "[cell 3, code]"; "" without a cell that holds anything; None where
    `text` is no notebook."""
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            return None
        cells = document.get("cells")
        if cells is None:
            cells = [cell for sheet in document["worksheets"] for cell in sheet["cells"]]  # until format 3
        blocks = [block for number, cell in enumerate(cells, 1) for block in _blocks(number, cell)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _blocks(number: int, cell: dict[str, Any]) -> Iterator[str]:
    kind = str(cell.get("cell_type", "cell"))
    body = _without_pictures(_joined(cell.get("source", cell.get("input", ""))))
    outputs = [piece for output in cell.get("outputs", ()) if (piece := _output(output).strip("\n"))]
    if body.strip() or outputs:
        yield f"[cell {number}, {kind}]\n{body}".rstrip("\n")
    if outputs:
        yield f"[output of cell {number}]\n" + "\n".join(outputs)


def _output(output: dict[str, Any]) -> str:
    """The words of an output: what was printed, the traceback, the plain text; a picture by its type."""
    if "traceback" in output:
        return _ANSI.sub("", "\n".join(output["traceback"]))
    if "text" in output and "data" not in output:
        return _ANSI.sub("", _joined(output["text"]))
    data = output.get("data", {})
    pictures = "".join(
        f"[{kind}, left out]\n" for kind in sorted(data) if kind.startswith(("image/", "video/", "audio/"))
    )
    for kind in ("text/plain", "text/markdown", "text/html", "application/json"):
        if kind in data:
            value = data[kind]
            words = _joined(value) if isinstance(value, str | list) else json.dumps(value)
            return pictures + _without_pictures(_ANSI.sub("", words))
    return pictures


def _joined(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def _without_pictures(text: str) -> str:
    return _DATA_URL.sub(r"[\1, left out]", text)


def _read(file: Incoming) -> Source | Skipped:
    """The cells as text; the file as it stands where it is no notebook but for its name."""
    read = read_text(file)
    if isinstance(read, Skipped):
        return read
    cells = read_notebook(read.text)
    if cells == "":
        return file.skipped(Cause.NO_TEXT, "a notebook without cells")
    if cells is None:
        note = "Called a notebook but not readable as one; taken as plain text."
        return replace(read, notes=(*read.notes, note))
    text = without_surrogates(cells)
    return replace(read, kind=NOTEBOOK.kind, text=text, digest=digest_text(text))


NOTEBOOK = Format(
    kind="notebook",
    recognise=lambda head: "a notebook" if head.ending == "ipynb" and not head.other else None,
    read=_read,
)
