"""What people put on the pages of a PDF: form fields that were filled in, free text, notes, comments and stamps.

Each is marked as what it is, on a line of its own: "[form field buyer.name] Ann Buyer", "[note by Ann] ...", "[comment
on highlight] ...", "[text box] ...", "[stamp] ...". What its author hid is read and marked hidden; what a password
field holds is not read. What has only a drawn form gives the text of its drawing. A field's value is looked up as PDF
2.0 has it (ISO 32000-2, 12.7): on the field or any parent, as a string, name, number, list, stream or signature. What
cannot be read is counted, and costs nothing else.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.corpus.formats.pdf_tree import Tree, mapping, pages_of_drawings, resolved, sequence
from engine.corpus.formats.pdf_values import cleaned, last_part, on_state, one_line, value_in_words, without_tags
from engine.corpus.formats.pdfium import open_pages
from engine.corpus.source import Skipped
from engine.corpus.wording import listed, pages_in_words

_MOST_ANNOTATIONS = 20_000  # of a page
_MOST_PARENTS = 100
_HIDDEN, _PRINT, _NO_VIEW = 1 << 1, 1 << 2, 1 << 5  # flags of an annotation
_PASSWORD, _RADIO, _PUSH_BUTTON = 1 << 13, 1 << 15, 1 << 16  # flags of a field
_KINDS = {
    "/Text": "note", "/FreeText": "text box", "/StrikeOut": "strike-out", "/Squiggly": "wavy underline",
    "/Caret": "insertion mark", "/Ink": "ink", "/PolyLine": "line", "/FileAttachment": "attached file",
    "/Redact": "redaction", "/RichMedia": "media", "/3D": "3D model", "/Screen": "media",
}  # fmt: skip
_SILENT = frozenset({"/Popup", "/Link", "/PrinterMark", "/TrapNet"})


@dataclass(slots=True)
class Left:
    """What of a PDF's annotations is not sent, or is sent though it is not shown: for the notes on it.

    damaged: how many, a page's number each. marks: lines, highlights and others without words. hidden: labels. links:
    with an address elsewhere.
    """

    damaged: Counter[int] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    hidden: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    wordless: list[str] = field(default_factory=list)  # fields whose value is of a kind that holds no words
    n_links: int = 0

    def notes(self) -> list[str]:
        """What to say of it, a sentence each."""
        notes = []
        on_pages, n_elsewhere = {number: n for number, n in self.damaged.items() if number}, self.damaged.get(0, 0)
        if on_pages:
            n_damaged = sum(on_pages.values())
            are = "annotation is" if n_damaged == 1 else "annotations are"
            notes.append(f"{n_damaged:,} {are} damaged and left out, on {pages_in_words(sorted(on_pages))}.")
        if n_elsewhere:
            notes.append(f"Form fields that are damaged and left out: {n_elsewhere:,}.")
        if self.marks:
            marks = [f"{name} ({n:,})" if n > 1 else name for name, n in sorted(self.marks.items())]
            notes.append(f"Marks without words are not sent: {listed(marks)}.")
        if self.hidden:
            notes.append(f"Hidden in the PDF, and read all the same: {listed(self.hidden)}.")
        if self.passwords:
            notes.append(
                f"What was typed as a password was left out: {listed([name or 'a field' for name in self.passwords])}."
            )
        if self.wordless:
            names = listed([name or "a field" for name in self.wordless])
            notes.append(f"Form fields whose value is no text were left out: {names}.")
        if self.n_links:
            are = "link's address is" if self.n_links == 1 else "links' addresses are"
            notes.append(f"{self.n_links:,} {are} not sent.")
        return notes


@dataclass(slots=True)
class _Entry:
    """What becomes a line. drawing: where there is no value, what shows it."""

    label: str
    value: str
    drawing: Any = None
    kind: str = ""


class TypedIn:
    """What was put on the pages of one PDF, page by page. To be used within `quietly`."""

    def __init__(self, tree: Tree) -> None:
        self.left = Left()
        self.values: set[tuple[str, str]] = set()  # of form fields: the last part of a name, and what it holds
        self._form = mapping(tree.root.get("/AcroForm")) or {}
        self._seen: set[int] = set()  # widgets, by their identity: pypdf keeps each object once

    def on_page(self, page: Any, number: int) -> str:
        """The lines for a page, "" where nothing was put on it."""
        entries: list[_Entry] = []
        fields: set[int] = set()
        for item in self._annotations(page, number):
            try:
                annotation = mapping(item)
                if annotation is not None:
                    entries += self._entries(annotation, fields)
                elif not _is_null(item):
                    self.left.damaged[number] += 1
            except Exception:  # whatever pypdf makes of damaged objects
                self.left.damaged[number] += 1
        return self._lines(entries)

    def on_no_page(self) -> str:
        """The lines for fields that have a value and no place on any page."""
        entries: list[_Entry] = []
        for node in self._terminal_fields():
            kids = [kid for kid in map(mapping, sequence(node.get("/Kids")) or []) if kid is not None]
            if id(node) in self._seen or any(id(kid) in self._seen for kid in kids):
                continue
            try:
                found = self._field(node, set())
            except Exception:
                self.left.damaged[0] += 1
                continue
            entries += [_Entry(f"{entry.label}, on no page", entry.value) for entry in found if entry.value]
        return self._lines(entries)

    def _annotations(self, page: Any, number: int) -> list[Any]:
        raw = page.get("/Annots")
        items = sequence(raw)
        if items is None:
            one = mapping(raw)  # a single one, without its array
            if one is None and raw is not None and not _is_null(raw):
                self.left.damaged[number] += 1
            return [one] if one is not None else []
        nested = [inner for item in items for inner in (sequence(item) or [item])]
        if len(nested) > _MOST_ANNOTATIONS:
            self.left.damaged[number] += len(nested) - _MOST_ANNOTATIONS
        return nested[:_MOST_ANNOTATIONS]

    def _entries(self, annotation: dict[str, Any], fields: set[int]) -> list[_Entry]:
        kind = str(resolved(annotation.get("/Subtype")))
        if kind == "/Widget" or (kind == "None" and "/FT" in annotation):
            self._seen.add(id(annotation))
            entries = self._field(annotation, fields)
        elif kind == "/Link":
            self.left.n_links += "/URI" in (mapping(annotation.get("/A")) or {})
            entries = []
        else:
            entries = list(_comment(annotation, kind))
        if _is_hidden(annotation):
            entries = [_Entry(f"hidden {entry.label}", entry.value, entry.drawing, entry.kind) for entry in entries]
        return entries

    def _field(self, widget: dict[str, Any], fields: set[int]) -> list[_Entry]:
        """A widget's value: once for each field and page."""
        chain = list(_parents(widget))
        names = [one_line(value_in_words(node.get("/T"))) for node in chain if "/T" in node]
        name = ".".join(filter(None, reversed(names)))
        owner = next((node for node in chain if "/T" in node), chain[0])
        kind, flags = str(resolved(_inherited(chain, "/FT"))), resolved(_inherited(chain, "/Ff"))
        flags = int(flags) if isinstance(flags, int | float) else 0
        label = f"form field {name}".strip()
        if kind == "/Btn" and flags & _PUSH_BUTTON:
            caption = value_in_words((mapping(widget.get("/MK")) or {}).get("/CA"))
            return [_Entry(f"button {name}".strip(), caption, None if caption.strip() else _drawing(widget))]
        if id(owner) in fields:
            return []
        is_button = kind == "/Btn"
        value = on_state(widget, chain, is_radio=bool(flags & _RADIO)) if is_button else self._value(chain)
        if value.strip():
            fields.add(id(owner))
        elif not is_button:
            drawing, held = _drawing(widget), resolved(_inherited(chain, "/V"))
            if drawing is None and isinstance(held, dict | list) and held and not hasattr(held, "get_data"):
                self.left.wordless.append(name)
            return [_Entry(label, "", drawing)]
        if flags & _PASSWORD and not is_button and value.strip():
            self.left.passwords.append(name)
            return []
        return [_Entry(label, value)]

    def _value(self, chain: list[dict[str, Any]]) -> str:
        value, options = _inherited(chain, "/V"), sequence(_inherited(chain, "/Opt"))
        words = value_in_words(value, options=options)
        if not words.strip():
            words = without_tags(value_in_words(_inherited(chain, "/RV")))
        if not words.strip() and options:
            chosen = [resolved(at) for at in sequence(_inherited(chain, "/I")) or []]
            picked = [options[at] for at in chosen if isinstance(at, int) and 0 <= at < len(options)]
            words = ", ".join(value_in_words(item, options=options) for item in map(_export, picked))
        return words

    def _terminal_fields(self) -> Iterator[dict[str, Any]]:
        stack = list(reversed(sequence(self._form.get("/Fields")) or []))
        seen: set[int] = set()
        while stack and len(seen) < _MOST_ANNOTATIONS:
            node = mapping(stack.pop())
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            kids = sequence(node.get("/Kids")) or []
            named = [kid for kid in kids if "/T" in (mapping(kid) or {})]
            if named:
                stack += list(reversed(named))
            else:
                yield node

    def _lines(self, entries: list[_Entry]) -> str:
        shown = [entry for entry in entries if not entry.value.strip() and entry.drawing is not None]
        resources = self._form.get("/DR")
        for entry, text in zip(shown, _texts_of_drawings([entry.drawing for entry in shown], resources), strict=True):
            entry.value = text
        lines = []
        for entry in entries:
            if entry.value.strip():
                lines.append(f"\n[{entry.label}] {entry.value.strip()}")
                self.values.add((last_part(entry.label), entry.value.strip()))
                if entry.label.startswith("hidden "):
                    self.left.hidden.append(entry.label.removeprefix("hidden "))
            elif entry.kind:
                self.left.marks[entry.kind] += 1
        return "".join(lines)


