"""Chat templates rendered as transformers renders them, in a process with little time and memory.

A GGUF's template comes from a stranger. Jinja's sandbox keeps it from the machine, but not from looping for ever
(99,999 times 99,999) or from filling the memory (`'a' * 10**10`). Run as `python -m engine.prompt.rendering`, this
module renders; imported, it is the caller's side. What is rendered, and what becomes of it, is left to `template`.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from engine.child import environment, python_command
from engine.errors import EngineFailed
from engine.prompt.chat import Content, Message, Rendered, Turns, Variables
from engine.prompt.choice import one_line

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

_CPU_S, _WALL_S = 2, 120  # rendering takes milliseconds; the rest is for a machine that is busy
_TRIES = 2  # of a process that was ended from outside
_ANSWER_BYTES = 64 << 20
_NO_MEMORY = 3  # exit code
_MEMORY_BYTES = 512 << 20
_FAILED = "it takes too much time or memory"
_MESSAGES_A_S = 1_000  # of a long session; a template takes a tenth of that, one that looks back from each some more
_MAX_RENDERED = 1 << 20  # characters; placeholders are short, so more than this is no chat template
_PER_MESSAGE = 1 << 10


def render(
    source: str,
    conversations: tuple[Turns, ...],
    *,
    variables: Variables,
    today: date | None,
    more: tuple[Variables, ...] | None = None,
) -> tuple[Rendered, ...]:
    """Each conversation, rendered up to the next reply. today: what strftime_now says. more: what the template is told
    with each beside the variables. Raises EngineFailed where no process renders now, which says nothing of the template
    and is not kept.

    Starting a process takes 0.1 s, and the same few conversations come again and again: they are kept.
    """
    known = _rendered(source, variables, today)
    chats = tuple(zip(conversations, more or ((),) * len(conversations), strict=True))
    missing = tuple(dict.fromkeys(chat for chat in chats if chat not in known))
    if missing:
        known.update(zip(missing, _render_apart(source, missing, variables, today), strict=True))
    return tuple(known[chat] for chat in chats)


def kept_renderings(source: str, variables: Variables) -> list[Any]:
    """What was rendered of a template in this process, as JSON; nothing where its process failed, which may pass."""
    rendered = _rendered(source, variables, None)
    if any(each.fault == _FAILED for each in rendered.values()):
        return []
    return [(turns, more, each.text, each.fault, each.line) for (turns, more), each in rendered.items()]


def recall_renderings(source: str, variables: Variables, kept: list[Any]) -> None:
    """Takes what kept_renderings gave another process, so that no process is started for it. Errors: TypeError,
    ValueError for what it never gives."""
    found = {
        (tuple(map(_recalled, turns)), tuple((str(name), value) for name, value in more)): Rendered(
            str(text), str(fault), int(line)
        )
        for turns, more, text, fault, line in kept
    }
    _rendered(source, variables, None).update(found)


def _recalled(kept: Any) -> Message:
    role, content, *thought = kept
    return (str(role), _content(content), str(thought[0])) if thought else (str(role), _content(content))


def _content(kept: Any) -> Content:
    return tuple(map(str, kept)) if isinstance(kept, list) else str(kept)


@lru_cache(maxsize=32)
def _rendered(source: str, variables: Variables, today: date | None) -> dict[tuple[Turns, Variables], Rendered]:
    """What was rendered in this process, to be added to."""
    return {}


def _render_apart(
    source: str, chats: Sequence[tuple[Turns, Variables]], variables: Variables, today: date | None
) -> tuple[Rendered, ...]:
    """As render, in a child process."""
    request = {
        "source": source,
        "conversations": [[[_message(*message) for message in turns], dict(more)] for turns, more in chats],
        "variables": dict(variables),
        "today": (today or date(2026, 1, 1)).isoformat(),
    }
    for _ in range(_TRIES):
        code, answers = _run_apart(json.dumps(request).encode())
        if code == 0:
            return tuple(Rendered(**answer) for answer in json.loads(answers))
        if code in _AT_ITS_LIMITS:
            return (Rendered(fault=_FAILED),) * len(chats)
        if code is None:
            break
    raise EngineFailed(
        "The process that renders the chat template was ended from outside, or got no time.", "Ask again."
    )


# Its own limits end a process so: of time, of memory, of what it may write. All else comes from outside.
_AT_ITS_LIMITS = (-signal.SIGXCPU, -signal.SIGXFSZ, _NO_MEMORY)


def _run_apart(request: bytes) -> tuple[int | None, bytes]:
    """How the child ended, None for one that took too long, and what it wrote. Raises EngineFailed without a child."""
    try:
        with TemporaryFile() as out:
            child = subprocess.run(
                python_command(__name__),
                input=request,
                stdout=out,
                stderr=subprocess.DEVNULL,
                env=environment(),
                timeout=_WALL_S,
            )
            out.seek(0)
            return child.returncode, out.read(_ANSWER_BYTES)
    except subprocess.TimeoutExpired:
        return None, b""
    except OSError as error:
        raise EngineFailed(
            f"No process can be started: {error.strerror}.", "Close other programs and ask again."
        ) from None


_THOUGHT = ("reasoning_content", "thinking", "reasoning")  # what templates call it where it stands apart


def _message(role: str, content: Content, thought: str = "") -> dict[str, Any]:
    apart = dict.fromkeys(_THOUGHT, thought) if thought else {}
    if isinstance(content, str):
        return {"role": role, "content": content, **apart}
    return {"role": role, "content": [{"type": "text", "text": text} for text in content], **apart}


def main() -> None:
    """The child's side: a request on standard input, a list of answers on standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ANSWER_BYTES, _ANSWER_BYTES))
    try:
        request = json.loads(sys.stdin.buffer.read())
        cpu_s = _CPU_S + sum(len(messages) for messages, _ in request["conversations"]) // _MESSAGES_A_S
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # at the first SIGXCPU comes, at the second SIGKILL
        json.dump(_answers(request), sys.stdout)
    except MemoryError:
        os._exit(_NO_MEMORY)


