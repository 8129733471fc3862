"""What an answer quotes, and the citations of that: for answers whose quotes were not held while they were written.

Taken for quotes: what stands in <quote>, in quotation marks (some words of it), in Markdown's block quotes, in code of
more than a word, and in code blocks. Code counts as standing in a source where it does but for white space, as prose
does: a block that is dedented is the same code. But one whose lines stand in from each other otherwise than there is
altered: that alone may make other code of it. Words that are left out within a quote (...) part it in several.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.answer.citations import Citation, Status
from engine.answer.finding import Finder, Found
from engine.answer.places import Places
from engine.answer.statements import Span, answer_start, statements
from engine.runtime.quotes.text import Place

_FEWEST_WORDS, _FEWEST_LETTERS, _FEWEST_WIDE = 3, 24, 6  # of what stands in quotation marks
_MOST_QUOTES = 1_000  # of one answer
_MOST_COMPARED = 200  # places of a quote, of which one is cited
_FENCE = re.compile(r"(`{3,}|~{3,})[^\n]*\n?")
_BLOCK_QUOTE = re.compile(r" {0,3}>")
_PREFIX = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_MARKED = re.compile(
    r"<quote\b[^<>\n]{0,300}>(?P<tag>(?:[^<]|<(?!/?quote\b)){1,8000})</quote>"
    r"|(?P<ticks>`{1,2})(?P<code>[^`\n]{1,1000})(?P=ticks)"
    r"|(?<![\w\"])\"(?=\S)(?P<straight>(?:[^\"\n]|\n(?![ \t]*\n)){1,2000})(?<=\S)\"(?!\w)"
    r"|\u201c(?P<curly>[^\u201c\u201d]{1,2000})\u201d|\u201e(?P<low>[^\u201e\u201c\u201d]{1,2000})[\u201c\u201d]"
    r"|\u00ab(?P<angled>[^\u00ab\u00bb]{1,2000})\u00bb"
    r"|\u300c(?P<corners>[^\u300c\u300d]{1,2000})\u300d|\u300e(?P<double>[^\u300e\u300f]{1,2000})\u300f"
)
_LEFT_OUT = re.compile(
    r"\[(?:\.{3}|\u2026)\]|\((?:\.{3}|\u2026)\)|\u2026|\.{3,}"  # in a line
    r"|^[ \t]*(?:#|//|--|/\*)[ \t]*(?:\.{3}|\u2026)[^\n]*$",  # a comment of its own
    re.MULTILINE,
)
_END_MARKS = " \t\r\n.,;:!?\u3002\uff0c\u3001"
_SOURCE_LINE = re.compile(
    r"\n[ \t]*(?:--|[\u2013\u2014]|\(|\[|Source\b)[^\n]*\Z"
)  # below a block quote: where it is from


@dataclass(frozen=True, slots=True)
class Quotation:
    """Words that an answer quotes. span: of them in the answer, from and up to. is_code: a block of it."""

    span: Span
    words: str
    is_code: bool = False


def quotations(text: str) -> tuple[Quotation, ...]:
    """What an answer quotes, in order; none within another. At most a thousand."""
    return tuple(each for _, each in _with_statements(text))


def cite_quotations(text: str, places: Places, finder: Finder, *, question: str = "") -> tuple[Citation, ...]:
    """The citations of what an answer quotes: verified, altered with the place of what really stands there, or missing.

    finder: of places.documents. Of several places the first one is cited, or the first in a source that the statement
    names. What stands nowhere but in the question is a quote of that.
    """
    cited: list[Citation] = []
    for statement, quotation in _with_statements(text):
        for words, found in _looked_for(quotation, finder):
            if found.status is Status.VERIFIED or words not in question:
                cited.append(_citation(text, statement, words, found, places, is_code=quotation.is_code))
    return tuple(cited)


def _citation(text: str, statement: Span, words: str, found: Found, places: Places, *, is_code: bool) -> Citation:
    if not found.places:
        return Citation(statement=statement, status=Status.MISSING, quote=words)
    if found.status is Status.VERIFIED:
        stand = [places.indented(place) for place in found.places[:_MOST_COMPARED]]
        stand = _exact(words, stand, places) or stand
        laid_out = [place for place in stand if _is_laid_out(words, place, places)] if is_code else stand
        if not laid_out:
            place = _named(text[slice(*statement)], stand, places)
            return places.citation(place, statement=statement, status=Status.ALTERED, quote=words)
        stand = laid_out
        place = _named(text[slice(*statement)], stand, places)
        return places.citation(place, statement=statement, places=len(found.places))
    place = _named(text[slice(*statement)], found.places, places)
    return places.citation(place, statement=statement, status=found.status, quote=words)


def _exact(words: str, found: Sequence[Place], places: Places) -> list[Place]:
    """Of several places of the same lines, those that have their very white space: code may differ by it alone."""
    if len(found) < 2 or "\n" not in words.strip():
        return []
    wanted = _lines(words)
    return [place for place in found if _lines(places.words(place)) == wanted]


def _is_laid_out(words: str, place: Place, places: Places) -> bool:
    """Whether the lines of a block of code stand in from each other as they do at a place. True of lines that are
    broken elsewhere, as in a table or a text, and of a PDF's, where white space is nothing but a place on the page."""
    if places.sources[place.document].page_starts:
        return True
    ours, theirs = ([line for line in _lines(each) if line.strip()] for each in (words, places.words(place)))
    if list(map(_letters, ours)) != list(map(_letters, theirs)):
        return True
    columns, wanted = list(map(_column, ours)), list(map(_column, theirs))
    data, start = places.documents[place.document], place.start
    if start > 0 and data[start - 1] not in b"\n\r":  # how far in the first line stands is not known
        columns, wanted = columns[1:], wanted[1:]
    # it is often copied without the blanks before its first word
    return _ranks(columns) == _ranks(wanted) or (columns[:1] == [0] and columns[1:] == wanted[1:])