def _comment(annotation: dict[str, Any], kind: str) -> Iterator[_Entry]:
    """What an annotation that is no field says: its words, and what is drawn or named besides."""
    words = value_in_words(annotation.get("/Contents"))
    if not words.strip():
        words = without_tags(value_in_words(annotation.get("/RC")))
    if kind in _SILENT:
        if kind == "/Popup" and words.strip() and mapping(annotation.get("/Parent")) is None:
            yield _Entry("note", words)
        return
    name = _KINDS.get(kind) or (kind.lstrip("/").lower() if kind != "None" else "annotation of no kind")
    author = one_line(value_in_words(annotation.get("/T")))[:100]
    by = f" by {author}" if author else ""
    if kind in ("/Text", "/FreeText"):
        name = "reply" if "/IRT" in annotation and kind == "/Text" else name
        drawing = None if words.strip() or kind == "/Text" else _drawing(annotation)
        yield _Entry(f"{name}{by}", words, drawing, name)
        return
    if kind == "/Redact" and (overlay := value_in_words(annotation.get("/OverlayText"))).strip():
        yield _Entry(name, overlay)
    if words.strip():
        yield _Entry(f"comment{by} on {name}" if kind != "None" else f"comment{by}", words)
    if kind == "/Stamp":
        drawing = _drawing(annotation)
        (drawn,) = _texts_of_drawings([drawing], None) if drawing is not None else ("",)
        named = value_in_words(annotation.get("/Name"))
        if not words.strip() or drawn.strip() not in ("", words.strip()):
            yield _Entry(name, drawn if drawn.strip() else named, None, name)
    elif not words.strip():
        yield _Entry(name, "", _drawing(annotation), name)


