"""Functions that say in words what they do: those that a probe can ask for once these words are gone.

Found by looking at lines alone, in whatever language: a stranger's source never reaches a parser, and each line is
looked at a bounded number of times.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MOST_LINES = 20_000  # of a source that is looked through
_MOST_CHARACTERS = 400  # of a line
_HEAD_LINES = 12  # a signature may have
_DOC_LINES = 40
_FEWEST_WORDS, _MOST_WORDS = 5, 30
_PYTHON = re.compile(r"^\s*(?:async\s+)?def\s+(\w+)\s*\(")
_DECLARED = re.compile(
    r"^\s*(?:(?:pub(?:\([a-z]+\))?|export|default|async|static|public|private|protected|internal|final|override|const"
    r"|unsafe|inline)\s+){0,5}(?:func(?:\s*\([^()]{0,80}\))?|function\*?|fn|fun|def|sub)\s+(\w+)\s*[(<\[]"
)
_TYPED = re.compile(r"^\s*(?:[A-Za-z_][\w<>\[\],:]{0,60}[\s*&]+){1,5}(\w+)\s*\([^;]{0,200}$")
_KEYWORDS = frozenset(
    ("return", "else", "new", "throw", "await", "yield", "case", "delete", "if", "for", "while", "switch", "catch")
)
_COMMENT = re.compile(r"^\s*(?://[/!]?|\*(?!/)|/\*\*?|#(?!!|include|define|if|endif|pragma)|--)(.*)")
_QUOTES = ('"""', "'''")
_WORD = re.compile(r"[A-Za-z][A-Za-z'\-]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a text. says: the sentence that stands at it. start, end: characters of the text that go, so that
    this is said there no more. at: the character where it is declared."""

    name: str
    says: str
    start: int
    end: int
    at: int


def functions_of(text: str) -> list[Function]:
    """The functions of a source whose names cannot be put together from what is said of them, in order."""
    lines = text.splitlines(keepends=True)[:_MOST_LINES]
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line)
    found = []
    for number, line in enumerate(lines):
        if len(line) > _MOST_CHARACTERS:
            continue
        name = _name(line)
        if name is None or not is_telling(name):
            continue
        block = _docstring(lines, number) if _PYTHON.match(line) else None
        block = block or _comment_above(lines, number)
        if block is None:
            continue
        first, last, words = block
        says = _sentence(words)
        if says is not None and not is_put_together(name, says):
            end = starts[last] + len(lines[last])
            found.append(Function(name, says, starts[first], end, starts[number]))
    return found


def is_telling(name: str) -> bool:
    """Whether a name looks like one in a program and nowhere else: parts joined by _ or capitals, five letters or
    more."""
    bare = name.strip("_")
    return len(bare) >= 5 and not name.startswith("__") and len(_parts(bare)) >= 2


def is_put_together(name: str, says: str) -> bool:
    """Whether every part of a name stands in the sentence, so that nobody would have to find it; or the name does."""
    words = [word.casefold() for word in _WORD.findall(says)]

    def stands(part: str) -> bool:
        stem = part.casefold()[:4]
        return any(word.startswith(stem) for word in words)

    parts = [part for part in _parts(name) if len(part) > 2]
    return name.casefold() in says.casefold() or not parts or all(map(stands, parts))


def _parts(name: str) -> list[str]:
    return [part for piece in name.split("_") for part in _PART.findall(piece)]


def _name(line: str) -> str | None:
    found = _PYTHON.match(line) or _DECLARED.match(line)
    if found is None and line.rstrip().endswith(("{", ")", ",", "(")):
        found = _TYPED.match(line)
        if found is not None and (found[1] in _KEYWORDS or _KEYWORDS & set(line[: found.start(1)].split())):
            return None
    return found[1] if found is not None else None


def _docstring(lines: Sequence[str], number: int) -> tuple[int, int, str] | None:
    """The docstring below a `def`: its first and last line, and its words."""
    end = next((n for n in range(number, min(len(lines), number + _HEAD_LINES)) if _ends_head(lines[n])), None)
    if end is None or end + 1 >= len(lines):
        return None
    first = end + 1
    opened = lines[first].strip()
    quote = next((quote for quote in _QUOTES if opened.startswith(quote)), None)
    if quote is None:
        return None
    words = opened[3:]
    for last in range(first, min(len(lines), first + _DOC_LINES)):
        words = words if last == first else f"{words}\n{lines[last].strip()}"
        if quote in (opened[3:] if last == first else lines[last]):
            return first, last, words.split(quote)[0]
    return None


def _ends_head(line: str) -> bool:
    return line.split("#")[0].rstrip().endswith(":")


def _comment_above(lines: Sequence[str], number: int) -> tuple[int, int, str] | None:
    """The comment that stands right above a function."""
    first, words = number, list[str]()
    while first > 0 and number - first < _DOC_LINES:
        line = lines[first - 1]
        found = _COMMENT.match(line) if len(line) <= _MOST_CHARACTERS else None
        if found is None and line.strip() != "*/":
            break
        words.insert(0, found[1].strip().removesuffix("*/").strip() if found is not None else "")
        first -= 1
    return (first, number - 1, "\n".join(words)) if first < number else None


def _sentence(words: str) -> str | None:
    """The first sentence of a docstring or comment, on one line; None where it has too few words or too many."""
    paragraph = re.split(r"\n\s*\n|\n\s*[@:\-*]", words.strip().strip("*/").strip())[0]
    line = " ".join(paragraph.split()).replace('"', "'").replace("`", "")
    sentence = re.split(r"(?<=[.!?])\s", line)[0].rstrip(".")
    n_words = len(_WORD.findall(sentence))
    is_prose = n_words >= 0.7 * len(sentence.split())
    return sentence if _FEWEST_WORDS <= n_words <= _MOST_WORDS and is_prose else None


def unique(functions: Sequence[Function]) -> Iterator[Function]:
    """Those whose name and sentence no other has."""
    known = Counter(words.casefold() for each in functions for words in {each.name, each.says})
    for each in functions:
        if known[each.name.casefold()] == 1 and known[each.says.casefold()] == 1:
            yield each
