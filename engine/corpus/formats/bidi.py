"""Lines of Hebrew and Arabic as they are spoken, from letters as they stand on the page.

A PDF says where each letter stands, left to right, and not in which order they are read. This turns a line round by the
classes of Unicode's bidirectional algorithm (UAX #9): what it does to show a line is undone. Where two orders look the
same (a number beside a Latin word) the word is taken to come first, as in "Windows 10", unless it is one that follows
numbers, as in "5% per month"; such a line is said to be unsure. Brackets are drawn mirrored by some programs and named
mirrored by others; the way is taken in which they open before they close.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

RTL_LETTERS = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"  # for a class of a regular expression
_LAM = "\u0644"
_ALEFS = "\u0622\u0623\u0625\u0627\u0671"
_MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")
_INNER = re.compile(r"(?<=[(\[{]) +| +(?=[)\]}.,:;])")  # what looks like a space beside a bracket that stands alone
_OPENING, _CLOSING = "([{<", ")]}>"
_PERCENT = frozenset("%\u2030\u066a")
_WORD_AND_NUMBER = re.compile(r"([^\W\d_][^\d]*?)( +)([^\s\w]*\d(?:[^\s]*\d)?[^\s\w]*)")
_FOLLOW_NUMBERS = frozenset({
    "per", "of", "off", "from", "to", "in", "for", "and", "or", "each", "a", "an", "p.a.", "annually", "yearly",
    "monthly", "weekly", "daily", "percent", "am", "pm", "px", "pt", "km", "m", "cm", "mm", "kg", "g", "mg", "l",
    "ml", "kB", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "B", "bytes", "kW", "kWh", "MW", "W", "V", "A", "Hz",
    "kHz", "MHz", "GHz", "Mbps", "Gbps", "ms", "s", "min", "h", "USD", "EUR", "GBP", "ILS", "NIS", "SAR", "AED",
    "EGP", "JOD", "KWD", "QAR", "IRR", "CHF", "JPY", "hours", "days", "weeks", "months", "years", "pages",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line in the order of reading. is_unsure: another order would look the same."""

    text: str
    is_unsure: bool = False


def is_rtl(text: str) -> bool:
    """Whether more letters of the text run from right to left than from left to right."""
    kinds = [unicodedata.bidirectional(character) for character in text]
    n_rtl = sum(kind in ("R", "AL") for kind in kinds)
    return n_rtl > 0 and n_rtl >= kinds.count("L")


def read_order(units: Sequence[str], *, rtl: bool) -> Line:
    """The line in the order of reading.

    units: what stands on the line, left to right; a unit is a letter with its marks, or the letters of one glyph, or a
    "\t" where pieces stand far apart. rtl: whether its paragraph runs from right to left.
    """
    units = [_unit(unit) for unit in units]
    levels = _levels(_kinds(units, rtl=rtl), rtl=rtl)
    runs = [[unit for unit, _ in run] for _, run in groupby(zip(units, levels, strict=True), lambda each: each[1])]
    kinds = [level for level, _ in groupby(levels)]
    turned = [list(reversed(run)) if kind else run for run, kind in zip(runs, kinds, strict=True)]
    is_unsure = False
    if rtl:
        turned.reverse()
        kinds.reverse()
        for at, run in enumerate(turned):
            found = None if kinds[at] else _WORD_AND_NUMBER.fullmatch("".join(run))
            if found is not None:
                is_unsure = True
                if found[1].split()[0] in _FOLLOW_NUMBERS:
                    turned[at] = [found[3], found[2], found[1]]
    return Line(_with_brackets(turned, kinds).replace("\t", " "), is_unsure)


def _unit(unit: str) -> str:
    """A glyph of two letters may name them in the order of reading or the other: the ligature of lam and alef."""
    return unit[::-1] if len(unit) == 2 and unit[1] == _LAM and unit[0] in _ALEFS else unit


