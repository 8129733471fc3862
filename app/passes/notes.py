"""Notes: what a pass keeps of its slice. The form that a model writes one in, what was found to show its facts, and how
notes are sent in their turn."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.answer.citations import Citation, Status, citation_from
from engine.backend import Source

VERSION = 1  # raise it when a note asked for today would not be the one that is kept
MOST_FACTS = 10
MOST_TOKENS = 600  # of a note as it is written

_NOTHING = "Nothing here answers the question."
_MISSING, _CONFIDENCE = "Missing: ", "Confidence: "
# What a note looks like, as a grammar (llguidance's Lark): no model can write another form.
FORM = rf"""
start: (nothing | facts) "{_MISSING}" LINE "\n{_CONFIDENCE}" ("low" | "medium" | "high")
nothing: "{_NOTHING}\n"
facts: fact{{1,{MOST_FACTS}}}
fact: "- " LINE "\n"
LINE: /[^\s\x00-\x1f\x7f\-][^\x00-\x1f\x7f]{{0,300}}/
"""
_ASK = """{question}

The documents are one part of a larger corpus, whose other parts are read apart. Write a note of what they say that \
helps to answer the question: one fact a line, with "- " before it, and names and numbers as the documents have them. \
If they say nothing that helps, write "{nothing}". End with a line "{missing}" and what is still to be looked for \
elsewhere, and a line "{confidence}" and low, medium or high."""
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
    whether words were looked for behind its facts."""

    text: str
    facts: tuple[Fact, ...]
    missing: str = ""
    confidence: str = ""
    looked: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the store keeps it."""
        facts = [{"text": fact.text, "citation": fact.citation and fact.citation.to_json()} for fact in self.facts]
        return {**asdict(self), "facts": facts}


def note_from(kept: Mapping[str, Any]) -> Note:
    """The way back from to_json."""
    facts = tuple(
        Fact(each["text"], None if each["citation"] is None else citation_from(each["citation"]))
        for each in kept["facts"]
    )
    return Note(**{**kept, "facts": facts})


def asking(question: str) -> str:
    """What a slice is asked: the question, and the form of a note."""
    missing, confidence = _MISSING.strip(), _CONFIDENCE.strip()
    return _ASK.format(question=question, nothing=_NOTHING, missing=missing, confidence=confidence)


def answering(question: str) -> str:
    """What is asked of the notes, at the end."""
    return _ANSWER.format(question=question)


def facts_in(text: str) -> tuple[tuple[int, int], ...]:
    """Characters of a note's text that are its facts, from and to; what a cut left unfinished is none."""
    ended = text.rfind(f"\n{_MISSING}")
    whole = text if ended < 0 else text[: ended + 1]
    return tuple(match.span(1) for match in re.finditer(r"(?m)^- (.+)\n", whole))


def read_note(text: str, *, citations: Sequence[Citation] = (), looked: bool = False) -> Note:
    """The note that a model wrote. citations: what shows its facts, by their characters."""
    shown = {citation.statement: citation for citation in citations}
    facts = tuple(Fact(text[start:end].strip(), shown.get((start, end))) for start, end in facts_in(text))
    ends = re.search(rf"(?m)^{_MISSING}(.*)(?:\n{_CONFIDENCE}(low|medium|high))?\Z", text)
    missing, confidence = (ends[1].strip(), ends[2] or "") if ends else ("", "")
    return Note(text=text, facts=facts, missing=missing, confidence=confidence, looked=looked)


def as_source(note: Note, name: str) -> Source:
    """A note as it is sent. name: what it is called there. Facts that nothing was found for are said to be such."""
    text = "".join(_lines(note)) or f"{_NOTHING}\n"
    return Source.written(name, text)


def _lines(note: Note) -> Iterator[str]:
    for fact in note.facts:
        citation = fact.citation
        yield f"- {fact.text}\n"
        if citation is not None and citation.status is Status.VERIFIED:
            first, last = citation.lines or (0, 0)
            lines = f", line {first}" if first == last else f", lines {first} to {last}"
            page = f", page {citation.page}" if citation.page is not None else ""
            yield f'  "{" ".join(citation.quote.split())}" ({citation.path}{page or lines})\n'
        elif note.looked:
            yield "  (no words were found that show this)\n"
