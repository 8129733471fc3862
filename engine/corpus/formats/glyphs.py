"""The text of a PDF page from its glyphs as PDFium places them. Who calls this holds the lock on PDFium, see `pdfium`.

PDFium names each glyph's characters and guesses spaces and line ends. What it guesses is held against where the glyphs
stand: spaces by `spaces`, an accent belongs to the letter that it lies over, and a line of Hebrew or Arabic is put into
the order of reading by `bidi`.
Choosing between readers is left to `pdf_text`.
"""

import ctypes
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium

from engine.corpus.formats.bidi import RTL_LETTERS, is_rtl, read_order
from engine.corpus.formats.marked_text import MadeReady, address_of, made_ready, words_by_structure
from engine.corpus.formats.spaces import GAP, Boxes, Spaces

_FAR = 2.0  # heights: what stands so far apart is in two columns
_PARTED = (" ", "\t")
_CLEAR = 0.05  # of the smaller glyph's height: what lies between two lines at least
_RAISED = 0.85  # of the letters' height: a raised number has less
_RTL_GAP = 0.27  # Arabic letters that do not join stand apart by 0.25 at most
_HYPHENS = (2, 0xFFFE)  # what PDFium makes of a hyphen at the end of a line, which it joins to the next
_RTL = re.compile(f"[{RTL_LETTERS}]")
_ACCENTS = {
    "`": "\u0300", "\u02cb": "\u0300", "\u00b4": "\u0301", "\u02ca": "\u0301", "\u02c6": "\u0302", "\u02dc": "\u0303",
    "\u00af": "\u0304", "\u02c9": "\u0304", "\u02d8": "\u0306", "\u02d9": "\u0307", "\u00a8": "\u0308",
    "\u02da": "\u030a", "\u02dd": "\u030b", "\u02c7": "\u030c", "\u00b8": "\u0327", "\u02db": "\u0328",
}  # fmt: skip
_DOTLESS = {"\u0131": "i", "\u0237": "j"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The text of a page by its glyphs.

    text: lines end in "\\n". unmapped: the places in it of characters whose font does not say which they are, so that
    PDFium gave the bare code. n_spaces: that were put in or taken out, n_accents: that were joined to their letters.
    n_turned: lines that were put into the order of reading, n_unsure: for which there is another. n_silent: pieces
    that the file says are not read. may_be_glued: many letters stand a little apart, where words may be that PDFium
    does not tell apart.
    """

    text: str
    unmapped: tuple[int, ...] = ()
    n_spaces: int = 0
    n_accents: int = 0
    n_turned: int = 0
    n_unsure: int = 0
    n_silent: int = 0
    may_be_glued: bool = False


def glyphs_of(page: Any) -> Glyphs:
    """The text of an open page of pypdfium2's. Raises MemoryError or OSError, no more: an empty text where PDFium
    cannot read it."""
    rotation = pdfium.FPDFPage_GetRotation(page)
    ready, given = made_ready(page), words_by_structure(page)
    words = pdfium.FPDFText_LoadPage(page)
    try:
        return _Reading(words, ready, given).glyphs() if words else Glyphs("")
    finally:
        pdfium.FPDFText_ClosePage(words)
        if pdfium.FPDFPage_GetRotation(page) != rotation:
            pdfium.FPDFPage_SetRotation(page, rotation)  # the document has it too, and is drawn


# a call for each glyph: bare prototypes take half the time of those with conversions
_UNICODE = ctypes.PYFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.c_int)
_INT = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_BOX = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def _bare(prototype: Any, function: Any) -> Any:
    return prototype(ctypes.cast(function, ctypes.c_void_p).value)


class _Reading:
    """One page while it is read. characters: of each glyph, "" for what is none. boxes: left, top, right, bottom."""

    def __init__(self, words: Any, ready: MadeReady, given: dict[int, tuple[int, str]]) -> None:
        self.address = ctypes.cast(words, ctypes.c_void_p).value
        n_glyphs = max(0, pdfium.FPDFText_CountChars(words))
        name = _bare(_UNICODE, pdfium.FPDFText_GetUnicode)
        codes = [name(self.address, at) for at in range(n_glyphs)]
        self.characters = list(map(_character, codes))
        is_hyphen = _bare(_INT, pdfium.FPDFText_IsHyphen)
        self.hyphens = {at for at, code in enumerate(codes) if code in _HYPHENS and is_hyphen(self.address, at) == 1}
        for at in self.hyphens:
            self.characters[at] = "-"
        has_error = _bare(_INT, pdfium.FPDFText_HasUnicodeMapError)
        for at, code in enumerate(codes):
            if code == 13 and has_error(self.address, at) == 1:  # no line end, but a code of TeX's
                self.characters[at] = "\r"
        self.boxes: Boxes = np.zeros((n_glyphs, 4), dtype=np.float32)
        self.unmapped: set[int] = set()
        self.n_accents = self.n_turned = self.n_unsure = self.n_silent = 0
        self._measure()
        if given:
            self._say(words, given)
        if ready.silent:
            self._leave_out(words, ready.silent, given)
        left, top, right, bottom = self.boxes.T
        if ready.quarter:  # as they lie where the text is upright
            turned = {
                1: (bottom, -left, top, -right),
                2: (-right, -bottom, -left, -top),
                3: (-top, right, -bottom, left),
            }
            self.boxes = np.stack(turned[ready.quarter], axis=1)
        self.heights = np.maximum(np.abs(self.boxes[:, 1] - self.boxes[:, 3]), 0.01)

    def _measure(self) -> None:
        has_error = _bare(_INT, pdfium.FPDFText_HasUnicodeMapError)
        box_of = _bare(_BOX, pdfium.FPDFText_GetLooseCharBox)
        address, start = self.address, self.boxes.ctypes.data
        for at, character in enumerate(self.characters):
            box_of(address, at, start + 16 * at)
            if character and character not in _BLANK and has_error(address, at) == 1:
                self.unmapped.add(at)
        np.nan_to_num(self.boxes, copy=False, posinf=0, neginf=0)

    def _say(self, words: Any, given: dict[int, tuple[int, str]]) -> None:
        """Puts the words that the structure gives in the place of what is drawn for them."""
        said: set[int] = set()
        for at, character in enumerate(self.characters):
            found = pdfium.FPDFText_GetTextObject(words, at) if character.strip() else None
            element, text = given.get(pdfium.FPDFPageObj_GetMarkedContentID(found), (0, "")) if found else (0, "")
            if text:
                self.characters[at] = "" if element in said else text
                self.unmapped.discard(at)
                said.add(element)

    def _leave_out(self, words: Any, silent: frozenset[int], given: dict[int, tuple[int, str]]) -> None:
        """Takes out what a mark says is not read. A hyphen at the end of a line is none: its word is whole. What parted
        words leaves a space."""
        for run in self._silent_runs(words, silent, given):
            self.n_silent += 1
            self.hyphens.difference_update(run)
            self.unmapped.difference_update(run)
            beside = [self.characters[at] for at in (run.start - 1, run.stop) if 0 <= at < len(self.characters)]
            for at in run:
                self.characters[at] = ""
            if len(run) > 1 and len(beside) == 2 and all(each > " " for each in beside):
                self.characters[run.start] = " "
            elif beside == [" ", " "]:
                self.characters[run.stop] = ""

    def _silent_runs(self, words: Any, silent: frozenset[int], given: dict[int, tuple[int, str]]) -> list[range]:
        runs: list[range] = []
        for at, character in enumerate(self.characters):
            found = pdfium.FPDFText_GetTextObject(words, at) if character.strip() else None
            if not found or address_of(found) not in silent:
                continue
            if pdfium.FPDFPageObj_GetMarkedContentID(found) in given:
                continue
            if runs and runs[-1].stop == at:
                runs[-1] = range(runs[-1].start, at + 1)
            else:
                runs.append(range(at, at + 1))
        return runs

    def _join_accents(self) -> None:
        """Puts accents that were drawn by themselves on the letter that they lie over, wherever that is in the text."""
        left, _, right, bottom = self.boxes.T
        is_letter = np.fromiter((character.isalpha() for character in self.characters), bool, len(self.characters))
        for at, character in enumerate(self.characters):
            if character not in _ACCENTED:
                continue
            middle = (left[at] + right[at]) / 2
            near = np.abs(bottom - bottom[at]) < 0.5 * self.heights
            for letter in np.flatnonzero(is_letter & near & (left <= middle) & (middle <= right))[:2]:
                joined = _joined(character, self.characters[letter]) if letter != at else ""
                if joined:
                    self.characters[letter], self.characters[at] = joined, ""
                    self.n_accents += 1
                    break

    def glyphs(self) -> Glyphs:
        if _ACCENTED.intersection(self.characters):
            self._join_accents()
        spaces = Spaces(self.characters, self.boxes, self.heights)
        whole = "".join(self.characters)
        has_rtl = _RTL.search(whole) is not None
        page_rtl = has_rtl and is_rtl(whole)
        parts: list[str] = []
        unmapped: list[int] = []
        length = 0
        for line in self._lines():
            if len(line) and not any(self.characters[at] for at in line):
                continue  # an accent was all of it
            turned = self._turned(line, page_rtl) if has_rtl else None
            for at, piece in [(-1, turned)] if turned is not None else spaces.between(line):
                if at in self.unmapped:
                    unmapped.append(length)
                parts.append(piece)
                length += len(piece)
            parts.append("\n")
            length += 1
        text, may_be_glued = "".join(parts[:-1]), spaces.may_be_glued()
        return Glyphs(
            text=text,
            unmapped=tuple(unmapped),
            n_spaces=spaces.n_mended,
            n_accents=self.n_accents,
            n_turned=self.n_turned,
            n_unsure=self.n_unsure,
            n_silent=self.n_silent,
            may_be_glued=may_be_glued,
        )

    def _lines(self) -> list[range]:
        """The glyphs of each line, without its end."""
        lines, start, unended = [], 0, self._unended()
        for at, character in enumerate(self.characters):
            if at in unended and at > start:
                lines.append(range(start, at))
                start = at
            if character == "\n" and self._goes_on(at):
                self.characters[at] = ""
            elif character == "\n" or at in self.hyphens:
                lines.append(range(start, at + (at in self.hyphens)))
                start = at + 1
        return [*lines, range(start, len(self.characters))]

    def _unended(self) -> set[int]:
        """Glyphs that begin a line which PDFium takes for the end of the one above or below: they stand clear of it
        and near where it ends, as a page's number does below its last word. A column of single letters is none."""
        solid = np.flatnonzero([bool(each) and each not in _BLANK for each in self.characters])
        if len(solid) < 3:
            return set()
        left, top, right, bottom = self.boxes[solid].T
        height = np.minimum(self.heights[solid[:-1]], self.heights[solid[1:]])
        apart = np.maximum(bottom[:-1] - top[1:], bottom[1:] - top[:-1]) / height
        begins = (np.diff(solid) == 1) & (apart > _CLEAR) & (left[1:] < right[:-1] + 0.5 * height)
        begins[1:] &= apart[:-1] < 0
        return set(solid[1:][1:][begins[1:]].tolist())

    def _goes_on(self, end: int) -> bool:
        """Whether what PDFium takes for the end of a line is none: a small raised or lowered number stands before it or
        behind it, and the line goes on beside that."""
        before, after = end - 1, end + 1
        while before >= 0 and not self.characters[before]:
            before -= 1
        if before < 0 or after >= len(self.characters) or "\n" in (self.characters[before], self.characters[after]):
            return False
        (_, top, right, bottom), second = self.boxes[before], self.boxes[after]
        heights = sorted((float(self.heights[before]), float(self.heights[after])))
        if heights[0] > _RAISED * heights[1]:
            return False
        overlap = min(float(top), float(second[1])) - max(float(bottom), float(second[3]))
        return overlap > 0.5 * heights[0] and -0.1 < float(second[0] - right) / heights[1] < 0.5

    def _is_over(self, accent: int, letter: int) -> bool:
        middle = (self.boxes[accent][0] + self.boxes[accent][2]) / 2
        return bool(self.boxes[letter][0] <= middle <= self.boxes[letter][2])

    def _turned(self, line: range, page_rtl: bool) -> str | None:
        """A line with letters from right to left in the order of reading; None for another, or one that is no line."""
        plain = "".join(self.characters[at] for at in line)
        if not _RTL.search(plain):
            return None
        widths = self.boxes[:, 2] - self.boxes[:, 0]  # a space that PDFium put in has none, and no place
        solid = [at for at in line if self.characters[at] and (not self.characters[at].isspace() or widths[at] > 0)]
        bottoms, height = self.boxes[solid][:, 3], float(np.quantile(self.heights[solid], 0.9))
        if float(bottoms.max() - bottoms.min()) > 0.7 * height:
            return None  # turned, or not on one line
        blanks = [(float(self.boxes[at][0]), float(self.boxes[at][2])) for at in line if self.characters[at].isspace()]
        read = read_order(self._units(solid, blanks, height), rtl=page_rtl or is_rtl(plain))
        self.n_turned += read.text.strip() != plain.strip()
        self.n_unsure += read.is_unsure
        return read.text.strip()

    def _units(self, solid: list[int], blanks: list[tuple[float, float]], height: float) -> list[str]:
        """The characters of each glyph, left to right, with a space where they stand apart: by much, or by little where
        PDFium has one. Some fonts do not say how wide their letters are."""
        solid.sort(key=lambda at: (float(self.boxes[at][0]), at))
        units: list[str] = []
        last, end = -1, 0.0
        for at in solid:
            left, right = float(self.boxes[at][0]), float(self.boxes[at][2])
            if self.characters[at].isspace():
                units.append(" ")
                last, end = at, left
                continue
            is_mark = unicodedata.category(self.characters[at][0]) == "Mn" and last >= 0 and self._is_over(at, last)
            if last >= 0 and units[-1] not in _PARTED and (is_mark or abs(left - float(self.boxes[last][0])) < 0.01):
                units[-1] += self.characters[at]
                continue
            apart = (left - end) / height if last >= 0 else 0.0
            is_blank = any(end - 0.05 * height <= (start + stop) / 2 <= left + 0.05 * height for start, stop in blanks)
            if units and units[-1] not in _PARTED and (apart > _RTL_GAP or (apart > GAP and is_blank)):
                units.append("\t" if apart > _FAR else " ")
            units.append(self.characters[at])
            last, end = at, max(end, right)
        return units


_BLANK = " \n\t\xa0"
_ACCENTED = frozenset(_ACCENTS)


def _character(code: int) -> str:
    if code in (0, 13) or code > 0x10FFFF:  # none, or half of a line end
        return ""
    return chr(code)


def _joined(accent: str, letter: str) -> str:
    """The letter with the accent; "" where there is none such."""
    joined = unicodedata.normalize("NFC", _DOTLESS.get(letter, letter) + _ACCENTS[accent])
    return joined if len(joined) == 1 and letter.isalpha() else ""