def _texts_of_drawings(drawings: list[Any], resources: Any) -> list[str]:
    """The text of each drawing, "" where there is none. resources: of one that has no own."""
    data = pages_of_drawings(drawings, resources) if drawings else b""
    opened = open_pages("", data) if data else None
    if opened is None or isinstance(opened, Skipped):
        return [""] * len(drawings)
    with opened:
        read = [opened.glyphs(number) for number in range(1, len(drawings) + 1)]
    return ["" if glyphs is None or glyphs.unmapped else cleaned(glyphs.text).strip() for glyphs in read]


def _is_hidden(annotation: dict[str, Any]) -> bool:
    flags = resolved(annotation.get("/F"))
    flags = int(flags) if isinstance(flags, int | float) else 0
    return bool(flags & _HIDDEN) or (bool(flags & _NO_VIEW) and not flags & _PRINT)


def _is_null(item: Any) -> bool:
    """Whether it is the word null itself, and not a reference to what is not there."""
    return item is None or type(item).__name__ == "NullObject"


def _drawing(annotation: dict[str, Any]) -> Any:
    """The stream that draws an annotation as it is; None without one."""
    normal = mapping((mapping(annotation.get("/AP")) or {}).get("/N"))
    if normal is not None and not hasattr(normal, "get_data"):
        state = resolved(annotation.get("/AS"))
        normal = mapping(normal.get(state)) if isinstance(state, str) else None
    return normal if hasattr(normal, "get_data") else None


def _parents(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node and what it lies in, upward."""
    seen: set[int] = set()
    current: Any = node
    while current is not None and id(current) not in seen and len(seen) < _MOST_PARENTS:
        seen.add(id(current))
        yield current
        current = mapping(current.get("/Parent"))


def _inherited(chain: list[dict[str, Any]], key: str) -> Any:
    """The value of a key on the first of them that has one."""
    return next((node.get(key) for node in chain if resolved(node.get(key)) is not None), None)


def _export(option: Any) -> Any:
    pair = sequence(option)
    return pair[0] if pair else option
