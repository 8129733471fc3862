"""A model's chat template: the one that it brings, the user's own or a plain one, split where content goes.

What stands at the placeholders is left to `layout`, which joins ids and so never lets content speak as a role; how a
template is rendered to `rendering`.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from engine.corpus.source import digest_text
from engine.errors import ModelRefused
from engine.gguf import Header
from engine.prompt.chat import Rendered, Turns, Variables
from engine.prompt.choice import OwnTemplate, TemplateUse, one_line
from engine.prompt.habits import Habits, Trials
from engine.prompt.rendering import render

# for models that bring none: plain words, no special tokens
PLAIN = (
    "{%- for message in messages -%}"
    "{{ {'system': '', 'user': 'User: ', 'assistant': 'Assistant: '}[message.role] + message.content + '\\n\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
_TRIAL_TURNS = 3
_KEY = "tokenizer.chat_template"
_WRITTEN_LIST = re.compile(r"""['"]text['"]: ?['"]$""")  # before a slot: a template that knows no list of parts
_UNORDERED = "it leaves messages out or changes their order"
_IN_PLACE = 'a plain one is used, which has "User:" and "Assistant:" before what they say'
_REMEDY = "--chat-template FILE, or chat_template in config.toml, gives the model another"
_OR_ITS_OWN = "Mend it, or ask with the model's own: --chat-template model."  # a session may have kept it
# transformers' names of special tokens, by what GGUF calls them
_SPECIALS = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "sep_token": "seperator",
    "pad_token": "padding",
    "cls_token": "cls",
    "mask_token": "mask",
}


class Role(StrEnum):
    """Who speaks at a slot."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the rendered template where content goes: the system text, or a turn's question or reply."""

    role: Role
    turn: int = 0


