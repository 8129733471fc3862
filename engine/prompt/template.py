"""A model's chat template, rendered once with placeholders and split there.

Running it safely is left to `render`, what stands at the placeholders to `layout`, which joins ids and so never lets
content speak as a role.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from engine.errors import ModelRefused
from engine.prompt.render import Rendered, Turns, render

# for models that bring none: plain words, no special tokens
PLAIN = (
    "{%- for message in messages -%}"
    "{{ {'system': '', 'user': 'User: ', 'assistant': 'Assistant: '}[message.role] + message.content + '\\n\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
_TRIAL_TURNS = 3


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

    name: 'model' for its own, 'plain' when it has none or none that renders. folds_system: the template knows no system
    role, so the system text stands at the beginning of the first user turn.
    """

    source: str
    name: str
    bos: str
    eos: str
    folds_system: bool = False

    def pieces(self, n_turns: int, *, system: bool, today: date) -> tuple[Piece, ...]:
        """Everything the template puts around n_turns questions (and the replies between them), up to the next reply.

        today: the date that a template may print; frozen a session, or yesterday's cache would be worth nothing.
        Raises ModelRefused when it does not render every slot once and in order.
        """
        slots = _slots(n_turns, system=system and not self.folds_system)
        frozen = today if "strftime_now" in self.source else None
        (rendered,) = render(self.source, (_turns(slots),), bos=self.bos, eos=self.eos, today=frozen)
        return _split(rendered, slots)


def read_template(source: str, *, bos: str, eos: str) -> ChatTemplate:
    """The template for a model that brings `source` ('' for none). What does not render gives way to PLAIN."""
    trials = (_slots(_TRIAL_TURNS, system=True), _slots(_TRIAL_TURNS, system=False))
    if source:
        answers = render(source, tuple(map(_turns, trials)), bos=bos, eos=eos, today=None)
        for folds_system, rendered, slots in zip((False, True), answers, trials, strict=True):
            with suppress(ModelRefused):
                _split(rendered, slots)
                return ChatTemplate(source, "model", bos, eos, folds_system)
    return ChatTemplate(PLAIN, "plain", bos, eos)


def _slots(n_turns: int, *, system: bool) -> list[Slot]:
    """Every place for content in a conversation whose last reply is still to be made."""
    slots = [Slot(Role.SYSTEM)] if system else []
    for turn in range(n_turns):
        slots += [Slot(Role.USER, turn), Slot(Role.ASSISTANT, turn)]
    return slots[:-1]


def _turns(slots: Sequence[Slot]) -> Turns:
    return tuple((slot.role.value, _placeholder(number, slot)) for number, slot in enumerate(slots))


def _placeholder(number: int, slot: Slot) -> str:
    return f"slot{number:04d}{slot.role}slot"


def _split(rendered: Rendered, slots: Sequence[Slot]) -> tuple[Piece, ...]:
    """Raises ModelRefused unless every slot stands in it once and in order."""
    if rendered.fault:
        raise ModelRefused(f"The model's chat template does not render: {rendered.fault}.", "Use another conversion.")
    names = {_placeholder(number, slot): slot for number, slot in enumerate(slots)}
    parts = re.split("(" + "|".join(names) + ")", rendered.text)
    pieces: list[Piece] = [names.get(part, part) for part in parts if part]
    if [piece for piece in pieces if isinstance(piece, Slot)] != list(slots):
        raise ModelRefused("The model's chat template leaves messages out or changes their order.")
    return tuple(pieces)
