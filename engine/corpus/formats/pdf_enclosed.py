"""What lies in a PDF besides its pages: files that were put into it, a portfolio's among them, and the data of an XFA
form, whose pages are made by the program that opens it.

A file that is text, or a PDF, is read below the last page where it is short; every other is named with its size and how
to get at it. XFA's data is XML, read leaf by leaf as form fields.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from engine.corpus.formats.decoding import decode
from engine.corpus.formats.pdf_tree import Tree, mapping, named_values, resolved, sequence
from engine.corpus.formats.pdf_values import cleaned, decoded, last_part, one_line, value_in_words
from engine.corpus.formats.sniff import look
from engine.corpus.source import Source
from engine.corpus.wording import listed, size_in_words

_MOST_FILES = 1_000
_MOST_TEXT = 64 * 1024  # bytes of a file whose text is sent along
_MOST_BYTES = 64 << 20  # of a file that is looked at
_MOST_XML = 8 << 20
_NAMES = ("/UF", "/F", "/Unix", "/DOS", "/Mac")
_XFA_DATA = "{http://www.xfa.org/schema/xfa-data/1.0/}"


@dataclass(frozen=True, slots=True)
class EnclosedFile:
    """A file in a PDF. data: None where it cannot be read; n_bytes: as it lies there, or as is stated."""

    name: str
    n_bytes: int | None
    data: bytes | None

    @property
    def is_pdf(self) -> bool:
        return self.data is not None and b"%PDF-" in self.data[:1024]

    @property
    def words(self) -> str | None:
        """Its text where it is short and is text; None otherwise."""
        if self.data is None or self.is_pdf or not 0 < len(self.data) <= _MOST_TEXT:
            return None
        if look(self.data, self.name).other:
            return None
        read = decode(self.data)
        return read.text if read is not None else None

    def __str__(self) -> str:
        return f"{self.name} ({'damaged' if self.n_bytes is None else size_in_words(self.n_bytes)})"


def enclosed_files(tree: Tree) -> list[EnclosedFile]:
    """The files in a PDF, by its list, its associated files and its pages' attachments, each once.

    To be called within `quietly`.
    """
    files: list[EnclosedFile] = []
    seen: set[int] = set()
    for name, reference in _specifications(tree):
        specification = mapping(reference)
        streams = mapping(specification.get("/EF")) if specification is not None else None
        stream = next((found for key in _NAMES if (found := mapping((streams or {}).get(key)))), None)
        if stream is None or id(stream) in seen or len(files) >= _MOST_FILES:
            continue
        seen.add(id(stream))
        said = next((words for key in _NAMES if (words := value_in_words(specification.get(key)))), "")
        files.append(_file(one_line(said.replace("\\", "/").rpartition("/")[2] or name) or "unnamed", stream))
    return files


def _specifications(tree: Tree) -> Iterator[tuple[str, Any]]:
    names = mapping(tree.root.get("/Names")) or {}
    yield from named_values(names.get("/EmbeddedFiles"))
    for item in sequence(tree.root.get("/AF")) or []:
        yield "", item
    for page in tree.pages:
        for item in (sequence(page.get("/Annots")) or []) if page is not None else []:
            annotation = mapping(item) or {}
            if resolved(annotation.get("/Subtype")) == "/FileAttachment":
                yield "", annotation.get("/FS")


def _file(name: str, stream: Any) -> EnclosedFile:
    try:
        data = bytes(stream.get_data())[:_MOST_BYTES]
    except Exception:  # whatever pypdf makes of damaged streams, its limits among it
        stated = resolved((mapping(stream.get("/Params")) or {}).get("/Size"))
        return EnclosedFile(name, int(stated) if isinstance(stated, int) and stated >= 0 else None, None)
    return EnclosedFile(name, len(data), data)


def appended(
    tree: Tree, known: set[tuple[str, str]], read_pdf: Callable[[str, bytes], Source | None]
) -> tuple[str, list[str]]:
    """What is read below the last page, and notes on it. known: the values of form fields that stand on pages, see
    TypedIn.values. read_pdf: a PDF by its name and bytes as a source. To be called within `quietly`."""
    text, notes = _xfa(tree, known)
    files = enclosed_files(tree)
    read = []
    for file in files:
        words = _pdf_in_words(file, read_pdf) if file.is_pdf else file.words
        if words is not None and words.strip():
            text += f"\n[file inside: {file.name}]\n{words.strip()}"
            read.append(file)
    return text, [*notes, *_notes_on(files, read, is_portfolio="/Collection" in tree.root)]


def _pdf_in_words(file: EnclosedFile, read_pdf: Callable[[str, bytes], Source | None]) -> str | None:
    """The text of a PDF in a PDF, where it is short, its pages marked as its own."""
    source = read_pdf(file.name, file.data or b"")
    if source is None or len(source.text) > _MOST_TEXT:
        return None
    ends = (*source.page_starts[1:], len(source.text))
    parts = [source.text[start:end] for start, end in zip(source.page_starts, ends, strict=True)]
    return "".join(
        part.replace(f"[page {number}]", f"[page {number} of {file.name}]", 1) for number, part in enumerate(parts, 1)
    )


def _notes_on(files: list[EnclosedFile], read: list[EnclosedFile], *, is_portfolio: bool) -> list[str]:
    if not files:
        return ["A PDF portfolio in which no file was found."] if is_portfolio else []
    what = "This PDF is a portfolio, a cover around" if is_portfolio else "Inside this PDF is"
    what = what if is_portfolio or len(files) == 1 else "Inside this PDF are"
    n_files = f"{len(files):,} file{'' if len(files) == 1 else 's'}"
    notes = [f"{what} {n_files}: {listed([str(file) for file in files])}."]
    if read:
        notes.append(f"Read below the last page: {listed([file.name for file in read])}.")
    left = [file.name for file in files if file not in read]
    if left:
        notes.append(f"Not read: {listed(left)}; save what you need from a PDF viewer and give it by itself.")
    return notes


def _xfa(tree: Tree, known: set[tuple[str, str]]) -> tuple[str, list[str]]:
    if not has_xfa(tree):
        return "", []
    is_dynamic = bool(value_in_words(tree.root.get("/NeedsRendering")) == "true")
    what = "whose pages are made by the program that opens it; print it to a new PDF to send them" if is_dynamic else ""
    note = f"This PDF is an XFA form{', ' if what else ''}{what}."
    values = xfa_values(tree)
    if values is None:
        return "", [note, "The data of the XFA form could not be read."]
    new = [(name, words) for name, words in values if (last_part(name), words.strip()) not in known]
    said = f"The data of the XFA form was read: {len(values):,} value{'' if len(values) == 1 else 's'}."
    return "".join(f"\n[form field {one_line(name)}] {words.strip()}" for name, words in new), [note, said]


def has_xfa(tree: Tree) -> bool:
    """Whether the PDF is a form that is drawn by the program that opens it, in part or in all."""
    form = mapping(tree.root.get("/AcroForm")) or {}
    return resolved(form.get("/XFA")) is not None


def xfa_values(tree: Tree) -> list[tuple[str, str]] | None:
    """The names and values of an XFA form's data; None where it cannot be read. To be called within `quietly`."""
    root = _datasets(_xfa_xml(tree))
    if root is None:
        return None
    data = root if root.tag == f"{_XFA_DATA}data" else root.find(f".//{_XFA_DATA}data")
    if data is None:
        return []
    return [(name, words) for name, words in _values(data, "") if words.strip()]