def _letters(line: str) -> str:
    return "".join(filter(str.isalnum, line))


def _column(line: str) -> int:
    line = line.expandtabs()
    return len(line) - len(line.lstrip())


def _ranks(columns: Sequence[int]) -> list[int]:
    """Which of all columns each is: the same however wide a step is."""
    ranks = {column: rank for rank, column in enumerate(sorted(set(columns)))}
    return [ranks[column] for column in columns]


def _lines(words: str) -> list[str]:
    return [line.rstrip() for line in words.strip("\r\n").splitlines()]


def _named(statement: str, found: Sequence[Place], places: Places) -> Place:
    """The first place in a source that a statement names by its path, else by its name; else the first."""
    paths = [(places.sources[place.document].path, place) for place in found]
    named = [place for path, place in paths if path in statement]
    named += [place for path, place in paths if path.rpartition("/")[2] in statement]
    return (named or found)[0]


def _looked_for(quotation: Quotation, finder: Finder) -> Iterator[tuple[str, Found]]:
    """What became of a quote: of the whole, without the marks that a sentence around it brought; else of each part
    between words that are left out."""
    words = quotation.words
    found = finder.find(words)
    bare = words.strip(_END_MARKS)
    if found.status is not Status.VERIFIED and bare != words:
        again = finder.find(bare)
        found = again if again.status is Status.VERIFIED else found
    parts = [_bare(part, is_code=quotation.is_code) for part in _LEFT_OUT.split(words)]
    parts = [part for part in parts if any(map(str.isalnum, part))]
    if found.status is Status.VERIFIED or not parts or parts == [words]:
        yield words, found
    else:
        for part in parts:
            yield part, finder.find(part)


def _bare(part: str, *, is_code: bool) -> str:
    """Without the marks around it; code with the blanks that its first line begins with."""
    bare = part.strip(_END_MARKS)
    before = part[: part.find(bare)].rpartition("\n")[2]
    return before + bare if is_code and not before.strip() else bare


def _with_statements(text: str) -> Iterator[tuple[Span, Quotation]]:
    """Each quotation with the statement that it stands in; one that stands in none is a statement of its own."""
    spans = statements(text)
    starts = [start for start, _ in spans]
    n_left = _MOST_QUOTES
    for quotation in _all(text, spans):
        at = bisect_right(starts, quotation.span[0]) - 1
        is_within = at >= 0 and quotation.span[0] < spans[at][1]
        yield spans[at] if is_within else quotation.span, quotation
        n_left -= 1
        if not n_left:
            return


def _all(text: str, spans: Sequence[Span]) -> Iterator[Quotation]:
    """Whole blocks among the statements, and what is marked between them."""
    at = answer_start(text)
    for start, end in spans:
        block = _block(text, start, end)
        if block is None:
            continue
        yield from _marked(text, at, start)
        if any(map(str.isalnum, block)):
            yield Quotation((start, end), block, is_code=_FENCE.match(text, start) is not None)
        at = end
    yield from _marked(text, at, len(text))


def _block(text: str, start: int, end: int) -> str | None:
    """The words of a code block or a block quote; None of another statement."""
    whole = text[start:end]
    if fence := _FENCE.match(whole):
        words, _, last = whole[fence.end() :].rpartition("\n")
        is_closed = last.strip().startswith(fence[1]) and not last.strip(f"{fence[1][0]} \t\r")
        return words if is_closed else whole[fence.end() :]
    if not _BLOCK_QUOTE.match(whole):
        return None
    words = _SOURCE_LINE.sub("", _PREFIX.sub("", whole).strip()).strip()
    inner = _MARKED.fullmatch(words)
    return inner[_group(inner)] if inner else words


def _group(found: re.Match[str]) -> str:
    """What a match of _MARKED is marked with."""
    return next(name for name, words in found.groupdict().items() if words is not None and name != "ticks")


def _marked(text: str, start: int, end: int) -> Iterator[Quotation]:
    for found in _MARKED.finditer(text, start, end):
        group = _group(found)
        if _is_quote(found[group], group):
            yield Quotation(found.span(group), found[group])


def _is_quote(words: str, group: str) -> bool:
    """Whether it is more than a mention."""
    if not any(map(str.isalnum, words)):
        return False
    if group == "tag":
        return True
    n_words = len(words.split())
    if group == "code":
        return n_words > 1
    n_letters = sum(map(str.isalnum, words))
    is_wide = sum(letter > "\u2e80" for letter in words) * 2 > n_letters
    return n_words >= _FEWEST_WORDS or n_letters >= (_FEWEST_WIDE if is_wide else _FEWEST_LETTERS)
