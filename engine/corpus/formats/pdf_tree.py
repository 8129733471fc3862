"""A PDF's objects by pypdf: opened whatever its ends look like, its pages by their true numbers, and values looked up
without trust.

pypdf's own list of pages leaves out what is damaged and gives up at a depth of 100. What is on a page is left to
`pdf_text` and `pdf_typed`, what PDFium makes of the file to `pdfium`.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_MOST_PAGES = 100_000
_MOST_NODES = 400_000
_DEEPEST = 5_000
_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")
_HEADER = b"%PDF-"
_IN_BASE64 = b"JVBERi0"  # the header in base64
_LATE_HEADER = re.compile(rb"(?:^|[\x00\r\n ])%PDF-\d")
_OBJECT = re.compile(rb"\d+ \d+ obj\b")
_END = b"%%EOF"
_HANDLER = re.compile(rb"/Filter\s*/([^\s/<>\[\]()%]+)")
_STREAM_FILTERS = re.compile(
    rb"(?i)(ASCIIHex|ASCII85|LZW|Flate|RunLength|CCITTFax|JBIG2|DCT|JPX|Brotli)Decode$|^(A85|AHx|LZW|Fl|RL|CCF|DCT)$|^Crypt$"
)
_SIGNATURES = (b"Adobe.PPKLite", b"Adobe.PPKMS", b"Entrust.PPKEF", b"CICI.SignIt", b"VeriSign.PPKVS")


def is_wrapped(head: bytes) -> bool:
    """Whether a file that is called .pdf is one in spite of its beginning: in base64, its header late or not there."""
    return (
        _LATE_HEADER.search(head) is not None
        or _base64_start(head) is not None
        or (_OBJECT.search(head[:1024]) is not None)
    )


def _base64_start(head: bytes) -> int | None:
    """Where base64 of a PDF begins: at once, or behind "data:application/pdf;base64,"."""
    start = head.lstrip()[:100].find(_IN_BASE64)
    if start < 0 or (start > 0 and not head.lstrip().startswith(b"data:")):
        return None
    return len(head) - len(head.lstrip()) + start


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A PDF from its header on, and what was around it in words."""

    data: bytes = field(repr=False)
    notes: tuple[str, ...] = ()


def unwrapped(data: bytes) -> Unwrapped:
    """The PDF without what stands before it."""
    start = data.find(_HEADER, 0, 1 << 16)
    if start >= 0:
        is_late = start > 1024 - len(_HEADER)  # readers look so far
        notes = _unended(data)
        if data[:start].strip(b"\x00\t\r\n \xef\xbb\xbf"):
            notes = (f"{start:,} bytes stood before the PDF's header and were left out.", *notes)
        elif is_late:
            notes = (f"The PDF's header comes late, after {start:,} bytes of nothing.", *notes)
        return Unwrapped(data[start:] if is_late else data, notes)
    at = _base64_start(data[: 1 << 12])
    if at is not None:
        try:
            inner = base64.b64decode(data[at:].replace(b"-", b"+").replace(b"_", b"/"))
        except (binascii.Error, ValueError):
            return Unwrapped(data)
        return Unwrapped(inner, ("The file is base64; the PDF in it was read.", *_unended(inner)))
    return Unwrapped(b"%PDF-1.4\n" + data, ("The file has no PDF header; it was read as a PDF all the same.",))


def _unended(data: bytes) -> tuple[str, ...]:
    if _END in data[-65_536:].rstrip(b"\0\r\n ")[-1024:]:
        return ()
    return ("The file ends without its end mark (%%EOF): it may be cut short.",)


def lock_in_words(data: bytes) -> str:
    """Why an encrypted PDF cannot be opened, and what to do."""
    handlers = [name for name in _HANDLER.findall(data) if not _STREAM_FILTERS.search(name)]
    others = sorted({name for name in handlers if name not in (b"Standard", *_SIGNATURES)})
    if b"Adobe.PubSec" in others or b"Adobe.PubSec#20" in others:
        return "a PDF encrypted by certificate, for certain people; open it as one of them and save a copy without"
    if others and b"Standard" not in handlers:
        name = others[0][:40].decode("ascii", "replace")
        return f"a PDF behind a shop's or maker's own lock ({name}), which only its reader opens; ask for an open copy"
    return "a PDF behind a password; save a copy without one and give that"


@dataclass(frozen=True, slots=True)
class Tree:
    """The objects of a PDF. pages: in order, None where one is lost. is_tangled: a branch of its pages comes back to
    one above. is_hybrid: its tables come in two kinds, and readers may believe either."""

    reader: "PdfReader" = field(repr=False)
    pages: tuple["PageObject | None", ...]
    is_tangled: bool = False
    is_hybrid: bool = False

    @property
    def root(self) -> dict[str, Any]:
        return mapping(self.reader.trailer.get("/Root")) or {}


def open_tree(data: bytes, copy: bytes = b"") -> Tree | None:
    """The objects of a PDF, of its mended copy where pypdf cannot open it as it lies; None where neither.

    To be called within `quietly`.
    """
    from pypdf import PdfReader

    for attempt in (data, data + b"\n%%EOF\n" if _END not in data[-1024:] else b"", copy):
        if not attempt:
            continue
        try:
            reader = PdfReader(BytesIO(attempt))
            if reader.is_encrypted and not reader.decrypt(""):
                continue
            pages, is_tangled = _leaves(reader)
        except Exception:  # a broken PDF makes pypdf raise nearly anything, RecursionError too
            continue
        if pages:
            return Tree(reader, pages, is_tangled, is_hybrid=b"/XRefStm" in attempt)
    return None


