"""Words that turn thinking on and off, where a chat template looks for them in the system text or in a question:
"/think", "/no_think", "detailed thinking off".

They are literals of the template, and whether it looks for one is tried: it renders otherwise with it. Variables that
are switches are left to `habits`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from engine.prompt.chat import Message, Rendered, Turns
from engine.prompt.marks import THOUGHTS

_CODE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_LITERAL = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_WORD = re.compile(r"[^\\\n]{3,32}")
_ABOUT = re.compile(r"think|reason|thought", re.IGNORECASE)
_NO = re.compile(r"\bno[nt]?(?:\b|[_-]?(?=think|reason))|\boff\b|disable|without|skip", re.IGNORECASE)
_SIGNS = re.compile(r"no[nt]?(?=[^a-z]|think|reason)|off|on|disabled?|enabled?|[^a-z]", re.IGNORECASE)
_MOST_WORDS = 6
_SYSTEM, _USER = "system", "user"
_PLACES = ((_USER, False), (_SYSTEM, False), (_USER, True), (_SYSTEM, True))  # who says it, and whether it comes first
_TEXTS = {_SYSTEM: "asystemtextthatwas", _USER: "aquestionthatcame"}


@dataclass(frozen=True, slots=True)
class Words:
    """on, off: '' where there is none. role: who says it, of 'system' and 'user'; first: before all else that is said;
    anywhere: it is looked for in all that is said. rests: the template keeps the model from thinking where nothing is
    said. holds: what one question says holds for later ones that say nothing. taken_out: what is sent is without it."""

    on: str = ""
    off: str = ""
    role: str = _USER
    first: bool = False
    rests: bool = False
    anywhere: bool = False
    holds: bool = False
    taken_out: bool = False

    @property
    def both(self) -> str:
        """The words, for people."""
        return " and ".join(filter(None, (self.on, self.off)))

    def each(self, thinking: Sequence[str]) -> list[str]:
        """What the questions of a conversation say that were asked so, see Habits.told. Where one says something, it
        holds for later ones too, so that these say what holds for them."""
        said, words = list[str](), {"": "", "off": self.off, "0": self.off}
        for asked in thinking:
            if not asked and any(said):
                asked = "off" if self.rests else "on"
            said.append(words.get(asked, self.on))
        return said

    def typed_in(self, text: str) -> str:
        """The last of the words that a text says itself, where they are looked for; '' for none."""
        found = [(match.end(), word) for word in (self.on, self.off) if word for match in _spoken(word).finditer(text)]
        before, behind = len(text) - len(text.lstrip()), len(text.rstrip())
        if not self.anywhere:
            found = [(end, word) for end, word in found if (end - len(word) == before if self.first else end == behind)]
        return max(found, default=(0, ""))[1]

    def told_in(self, text: str) -> str:
        """'on' or 'off', as a text says it; '' where it says neither."""
        word = self.typed_in(text)
        return "" if not word else "off" if word == self.off else "on"

    def without(self, text: str) -> str:
        """A text without the words that it says, as a template takes them out."""
        for word in filter(None, (self.on, self.off)):
            text = _spoken(word).sub("", text)
        return text.strip()

    def beside(self, text: str, word: str) -> str:
        """A text with the word in its place."""
        return " ".join(filter(None, (word, text) if self.first else (text, word)))


def _spoken(word: str) -> re.Pattern[str]:
    """Where a word stands by itself: "/think" is none in "src/think.py" and in "</think>"."""
    return re.compile(rf"(?<![\w<.]){re.escape(word)}(?![\w>/]|\.\w)")


@dataclass(frozen=True, slots=True)
class WordTrials:
    """The conversations that tell which literals of a template are such words."""

    source: str = field(repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """Literals that may be one."""
        texts = (one or other for code in _CODE.findall(self.source) for one, other in _LITERAL.findall(code))
        found = dict.fromkeys(filter(_WORD.fullmatch, texts))
        marks = [text for mark in THOUGHTS for text in (mark.opening, mark.closing)]
        named = (each for each in found if _ABOUT.search(each) and not any(mark in each for mark in marks))
        return tuple(sorted(named, key=lambda each: not re.search(r"[^a-z_]", each)))[:_MOST_WORDS]  # keys come last

    def conversations(self, message: Callable[[str, str], Message]) -> Iterator[Turns]:
        """One with a system text, then each word in each place. message: of a role and its text."""
        if not self.words:
            return
        yield message(_SYSTEM, _TEXTS[_SYSTEM]), message(_USER, _TEXTS[_USER])
        for word in self.words:  # what an earlier question said
            yield (*_first(message, word), message(_USER, _TEXTS[_USER]))
        yield (*_first(message, ""), message(_USER, _TEXTS[_USER]))
        for role, first in _PLACES:
            for word in self.words:
                said = Words(role=role, first=first).beside(_TEXTS[role], word)
                asked = message(_USER, said if role == _USER else _TEXTS[_USER])
                yield (asked,) if role == _USER else (message(_SYSTEM, said), asked)

    def found(self, alone: Rendered, rendered: Sequence[Rendered], closes: Callable[[str], bool]) -> Words:
        """Which they are, by what was rendered. alone: of the question without a word. closes: whether a text before a
        reply keeps the model from thinking."""
        if not self.words:
            return Words()
        with_system, *rest = rendered
        later, rest = rest[: len(self.words) + 1], rest[len(self.words) + 1 :]
        best = Words()
        for at, (role, first) in enumerate(_PLACES):
            plain = with_system if role == _SYSTEM else alone
            tried = rest[at * len(self.words) : (at + 1) * len(self.words)]
            there = dict[bool, str]()
            for word, each in zip(self.words, tried, strict=True):
                if _looks(word, plain, each):
                    there.setdefault(_turns_off(word, _asks(plain), _asks(each), closes), word)
            if there and (True in there or not best.both):
                off = there.get(True, "")
                on = there.get(False, "") or self._opposite(off)
                best = Words(on, off, role, first, rests=closes(_asks(plain)) or not off)
                shown = any(best.beside(_TEXTS[role], word) in each.text for word, each in self._of(best, tried))
                best = replace(best, taken_out=not shown)
            if best.off:
                break
        return self._told(best, rest, alone, later) if best.both else best

    def written(self, on: Rendered, off: Rendered) -> Words:
        """The words that a template with another switch writes itself where that is on, and where it is off."""
        one = next((word for word in self.words if _says(on, word) and not _says(off, word)), "")
        other = next((word for word in self.words if _says(off, word) and not _says(on, word)), "")
        return Words(one or self._opposite(other), other)

    def _of(self, words: Words, tried: Sequence[Rendered]) -> list[tuple[str, Rendered]]:
        return [(word, each) for word, each in zip(self.words, tried, strict=True) if word in (words.on, words.off)]

    def _told(self, best: Words, rest: Sequence[Rendered], alone: Rendered, later: Sequence[Rendered]) -> Words:
        """With where else a question's word is looked for, and whether it holds."""
        if best.role != _USER:
            return replace(best, anywhere=True)
        at = _PLACES.index((_USER, True)) * len(self.words)
        tried = self._of(best, rest[at : at + len(self.words)])
        anywhere = not best.first and any(_looks(word, alone, each) for word, each in tried)
        *each_later, plain = later
        holds = any(_asks(each) != _asks(plain) for word, each in self._of(best, each_later))
        return replace(best, anywhere=anywhere, holds=holds)

    def _opposite(self, off: str) -> str:
        """The word that is the same without a no in it."""
        others = (each for each in self.words if each != off and not _NO.search(each))
        return next((each for each in others if _SIGNS.sub("", each) == _SIGNS.sub("", off)), "")


def _first(message: Callable[[str, str], Message], word: str) -> Turns:
    """An earlier question that says a word, and its answer."""
    asked = Words().beside("aquestionbefore", word)
    return (message(_USER, asked), message("assistant", "areplybefore"))


def _says(rendered: Rendered, word: str) -> bool:
    return _spoken(word).search(rendered.text.replace(_TEXTS[_USER], " ")) is not None


def _looks(word: str, plain: Rendered, tried: Rendered) -> bool:
    """Whether more has changed than that the word stands there, or that a template takes it out."""
    without, before = ("".join(each.text.replace(word, "").split()) for each in (tried, plain))
    return not plain.fault and not tried.fault and without != before


def _asks(rendered: Rendered) -> str:
    return rendered.text.rpartition(_TEXTS[_USER])[2]


def _turns_off(word: str, before: str, after: str, closes: Callable[[str], bool]) -> bool:
    if closes(before) != closes(after):
        return closes(after)
    return bool(_NO.search(word))
