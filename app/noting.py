"""Notes of a session: what of an answer is kept as one, with which citations, and as which source it is sent."""

import re
from collections.abc import Collection
from dataclasses import replace

from engine.answer.citations import Citation
from engine.corpus.source import Source, digest_text
from engine.errors import UsageError
from storage.records import KeptNote, SourceLink, Turn

MOST_CHARACTERS = 4 << 20  # of a note
_FOLDER = "notes"
_TITLE_LENGTH, _NAME_LENGTH = 60, 80
_MARKS = " \t#>*_`~|-"  # of Markdown, at a line's beginning and end
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")


def piece_of(turn: Turn, words: str | None) -> tuple[str, tuple[Citation, ...]]:
    """The text of an answer that is kept, and the citations of that. words: as they were selected, where the answer is
    drawn; None for all of it.

    They are found in what the model wrote by their letters and digits, for its Markdown is not shown; what is not
    found there is kept as it was selected. Raises UsageError for nothing, or for too much.
    """
    if words is None:
        text, span = turn.text, (0, len(turn.text))
    else:
        span = _span_of(turn.text, words)
        text = turn.text[slice(*span)] if span != (0, 0) else words.strip()
    if not text.strip():
        raise UsageError("There is nothing to keep as a note.", "Keep an answer, or select some words of it.")
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"A note has at most {MOST_CHARACTERS:,} characters.", "Keep a piece of it.")
    return text, tuple(_within(each, span) for each in turn.citations or () if _overlaps(each.statement, span))


def title_of_note(title: str, text: str) -> str:
    """A note's title in one line: the one that was given, else the beginning of its text."""
    line = " ".join(title.split())
    if not line:
        lines = (" ".join(each.strip(_MARKS).split()) for each in text.splitlines())
        line = next((each for each in lines if any(map(str.isalnum, each))), "Note")
    if len(line) <= _TITLE_LENGTH or title.strip():
        return line
    return line[:_TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


def source_of(note: KeptNote, links: Collection[SourceLink]) -> Source:
    """A note as a source of its session, below notes/: under the path that it has there already, else one that no other
    source has."""
    digest, taken = digest_text(note.text), {link.path: link for link in links}
    name = "".join(letter if letter.isprintable() else " " for letter in _NO_NAME.sub(" ", note.title))
    name = " ".join(name.split()).strip(". ")[:_NAME_LENGTH].rstrip() or f"Note {note.number}"
    path, nth = f"{_FOLDER}/{name}.md", 1
    while path in taken and taken[path].digest != digest:
        nth += 1
        path = f"{_FOLDER}/{name} {nth}.md"
    return Source(
        path=path,
        kind="text",
        text=note.text,
        n_bytes=len(note.text.encode("utf-8", "surrogatepass")),
        digest=digest,
        encoding="utf-8",
    )


def _span_of(text: str, words: str) -> tuple[int, int]:
    """Where in a text these letters and digits stand, with the signs that belong to them; 0, 0 where they do not."""
    places = [at for at, letter in enumerate(text) if letter.isalnum()]
    wanted = "".join(filter(str.isalnum, words))
    at = "".join(text[place] for place in places).find(wanted) if wanted else -1
    if at < 0:
        return 0, 0
    start, end = places[at], places[at + len(wanted) - 1] + 1
    while start and not text[start - 1].isalnum() and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isalnum() and not text[end].isspace():
        end += 1
    return start, end


def _overlaps(statement: tuple[int, int], span: tuple[int, int]) -> bool:
    return statement[0] < span[1] and span[0] < statement[1]


def _within(citation: Citation, span: tuple[int, int]) -> Citation:
    start, end = span
    first, last = citation.statement
    return replace(citation, statement=(max(first, start) - start, min(last, end) - start))
