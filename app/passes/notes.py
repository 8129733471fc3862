"""Notes: what a pass keeps of its slice. The form that a model writes one in, what was found to show its facts, and how
notes are sent in their turn."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

from engine.answer.citations import Citation, Status, citation_from
from engine.backend import Source

VERSION = 2  # raise it when a note asked for today would not be the one that is kept
MOST_FACTS = 6
MOST_TOKENS = 500  # of a note as it is written
_STRETCH = 512  # bytes of a source, within which words are compared

_NOTHING = "No part of the corpus says anything that helps to answer this."
_FACT, _MISSING, _CONFIDENCE = "Fact: ", "Missing: ", "Confidence: "
# What a note looks like, as a grammar (llguidance's Lark): no model can write another form. That there need be no fact
# stands here alone: a small model that is told so says it of everything. Lines are short, since it would fill them.
FORM = rf"""
start: fact{{0,{MOST_FACTS}}} "{_MISSING}" REST "\n{_CONFIDENCE}" ("low" | "medium" | "high")
fact: "{_FACT}" LINE "\n"
LINE: /[^\s\x00-\x1f\x7f\-][^\x00-\x1f\x7f]{{0,240}}/
REST: /[^\s\x00-\x1f\x7f\-][^\x00-\x1f\x7f]{{0,120}}/
"""
_ASK = f"""{{question}}

Do not answer yet: these documents are one part of a larger corpus, whose other parts are read apart. Write down each \
fact in them that helps with the question, or with a part of it, in a sentence of its own with its names and numbers:
{_FACT}...
Then what is missing, and how sure you are:
{_MISSING}...
{_CONFIDENCE}low, medium or high"""
_ANSWER = """{question}

The corpus was read in parts, and the documents are the notes of that: facts, with the words of the sources that show \
them. Answer the question from the notes, as if you had read the sources yourself."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of a note, and what was found to show it: a citation, whose statement are the characters of the note's
    text that the fact is. None where nobody looked."""

    text: str
    citation: Citation | None = None

    @property
    def is_shown(self) -> bool:
        return self.citation is not None and self.citation.status is Status.VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What one pass found. text: as the model wrote it. missing, confidence: "" where it was cut before them. looked:
    whether words were looked for behind each of its facts, and had to stand there: no picture was read."""

    text: str
    facts: tuple[Fact, ...]
    missing: str = ""
    confidence: str = ""
    looked: bool = False

    @property
    def used(self) -> tuple[Fact, ...]:
        """The facts that the answer is made of. What a model invents where a slice says nothing has no words that show
        it, and what is true mostly has: where they were looked for, facts without them are kept, and not used."""
        return tuple(fact for fact in self.facts if fact.is_shown or not self.looked)

    def to_json(self) -> dict[str, Any]:
        """As the store keeps it."""
        facts = [{"text": fact.text, "citation": fact.citation and fact.citation.to_json()} for fact in self.facts]
        return {**asdict(self), "facts": facts}


NOTHING = Note(text="", facts=())


def note_from(kept: Mapping[str, Any]) -> Note:
    """The way back from to_json."""
    facts = tuple(
        Fact(each["text"], None if each["citation"] is None else citation_from(each["citation"]))
        for each in kept["facts"]
    )
    return Note(**{**kept, "facts": facts})


def asking(question: str) -> str:
    """What a slice is asked: the question, and the form of a note."""
    return _ASK.format(question=question)


def answering(question: str) -> str:
    """What is asked of the notes, at the end."""
    return _ANSWER.format(question=question)


def facts_in(text: str) -> tuple[tuple[int, int], ...]:
    """Characters of a note's text that are its facts, from and to, each once; what a cut left unfinished is none."""
    ended = text.rfind(f"\n{_MISSING}")
    whole = text if ended < 0 else text[: ended + 1]
    found = re.finditer(rf"(?m)^(?:{_FACT}|- )(.+)\n", whole)  # an engine that no form holds may write a list
    first = dict[str, tuple[int, int]]()
    for match in found:
        first.setdefault(match[1].strip().casefold(), match.span(1))
    return tuple(first.values())


def read_note(text: str, *, citations: Sequence[Citation] = (), looked: bool = False) -> Note:
    """The note that a model wrote. citations: what shows its facts, by their characters."""
    shown = {citation.statement: citation for citation in citations}
    facts = tuple(Fact(text[start:end].strip(), shown.get((start, end))) for start, end in facts_in(text))
    ends = re.search(rf"(?m)^{_MISSING}(.*)(?:\n{_CONFIDENCE}(low|medium|high))?\Z", text)
    missing, confidence = (ends[1].strip(), ends[2] or "") if ends else ("", "")
    return Note(text=text, facts=facts, missing=missing, confidence=confidence, looked=looked)


def with_facts_of(note: Note, parts: Sequence[Note], fits: Callable[[Note], bool]) -> Note:
    """A note that was made of others, with the facts of theirs whose words it does not hold: as many as fit, from each
    in turn. A model that puts notes together badly loses nothing that there is room for."""
    own = _distinct(note.used)
    facts = _distinct([*own, *(fact for row in zip_longest(*(part.used for part in parts)) for fact in row if fact)])
    n_more = range(len(own) + 1, len(facts) + 1)
    n_facts = len(own) + bisect_left(n_more, True, key=lambda n: not fits(_of_facts(note, facts[:n])))
    return _of_facts(note, facts[:n_facts])


def _distinct(facts: Iterable[Fact]) -> list[Fact]:
    """Without those whose words stand within the words of an earlier one; without words, those that say the same."""
    found, said = list[Fact](), set[str]()
    held = dict[tuple[str | None, int], list[tuple[int, int]]]()  # by path and stretch of it, of which there are many
    for fact in facts:
        citation = fact.citation
        if citation is not None and citation.text_span is not None and fact.is_shown:
            start, end = citation.text_span
            there = held.get((citation.path, start // _STRETCH), ())
            is_new = not any(first <= start and end <= last for first, last in there)
            for stretch in range(start // _STRETCH, end // _STRETCH + 1):
                held.setdefault((citation.path, stretch), []).append((start, end))
        else:
            is_new = fact.text.casefold() not in said
        said.add(fact.text.casefold())
        found += [fact] if is_new else []
    return found


def _of_facts(note: Note, facts: Iterable[Fact]) -> Note:
    """A note of these, all of which are used. note: what else it has."""
    text, placed = "", list[Fact]()
    for fact in facts:
        start = len(text) + len(_FACT)
        statement = (start, start + len(fact.text))
        placed.append(Fact(fact.text, fact.citation and replace(fact.citation, statement=statement)))
        text += f"{_FACT}{fact.text}\n"
    return replace(note, text=text, facts=tuple(placed), looked=False)


def as_source(note: Note, name: str, *, bare: bool = False) -> Source:
    """A note as it is sent. name: what it is called there. bare: without the words that show its facts."""
    return Source.written(name, "".join(f"- {fact.text}\n" for fact in note.used) if bare else "".join(_lines(note)))


def nothing_found() -> Source:
    """What is sent where no note has a fact that is used."""
    return Source.written("notes", f"{_NOTHING}\n")


def _lines(note: Note) -> Iterator[str]:
    for fact in note.used:
        citation = fact.citation
        yield f"- {fact.text}\n"
        if citation is not None and fact.is_shown:
            first, last = citation.lines or (0, 0)
            lines = f", line {first}" if first == last else f", lines {first} to {last}"
            page = f", page {citation.page}" if citation.page is not None else ""
            yield f'  "{" ".join(citation.quote.split())}" ({citation.path}{page or lines})\n'