def _leaves(reader: "PdfReader") -> tuple[tuple["PageObject | None", ...], bool]:
    """The leaves of the page tree, whatever it says of their number; nodes that come again are left out, and whether
    there were any."""
    root = mapping(reader.trailer.get("/Root")) or {}
    pages: list[PageObject | None] = []
    seen: set[int] = set()
    stack: list[tuple[Any, dict[str, Any], int]] = [(root.get("/Pages"), {}, 0)]
    n_nodes, is_tangled = 0, False
    while stack and len(pages) < _MOST_PAGES and n_nodes < _MOST_NODES:
        reference, inherited, depth = stack.pop()
        n_nodes += 1
        node = mapping(reference)
        kids = sequence(node.get("/Kids")) if node is not None else None
        if node is None or (kids is None and not _is_page(node)):
            pages.append(None)
        elif kids is None:
            pages.append(_page(reader, reference, node, inherited))
        elif id(node) in seen or depth >= _DEEPEST:
            is_tangled = True
        else:
            seen.add(id(node))
            down = inherited | {key: node.raw_get(key) for key in _INHERITED if key in node}
            stack += [(kid, down, depth + 1) for kid in reversed(kids)]
    if pages == [None] and mapping(root.get("/Pages")) is None:
        return (), False
    return tuple(pages), is_tangled


def _is_page(node: dict[str, Any]) -> bool:
    kind = resolved(node.get("/Type"))
    return kind in ("/Page", "/Template") or "/Contents" in node or (kind is None and "/MediaBox" in node)


def _page(reader: "PdfReader", reference: Any, node: Any, inherited: dict[str, Any]) -> "PageObject":
    from pypdf import PageObject
    from pypdf.generic import NameObject

    page = PageObject(reader, getattr(reference, "indirect_reference", None) or _reference(reference))
    page.update({NameObject(key): value for key, value in inherited.items() if key not in node})
    page.update({NameObject(key): node.raw_get(key) for key in node})
    return page


def _reference(value: Any) -> Any:
    from pypdf.generic import IndirectObject

    return value if isinstance(value, IndirectObject) else None


def is_content_lost(page: "PageObject") -> bool:
    """Whether a page names a content that is not there or cannot be unpacked."""
    if "/Contents" not in page or type(page.raw_get("/Contents")).__name__ == "NullObject":
        return False
    parts = sequence(page.raw_get("/Contents"))
    for part in parts if parts is not None else [page.raw_get("/Contents")]:
        stream = resolved(part)
        try:
            if stream is None or (stream._data and not stream.get_data()):
                return True
        except Exception:  # whatever pypdf makes of damaged streams
            return True
    return False


def flat_copy(tree: Tree) -> bytes:
    """The PDF with its pages in one row, an empty one for each that is lost: PDFium goes by the numbers that a tree
    states, and loses pages where those are wrong. b"" where it cannot be written."""
    from pypdf import PdfWriter

    writer = PdfWriter()
    try:
        for page in tree.pages:
            if page is None:
                writer.add_blank_page(612, 792)
            else:
                writer.add_page(page)
        out = BytesIO()
        writer.write(out)
    except Exception:
        return b""
    return out.getvalue()


def pages_of_drawings(drawings: list[Any], resources: Any) -> bytes:
    """A PDF with a page for each stream that draws an annotation, to be read like any other. resources: of those
    without their own. b"" where it cannot be written; an empty page stands for one that cannot be."""
    from pypdf import PdfWriter
    from pypdf.generic import ArrayObject, NameObject, StreamObject

    writer, out = PdfWriter(), BytesIO()
    try:
        for drawing in drawings:
            page = writer.add_blank_page(1000, 1000)
            with suppress(Exception):  # whatever pypdf makes of damaged objects
                content = StreamObject()
                content.set_data(drawing.get_data())
                page[NameObject("/Contents")] = writer._add_object(content)
                own = mapping(drawing.get("/Resources")) or mapping(resources)
                if own is not None:
                    page[NameObject("/Resources")] = own.clone(writer)
                box = mapping(drawing) and sequence(drawing.get("/BBox"))
                if box and len(box) == 4:
                    page[NameObject("/MediaBox")] = ArrayObject([resolved(side) for side in box])
        writer.write(out)
    except Exception:
        return b""
    return out.getvalue()


def resolved(value: Any) -> Any:
    """What a value refers to, None for what is damaged or not there."""
    try:
        for _ in range(20):
            if not hasattr(value, "get_object"):
                break
            found = value.get_object()
            if found is value:
                break
            value = found
    except Exception:  # whatever pypdf makes of damaged objects
        return None
    return None if type(value).__name__ == "NullObject" else value


def mapping(value: Any) -> Any:
    """The dictionary that a value refers to; None where it is none. Its entries may refer again: see `resolved`."""
    found = resolved(value)
    return found if isinstance(found, dict) else None


def sequence(value: Any) -> list[Any] | None:
    """The items of the array that a value refers to, as they lie in it."""
    found = resolved(value)
    return list(list.__iter__(found)) if isinstance(found, list) else None


def named_values(tree: Any) -> Iterator[tuple[str, Any]]:
    """The names and values of a name tree, each once, damage left out."""
    stack: list[Any] = [tree]
    seen: set[int] = set()
    while stack and len(seen) < _DEEPEST:
        node = mapping(stack.pop())
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        names = sequence(node.get("/Names")) or []
        for at in range(0, len(names) - 1, 2):
            yield str(resolved(names[at])), names[at + 1]
        stack += list(reversed(sequence(node.get("/Kids")) or []))
