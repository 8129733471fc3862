"""Rendering a chat template in a process of its own, with little time and memory.

A GGUF's template comes from a stranger. Jinja's sandbox keeps it from the machine, but not from looping for ever
(99,999 times 99,999) or from filling the memory (`'a' * 10**10`). Run as `python -m engine.prompt.render`, it renders;
imported, it is the caller's side. What is rendered is left to `template`.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.child import environment, python_command
from engine.errors import EngineFailed

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

Turns = tuple[tuple[str, str], ...]  # role and content of each message

_CPU_S, _WALL_S = 2, 60  # rendering takes milliseconds; the rest is for a machine that is busy
_MEMORY_BYTES = 512 << 20
_MAX_RENDERED = 1 << 20  # characters; placeholders are short, so more than this is no chat template


@dataclass(frozen=True, slots=True)
class Rendered:
    """One conversation as the template writes it, or a clause that says why it does not."""

    text: str = ""
    fault: str = ""


@lru_cache(maxsize=128)  # starting a process takes 0.1 s, and the same few conversations come again and again
def render(
    source: str, conversations: tuple[Turns, ...], *, bos: str, eos: str, today: date | None
) -> tuple[Rendered, ...]:
    """Each conversation, rendered up to the next reply. today: what strftime_now says. Raises EngineFailed."""
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
        return (Rendered(fault="it takes too much time or memory"),) * len(conversations)
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
