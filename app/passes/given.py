"""What each slice gave to an answer that was made in passes, out of the turn's receipt: as it is shown, with citations.

A receipt may come from a stranger's file: what is not as it should be is nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.passes.notes import Note, note_from
from app.passes.slices import title_of
from engine.answer.citations import Citation
from engine.corpus.wording import counted

_NOT_AS_IT_SHOULD_BE = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one pass gave. paths: of its sources, parts of one once; n_tokens: of them. n_read, n_reused: of its prompt.
    kept: its note was there before, and nothing was read."""

    paths: tuple[str, ...]
    n_tokens: int
    note: Note
    kept: bool = False
    n_read: int = 0
    n_reused: int = 0

    @property
    def title(self) -> str:
        """What was read, in a few words."""
        return title_of(self.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """All of it as one text. citations: those of the facts, by their characters in it."""

    text: str
    citations: tuple[Citation, ...]
    n_facts: int


def given(receipt: Mapping[str, Any] | None) -> tuple[Given, ...]:
    """Of each pass, in order; () where an answer was not made in passes."""
    try:
        return tuple(map(_given, ((receipt or {}).get("passes") or {}).get("slices") or ()))
    except _NOT_AS_IT_SHOULD_BE:
        return ()


def read_line(receipt: Mapping[str, Any] | None) -> str:
    """ "read in 7 passes, 412 of 412 sources, each once"; "" where an answer was not made in passes."""
    passes = given(receipt)
    if not passes or receipt is None:
        return ""
    n_read = len({path for each in passes for path in each.paths})
    n_all = int(whole) if isinstance(whole := receipt.get("sources_all"), int) else n_read
    once = ", each once" if _each_once(receipt) else ""
    return f"read in {counted(len(passes), 'pass', 'passes')}, {n_read:,} of {counted(n_all, 'source')}{once}"


def gift_of(passes: Sequence[Given]) -> Gift:
    """All that was found, as Markdown: a heading for each pass, its facts below."""
    text, citations, n_facts = "", list[Citation](), 0
    for number, each in enumerate(passes, 1):
        kept = " · kept from before" if each.kept else ""
        head = f"Pass {number:,} of {len(passes):,} · {each.title} · {counted(each.n_tokens, 'token')}{kept}"
        text += f"#### {_plain(head)}\n\n"
        for fact in each.note.facts:
            text += "- "
            if fact.citation is not None:
                citations.append(replace(fact.citation, statement=(len(text), len(text) + len(fact.text))))
            text += f"{fact.text}\n"
        n_facts += len(each.note.facts)
        text += "\n" if each.note.facts else "Nothing here that helps.\n\n"
        if each.note.missing and each.note.facts:
            text += f"Missing: {each.note.missing}\n\n"
    return Gift(text=text, citations=tuple(citations), n_facts=n_facts)


def _given(kept: Mapping[str, Any]) -> Given:
    """Raises what is _NOT_AS_IT_SHOULD_BE."""
    pieces, note = kept["pieces"], note_from(kept["note"])
    texts = [note.missing, *(fact.text for fact in note.facts)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a note is text")
    if not all(_is_sound(fact.citation) for fact in note.facts if fact.citation is not None):
        raise TypeError("no citation")
    return Given(
        paths=tuple(dict.fromkeys(str(piece["path"]) for piece in pieces)),
        n_tokens=sum(int(piece["tokens"]) for piece in pieces),
        note=note,
        kept=bool(kept["kept"]),
        n_read=int(kept["read_tokens"]),
        n_reused=int(kept["reused_tokens"]),
    )


def _each_once(receipt: Mapping[str, Any]) -> bool:
    """Whether every character of each source was in one slice alone."""
    reached: dict[str, int] = {}
    try:
        for each in receipt["passes"]["slices"]:
            for piece in each["pieces"]:
                start, end = piece["characters"]
                if reached.get(piece["path"], 0) != start:
                    return False
                reached[piece["path"]] = end
    except _NOT_AS_IT_SHOULD_BE:
        return False
    return True


def _is_sound(citation: Citation) -> bool:
    """Whether its fields are of their kinds."""
    texts = (citation.path, citation.source_digest)
    numbers = (citation.page, citation.cell, citation.image, citation.places)
    spans = (citation.bytes, citation.text_bytes, citation.lines)
    boxes = [citation.box, *(each.box for each in citation.boxes or ())]
    return (
        isinstance(citation.quote, str)
        and all(text is None or isinstance(text, str) for text in texts)
        and all(number is None or isinstance(number, int) for number in numbers)
        and all(span is None or (len(span) == 2 and all(isinstance(at, int) for at in span)) for span in spans)
        and all(box is None or (len(box) == 4 and all(isinstance(at, int | float) for at in box)) for box in boxes)
    )


def _plain(text: str) -> str:
    """As Markdown that says just this."""
    return "".join(f"\\{sign}" if sign.isascii() and not sign.isalnum() and sign != " " else sign for sign in text)