def _xfa_xml(tree: Tree) -> list[bytes]:
    """The packets with data first, then all of them as one."""
    xfa = (mapping(tree.root.get("/AcroForm")) or {}).get("/XFA")
    parts = sequence(xfa)
    if parts is None:
        return [_bytes_of(xfa)]
    packets = [(value_in_words(parts[at]), _bytes_of(parts[at + 1])) for at in range(0, len(parts) - 1, 2)]
    return [*(data for name, data in packets if name == "datasets"), b"".join(data for _, data in packets)]


def _bytes_of(value: Any) -> bytes:
    stream = resolved(value)
    try:
        return bytes(stream.get_data()) if hasattr(stream, "get_data") else str(stream or "").encode("utf-8", "replace")
    except Exception:  # a damaged stream
        return b""


def _datasets(packets: list[bytes]) -> ElementTree.Element | None:
    for data in packets:
        if not data.strip() or len(data) > _MOST_XML or b"<!ENTITY" in data or b"<!DOCTYPE" in data:
            continue  # no data of a form has entities of its own: they are how a small file becomes a large one
        for attempt in (data, decoded(data).encode()):
            try:
                return ElementTree.fromstring(attempt)
            except (ElementTree.ParseError, ValueError, LookupError, RecursionError):
                continue
    return None


def _values(element: ElementTree.Element, path: str) -> Iterator[tuple[str, str]]:
    """The leaves below an element, with their paths; rich text is one of them."""
    stack = [(child, path) for child in reversed(element)]
    while stack:
        node, above = stack.pop()
        name = str(node.tag).rpartition("}")[2] if isinstance(node.tag, str) else ""
        full = f"{above}.{name}" if above else name
        yield from ((f"{full}.{key}", cleaned(value)) for key, value in node.attrib.items() if "{" not in key)
        if "w3.org/1999/xhtml" in str(node.tag) or not len(node) or _is_rich(node):
            yield full, cleaned("".join(node.itertext()))
            continue
        if node.text and node.text.strip():
            yield full, cleaned(node.text)
        stack += [(child, full) for child in reversed(node)]


def _is_rich(node: ElementTree.Element) -> bool:
    return all("w3.org/1999/xhtml" in str(child.tag) for child in node)