Piece = str | Slot  # a str is the template's own text, in which special tokens are recognized


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The template of one model.

    name: 'model' for its own, 'file' for the user's, 'plain' when it has none or none that renders. bos, eos, others:
    the special tokens that it may name. folds_system: the template knows no system role, so the system text stands at
    the beginning of the first user turn. has_parts: it takes content as a list of parts alone. label, note: see
    TemplateUse. fault: why the model's own is not used, '' where it is, or there is none. habits: what it does with
    thoughts.
    """

    source: str
    name: str
    bos: str
    eos: str
    folds_system: bool = False
    has_parts: bool = False
    others: Variables = ()
    label: str = ""
    note: str = ""
    fault: str = ""
    habits: Habits = Habits()

    @property
    def variables(self) -> Variables:
        """What it is told of special tokens."""
        return _variables(self.bos, self.eos, self.others)

    @property
    def is_dated(self) -> bool:
        """Whether it asks for the date."""
        return "strftime_now" in self.source

    @property
    def use(self) -> TemplateUse:
        """The same, for people."""
        habits = self.habits
        earlier = ("kept" if habits.keeps else "dropped") if habits.knows else ""
        source = digest_text(self.source)
        return TemplateUse(
            self.name,
            self.label,
            self.note,
            source,
            self.fault,
            earlier,
            begins=habits.begins,
            switch=habits.switches,
            thinks=habits.thinks,
        )

    def pieces(self, n_turns: int, *, system: bool, today: date, thinking: str = "") -> tuple[Piece, ...]:
        """Everything the template puts around n_turns questions (and the replies between them), up to the next reply.

        today: the date that a template may print; frozen a session, or yesterday's cache would be worth nothing.
        thinking: see Habits.told. Raises ModelRefused when it does not render every slot once and in order.
        """
        asked = ("",) * (n_turns - 1) + (thinking,)
        return self._chats([asked], system=system, today=today, typed=("",) * n_turns)[0]

    def asked(
        self, thinking: Sequence[str], sent: Sequence[bool], *, system: bool, today: date, typed: Sequence[str] = ()
    ) -> tuple[tuple[Piece, ...], tuple[str, ...]]:
        """The pieces of a conversation, and the generation prompt as each of its turns was sent with it, '' for those
        of which it does not matter. thinking: of each turn. sent: whether it matters. typed: the word of the switch
        that each question, or the system text, says itself, '' for none. Raises as pieces does."""
        matters = [turn for turn in range(len(thinking) - 1) if sent[turn]]
        wanted = [thinking, *(thinking[: turn + 1] for turn in matters)]
        whole, *earlier = self._chats(wanted, system=system, today=today, typed=typed or ("",) * len(thinking))
        prompts = [""] * len(thinking)
        for turn, pieces in zip(matters, earlier, strict=True):
            prompts[turn] = _last(pieces)
        prompts[-1] = _last(whole)
        return whole, tuple(prompts)

    def _chats(
        self, wanted: Sequence[Sequence[str]], *, system: bool, today: date, typed: Sequence[str]
    ) -> tuple[tuple[Piece, ...], ...]:
        """wanted: of each conversation, how its questions are asked to be thought about. typed: see asked."""
        slots = [_slots(len(thinking), system=system and not self.folds_system) for thinking in wanted]
        frozen = today if self.is_dated else None
        turns = tuple(self._turns(each, thinking, typed) for each, thinking in zip(slots, wanted, strict=True))
        more = tuple(self.habits.told(thinking[-1]) for thinking in wanted)
        rendered = render(self.source, turns, variables=self.variables, today=frozen, more=more)
        split = (_split(each, own) for each, own in zip(rendered, slots, strict=True))
        return tuple(self._said_once(pieces, typed) for pieces in split) if any(typed) else tuple(split)

    def _turns(self, slots: Sequence[Slot], thinking: Sequence[str], typed: Sequence[str]) -> Turns:
        """The messages of a conversation, with the words that turn thinking on and off, where there are such: the
        template is to see those that a question says itself, too."""
        words, own = self.habits.words, self.habits.typed
        by_turn = words.each(thinking)
        of_all = by_turn[-1] if words.role == Role.SYSTEM else ""

        def said(slot: Slot) -> str:
            if slot.role == own.role and typed[slot.turn]:
                return typed[slot.turn]
            if slot.role != words.role:
                return ""
            return of_all if slot.role is Role.SYSTEM else by_turn[slot.turn]

        turns = _turns(slots, has_parts=self.has_parts, around=lambda slot, text: own.beside(text, said(slot)))
        if of_all and slots[0].role is not Role.SYSTEM:
            return ((Role.SYSTEM.value, (of_all,) if self.has_parts else of_all), *turns)
        return turns

    def _said_once(self, pieces: Sequence[Piece], typed: Sequence[str]) -> tuple[Piece, ...]:
        """The pieces without the words beside slots whose own text says them."""
        own, found = self.habits.typed, list(pieces)
        for at, slot in enumerate(pieces):
            if not isinstance(slot, Slot) or slot.role != own.role or not (word := typed[slot.turn]):
                continue
            beside = at - 1 if own.first else at + 1
            if 0 <= beside < len(found) and isinstance(text := found[beside], str):
                found[beside] = text.removesuffix(f"{word} ") if own.first else text.removeprefix(f" {word}")
        return tuple(piece for piece in found if piece)


@dataclass(frozen=True, slots=True)
class Brought:
    """The template that a model's file brings, '' for none, and what its special tokens are called.

    label: its name, where it is one of several and none of them is the default. names: of those.
    """

    source: str
    bos: str = ""
    eos: str = ""
    others: Variables = ()
    label: str = ""
    names: tuple[str, ...] = ()

    @property
    def variables(self) -> Variables:
        """What a template is told of special tokens."""
        return _variables(self.bos, self.eos, self.others)


def brought_by(header: Header) -> Brought:
    """What stands in a GGUF. Of several without a default the one for tools, as llama.cpp takes it, else the first."""
    tokens = header.strings("tokenizer.ggml.tokens")
    ids = {name: header.integer(f"tokenizer.ggml.{key}_token_id", -1) for name, key in _SPECIALS.items()}
    told = {name: tokens[number] for name, number in ids.items() if 0 <= number < len(tokens)}
    bos, eos = told.pop("bos_token", ""), told.pop("eos_token", "")
    source, label = header.text(_KEY), ""
    names: tuple[str, ...] = ()
    if not source:
        prefix = f"{_KEY}."
        named = {key.removeprefix(prefix): header.text(key) for key in header.metadata if key.startswith(prefix)}
        names = tuple(name for name, text in named.items() if text)
        chosen = next((name for name in ("default", "tool_use") if name in names), names[0] if names else "")
        source, label = named.get(chosen, ""), one_line(chosen)
    return Brought(source, bos, eos, tuple(told.items()), label, names)


def read_template(source: str, *, bos: str, eos: str, others: Variables = ()) -> ChatTemplate:
    """The template for a model that brings `source` ('' for none). What does not render gives way to PLAIN, whose note
    says so."""
    return read_brought(Brought(source, bos, eos, others))


def read_brought(brought: Brought) -> ChatTemplate:
    """As read_template, of what a file brings."""
    if not brought.source:
        note = f"The model brings no chat template: {_IN_PLACE}; {_REMEDY}."
        return _plain(brought, note)
    found = _tried(brought, "model")
    if isinstance(found, str):
        note = f"The model's chat template does not render: {found}. Instead {_IN_PLACE}; {_REMEDY}."
        return _plain(brought, note, found)
    return found


def _plain(brought: Brought, note: str, fault: str = "") -> ChatTemplate:
    habits = Habits(behind="\n\nUser: ")
    return ChatTemplate(
        PLAIN, "plain", brought.bos, brought.eos, others=brought.others, note=note, fault=fault, habits=habits
    )


def read_own(own: OwnTemplate, brought: Brought) -> ChatTemplate:
    """The user's template with the special tokens of a model. Raises ModelRefused where it does not render."""
    found = _tried(Brought(own.source, brought.bos, brought.eos, brought.others, own.name), "file")
    if isinstance(found, str):
        raise ModelRefused(f"The chat template {own.name} does not render: {found}.", _OR_ITS_OWN)
    return found