def _answers(request: dict[str, Any]) -> list[dict[str, Any]]:
    conversations = request["conversations"]
    try:
        template = chat_environment(date.fromisoformat(request["today"])).from_string(request["source"])
    except Exception as error:  # whatever a stranger's template raises; this process is its alone
        return [_fault(error)] * len(conversations)
    return [_answer(template, told(messages, {**request["variables"], **more})) for messages, more in conversations]


def _answer(template: "Template", variables: dict[str, Any]) -> dict[str, Any]:
    parts, size = [], 0
    try:
        for part in template.generate(**variables):
            parts.append(part)
            size += len(part)
            if size > _MAX_RENDERED + _PER_MESSAGE * len(variables["messages"]):
                return {"fault": "it renders without end"}
    except Exception as error:
        return _fault(error)
    return {"text": "".join(parts)}


def _fault(error: Exception) -> dict[str, Any]:
    return {"fault": one_line(str(error)) or type(error).__name__, "line": _line_of(error)}


def told(messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> dict[str, Any]:
    """What a template is told, as transformers' apply_chat_template does: tools and documents are there, as None."""
    return {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True, **variables}


def chat_environment(today: date) -> "ImmutableSandboxedEnvironment":
    """The environment that transformers 5 sets up, since templates are written for that.

    https://github.com/huggingface/transformers/blob/main/src/transformers/utils/chat_template_utils.py
    """
    from jinja2 import TemplateError
    from jinja2.ext import Extension
    from jinja2.nodes import CallBlock
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %}: marks what the model said, for training. A scope of its own that renders as it stands."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return CallBlock(self.call_method("as_it_stands"), [], [], body).set_lineno(line)

        def as_it_stands(self, caller: Any) -> Any:
            return caller()

    def to_json(
        value: object, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    jinja.filters["tojson"] = to_json
    jinja.globals["raise_exception"] = raise_exception
    jinja.globals["strftime_now"] = lambda format: datetime.combine(today, time()).strftime(format)
    return jinja


def _line_of(error: BaseException) -> int:
    """Where in the template it failed: of what stands on the stack the innermost. 0 where nothing tells."""
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":  # jinja rewrites its frames to lines of the template
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


if __name__ == "__main__":
    main()