def _kinds(units: Sequence[str], *, rtl: bool) -> list[str]:
    """L, R, AN, EN, ES, CS, ET, WS, S or ON of each unit. In a line from right to left digits behind an Arabic letter,
    which is to their right, are Arabic ones (UAX #9, W2), but not those that go on a Latin word to their left; and a
    percent sign goes with the number on whichever side it stands."""
    kinds = [_kind(unit) for unit in units]
    words, left = [""] * len(kinds), ""
    for at, kind in enumerate(kinds):
        words[at] = left
        left = kind if kind in ("L", "R", "AL") else "" if kind == "S" else left
    right = ""
    for at in range(len(kinds) - 1, -1, -1):
        if kinds[at] in ("L", "R", "AL"):
            right = kinds[at]
        elif kinds[at] == "EN" and rtl and right == "AL" and words[at] != "L":
            kinds[at] = "AN"
            if at + 1 < len(kinds) and units[at + 1] in _PERCENT:
                kinds[at + 1] = "AN"
    return ["R" if kind == "AL" else kind for kind in kinds]


def _kind(unit: str) -> str:
    """Of the unit's first character that is no mark."""
    for character in unit:
        kind = unicodedata.bidirectional(character)
        if kind not in ("NSM", "BN", ""):
            return kind if kind in _KINDS else "ON"
    return "ON"


_KINDS = frozenset({"L", "R", "AL", "AN", "EN", "ES", "CS", "ET", "WS", "S"})
_STRONG = ("L", "EN", "AN", "R")


def _levels(kinds: list[str], *, rtl: bool) -> list[bool]:
    """Of each unit, whether it runs from right to left."""
    kinds = _joined_numbers(kinds)
    levels: list[bool] = []
    at = 0
    while at < len(kinds):
        if kinds[at] in _STRONG:
            levels.append(kinds[at] == "R")
            at += 1
            continue
        end = next((end for end in range(at, len(kinds)) if kinds[end] in _STRONG), len(kinds))
        before = kinds[at - 1] if at else None
        after = kinds[end] if end < len(kinds) else None
        levels += [rtl if "S" in kinds[at:end] else _neutral(before, after, rtl=rtl)] * (end - at)
        at = end
    return levels


def _joined_numbers(kinds: list[str]) -> list[str]:
    """A separator between two digits, and signs such as % beside one, go with them (UAX #9, W4 and W5)."""
    joined = list(kinds)
    for at in range(1, len(kinds) - 1):
        beside = kinds[at - 1] if kinds[at - 1] == kinds[at + 1] else ""
        if (kinds[at] == "CS" and beside in ("EN", "AN")) or (kinds[at] == "ES" and beside == "EN"):
            joined[at] = beside
    for at, kind in enumerate(joined):
        if kind == "ET" and at and joined[at - 1] == "EN":
            joined[at] = "EN"
    for at in range(len(joined) - 2, -1, -1):
        if joined[at] == "ET" and joined[at + 1] == "EN":
            joined[at] = "EN"
    return joined


def _neutral(before: str | None, after: str | None, *, rtl: bool) -> bool:
    """Whether what stands between two others runs from right to left: as they do where they agree, else as the line.
    A number to the left of a Latin word is one piece with it, or it would stand to its right."""
    if {before, after} <= {"L", "EN"} and "L" in (before, after):
        return False
    return True if {before, after} <= {"R", "EN", "AN"} else rtl


def _with_brackets(runs: Sequence[Sequence[str]], kinds: Sequence[bool]) -> str:
    plain = "".join("".join(run) for run in runs)
    mirrored = "".join(
        "".join(run).translate(_MIRRORED) if kind else "".join(run) for run, kind in zip(runs, kinds, strict=True)
    )
    return _INNER.sub("", mirrored if _n_astray(mirrored) < _n_astray(plain) else plain)


def _n_astray(text: str) -> int:
    """How many brackets close nothing or are not closed."""
    stack: list[str] = []
    n_astray = 0
    for character in text:
        if character in _OPENING:
            stack.append(_CLOSING[_OPENING.index(character)])
        elif character in _CLOSING:
            if stack and stack[-1] == character:
                stack.pop()
            else:
                n_astray += 1
    return n_astray + len(stack)
