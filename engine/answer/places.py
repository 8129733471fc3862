"""Where in its source a passage stands: lines, page, cell, and the box on the page.

Places are bytes of the source's text in UTF-8, as it is sent. Of a text file in UTF-8 without a byte order mark these
are the very bytes of the file, line ends of whatever kind included; where it has a mark or another encoding, its bytes
are told by encoding the text again. Of PDFs and notebooks they are bytes of nothing but that text.
"""

import re
from bisect import bisect_left
from codecs import getincrementalencoder, lookup
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.answer.citations import Box as Box  # whoever finds boxes needs it
from engine.answer.citations import Citation, PageBox, Status
from engine.corpus.source import Source
from engine.runtime.quotes.text import Place

_NOTEBOOK, _TEXT = "notebook", "text"  # the kinds of such sources
_UTF8 = "utf-8"
# encodings of files with a byte order mark, see `decoding`: its bytes, and what follows; either order is as long
_MARKED = {"utf-8-sig": (3, _UTF8), "utf-16": (2, "utf-16-le"), "utf-32": (4, "utf-32-le")}
_NEVER = ("idna", "punycode")  # no file is in these, and they take long
_LINE_END = re.compile(rb"[\r\n]")
_MOST_PAGES = 8  # of a passage that are looked for it
_CELL_MARK = re.compile(r"(?:\A|\n\n)\[cell (\d{1,9}), [^\n]{0,200}\](?=\n)")


class BoxOf(Protocol):
    """Where words stand on a page of a source, from 1; before: what of the page's text stands before them. None where
    that cannot be told. See `pdfium.find_words`."""

    def __call__(self, source: Source, *, page: int, words: str, before: str) -> Box | None: ...


