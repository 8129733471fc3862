"""What a model is asked for a summary, and the forms that hold what it writes: of the plan, of a part's note, of a
page. No model can write another form; what one without such a hold wrote is read as far as it has it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

VERSION = 1  # raise it when what is asked today would not give what is kept
SYSTEM = "You describe source code, in short and exact sentences. You say only what the documents show."

_LONGEST = 180  # characters of a line
_LONGEST_LABEL = 80  # characters
_LINE = rf"""LINE: /[^\s\x00-\x1f\x7f\-"'*#][^\x00-\x1f\x7f]{{0,{_LONGEST}}}/"""
_LINE_TOKENS = 34  # of a line, on the average
_NOTHING = {"none", "n a", "nothing", "not applicable", "no risks", "unknown", "empty", "there is nothing"}


@dataclass(frozen=True, slots=True)
class Aspect:
    """What every part is asked about. key: of the page that says it of the whole. heading: of its lines in a note.
    share: of a note's lines. wants: what belongs there. least: lines that there must be."""

    key: str
    heading: str
    share: float
    wants: str
    least: int = 0


ASPECTS = (
    Aspect(
        "purpose", "What it does", 0.36, "what this code does and how, by the names of its functions and classes", 1
    ),
    Aspect(
        "entry-points",
        "Entry points",
        0.14,
        "functions, classes or commands that others call or run, with what each does",
    ),
    Aspect("data-flow", "Data flow", 0.14, "what comes in, how it is changed, and what is returned or written"),
    Aspect("run-and-test", "Run and test", 0.1, "commands that start or test it, and settings that it reads"),
    Aspect("risks", "Risks", 0.12, "exceptions that it raises, and inputs that it handles badly"),
    Aspect("glossary", "Terms", 0.14, "names that only this code uses, each with a colon and its meaning"),
)
_PAGES = {
    "purpose": "Say what this codebase is for, who would use it, and what its main pieces are.",
    "entry-points": "Say where to begin: what is called, run or imported from outside, and what it leads to.",
    "data-flow": "Say how data goes through this codebase: what comes in, what is made of it, and what goes out.",
    "run-and-test": "Say how this codebase is installed, run, configured and tested.",
    "risks": "Say what may go wrong: errors, limits, and unsafe or surprising behavior.",
}
WRITTEN = tuple(_PAGES)  # the pages of the whole that a model writes


_WORDS = re.compile(r"[^\W_]+")


def _words(text: str) -> str:
    return " ".join(_WORDS.findall(text.lower()))


# what is asked, in words, which small models say again
_ASKED = " | ".join(f" {_words(each)} " for aspect in ASPECTS for each in (aspect.heading, aspect.wants))


@dataclass(frozen=True, slots=True)
class Line:
    """A line that says something: characters of the text, from and to. section: the key of the aspect that it stands
    under, '' for the summary at the top."""

    text: str
    span: tuple[int, int]
    section: str = ""


def n_lines(reply_tokens: int) -> int:
    """How many lines a reply of so many tokens has room for."""
    return max(6, reply_tokens // _LINE_TOKENS - 4)


# a part's note


def note_form(lines: int) -> str:
    """A note of at most about so many lines, in llguidance's Lark."""
    rules = [
        f'{_rule(aspect)}: "{aspect.heading}:\\n" line{{{aspect.least},{_most(aspect, lines)}}}' for aspect in ASPECTS
    ]
    start = " ".join(map(_rule, ASPECTS))
    return "\n".join([f'start: "Summary: " LINE "\\n" {start}', *rules, 'line: "- " LINE "\\n"', _LINE, ""])


def note_asking(label: str) -> str:
    """What is asked of a part. label: where it lies."""
    wanted = "\n".join(f"{aspect.heading}: {aspect.wants}" for aspect in ASPECTS)
    return (
        f"The documents are one part of a codebase: {short(label)}. Write a note on it. The first line is the summary: "
        "one sentence on what this part is for. Then come these headings, each with a few short sentences below it, "
        "one a line, that name the functions, classes and values they speak of. Where the code shows nothing of a "
        f"heading, leave it empty. Never say anything twice.\n{wanted}"
    )


def note_lines(text: str) -> tuple[Line, ...]:
    """What a note says, line by line; an unfinished last line is none, nor one that says what was asked again."""
    found, section = list[Line](), "purpose"
    headings = {f"{aspect.heading}:".lower(): aspect.key for aspect in ASPECTS}
    for match in re.finditer(r"(?m)^(Summary: |- |\* |\d{1,2}[.)] )?([^\n]*)\n", _ended(text)):
        line = match[2].strip()
        if (match[1] or "").startswith("S"):
            found += _line(match, "")
        elif not match[1] and line.lower().strip("*# ") in headings:
            section = headings[line.lower().strip("*# ")]
        elif match[1]:
            found += _line(match, section)
    return tuple(found)


# the plan


def plan_form(labels: Sequence[str]) -> str:
    """A purpose, and of each of these parts a name and a sentence."""
    rows = [f'{json.dumps(_row(label), ensure_ascii=True)} NAME ". " WHAT "\\n"' for label in _rows(labels)]
    return "\n".join(
        [
            'start: "Purpose: " LINE "\\n" ' + " ".join(f"part{number}" for number in range(len(rows))),
            *(f"part{number}: {row}" for number, row in enumerate(rows)),
            r"NAME: /[A-Z][A-Za-z0-9 &\/\-]{2,36}[A-Za-z0-9]/",
            rf"WHAT: /[A-Z][a-z][^\x00-\x1f\x7f]{{8,{_LONGEST}}}/",
            _LINE,
            "",
        ]
    )


def plan_asking(labels: Sequence[str]) -> str:
    rows = "\n".join(_rows(labels))
    return (
        "The document is the skeleton of a codebase: its files, what they import and define. Write a plan of a "
        "guide to it. The first line is the purpose: one sentence on what the codebase is for. Then comes one line for "
        "each of these parts, in this order: a name of two or three words for what it is about, a full stop, and one "
        f"sentence on what it does.\n{rows}"
    )


def plan_tokens(n_parts: int) -> int:
    """What the plan of so many parts takes."""
    return 60 + 56 * n_parts


def read_plan(text: str, labels: Sequence[str]) -> tuple[str, dict[str, tuple[str, str]]]:
    """The purpose, and of each part, by its label, a name and a sentence: as far as they are there."""
    purpose = re.search(r"(?m)^Purpose: (.+)$", text)
    named = dict[str, tuple[str, str]]()
    for label, row in zip(labels, _rows(labels), strict=True):
        if found := re.search(rf"(?m)^{re.escape(_row(row))}([^\n.]{{1,60}})\. ?([^\n]*)\n", _ended(text)):
            named[label] = found[1].strip(), _sentence(found[2].strip())
    return (_sentence(purpose[1].strip()) if purpose else ""), named


# a page of the whole


def page_form(lines: int) -> str:
    return "\n".join([f"start: line{{1,{lines}}}", 'line: "- " LINE "\\n"', _LINE, ""])


def page_asking(page: str, title: str) -> str:
    """What is asked of the notes. page: one of WRITTEN. title: of the codebase."""
    return (
        f"The documents are notes of the parts of a codebase ({title}), with the words of its sources that show them. "
        f"{_PAGES[page]} Write a few short sentences, one a line, from the most important on, with names as the notes "
        "have them. Never say anything twice."
    )


def page_lines(text: str) -> tuple[Line, ...]:
    return tuple(
        line
        for match in re.finditer(r"(?m)^(- |\* |\d{1,2}[.)] )([^\n]*)\n", _ended(text))
        for line in _line(match, "")
    )


def _ended(text: str) -> str:
    """A reply's last line counts where a full stop says that it is whole."""
    return f"{text}\n" if text.rstrip(" ").endswith((".", "!", ")")) else text


def _line(match: re.Match[str], section: str) -> list[Line]:
    text = match[2].strip()
    said = _words(text)
    if said in _NOTHING or not re.search(r"[^\W\d_]{2}", said) or f" {said} " in _ASKED:
        return []
    start = match.start(2) + len(match[2]) - len(match[2].lstrip())
    return [Line(_sentence(text), (start, start + len(text)), section)]


def _sentence(text: str) -> str:
    """A line without what its longest length left unfinished."""
    if len(text) < _LONGEST or text.endswith((".", "!", "?", ")")):
        return text
    whole = text.rfind(". ") + 1
    return text[:whole] if whole > _LONGEST // 4 else f"{text.rsplit(' ', 1)[0]}\u2026"


def _most(aspect: Aspect, lines: int) -> int:
    return max(1, round(aspect.share * lines))


def _rule(aspect: Aspect) -> str:
    return aspect.key.replace("-", "_")


def _row(label: str) -> str:
    return f"{label}: "


def short(label: str) -> str:
    """A label as it is asked of: its beginning and its end where it is long, so that no path takes a call's room."""
    half = _LONGEST_LABEL // 2
    return label if len(label) <= _LONGEST_LABEL else f"{label[: half - 3]}...{label[-half:]}"


def _rows(labels: Sequence[str]) -> list[str]:
    """These in short, each another one."""
    rows = dict[str, None]()
    for label in map(short, map(_plain, labels)):
        same = (f"{label} ({number})" for number in count(2))
        rows[label if label not in rows else next(each for each in same if each not in rows)] = None
    return list(rows)


def _plain(label: str) -> str:
    """A label on one line, in characters that no grammar takes for its own."""
    return "".join(character if character.isprintable() else "?" for character in label)
