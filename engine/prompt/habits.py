"""What a chat template does with thoughts and what stands behind a reply, found out by rendering it.

Which conversations are tried, and what their renderings say. Rendering is left to `rendering`, the marks to `marks`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.prompt.chat import Message, Rendered, Turns, Variables
from engine.prompt.marks import ANSWERS, CHANNEL_TOKENS, IN_CHANNEL, THOUGHTS, Mark, opened_in, pairs_in
from engine.prompt.switches import Words, WordTrials

_THOUGHTS, _REPLY, _QUESTION = ("athoughtthatwas", "anotherthatis"), "areplythatcame", "aquestionthatcame"
_SWITCH = re.compile(
    r"\b([a-z_]*(?:think|reason)[a-z_]*)\s*(?:is\s+(?:not\s+)?(?:defined|none|true|false)|\|\s*default|\s%\}|\s+else\b|\s+and\b)"
)
_NO_SWITCH = re.compile(r"past|preserve|keep|clear|budget|effort|content|_tokens")
_BUDGET = re.compile(r"\b((?:thinking|reasoning)_(?:budget|tokens))\b")
_MOST_SWITCHES = 6
_TEXT_END = re.compile(r"\s*(<[^<>\n]{1,40}>|\[[^\[\]\n]{1,40}\])")


@dataclass(frozen=True, slots=True)
class Habits:
    """marks: what may hold a thought; speaks: those of them that the template speaks of. keeps: the template lets
    earlier thoughts stand; keeps_last: those of the last reply before a question. knows: it speaks of thoughts at all.
    begins: its generation prompt opens one. rests: it keeps the model from thinking where nothing is said. switch: the
    variable that turns thinking on and off, '' for none; words: where there is none, those that do in what is said.
    typed: those that a question, or a system text, may say itself. budget: the variable that takes the most tokens of
    it. behind: its text between a reply and the next question."""

    marks: tuple[Mark, ...] = field(default=THOUGHTS, repr=False)
    speaks: tuple[Mark, ...] = ()
    keeps: bool = True
    keeps_last: bool = True
    knows: bool = False
    begins: bool = False
    rests: bool = False
    switch: str = ""
    words: Words = Words()
    budget: str = ""
    typed: Words = Words()
    behind: str = ""

    @property
    def thinks(self) -> bool:
        """Whether a model thinks that is asked with it, where nothing is said."""
        return (self.knows or bool(self.switches)) and not self.rests

    @property
    def switches(self) -> str:
        """What turns thinking on and off, for people; '' for nothing."""
        return self.switch or self.words.both

    def told(self, thinking: str) -> Variables:
        """What the template is told where thinking is 'on', 'off' or so many tokens; nothing for ''."""
        if not thinking:
            return ()
        on = thinking not in ("off", "0")
        switch: Variables = ((self.switch, on),) if self.switch else ()
        return (*switch, (self.budget, int(thinking))) if self.budget and thinking.isdigit() else switch


@dataclass(frozen=True, slots=True)
class Trials:
    """The conversations that tell it: `turns` with what each is told beside."""

    source: str = field(repr=False)
    has_parts: bool = False

    @property
    def switches(self) -> tuple[str, ...]:
        """Names that may be a switch."""
        named = dict.fromkeys(name for name in _SWITCH.findall(self.source) if not _NO_SWITCH.search(name))
        return tuple(named)[:_MOST_SWITCHES]

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Those that the template speaks of."""
        known = tuple(mark for mark in THOUGHTS if mark.closing in self.source)
        channels = (IN_CHANNEL,) if all(token in self.source for token in CHANNEL_TOKENS[:3]) else ()
        return (*known, *pairs_in(self.source), *channels)

    def conversations(self) -> tuple[tuple[Turns, Variables], ...]:
        """A question alone, with each switch on and off; a history for each mark, and one with the thoughts apart."""
        asked: Turns = (self._message("user", _QUESTION),)
        found: list[tuple[Turns, Variables]] = [(asked, ())]
        for name in self.switches:
            found += [(asked, ((name, True),)), (asked, ((name, False),))]
        found += [(turns, ()) for turns in WordTrials(self.source).conversations(self._message)]
        around = next((mark for mark in ANSWERS if mark.closing in self.source), Mark("", ""))
        answer = f"{around.opening}{_REPLY}{around.closing}"
        for mark in self.marks:
            first, last = (
                self._message("assistant", f"{mark.opening}\n{thought}\n{mark.closing}\n\n{answer}")
                for thought in _THOUGHTS
            )
            found.append(((*asked, first, *asked, last, *asked), ()))
        if self.marks:
            first, last = (self._message("assistant", _REPLY, thought) for thought in _THOUGHTS)
            found.append(((*asked, first, *asked, last, *asked), ()))
        return tuple(found)

    def habits(self, rendered: Sequence[Rendered], behind: str) -> Habits:
        """What the renderings say. behind: see Habits."""
        (alone, *rest), marks = rendered, self.marks
        switched = {name: (rest[2 * n], rest[2 * n + 1]) for n, name in enumerate(self.switches)}
        spoken = WordTrials(self.source)
        n_switched, n_spoken = 2 * len(self.switches), len(list(spoken.conversations(self._message)))
        histories = rest[n_switched + n_spoken :]
        asks = [
            each.text.rpartition(_QUESTION)[2] for each in (alone, *(each for two in switched.values() for each in two))
        ]
        kept, thoughts = list[tuple[bool, bool]](), list[Mark]()
        for mark, history in zip(marks, histories, strict=False):
            first, last = (_stays(mark, thought, history, histories[-1]) for thought in _THOUGHTS)
            opened = any(opened_in(text, (mark,)) == mark for text in asks)
            if mark in THOUGHTS or mark == IN_CHANNEL or not first or opened:
                kept.append((first, last))
                thoughts.append(mark)
        known = tuple(mark for mark in thoughts if mark != IN_CHANNEL and mark not in THOUGHTS)
        budget = _BUDGET.search(self.source)

        def closes(before: str) -> bool:
            marks = [mark for mark in thoughts if mark != IN_CHANNEL]  # which ends questions just so
            return any(mark.closing in before for mark in marks) and opened_in(before, (*known, *THOUGHTS)) is None

        switch = next((name for name, two in switched.items() if _switches(*two)), "")
        words = Words() if switch else spoken.found(alone, rest[n_switched:][:n_spoken], closes)
        rests = (
            alone.text == switched[switch][1].text if switch else closes(asks[0]) or bool(words.both and words.rests)
        )
        return Habits(
            marks=(*known, *THOUGHTS),
            speaks=tuple(mark for mark in thoughts if mark != IN_CHANNEL),
            keeps=all(first for first, _ in kept),
            keeps_last=all(last for _, last in kept),
            knows=bool(thoughts),
            begins=opened_in(asks[0], (*known, *THOUGHTS)) is not None,
            rests=rests,
            switch=switch,
            words=words,
            budget=budget[1] if budget else "",
            typed=spoken.written(*switched[switch]) if switch else words,
            behind=behind,
        )

    def _message(self, role: str, text: str, thought: str = "") -> Message:
        content = (text,) if self.has_parts else text
        return (role, content, thought) if thought else (role, content)


