"""The part of a source that the viewer shows: rows around a place, found words, what moves on. Sources may be large.

A row is a line, or a piece of a line that is too long to be shown whole: a source of one line of 5 MB has rows, too.
Places are characters of the text, from and up to.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

PIECE = 1_000  # characters of a line that are a row
_MOST_ROWS = 260
_MOST_CHARACTERS = 60_000
_BEFORE_ROWS = 50  # rows that stand before what is looked at
_OVERLAP = 6  # rows that stay when one moves on
_MOST_HITS = 10_000
_MOST_SOUGHT = 500  # characters of a question to search for

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """line: its number, from 1; piece: which one of the line, from 0; start: its first character; text: without what
    ends the line."""

    line: int
    piece: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Rows in order. end: the character behind the last one, its line end included."""

    rows: tuple[Row, ...]
    end: int


@dataclass(frozen=True)
class Reading:
    """A source's text, opened to be looked at: where its lines begin is found once."""

    text: str = field(repr=False)

    @cached_property
    def _starts(self) -> list[int]:
        """Of the lines, which end with LF, CR LF or CR. What ends the text ends its last line, and begins no other."""
        ends = "\r\n?|\n" if "\r" in self.text else "\n"
        starts = [0, *(end.end() for end in re.finditer(ends, self.text))]
        return starts[:-1] if len(starts) > 1 and starts[-1] == len(self.text) else starts

    @property
    def n_lines(self) -> int:
        return len(self._starts)

    def line_at(self, at: int) -> int:
        """The number of the line that a character stands on."""
        return max(1, bisect_right(self._starts, at))

    def start_of(self, line: int) -> int:
        """The first character of a line; of the nearest one where there is none of this number."""
        return self._starts[min(max(line, 1), len(self._starts)) - 1]

    def span_of_bytes(self, span: Sequence[int]) -> Span:
        """Characters for bytes of the text in UTF-8."""
        if self.text.isascii():
            return span[0], span[1]
        data = self.text.encode("utf-8", "surrogatepass")
        start = len(data[: span[0]].decode("utf-8", "ignore"))
        return start, start + len(data[span[0] : span[1]].decode("utf-8", "ignore"))

    def span_of_lines(self, lines: Sequence[int]) -> Span:
        """Characters of lines, first and last; the last one's end is left out."""
        start, last = self.start_of(lines[0]), self.start_of(lines[1])
        return start, max(start, self._line_end(last))

    def around(self, span: Span) -> Excerpt:
        """The rows that a place stands in the middle of, or the beginning of a place that is longer."""
        start = min(max(0, span[0]), len(self.text))
        return self.at(self._back(self._row_start(start), _BEFORE_ROWS, _MOST_CHARACTERS // 4))

    def after(self, excerpt: Excerpt) -> Excerpt:
        """What follows: its first rows are the last ones of this."""
        return self.at(excerpt.rows[-min(_OVERLAP, len(excerpt.rows))].start)

    def before(self, excerpt: Excerpt) -> Excerpt:
        """What stands before: its last rows are the first ones of this, where they are not more than can be shown."""
        first = excerpt.rows[min(_OVERLAP, len(excerpt.rows) - 1)].start
        return self.at(self._back(first, _MOST_ROWS, _MOST_CHARACTERS))

    def at(self, start: int) -> Excerpt:
        """The rows from a row's beginning on, as many as are shown at once."""
        rows: list[Row] = []
        n_characters, at = 0, min(start, max(0, len(self.text)))
        while len(rows) < _MOST_ROWS and n_characters < _MOST_CHARACTERS:
            line = self.line_at(at)
            begin, end = self._starts[line - 1], self._line_end(at)
            stop = min(at + PIECE, end)
            rows.append(Row(line, (at - begin) // PIECE, at, self.text[at:stop]))
            n_characters += stop - at
            at = self._next_line(at) if stop >= end else stop
            if at >= len(self.text):
                break
        return Excerpt(tuple(rows), at)

    def find(self, words: str) -> tuple[int, ...]:
        """Where these words stand, capitals or not: the first characters, the first 10,000 of them."""
        if not words.strip() or len(words) > _MOST_SOUGHT:
            return ()
        found = []
        for match in re.finditer(re.escape(words), self.text, re.IGNORECASE):
            found.append(match.start())
            if len(found) == _MOST_HITS:
                break
        return tuple(found)

    def _row_start(self, at: int) -> int:
        begin = self.start_of(self.line_at(at))
        at = min(at, max(begin, self._line_end(at) - 1))  # a line's end is no row of its own
        return begin + (at - begin) // PIECE * PIECE

    def _back(self, start: int, n_rows: int, n_characters: int) -> int:
        """The beginning of the row so many rows and characters before one."""
        at = start
        for _ in range(n_rows):
            if at == 0:
                break
            before = self._row_start(at - 1)
            if start - before > n_characters:
                break
            at = before
        return at

    def _next_line(self, at: int) -> int:
        line = self.line_at(at)
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def _line_end(self, at: int) -> int:
        """Where the line of a character ends, before what ends it."""
        begin, end = self.start_of(self.line_at(at)), self._next_line(at)
        tail = self.text[max(begin, end - 2) : end]
        return end - (2 if tail == "\r\n" else tail[-1:] in ("\n", "\r"))


def pieces_of(row: Row, colours: Sequence[tuple[int, int, str]], marks: Sequence[tuple[int, int, str]]) -> list[Any]:
    """A row's text in runs, each a str, or a list of its classes and its text.

    colours: spans of the source with a class, in order, none within another; marks: further ones that may lie anywhere.
    """
    end = row.start + len(row.text)
    first = max(0, bisect_right(colours, row.start, key=lambda one: one[0]) - 1)
    coloured = colours[first : bisect_left(colours, end, key=lambda one: one[0])]
    near = [one for one in (*coloured, *marks) if one[0] < end and one[1] > row.start]
    cuts = sorted({row.start, end, *(min(max(edge, row.start), end) for one in near for edge in one[:2])})
    found: list[Any] = []
    for start, stop in zip(cuts, cuts[1:], strict=False):
        names = " ".join(dict.fromkeys(name for a, b, name in near if a <= start and b >= stop))
        text = row.text[start - row.start : stop - row.start]
        found.append([names, text] if names else text)
    return found
