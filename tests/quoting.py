"""Answers that quote real texts as models do: truly, altered by little, as if from elsewhere, and of nothing."""

import json
import random
import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.corpus.formats.format import whole_file
from engine.corpus.formats.reader import recognise
from engine.corpus.rules import Rules
from engine.corpus.source import Source
from tests.pdfs import written

_STDLIB = Path(sysconfig.get_paths()["stdlib"])
_OPERATORS = {
    "==": "!=",
    "!=": "==",
    "<=": "<",
    ">=": ">",
    " < ": " > ",
    " + ": " - ",
    " and ": " or ",
    " is not ": " is ",
}
_STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d\u2013", "''\"\"-")
_CURLY = str.maketrans("'-", "\u2019\u2010")
_INVENTED = ("zephyr", "marmalade", "quorum", "obelisk", "tangerine", "vortex", "lantern", "mosaic", "cadence")


def read(path: str, data: bytes) -> Source:
    """A file as a source."""
    file = whole_file(path, data, Rules())
    found = recognise(file.head)
    assert found is not None
    source = found.format.read(file)
    assert isinstance(source, Source), source
    return source


def code(*names: str) -> list[Source]:
    """Modules of the standard library."""
    return [read(f"lib/{name}", (_STDLIB / name).read_bytes()) for name in names]


def prose(name: str) -> list[str]:
    """The paragraphs of a module's docstrings and comments: writing that people wrote."""
    text = (_STDLIB / name).read_text(encoding="utf-8")
    paragraphs = re.findall(r'"""(.+?)"""', text, re.DOTALL)
    return [" ".join(each.split()) for each in paragraphs if len(each.split()) > 12]


def pdf(path: str, names: Sequence[str], *, lines: int = 30) -> Source:
    """Real prose on pages, wrapped at 80 characters."""
    wrapped = [
        line
        for name in names
        for paragraph in prose(name)
        for line in (*re.findall(r".{1,80}(?:\s+|$)", paragraph), "")
        if line.isascii()
    ]
    pages = ["\n".join(wrapped[at : at + lines]) for at in range(0, len(wrapped), lines)]
    return read(path, written(*pages))


def notebook(path: str, names: Sequence[str]) -> Source:
    """Functions in code cells, docstrings in Markdown cells."""
    cells: list[dict[str, object]] = []
    for name in names:
        for function in re.split(r"\n(?=def |class )", (_STDLIB / name).read_text(encoding="utf-8")):
            cells.append({"cell_type": "code", "source": function, "outputs": []})
        cells += [{"cell_type": "markdown", "source": paragraph} for paragraph in prose(name)]
    return read(path, json.dumps({"nbformat": 4, "cells": cells}).encode())


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer, and what is true of its one quote. kind: "true", "moved", "altered", "invented". line, page, cell: of
    the passage that it was made of; None for what is invented."""

    text: str
    kind: str
    path: str | None
    line: int | None
    page: int | None


class Answers:
    """Answers by chance. sources: what they quote from."""

    def __init__(self, sources: Sequence[Source], rng: random.Random) -> None:
        self.sources, self._rng = sources, rng
        self._all = "\0".join(_plain(source.text) for source in sources)
        self._words = [[found.span() for found in re.finditer(r"\S+", source.text)] for source in sources]

    def one(self) -> Asked:
        """One that quotes truly half the time."""
        kind = self._rng.choice(["true", "true", "true", "moved", "altered", "altered", "invented"])
        while True:
            number = self._rng.randrange(len(self.sources))
            source, spans = self.sources[number], self._words[number]
            first = self._rng.randrange(len(spans) - 40)
            start, end = spans[first][0], spans[first + self._rng.randrange(5, 30)][1]
            words = source.text[start:end]
            if "[page " in words or "[cell " in words or self._all.count(_plain(words)) != 1:
                continue
            if not re.match(r"\w", words) or not re.search(r"\w\W?$", words):
                continue
            shown = self._altered(words) if kind == "altered" else self._loose(words)
            if kind == "invented":
                shown = " ".join(self._rng.choices(_INVENTED, k=self._rng.randrange(4, 12)))
            if shown is None or (kind in ("altered", "invented") and _plain(shown) in self._all):
                continue
            form = self._form(shown)
            if form is None:
                continue
            other = self._rng.choice(self.sources).path if kind == "moved" else source.path
            line = source.text.count("\n", 0, start) + 1
            text = f"First of all, it runs. In {other} it says {form}\n\nThat is all there is to it."
            if kind == "invented":
                return Asked(text, kind, None, None, None)
            return Asked(text, kind, source.path, line, source.page_at(start))

    def _loose(self, words: str) -> str:
        """The same words as models write them: with other blanks and marks."""
        how = self._rng.randrange(4)
        if how == 1:
            return " ".join(words.split())
        return words.translate(_STRAIGHT) if how == 2 else words.translate(_CURLY) if how == 3 else words

    def _altered(self, words: str) -> str | None:
        """One digit, word or operator is another; or a "not" stands in it."""
        changes = [lambda: self._other_word(words), lambda: self._negated(words)]
        if digit := re.search(r"\d", words):
            changes.append(lambda: words[: digit.start()] + str((int(digit[0]) + 1) % 10) + words[digit.end() :])
        for old, new in _OPERATORS.items():
            if old in words:
                changes.append(lambda old=old, new=new: words.replace(old, new, 1))
        altered = self._rng.choice(changes)()
        return altered if _plain(altered) != _plain(words) else None

    def _other_word(self, words: str) -> str:
        split = words.split()
        split[self._rng.randrange(1, len(split) - 1)] = self._rng.choice(["seldom", "other", "None", "never"])
        return " ".join(split)

    def _negated(self, words: str) -> str:
        split = words.split()
        split.insert(self._rng.randrange(1, len(split)), "not")
        return " ".join(split)

    def _form(self, words: str) -> str | None:
        """As a quote of some form; None where that form cannot hold these words."""
        one_line = " ".join(words.split())
        bare = re.fullmatch(r"[^\"`\u201c\u201d\u00ab\u00bb<>]+", words) is not None and "..." not in words
        if not bare:
            return None if "```" in words or "..." in words or "~~~" in words else f"this:\n```\n{words}\n```"
        quoted = "\n".join(f"> {line}" for line in words.splitlines())
        forms = [
            f"<quote>{words}</quote>.",
            f'"{one_line}".',
            f"\u201c{one_line}\u201d.",
            f"\u00ab{one_line}\u00bb.",
            f"`{one_line}`.",
        ]
        return self._rng.choice([*forms, f"this:\n\n{quoted}", f"this:\n```\n{words}\n```"])


def _plain(text: str) -> str:
    """A text as it is compared here: without blanks, marks alike."""
    text = text.translate(_STRAIGHT).replace("\u2010", "-").replace("\ufb01", "fi").replace("\ufb02", "fl")
    return " ".join(text.split())
