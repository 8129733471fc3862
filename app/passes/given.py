"""What each slice gave to an answer that was made in passes, out of the turn's receipt: as it is shown, with citations.

A receipt may come from a stranger's file: what is not as it should be is nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.passes.notes import Note, note_from
from engine.answer.citations import Citation
from engine.corpus.wording import counted


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
        if len(self.paths) == 1:
            return self.paths[0]
        return f"{counted(len(self.paths), 'source')}, {self.paths[0]} to {self.paths[-1]}"


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
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return ()


def read_line(receipt: Mapping[str, Any] | None) -> str:
    """ "read in 7 passes, 412 of 412 sources, each once"; "" where an answer was not made in passes."""
    passes = given(receipt)
    if not passes or receipt is None:
        return ""
    n_read, n_all = len({path for each in passes for path in each.paths}), receipt.get("sources_all", 0)
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
    pieces = kept["pieces"]
    return Given(
        paths=tuple(dict.fromkeys(str(piece["path"]) for piece in pieces)),
        n_tokens=sum(int(piece["tokens"]) for piece in pieces),
        note=note_from(kept["note"]),
        kept=bool(kept["kept"]),
        n_read=int(kept["read_tokens"]),
        n_reused=int(kept["reused_tokens"]),
    )


def _each_once(receipt: Mapping[str, Any]) -> bool:
    """Whether every character of each source was in one slice alone."""
    reached: dict[str, int] = {}
    for each in receipt["passes"]["slices"]:
        for piece in each["pieces"]:
            start, end = piece["characters"]
            if reached.get(piece["path"], 0) != start:
                return False
            reached[piece["path"]] = end
    return True


def _plain(text: str) -> str:
    """As Markdown that says just this."""
    return "".join(f"\\{sign}" if sign.isascii() and not sign.isalnum() and sign != " " else sign for sign in text)
