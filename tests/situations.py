"""Situations in which a model quotes: sources of what is hard to quote, and a vocabulary.

Sources are laid out here, so that lines, pages and cells are known without asking who is tested; and whatever is said
of a quote is checked with Python's own searching, splitting and decoding.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.answer.citations import Citation
from engine.corpus.source import Source, digest_text
from engine.runtime.quotes.machine import MARK

_PROSE = (
    "The quick brown fox jumps over the lazy dog. ",
    "A bike costs 3 euros an hour; a tandem costs 5. ",
    "It was 1.5 <= n < 20, said f(x)[0] -- and \u201cno\u201d. ",
    "_under_score and CamelCase, x == y != z. ",
)
_CJK = (
    "\u6771\u4eac\u90fd\u306b\u884c\u304d\u307e\u3057\u305f\u3002",
    "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3042\u308b\u3002",
    "\ud55c\uad6d\uc5b4 \ubb38\uc7a5 70 ",
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 ",
    "\U00020bb7\u91ce\u5bb6 ",
)
_EMOJI = (
    "ok \U0001f600\U0001f600 fine ",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 home ",
    "flag \U0001f1e9\U0001f1ea\u2764\ufe0f ",
    "cafe\u0301 caf\u00e9 caf\u00e9s \u0440\u0443\u0441\u0441\u043a\u0438\u0439 ",
)
_WIDE = ("a\u00a0b ", "so\u3000wide ", "line\u2028end\u2029par ", "x\u0085y\u1680z ", "tab\x0b\x0cfeed\x1cend ")
_CODE = ("def f(a, b):", "    return a + b  # sum", "\tif x:", "\t\treturn '</q'", "", "class C:", "    x = 1")
_MARKS = ("say </quote> now ", "x = '</quote>'; y = '</quo' ", "</</quote>> ", "a<b </quote ", "q</quote>r ")

_Draw = random.Random


def _some(draw: _Draw, pieces: Sequence[str], most: int = 8) -> str:
    return "".join(draw.choices(pieces, k=draw.randint(1, most)))


def _text(path: str, text: str) -> Source:
    return Source(path, "text", text, len(text.encode("utf-8", "surrogatepass")), digest_text(text))


def _repeated(draw: _Draw) -> Source:
    return _text("again.txt", _some(draw, (*_PROSE, *_CJK), 3) * draw.randint(2, 40))


def _beginnings(draw: _Draw) -> Source:
    stem = "the same line begins alike"[: draw.randint(3, 26)]
    return _text(
        "alike.txt", "\n".join(f"{stem}{end}" for end in draw.choices(("", "s", " one", " two", "_", "."), k=9))
    )


def _lines(draw: _Draw, end: str) -> str:
    return end.join(draw.choices((*_CODE, *_PROSE, *_EMOJI), k=draw.randint(2, 14)))


def _paged(draw: _Draw) -> Source:
    """As a PDF is read: pages behind their marks."""
    pages = [
        "\n".join(draw.choices((*_PROSE, *_CJK, *_EMOJI), k=draw.randint(1, 4))) for _ in range(draw.randint(2, 4))
    ]
    text, starts = "", []
    for number, page in enumerate(pages, 1):
        text += "\n\n" if text else ""
        starts.append(len(text))
        text += f"[page {number}]\n{page}"
    return Source("paper.pdf", "pdf", text, 9_999, digest_text(text), page_starts=tuple(starts))


def _celled(draw: _Draw) -> Source:
    """As a notebook is read: cells behind their marks, of which some may be left out."""
    numbers = sorted(draw.sample(range(1, 12), k=draw.randint(2, 5)))
    cells = [f"[cell {number}, code]\n" + "\n".join(draw.choices(_CODE, k=4)) + "x" for number in numbers]
    text = "\n\n".join(cells)
    return Source("study.ipynb", "notebook", text, 9_999, digest_text(text))


KINDS: dict[str, Callable[[_Draw], Source]] = {
    "repeated passages": _repeated,
    "common beginnings": _beginnings,
    "CJK": lambda draw: _text("cjk.txt", _some(draw, _CJK)),
    "emoji": lambda draw: _text("emoji.txt", _some(draw, _EMOJI)),
    "CRLF": lambda draw: _text("crlf.py", _lines(draw, "\r\n")),
    "CR": lambda draw: _text("cr.txt", _lines(draw, "\r")),
    "tabs": lambda draw: _text("tabs.tsv", "\t\t".join(draw.choices((*_PROSE, "1", "2,5", "\t"), k=8)) + "\t\n\t"),
    "white space": lambda draw: _text("wide.txt", _some(draw, (*_WIDE, " ", "\n\n\n", "word ", "\t"), 12)),
    "closing mark": lambda draw: _text("mark.html", _some(draw, (*_MARKS, *_PROSE))),
    "pages": _paged,
    "cells": _celled,
    "one byte": lambda draw: _text("one", draw.choice(["a", " ", "7", "\n", "<", ".", "_"])),
    "one character": lambda draw: _text("one.txt", draw.choice(["\u6771", "\u00e9", "\U0001f600", "\u3000", "\u0301"])),
    "nothing": lambda draw: _text("void", ""),
    "half a pair": lambda draw: _text("half.txt", _some(draw, ("a\ud800b ", "\udc80", "so it is ", "\ufeffbom "))),
    "long": lambda draw: _text("long.txt", _some(draw, (*_PROSE, *_CJK, *_EMOJI, *_MARKS, *_WIDE), 400)),
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """kind: what it is like. pieces: the bytes of each token by its id; b"" for control tokens, of which the first ends
    a reply."""

    kind: str
    pieces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    kinds: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def documents(self) -> list[bytes]:
        return [source.text.encode("utf-8", "surrogatepass") for source in self.sources]


def situation(draw: _Draw) -> Situation:
    """Of one to four kinds, in any order, with paths of their own."""
    kinds = draw.sample(sorted(KINDS), k=draw.choice((1, 1, 2, 3, 4)))
    sources = [KINDS[kind](draw) for kind in kinds]
    return Situation(tuple(kinds), tuple(sources))


def _byte_level(draw: _Draw, data: bytes) -> list[bytes]:
    """Every byte, and what was merged without regard to characters."""
    cuts = [data[(at := draw.randrange(len(data))) : at + draw.randint(2, 7)] for _ in range(120)]
    return [bytes([byte]) for byte in range(256)] + cuts


def _with_gaps(draw: _Draw, data: bytes) -> list[bytes]:
    """The same, in which some bytes have no token: some that the text needs among them."""
    pieces = _byte_level(draw, data)
    gone = {bytes([byte]) for byte in draw.sample(range(256), k=21)} | {bytes([draw.choice(data)])}
    return [piece for piece in pieces if piece not in gone]


def _sentence_piece(draw: _Draw, data: bytes) -> list[bytes]:
    """Pieces of whole characters, blanks before words, and a token for each byte."""
    text = data.decode(errors="replace")
    words = [word for word in re.findall(r"\s?\w{1,8}|\s+|[^\w\s]{1,3}", text) if draw.random() < 0.5]
    return [bytes([byte]) for byte in range(256)] + [word.encode() for word in dict.fromkeys(words)][:200]


def _whole_characters(draw: _Draw, data: bytes) -> list[bytes]:
    """Pieces of whole characters and nothing else."""
    text = data.decode(errors="replace")
    letters = dict.fromkeys(text + "</quote>" + " eta")
    return [letter.encode() for letter in letters] + _sentence_piece(draw, data)[256:]


VOCABULARIES: dict[str, Callable[[_Draw, bytes], list[bytes]]] = {
    "byte-level BPE": _byte_level,
    "byte-level BPE with gaps": _with_gaps,
    "SentencePiece with byte tokens": _sentence_piece,
    "whole characters": _whole_characters,
}
_STRADDLING = (MARK, b"</", b"quote", b">", b".</", b")</", b" </quote>", b"</quote>\n", b'e>"', b"quote>\n\n")


def vocabulary(draw: _Draw, documents: Sequence[bytes]) -> Vocabulary:
    kind = draw.choice(sorted(VOCABULARIES))
    data = b" ".join(documents) + b" such words "
    pieces = VOCABULARIES[kind](draw, data)
    pieces += [piece for piece in _STRADDLING if draw.random() < 0.5]
    draw.shuffle(pieces)
    return Vocabulary(kind, (b"", b"", *dict.fromkeys(pieces)))


def squeezed(data: bytes) -> str:
    """White space as Python has it, every run as one blank."""
    return re.sub(r"\s+", " ", data.decode("utf-8", "surrogatepass"))


def faults(situation: Situation, citation: Citation, words: bytes) -> list[str]:
    """What is not as it must be with a quote that was written in these words, and with the place that it is said to
    have."""
    source = next(source for source in situation.sources if source.path == citation.path)
    data = source.text.encode("utf-8", "surrogatepass")
    assert citation.bytes is not None
    start, end = citation.bytes
    stands = data[start:end]
    try:
        text = stands.decode()
    except UnicodeDecodeError:
        return [f"{stands!r} is cut within a character, or is none"]
    wrong = [] if squeezed(stands).encode() == words else [f"{stands!r} stands there, {words!r} was written"]
    wrong += [] if citation.quote == text else [f"{citation.quote!r} is shown, {text!r} stands there"]
    wrong += [] if any(map(str.isalnum, text)) else [f"{text!r} has no word"]
    wrong += [f"{text!r} is part of a word"] * (_is_in_word(data, start) or _is_in_word(data, end))
    before = data[:start].decode("utf-8", "surrogatepass")
    n_places = sum(_n_of(words.decode(), squeezed(each)) for each in situation.documents)
    wrong += [] if 1 <= citation.places <= n_places else [f"{citation.places} places of {n_places} for {text!r}"]
    lines = len(_LINE_END.findall(before)) + 1
    lines -= before.endswith("\r") and text.startswith("\n")
    expected = (lines, lines + len(_LINE_END.findall(text))), _page(source, len(before)), _cell(source, len(before))
    found = citation.lines, citation.page, citation.cell
    return wrong if found == expected else [*wrong, f"{found} for {expected}, of {text!r} in {source.path}"]


_LINE_END = re.compile(r"\r\n|\r|\n")
_WORDY = re.compile(rb"[A-Za-z0-9_]{2}")


def _is_in_word(data: bytes, at: int) -> bool:
    """Whether a word of ASCII goes on there."""
    return _WORDY.fullmatch(data[max(0, at - 1) : at + 1]) is not None


def _n_of(words: str, text: str) -> int:
    return sum(text.startswith(words, at) for at in range(len(text)))


def _page(source: Source, at: int) -> int | None:
    return sum(start <= at for start in source.page_starts) or None


def _cell(source: Source, at: int) -> int | None:
    if source.kind != "notebook":
        return None
    return [int(mark[1]) for mark in re.finditer(r"\[cell (\d+), code\]\n", source.text) if mark.start() <= at][-1]
