"""Whether the model is to think, as requests say it to vLLM and llama-server, and by a field of Longdesk's own."""

from collections.abc import Mapping
from typing import Any

from app.serve.fields import BadRequest, typed
from engine.memory.wanted import is_thinking

READ = ("reasoning_effort", "chat_template_kwargs")
_SWITCHES = ("enable_thinking", "thinking")  # of chat_template_kwargs
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")


def thinking_in(fields: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """'on', 'off' or the most tokens, as Settings has it, None where a request leaves it to the server; and sentences
    on what of it is not heeded. own: what only Longdesk knows, which comes first; then the template's switch. Raises
    BadRequest."""
    unheeded: list[str] = []
    effort = typed(fields, "reasoning_effort", str, "a text")
    if effort is not None and effort not in _EFFORTS:
        remedy = f"It is one of {', '.join(_EFFORTS)}."
        raise BadRequest(f"reasoning_effort is {effort[:50]!r}.", remedy, param="reasoning_effort")
    told: Mapping[str, Any] = typed(fields, "chat_template_kwargs", dict, "an object") or {}
    switches = [on for name in _SWITCHES if (on := typed(told, name, bool, "true or false")) is not None]
    unheeded += [f"chat_template_kwargs.{name[:100]} changed nothing." for name in told if name not in _SWITCHES]
    if (wish := _own(own)) is not None:
        return wish, unheeded
    if switches:
        return "on" if switches[0] else "off", unheeded
    if effort not in (None, "none"):
        unheeded.append(f"reasoning_effort {effort} lets the model think; how long is left to it.")
    return None if effort is None else "off" if effort == "none" else "on", unheeded


def _own(own: Mapping[str, Any]) -> str | None:
    """{"longdesk": {"thinking": "off"}}, or "on", or a number of tokens."""
    value = own.get("thinking")
    if value is None:
        return None
    said = ("on" if value else "off") if isinstance(value, bool) else str(value) if isinstance(value, int | str) else ""
    if not said or not is_thinking(said):
        raise BadRequest(
            "longdesk.thinking is not on, off, or a number of tokens.", "Mend it, or leave it out.", param="longdesk"
        )
    return "off" if said == "0" else said
