"""An answer's citations as the page shows them: numbered in the order of the answer, a button for each, a list below.

The words say what was found, and no more: that words stand somewhere, that they stand there otherwise, or that none
were found. Which words bear a statement out is for the reader to judge.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import TYPE_CHECKING, Any

from engine.answer.citations import Citation, Status

if TYPE_CHECKING:
    from app.answers.marks import Mark

NO_WORDS = "No words found that show this"
_LONGEST = 400  # characters of a quote in the list; the viewer has all of it
_MOST_WORDS = 3_000  # that two passages are compared by
_SIGNS = {Status.VERIFIED: "✓", Status.ALTERED: "≠", Status.MISSING: "?"}
_QUOTES = {
    "off": "quotes switched off",
    "failed": "quotes off with this model",
    "impossible": "quotes found again, not held",
}
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")
# What acts on a terminal or on the direction of a line, and is not to act here.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def numbered(citations: Sequence[Citation] | None) -> tuple[Citation, ...]:
    """In the order of the statements' ends: the first one is number 1."""
    return tuple(sorted(citations or (), key=lambda each: each.statement[1]))


def marks_of(text: str, citations: Sequence[Citation]) -> "tuple[Mark, ...]":
    """The buttons in the text, for citations as `numbered` gives them; a statement's white space stays behind them."""
    from app.answers.marks import Mark  # a command line that only says a line does without the parser

    marks = []
    for number, citation in enumerate(citations, 1):
        start, end = (min(max(0, each), len(text)) for each in citation.statement)
        at = max(start, len(text[:end].rstrip()))
        marks.append(Mark(at, number, citation.status.value, f"Citation {number}: {_spoken(citation)}"))
    return tuple(marks)


def rows_of(text: str, citations: Sequence[Citation]) -> list[str]:
    """The list below the answer, as HTML: a button a row, with the words, their place, and what became of them."""
    return [_row(text, number, citation) for number, citation in enumerate(citations, 1)]


def summary_of(citations: Sequence[Citation]) -> str:
    """ "12 quotes verified, 1 altered, 2 statements without words": what the list holds."""
    n_verified = sum(each.status is Status.VERIFIED for each in citations)
    n_altered = sum(each.status is Status.ALTERED for each in citations)
    n_missing = sum(each.status is Status.MISSING and bool(each.quote) for each in citations)
    n_bare = sum(each.status is Status.MISSING and not each.quote for each in citations)
    counts = ((n_verified, "verified"), (n_altered, "altered"), (n_missing, "missing"))
    parts = [f"{n:,} {word}" for n, word in counts if n]
    if n_bare:
        parts.append(f"{n_bare:,} {'statement' if n_bare == 1 else 'statements'} without words")
    return " · ".join(parts)


def quotes_line(receipt: Mapping[str, Any] | None) -> str:
    """That no words were looked for which show an answer, in some words: the receipt says why. "" where they were."""
    quotes = (receipt or {}).get("quotes")
    return _QUOTES.get(str(quotes.get("state")), "") if isinstance(quotes, dict) else ""


def standing_of(citation: Citation) -> str:
    """What became of the quote: "verified, in 3 places"."""
    if citation.status is Status.MISSING:
        return "missing: stands in no source" if citation.quote else "missing"
    if citation.status is Status.VERIFIED and citation.places > 1:
        return f"verified, in {citation.places:,} places"
    return citation.status.value


def place_of(citation: Citation) -> str:
    """ "core.py:12–14", "rent.pdf, page 3", "study.ipynb, cell 4", "scan.png, image 2, upper right"; "" without one."""
    if citation.path is None:
        return ""
    if citation.page is not None:
        last = max((each.page for each in citation.boxes or ()), default=citation.page)
        pages = f"page {citation.page:,}" if last <= citation.page else f"pages {citation.page:,}–{last:,}"
        return f"{citation.path}, {pages}"
    if citation.cell is not None:
        return f"{citation.path}, cell {citation.cell:,}"
    if citation.image is not None:
        corner = corner_of(citation.box) if citation.box else ""
        return f"{citation.path}, image {citation.image:,}{', ' + corner if corner else ''}"
    if citation.lines is None:
        return citation.path
    first, last = citation.lines
    return f"{citation.path}:{first}" + (f"–{last}" if last > first else "")


