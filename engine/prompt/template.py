"""A model's chat template, rendered once with placeholders and split there.

Owns Jinja and its sandbox: a GGUF's template comes from a stranger. What stands at the placeholders is left to
`layout`, which joins ids and so never lets content speak as a role.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any

from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import ModelRefused

# for models that bring none: plain words, no special tokens
PLAIN = (
    "{%- for message in messages -%}"
    "{{ {'system': '', 'user': 'User: ', 'assistant': 'Assistant: '}[message.role] + message.content + '\\n\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
_MAX_RENDERED = 1 << 20  # characters; placeholders are short, so more than this is no chat template


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
        slots = [Slot(Role.SYSTEM)] if system and not self.folds_system else []
        for turn in range(n_turns):
            slots += [Slot(Role.USER, turn), Slot(Role.ASSISTANT, turn)]
        slots.pop()  # the last reply is the one to be made
        names = {slot: f"slot{number:04d}{slot.role}slot" for number, slot in enumerate(slots)}
        rendered = self._render([{"role": slot.role.value, "content": names[slot]} for slot in slots], today)
        return _split(rendered, {name: slot for slot, name in names.items()})

    def _render(self, messages: list[Mapping[str, str]], today: date) -> str:
        parts, size = [], 0
        try:
            template = _environment(today).from_string(self.source)
            for part in template.generate(
                messages=messages, add_generation_prompt=True, bos_token=self.bos, eos_token=self.eos
            ):
                parts.append(part)
                size += len(part)
                if size > _MAX_RENDERED:
                    raise ModelRefused("The model's chat template renders without end.", "Use another conversion.")
        except (JinjaError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise ModelRefused(f"The model's chat template does not render: {error}.", "") from None
        return "".join(parts)


def read_template(source: str, *, bos: str, eos: str) -> ChatTemplate:
    """The template for a model that brings `source` ('' for none). What does not render gives way to PLAIN."""
    if source:
        for folds_system in (False, True):
            template = ChatTemplate(source, "model", bos, eos, folds_system)
            try:
                template.pieces(3, system=True, today=date(2026, 1, 1))
            except ModelRefused:
                continue
            return template
    return ChatTemplate(PLAIN, "plain", bos, eos)


def _split(rendered: str, slots: Mapping[str, Slot]) -> tuple[Piece, ...]:
    parts = re.split("(" + "|".join(slots) + ")", rendered)
    pieces: list[Piece] = [slots.get(part, part) for part in parts if part]
    if [piece for piece in pieces if isinstance(piece, Slot)] != list(slots.values()):
        raise ModelRefused("The model's chat template leaves messages out or changes their order.")
    return tuple(pieces)


def _environment(today: date) -> ImmutableSandboxedEnvironment:
    """As Hugging Face's transformers sets it up, since templates are written for that."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda layout: datetime.combine(today, time()).strftime(layout)
    return environment


def _to_json(value: object, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> None:
    raise JinjaError(message)