class _Encoded(Sequence[bytes]):
    """The UTF-8 of sources, each made when it is asked for: the last one is kept."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources, self._kept = sources, (-1, b"")

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, number: Any) -> Any:
        at, data = self._kept  # both at once, for others may ask at the same time
        if at != number:
            data = self._sources[number].text.encode("utf-8", "surrogatepass")
            self._kept = number, data
        return data


class Places:
    """The sources of a prompt, to be cited from. documents: the UTF-8 of each, by which places number them.

    box_of: finds words on pages; without it no citation has a box.
    """

    def __init__(self, sources: Sequence[Source], *, box_of: BoxOf | None = None) -> None:
        self.sources = tuple(sources)
        self.documents: Sequence[bytes] = _Encoded(self.sources)
        self._box_of = box_of
        self._layouts: dict[int, _Layout] = {}

    def citation(
        self, place: Place, *, statement: tuple[int, int], status: Status = Status.VERIFIED, **known: Any
    ) -> Citation:
        """A citation of what stands at a place. known: further fields of Citation; the quote is what stands there,
        where it is not among them."""
        source = self.sources[place.document]
        layout = self._layout(place.document)
        known.setdefault("quote", self.words(place))
        page, boxes = layout.page(place.start), self._boxes(place, layout)
        in_text, in_file = (place.start, place.end), layout.file_span(place.start, place.end)
        return Citation(
            statement=statement,
            status=status,
            path=source.path,
            source_digest=source.digest,
            bytes=in_file,
            text_bytes=in_text if in_text != in_file else None,
            lines=(layout.line(place.start), layout.line(max(place.start, place.end - 1))),
            page=page,
            cell=layout.cell(place.start),
            box=boxes[0].box if boxes and boxes[0].page == page else None,
            boxes=boxes if [each.page for each in boxes] not in ([], [page]) else None,
            **known,
        )

    def words(self, place: Place) -> str:
        """What stands there."""
        return self.documents[place.document][place.start : place.end].decode(errors="replace")

    def indented(self, place: Place) -> Place:
        """A passage of several lines with the white space that its first line begins with, so that they stand below
        each other as in the source; not of a PDF, where it is nothing but the place on the page."""
        data, start = self.documents[place.document], place.start
        if self.sources[place.document].page_starts or not _LINE_END.search(data, start, place.end):
            return place
        while data[max(0, start - 1) : start] in (b" ", b"\t"):
            start -= 1
        begins_line = start == 0 or data[start - 1 : start] in (b"\n", b"\r")
        return replace(place, start=start) if begins_line else place

    def _layout(self, document: int) -> "_Layout":
        if document not in self._layouts:
            self._layouts[document] = _Layout(self.sources[document], self.documents[document])
        return self._layouts[document]

    def _boxes(self, place: Place, layout: "_Layout") -> tuple[PageBox, ...]:
        """On each page that a passage stands on, of what of it stands there, as far as that is found."""
        first, last = layout.page(place.start), layout.page(place.end - 1)
        if first is None or last is None or self._box_of is None:
            return ()
        data, source, found = self.documents[place.document], self.sources[place.document], list[PageBox]()
        for page in range(first, min(last + 1, first + _MOST_PAGES)):
            begin, end = layout.page_span(page)
            start = max(begin, place.start)
            words = data[start : min(place.end, end)].decode(errors="replace")
            before = data[begin:start].decode(errors="replace")
            if (box := self._box_of(source, page=page, words=words, before=before)) is not None:
                found.append(PageBox(page, box))
        return tuple(found)


@dataclass(frozen=True)
class _Layout:
    """A source's text in lines, pages and cells, by bytes; each is looked for once, when it is asked for."""

    source: Source
    data: bytes

    def line(self, at: int) -> int:
        return int(np.searchsorted(self._line_starts, at, "right")) + 1

    def page(self, at: int) -> int | None:
        if not self.source.page_starts:
            return None
        return int(np.searchsorted(self._page_starts, at, "right")) or None

    def page_span(self, page: int) -> tuple[int, int]:
        """A page's bytes, from and up to, without the mark that it begins with."""
        starts = self._page_starts
        start, end = int(starts[page - 1]), int(starts[page]) if page < len(starts) else len(self.data)
        mark = f"[page {page}]\n".encode()
        return start + len(mark) * self.data.startswith(mark, start), end

    def file_span(self, start: int, end: int) -> tuple[int, int] | None:
        """Bytes of the text as bytes of the file; None where the file has others. See Citation.bytes."""
        if self.source.kind != _TEXT:
            return start, end
        if not self._is_whole:
            return None
        mark, coding = _coding(self.source)
        if coding == _UTF8:
            return mark + start, mark + end
        encoder = getincrementalencoder(coding)(_errors(coding))  # some encodings have states
        first = mark + len(encoder.encode(self.data[:start].decode("utf-8", "surrogatepass")))
        return first, first + len(encoder.encode(self.data[start:end].decode("utf-8", "surrogatepass")))

    @cached_property
    def _is_whole(self) -> bool:
        """Whether the text, encoded again, is as long as the file. Where nothing was said of reading it, it is."""
        mark, coding = _coding(self.source)
        if coding == _UTF8:
            return not self.source.notes or mark + len(self.data) == self.source.n_bytes
        try:
            if lookup(coding).name in _NEVER:
                return False
            return mark + len(self.source.text.encode(coding, _errors(coding))) == self.source.n_bytes
        except (LookupError, UnicodeError):  # an encoding of a stranger's session, or characters that were put in
            return False

    def cell(self, at: int) -> int | None:
        if self.source.kind != _NOTEBOOK:
            return None
        starts, numbers = self._cells
        found = int(np.searchsorted(starts, at, "right")) - 1
        return numbers[found] if found >= 0 else None

    @cached_property
    def _line_starts(self) -> NDArray[np.int64]:
        """Of all lines but the first. Lines end as editors have it: with LF, CR LF or CR."""
        raw = np.frombuffer(self.data, dtype=np.uint8)
        ends = raw == 0x0A
        if b"\r" in self.data:
            alone = raw == 0x0D
            alone[:-1] &= ~ends[1:]
            ends |= alone
        return np.flatnonzero(ends) + 1

    @cached_property
    def _page_starts(self) -> NDArray[np.int64]:
        return _byte_starts(self.source.text, self.source.page_starts)

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int64], Sequence[int]]:
        cells = _cell_starts(self.source.text)
        return _byte_starts(self.source.text, list(cells.values())), list(cells)


def _coding(source: Source) -> tuple[int, str]:
    """How many bytes a text file's byte order mark has, and how what follows is encoded."""
    return _MARKED.get(source.encoding or _UTF8, (0, source.encoding or _UTF8))


def _errors(coding: str) -> str:
    return "surrogatepass" if coding.startswith("utf-") else "strict"


def _cell_starts(text: str) -> dict[int, int]:
    """Where each cell begins in what was read of a notebook, by the cell's number: the first character of its mark.

    A cell's own words may look like a mark. Marks ascend, so the longest row of ascending ones is taken for them.
    """
    marks = [(int(found[1]), found.start(1) - len("[cell ")) for found in _CELL_MARK.finditer(text)]
    tails: list[int] = []  # the smallest number that a row of each length ends with
    ends: list[int] = []  # which mark that is
    before: list[int] = []
    for at, (number, _) in enumerate(marks):
        length = bisect_left(tails, number)
        tails[length : length + 1] = [number]
        ends[length : length + 1] = [at]
        before.append(ends[length - 1] if length else -1)
    starts, at = {}, ends[-1] if ends else -1
    while at >= 0:
        starts[marks[at][0]] = marks[at][1]
        at = before[at]
    return dict(reversed(starts.items()))


def _byte_starts(text: str, starts: Sequence[int]) -> NDArray[np.int64]:
    """Ascending characters of a text, as bytes of its UTF-8."""
    if text.isascii():
        return np.array(starts, dtype=np.int64)
    pieces = [text[start:end] for start, end in zip((0, *starts), starts, strict=False)]
    return np.cumsum([len(piece.encode("utf-8", "surrogatepass")) for piece in pieces], dtype=np.int64)