def corner_of(box: tuple[float, float, float, float]) -> str:
    """Where the middle of a box lies: "upper right"; "" where it takes up most of the picture."""
    left, top, right, bottom = box
    if (right - left) * (bottom - top) > 0.6:
        return ""
    row = _ROWS[min(2, max(0, int((top + bottom) / 2 * 3)))]
    column = _COLUMNS[min(2, max(0, int((left + right) / 2 * 3)))]
    return "center" if (row, column) == ("middle", "center") else f"{row} {column}"


def compared(quoted: str, stands: str) -> list[tuple[str, str]] | None:
    """The answer's words against the source's: pieces that are "same", "gone" (the source's alone) or "new" (the
    answer's alone). None where they are too long to be compared."""
    ours, theirs = re.findall(r"\s+|\w+|[^\w\s]", quoted), re.findall(r"\s+|\w+|[^\w\s]", stands)
    if max(len(ours), len(theirs)) > _MOST_WORDS:
        return None
    # all white space is alike, so that a line that is broken elsewhere is no difference; but where the lines are the
    # same, it is how far in they stand that differs
    keys = [[" " if word.isspace() else word for word in words] for words in (theirs, ours)]
    if keys[0] == keys[1] and ["\n" in word for word in theirs] == ["\n" in word for word in ours]:
        keys = [theirs, ours]
    pieces = []
    for what, a, b, c, d in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if what == "equal":
            pieces.append(("same", "".join(theirs[a:b])))
        else:
            pieces += [("new", "".join(ours[c:d]))] * (d > c) + [("gone", "".join(theirs[a:b]))] * (b > a)
    return pieces


def shown(text: str) -> str:
    """A text on one line, with what would act in it as its number: "[U+202E]"."""
    return ACTING.sub(lambda sign: f"[U+{ord(sign[0]):04X}]", " ".join(text.split()))


def is_code(citation: Citation) -> bool:
    """Whether a quote is lines that stand below each other by their white space, and are shown so."""
    later = citation.quote.splitlines()[1:]
    return citation.page is None and any(line[:1] in (" ", "\t") for line in later if line.strip())


def _row(text: str, number: int, citation: Citation) -> str:
    words = citation.quote or text[slice(*citation.statement)]
    words = shown(words[: _LONGEST + 1])
    words = words if len(words) <= _LONGEST else words[:_LONGEST].rstrip() + "…"
    status, place = citation.status.value, place_of(citation)
    quote = f'<span class="words">“{_html(words)}”</span>'
    if is_code(citation):
        quote = f'<span class="words as-code">{_code(citation.quote)}</span>'
    if not citation.quote:
        is_bare = citation.status is Status.MISSING
        quote = (
            f'{NO_WORDS}: <span class="words">{_html(words)}</span>'
            if is_bare
            else f"<span>Image {citation.image or 1:,}</span>"
        )
    where = f'<span class="where">{_html(place)}</span> · ' if place else ""
    sign = f'<span class="sign" aria-hidden="true">{_SIGNS[citation.status]}</span>'
    return (
        f'<button type="button" class="cited {status}" data-cite="{number}"><span class="number">{number}</span>'
        f'<span class="quote" dir="auto">{quote}</span><span class="foot">{sign} {where}{_html(standing_of(citation))}'
        "</span></button>"
    )


def _code(quote: str) -> str:
    """The beginning of code as HTML, its white space as it is."""
    lines = [ACTING.sub(lambda sign: f"[U+{ord(sign[0]):04X}]", line) for line in quote.splitlines()]
    words = "\n".join(lines)
    return escape(words if len(words) <= _LONGEST else words[:_LONGEST].rstrip() + "…")


def _spoken(citation: Citation) -> str:
    if not citation.quote and citation.status is Status.MISSING:
        return NO_WORDS.lower()
    return ", ".join(part for part in (shown(place_of(citation)), standing_of(citation)) if part)


def _html(text: str) -> str:
    return escape(shown(text))