def _tried(brought: Brought, name: str) -> ChatTemplate | str:
    """The template as it renders: content as text before content as parts, and with a system text before without. A
    clause on why it does not, where it does neither."""
    trials = (_slots(_TRIAL_TURNS, system=True), _slots(_TRIAL_TURNS, system=False))
    firsts = (_slots(1, system=True), _slots(1, system=False))  # will be asked for: the same process does them too
    reasons = []
    for has_parts in (False, True):
        turns = tuple(_turns(slots, has_parts=has_parts) for slots in trials + firsts)
        habits = Trials(brought.source, has_parts)
        also, more = zip(*habits.conversations(), strict=True)
        told = ((),) * len(turns) + more
        answers = render(brought.source, turns + also, variables=brought.variables, today=None, more=told)
        for folds_system, rendered, slots in zip((False, True), answers, trials, strict=False):
            with suppress(ModelRefused):
                pieces = _split(rendered, slots)
                return ChatTemplate(
                    brought.source,
                    name,
                    brought.bos,
                    brought.eos,
                    folds_system,
                    has_parts,
                    brought.others,
                    brought.label,
                    _on_names(brought),
                    habits=habits.habits(answers[len(turns) :], _behind(pieces)),
                )
            reasons.append(rendered.reason or _UNORDERED)
    plainest = reasons[1::2]  # without a system text
    return next((reason for reason in plainest if reason != _UNORDERED), _UNORDERED)


def _behind(pieces: Sequence[Piece]) -> str:
    """The template's text between the first reply and the next question."""
    reply = next(at for at, piece in enumerate(pieces) if isinstance(piece, Slot) and piece.role is Role.ASSISTANT)
    behind = pieces[reply + 1]
    return behind if isinstance(behind, str) else ""


def _last(pieces: Sequence[Piece]) -> str:
    """The generation prompt: what stands behind the last question."""
    return pieces[-1] if pieces and isinstance(pieces[-1], str) else ""


def _on_names(brought: Brought) -> str:
    if not brought.names or brought.label == "default":
        return ""
    if len(brought.names) == 1:
        return f"The model brings one chat template, named {brought.label}, and no default: that one is used."
    *some, last = map(one_line, brought.names)
    names = f"{', '.join(some)} and {last}"
    return f"The model brings the chat templates {names}, and no default: {brought.label} is used; {_REMEDY}."


def _variables(bos: str, eos: str, others: Variables) -> Variables:
    return (("bos_token", bos), ("eos_token", eos), *others)


def _slots(n_turns: int, *, system: bool) -> list[Slot]:
    """Every place for content in a conversation whose last reply is still to be made."""
    slots = [Slot(Role.SYSTEM)] if system else []
    for turn in range(n_turns):
        slots += [Slot(Role.USER, turn), Slot(Role.ASSISTANT, turn)]
    return slots[:-1]


def _turns(
    slots: Sequence[Slot], *, has_parts: bool = False, around: Callable[[Slot, str], str] = lambda _, text: text
) -> Turns:
    """around: makes the text of a message of what stands for its content."""
    named = [(slot.role.value, around(slot, _placeholder(number, slot))) for number, slot in enumerate(slots)]
    return tuple((role, (name,) if has_parts else name) for role, name in named)


_PLACEHOLDER = re.compile(r"(slot[0-9]{4,}[a-z]+?slot)")


def _placeholder(number: int, slot: Slot) -> str:
    return f"slot{number:04d}{slot.role}slot"


def _split(rendered: Rendered, slots: Sequence[Slot]) -> tuple[Piece, ...]:
    """Raises ModelRefused unless every slot stands in it once, in order, and not in a list as Python writes it."""
    if rendered.fault:
        raise ModelRefused(f"The chat template does not render: {rendered.reason}.", f"{_REMEDY}.")
    names = {_placeholder(number, slot): slot for number, slot in enumerate(slots)}
    parts = _PLACEHOLDER.split(rendered.text)
    pieces: list[Piece] = [names.get(part, part) for part in parts if part]
    found = [piece for piece in pieces if isinstance(piece, Slot)]
    if found != list(slots) or any(isinstance(piece, str) and _WRITTEN_LIST.search(piece) for piece in pieces):
        raise ModelRefused("The chat template leaves messages out or changes their order.", f"{_REMEDY}.")
    return tuple(pieces)
