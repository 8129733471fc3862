"""Where in its source a passage stands: lines, page, cell, and the box on the page.

Places are bytes of the source's text in UTF-8, as it is sent. Of a text file in UTF-8 these are the very bytes of the
file, line ends of whatever kind included; but a byte order mark at its head is no text, so that they are 3 fewer there.
Of a file in another encoding, of PDFs and notebooks they are bytes of nothing but that text.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.answer.citations import Citation, Status
from engine.corpus.source import Source
from engine.runtime.quotes.text import Place

_NOTEBOOK = "notebook"  # the kind of such sources
_CELL_MARK = re.compile(r"(?:\A|\n\n)\[cell (\d{1,9}), [^\n]{0,200}\](?=\n)")

Box = tuple[float, float, float, float]


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
        source, data = self.sources[place.document], self.documents[place.document]
        layout = self._layout(place.document)
        known.setdefault("quote", data[place.start : place.end].decode(errors="replace"))
        page = layout.page(place.start)
        return Citation(
            statement=statement,
            status=status,
            path=source.path,
            source_digest=source.digest,
            bytes=(place.start, place.end),
            lines=(layout.line(place.start), layout.line(max(place.start, place.end - 1))),
            page=page,
            cell=layout.cell(place.start),
            box=self._box(place, layout, page),
            **known,
        )

    def _layout(self, document: int) -> "_Layout":
        if document not in self._layouts:
            self._layouts[document] = _Layout(self.sources[document], self.documents[document])
        return self._layouts[document]

    def _box(self, place: Place, layout: "_Layout", page: int | None) -> Box | None:
        """On the page where the passage begins, of what of it stands there."""
        if page is None or self._box_of is None:
            return None
        begin, end = layout.page_span(page)
        data = self.documents[place.document]
        words = data[place.start : min(place.end, end)].decode(errors="replace")
        before = data[begin : place.start].decode(errors="replace")
        return self._box_of(self.sources[place.document], page=page, words=words, before=before)


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
