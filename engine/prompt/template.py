"""A model's chat template, rendered once with placeholders and split there, in a process with little time and memory.

What stands at the placeholders is left to `layout`, which joins ids and so never lets content speak as a role.

A GGUF's template comes from a stranger. Jinja's sandbox keeps it from the machine, but not from looping for ever
(99,999 times 99,999) or from filling the memory (`'a' * 10**10`). Run as `python -m engine.prompt.template`, this
module renders; imported, it is the caller's side.
"""

import json
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.child import environment, python_command
from engine.errors import EngineFailed, ModelRefused

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

# for models that bring none: plain words, no special tokens
PLAIN = (
    "{%- for message in messages -%}"
    "{{ {'system': '', 'user': 'User: ', 'assistant': 'Assistant: '}[message.role] + message.content + '\\n\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
_TRIAL_TURNS = 3
_CPU_S, _WALL_S = 2, 60  # rendering takes milliseconds; the rest is for a machine that is busy
_MEMORY_BYTES = 512 << 20
_FAILED = "it takes too much time or memory"
_MAX_RENDERED = 1 << 20  # characters; placeholders are short, so more than this is no chat template

Turns = tuple[tuple[str, str], ...]  # role and content of each message


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
class Rendered:
    """One conversation as the template writes it, or a clause that says why it does not."""

    text: str = ""
    fault: str = ""


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
    firsts = (_slots(1, system=True), _slots(1, system=False))  # will be asked for: the same process does them too
    if source:
        answers = render(source, tuple(map(_turns, trials + firsts)), bos=bos, eos=eos, today=None)
        for folds_system, rendered, slots in zip((False, True), answers, trials, strict=False):
            with suppress(ModelRefused):
                _split(rendered, slots)
                return ChatTemplate(source, "model", bos, eos, folds_system)
    return ChatTemplate(PLAIN, "plain", bos, eos)


def kept_renderings(source: str, *, bos: str, eos: str) -> list[Any]:
    """What was rendered of a template in this process, as JSON; nothing where its process failed, which may pass."""
    rendered = _rendered(source, bos, eos, None)
    if any(each.fault == _FAILED for each in rendered.values()):
        return []
    return [(turns, each.text, each.fault) for turns, each in rendered.items()]


def recall_renderings(source: str, *, bos: str, eos: str, kept: list[Any]) -> None:
    """Takes what kept_renderings gave another process, so that no process is started for it. Errors: TypeError,
    ValueError for what it never gives."""
    found = {
        tuple((str(role), str(text)) for role, text in turns): Rendered(text, fault) for turns, text, fault in kept
    }
    _rendered(source, bos, eos, None).update(found)


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


def render(
    source: str, conversations: tuple[Turns, ...], *, bos: str, eos: str, today: date | None
) -> tuple[Rendered, ...]:
    """Each conversation, rendered up to the next reply. today: what strftime_now says. Raises EngineFailed.

    Starting a process takes 0.1 s, and the same few conversations come again and again: they are kept.
    """
    known = _rendered(source, bos, eos, today)
    missing = tuple(turns for turns in conversations if turns not in known)
    if missing:
        known.update(zip(missing, _render_apart(source, missing, bos, eos, today), strict=True))
    return tuple(known[turns] for turns in conversations)


@lru_cache(maxsize=32)
def _rendered(source: str, bos: str, eos: str, today: date | None) -> dict[Turns, Rendered]:
    """What was rendered in this process, to be added to."""
    return {}


def _render_apart(
    source: str, conversations: tuple[Turns, ...], bos: str, eos: str, today: date | None
) -> tuple[Rendered, ...]:
    """As render, in a child process."""
    request = {
        "source": source,
        "conversations": [[{"role": role, "content": text} for role, text in turns] for turns in conversations],
        "bos": bos,
        "eos": eos,
        "today": (today or date(2026, 1, 1)).isoformat(),
    }
    try:
        child = subprocess.run(
            python_command(__name__),
            input=json.dumps(request).encode(),
            capture_output=True,
            env=environment(),
            timeout=_WALL_S,
        )
    except subprocess.TimeoutExpired:
        child = None
    except OSError as error:
        raise EngineFailed(
            f"No process can be started: {error.strerror}.", "Close other programs and ask again."
        ) from None
    if child is None or child.returncode != 0:
        return (Rendered(fault=_FAILED),) * len(conversations)
    return tuple(Rendered(**answer) for answer in json.loads(child.stdout))


def main() -> None:
    """The child's side: a request on standard input, a list of answers on standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    request = json.loads(sys.stdin.buffer.read())
    json.dump([_render(request, messages) for messages in request["conversations"]], sys.stdout)


def _render(request: dict[str, Any], messages: Sequence[dict[str, str]]) -> dict[str, str]:
    parts, size = [], 0
    try:
        template = _environment(date.fromisoformat(request["today"])).from_string(request["source"])
        for part in template.generate(
            messages=messages, add_generation_prompt=True, bos_token=request["bos"], eos_token=request["eos"]
        ):
            parts.append(part)
            size += len(part)
            if size > _MAX_RENDERED:
                return {"fault": "it renders without end"}
    except Exception as error:  # whatever a stranger's template raises; this process is its alone
        return {"fault": str(error)[:300] or type(error).__name__}
    return {"text": "".join(parts)}


def _environment(today: date) -> "ImmutableSandboxedEnvironment":
    """As Hugging Face's transformers sets it up, since templates are written for that."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def to_json(value: object, indent: int | None = None, **_: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    jinja.filters["tojson"] = to_json
    jinja.globals["raise_exception"] = raise_exception
    jinja.globals["strftime_now"] = lambda layout: datetime.combine(today, time()).strftime(layout)
    return jinja


if __name__ == "__main__":
    main()
