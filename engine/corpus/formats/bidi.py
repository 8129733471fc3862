"""Lines of Hebrew and Arabic as they are spoken, from letters as they stand on the page.

A PDF says where each letter stands, left to right, and not in which order they are read. This turns a line round by the
classes of Unicode's bidirectional algorithm (UAX #9): what it does to show a line is undone. Where two orders look the
same (a number beside a Latin word) the word is taken to come first, as in "Windows 10". Brackets are drawn mirrored by
some programs and named mirrored by others; the way is taken in which they open before they close.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

RTL_LETTERS = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"  # for a class of a regular expression
_LAM = "\u0644"
_ALEFS = "\u0622\u0623\u0625\u0627\u0671"
_MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")
_INNER = re.compile(r"(?<=[(\[{]) +| +(?=[)\]}.,:;])")  # what looks like a space beside a bracket that stands alone
_OPENING, _CLOSING = "([{<", ")]}>"


def is_rtl(text: str) -> bool:
    """Whether more letters of the text run from right to left than from left to right."""
    kinds = [unicodedata.bidirectional(character) for character in text]
    n_rtl = sum(kind in ("R", "AL") for kind in kinds)
    return n_rtl > 0 and n_rtl >= kinds.count("L")


def read_order(units: Sequence[str], *, rtl: bool) -> str:
    """The line in the order of reading.

    units: what stands on the line, left to right; a unit is a letter with its marks, or the letters of one glyph. rtl:
    whether its paragraph runs from right to left.
    """
    units = [_unit(unit) for unit in units]
    levels = _levels([_kind(unit) for unit in units], rtl=rtl)
    runs = [[unit for unit, _ in run] for _, run in groupby(zip(units, levels, strict=True), lambda each: each[1])]
    kinds = [level for level, _ in groupby(levels)]
    turned = [list(reversed(run)) if kind else run for run, kind in zip(runs, kinds, strict=True)]
    if rtl:
        turned.reverse()
    return _with_brackets(turned, [*reversed(kinds)] if rtl else kinds)


def _unit(unit: str) -> str:
    """A glyph of two letters may name them in the order of reading or the other: the ligature of lam and alef."""
    return unit[::-1] if len(unit) == 2 and unit[1] == _LAM and unit[0] in _ALEFS else unit


def _kind(unit: str) -> str:
    """L, R, AN, EN, ES, CS, ET, WS or ON, of the unit's first character that is no mark."""
    for character in unit:
        kind = unicodedata.bidirectional(character)
        if kind not in ("NSM", "BN", ""):
            return "R" if kind == "AL" else kind if kind in _KINDS else "ON"
    return "ON"


_KINDS = frozenset({"L", "R", "AN", "EN", "ES", "CS", "ET", "WS"})


def _levels(kinds: list[str], *, rtl: bool) -> list[bool]:
    """Of each unit, whether it runs from right to left."""
    kinds = _joined_numbers(kinds)
    levels: list[bool] = []
    at = 0
    while at < len(kinds):
        if kinds[at] in ("L", "EN", "AN", "R"):
            levels.append(kinds[at] == "R")
            at += 1
            continue
        end = next((end for end in range(at, len(kinds)) if kinds[end] in ("L", "EN", "AN", "R")), len(kinds))
        before = kinds[at - 1] if at else None
        after = kinds[end] if end < len(kinds) else None
        levels += [_neutral(before, after, blank="WS" in kinds[at:end], rtl=rtl)] * (end - at)
        at = end
    return levels


def _joined_numbers(kinds: list[str]) -> list[str]:
    """A separator between two digits, and signs such as % beside one, go with them."""
    joined = list(kinds)
    for at in range(1, len(kinds) - 1):
        if kinds[at] in ("ES", "CS") and kinds[at - 1] == kinds[at + 1] and kinds[at + 1] in ("EN", "AN"):
            joined[at] = kinds[at + 1]
    for at, kind in enumerate(joined):
        if kind == "ET" and at and joined[at - 1] == "EN":
            joined[at] = "EN"
    for at in range(len(joined) - 2, -1, -1):
        if joined[at] == "ET" and joined[at + 1] == "EN":
            joined[at] = "EN"
    return joined


def _neutral(before: str | None, after: str | None, *, blank: bool, rtl: bool) -> bool:
    """Whether what stands between two others runs from right to left: as they do where they agree, else as the line."""
    left_to_right = ("L", "EN", "AN")
    if before == "L" and after in left_to_right:
        return False
    if after == "L" and before in ("EN", "AN") and (not blank or not rtl):
        return False
    if before == after == "R":
        return True
    if {before, after} <= {"R", "EN", "AN"}:
        return True
    return rtl


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
