"""Spaces between the glyphs of a line, held against where the glyphs stand.

PDFium's spaces are a guess where a PDF has no glyph for them. A gap of more than a seventh of the letters' height
beyond what the line has between letters is a space, a space that takes no room is none, and one that takes the room of
four is four.
"""

from statistics import median

import numpy as np
import numpy.typing as npt

GAP = 0.14  # of a glyph's height, beyond what its line has between letters: a space in tightly set text has 0.2
_TIGHT_GAP = 0.07  # on a line whose letters are set evenly: kerning moves them by 0.03
_EVEN = 0.01
_MOST_SPACES = 200  # in a row
_NARROW_GAP = 0.025
_GLUED_SHARE = 0.03  # of the pairs of letters that such a gap parts
_PILED_SHARE = 0.2  # of the pairs: those of a ligature stand in one place too
_FEWEST = 8  # pairs of letters from which a line's usual gap is known

Boxes = npt.NDArray[np.float32]
"""A row for each glyph: left, top, right, bottom, in points, upward, where the text stands upright."""


class Spaces:
    """The spaces of one page. n_mended: how many were put in or taken out so far."""

    def __init__(self, characters: list[str], boxes: Boxes, heights: npt.NDArray[np.float32]) -> None:
        """characters: of each glyph, "" for what is none. heights: of each box, above 0."""
        self.characters, self.boxes, self.heights = characters, boxes, heights
        self.n_mended = 0
        left, _, right, bottom = boxes.T
        self.gaps = np.zeros(len(characters), dtype=np.float32)  # to the next glyph, in heights
        self.gaps[:-1] = (left[1:] - right[:-1]) / heights[:-1]
        self.steps = np.zeros(len(characters), dtype=np.float32)  # up or down to it
        self.steps[:-1] = np.abs(bottom[1:] - bottom[:-1]) / heights[:-1]

    def between(self, line: range) -> list[tuple[int, str]]:
        """The line's characters, each with its glyph or -1, spaces by the gaps."""
        characters = self.characters
        if self._is_settled(line):
            return [(at, characters[at]) for at in line]
        limit, usual = self._limit(line)
        pieces: list[tuple[int, str]] = []
        for at in line:
            character, last = characters[at], at + 1 >= line.stop
            if self._is_overlaid(at, line, usual):
                self.n_mended += 1
                continue
            pieces.append((at, character * self._n_spaces(at, line) if character == " " else character))
            if not last and self.gaps[at] > self._limit_at(at, limit) and self._may_part(at):
                self.n_mended += 1
                pieces.append((-1, " "))
        return pieces

    def _is_settled(self, line: range) -> bool:
        """Whether there is nothing to mend on a line, at a glance."""
        if len(line) < 2:
            return True
        characters = self.characters
        within = slice(line.start, line.stop - 1)
        if bool((self.gaps[within] > _TIGHT_GAP).any()) and any(
            self.gaps[at] > _TIGHT_GAP and self._may_part(at) for at in line[:-1]
        ):
            return False
        return not any(characters[at] == " " and not 0 <= self.gaps[at] < GAP for at in line[:-1])

    def _limit(self, line: range) -> tuple[float, float]:
        """From which gap on letters are words apart, and the gap that letters have."""
        pairs = [at for at in line[:-1] if self._may_part(at)]
        gaps = [float(self.gaps[at]) for at in pairs if self.gaps[at] > -0.5]
        if len(gaps) < _FEWEST:
            return GAP, 0.0
        usual = median(gaps)
        spread = median(abs(gap - usual) for gap in gaps)
        return usual + (_TIGHT_GAP if spread < _EVEN else GAP + 3 * spread), usual

    def _limit_at(self, at: int, limit: float) -> float:
        """The limit between two letters, and a wider one beside a sign, which has more room around it."""
        beside = self.characters[at] + self.characters[at + 1]
        return limit if beside.isalnum() else max(limit, GAP)

    def _may_part(self, at: int) -> bool:
        """Whether a space could be missing behind a glyph: between two of one height, in scripts that have spaces."""
        first, second = self.characters[at], self.characters[at + 1]
        if not first or not second or first.isspace() or second.isspace() or self.steps[at] > 0.35:
            return False
        return _has_spaces(first) and _has_spaces(second)

    def _is_overlaid(self, at: int, line: range, usual: float) -> bool:
        """Whether a space takes no room: the next letter stands over it, as near as letters do."""
        if self.characters[at] != " " or not line.start < at < line.stop - 1 or self.gaps[at] >= 0:
            return False
        before, after = self.boxes[at - 1], self.boxes[at + 1]
        apart = float(after[0] - before[2]) / float(self.heights[at - 1])
        return self.characters[at - 1] != " " and self.characters[at + 1] != " " and abs(apart - usual) < 0.05

    def _n_spaces(self, at: int, line: range) -> int:
        """How many spaces a space stands for: PDFium gives one for a row of them, such as a line of code begins with. A
        line that is stretched has wide spaces, and one of each."""
        widths = self.boxes[:, 2] - self.boxes[:, 0]
        if at + 1 >= line.stop or self.gaps[at] < GAP or not widths[at] > 0 or self.steps[at] > 0.35:
            return 1
        inner = [each for each in line[:-1] if self.characters[each] == " " and self.characters[each + 1].strip()]
        spans = [self._span(each) for each in inner if widths[each] > 0]
        span = self._span(at)
        is_fixed = all(
            abs(widths[each] - widths[at]) < 0.01 * widths[at] for each in line if self.characters[each] > " "
        )
        if round(span) < 2 or abs(span - round(span)) > 0.06 or (len(spans) > 2 and min(spans) > 1.2 and not is_fixed):
            return 1
        return min(round(span), _MOST_SPACES)

    def _span(self, at: int) -> float:
        """How far it is from the start of a space to the next letter, in widths of that space."""
        left, right = float(self.boxes[at][0]), float(self.boxes[at][2])
        return float(self.boxes[at + 1][0] - left) / (right - left)

    def may_be_glued(self) -> bool:
        """Whether many letters stand a little apart, or many stand in one place, as where a font's widths are lost."""
        is_letter = np.fromiter((character > " " for character in self.characters), bool, len(self.characters))
        pairs = is_letter[:-1] & is_letter[1:] & (self.steps[:-1] < 0.1)
        gaps = self.gaps[:-1][pairs]
        if len(gaps) < _FEWEST:
            return False
        gaps = gaps - np.median(gaps)
        if np.mean(np.abs(np.diff(self.boxes[:, 0])[pairs]) < 0.01) > _PILED_SHARE:
            return True
        return bool(np.mean((gaps > _NARROW_GAP) & (gaps < GAP)) > _GLUED_SHARE)


def _has_spaces(character: str) -> bool:
    """Whether the script of a character sets words apart by spaces: not Thai, Chinese or Japanese."""
    code = ord(character[-1])
    if code < 0x0590:
        return True
    return code < 0x0E00 or 0x10A0 <= code < 0x1100 or 0x1E00 <= code < 0x2E80