def _stays(mark: Mark, words: str, history: Rendered, apart: Rendered) -> bool:
    """Whether a thought stands in a history. In channels, a template that writes a reply into the answer's own would
    nest them, so it has to write the thought itself."""
    before, thought, _ = apart.text.partition(words)
    if thought and mark.opening.strip() in before.rpartition(_QUESTION)[2]:
        return True
    if mark == IN_CHANNEL:
        return False
    return bool(history.fault) or words in history.text


def _switches(on: Rendered, off: Rendered) -> bool:
    return not on.fault and not off.fault and on.text != off.text


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends a reply beside what llama.cpp calls an end: ids of special tokens, and texts."""

    ids: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


def ends_of(behind: Sequence[Any]) -> Ends:
    """By what a template puts behind a reply: the pieces of that, special tokens by their ids."""
    words = ""
    for piece in behind:
        if isinstance(piece, int):
            return Ends((piece,), _texts(words))
        words += piece
    return Ends((), _texts(words))


def _texts(words: str) -> tuple[str, ...]:
    """A mark that the vocabulary has no token for, or how the next question is announced: where a line begins, or as
    the template has it."""
    if not any(character.isalnum() for character in words):
        return ()
    if (tag := _TEXT_END.match(words)) is not None:
        return (tag[1],)
    said = words.strip().splitlines()[0].strip()
    lines = words[: len(words) - len(words.lstrip())].count("\n")
    if lines:
        return tuple("\n" * n + said for n in range(max(lines, 2), 0, -1))
    return (f" {said}", f"\n{said}") if words[:1].isspace() else (f"\n{said}",)
