"""Requests for a chat completion, from JSON to what is asked. What cannot be done is refused in a sentence.

The corpus stands in front of all messages. So that it need not be read again for each client's own instructions, text
of the system's and the developer's stands where it comes: in front of the user's words that follow it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.serve.asked import Asked, Said
from app.settings import Settings
from engine.errors import UsageError

_MOST_TOKENS = 1 << 31
_SEEDS = 1 << 63
_READ = {
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
    *("min_p", "seed", "longdesk"),
}
# said of whoever asks, or of how the request is filed: nothing of it changes an answer here
_NEEDLESS = {
    *("user", "metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key"),
    "prompt_cache_retention",
}
# what may be given with these values alone
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "stop": ([], ""),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
_INSTRUCTING = ("system", "developer")
_BETWEEN = "\n\n"  # what is joined


class BadRequest(UsageError):
    """A request that cannot be answered as it is. param: the key that is at fault; code: OpenAI's, where it has one."""

    def __init__(
        self, fact: str, remedy: str = "", *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(fact, remedy)
        self.param, self.code, self.status = param, code, status


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request that can be answered. with_usage: in a stream, what it took is told behind the end."""

    asked: Asked
    stream: bool = False
    with_usage: bool = False


def chat_request(body: bytes, *, models: Sequence[str], settings: Settings) -> ChatRequest:
    """A request's body as what is asked. models: the names that the one model goes by. Raises UsageError."""
    fields = {name: value for name, value in _object(body).items() if value is not None}
    _refuse_others(fields)
    _refuse_model(fields.get("model"), models)
    past, text = _conversation(fields.get("messages"))
    own = _own(fields)
    options = _typed(fields, "stream_options", dict, "an object") or {}
    asked = Asked(text=text, past=past, only=_only(own), settings=_settings(fields, own, settings))
    stream = bool(_typed(fields, "stream", bool, "true or false"))
    return ChatRequest(asked, stream, stream and bool(options.get("include_usage")))


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(f"The body is no JSON: {why}.", "Send one object.") from None
    if not isinstance(found, dict):
        raise BadRequest("The body is no JSON object.", "Send one with model and messages.")
    return found


def _refuse_others(fields: Mapping[str, Any]) -> None:
    """Nothing is ignored silently that would change the answer."""
    for name, value in fields.items():
        if name in _READ or name in _NEEDLESS:
            continue
        if name not in _NEUTRAL:
            raise BadRequest(f"{name[:100]} is not supported.", "Leave it out.", param=name[:100])
        if value not in _NEUTRAL[name]:
            shown = json.dumps(_NEUTRAL[name][0])
            raise BadRequest(f"{name} is not supported.", f"Leave it out, or send {shown}.", param=name)


def _refuse_model(model: object, models: Sequence[str]) -> None:
    if not isinstance(model, str):
        raise BadRequest("model is missing.", f"Send {models[0]}.", param="model")
    if model not in models:
        raise BadRequest(
            f"There is no model {model[:200]} here.",
            f"The one that answers is {models[0]}.",
            param="model",
            code="model_not_found",
            status=404,
        )


def _conversation(messages: object) -> tuple[tuple[Said, ...], str]:
    """What was said before, and the question."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages is not a list of messages.", "Send at least the user's question.", param="messages")
    past: list[Said] = []
    waiting: list[str] = []
    asks = False  # whether what waits has words of the user's
    for at, message in enumerate(messages):
        role, text = _message(message, f"messages[{at}]")
        if role != "assistant":
            waiting.append(text)
            asks |= role == "user"
        elif text and waiting:
            past.append(Said(_BETWEEN.join(waiting), text))
            waiting, asks = [], False
        elif text and past:
            past[-1] = replace(past[-1], reply=past[-1].reply + _BETWEEN + text)
        elif text:
            raise BadRequest("The first message is the assistant's.", "Begin with the user's.", param="messages")
    question = _BETWEEN.join(waiting)
    if not asks or not question.strip():
        raise BadRequest("The last message holds no question.", "Let it be the user's.", param="messages")
    return tuple(past), question


def _message(message: object, where: str) -> tuple[str, str]:
    """A message's role and text."""
    if not isinstance(message, dict):
        raise BadRequest(f"{where} is no object.", "Send role and content.", param="messages")
    role = message.get("role")
    if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
        raise BadRequest(f"{where} is of a tool, and Longdesk calls none.", "Leave it out.", param="messages")
    if role not in (*_INSTRUCTING, "user", "assistant"):
        raise BadRequest(f"{where} has no role that is known.", "It is system, user or assistant.", param="messages")
    content = message.get("content")
    if content is None and role == "assistant":
        return role, ""
    if isinstance(content, str):
        return role, _clean(content)
    if not isinstance(content, list):
        raise BadRequest(f"{where} has no content.", "Send text.", param="messages")
    return role, _BETWEEN.join(_part(part, where) for part in content)


def _part(part: object, where: str) -> str:
    """One piece of a message that comes in pieces."""
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return _clean(part["text"])
    raise BadRequest(
        f"{where} holds something else than text.",
        "Images and files belong to the corpus: give their paths to `longdesk serve`.",
        param="messages",
    )


def _clean(text: str) -> str:
    """Without halves of characters, which JSON can say and no tokenizer takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _settings(fields: Mapping[str, Any], own: Mapping[str, Any], settings: Settings) -> Settings:
    """The server's, with what the request wants otherwise. Raises UsageError for what no engine could take."""
    changes: dict[str, Any] = {}
    for name in ("temperature", "top_p", "min_p"):
        if (value := _typed(fields, name, (int, float), "a number")) is not None:
            changes[name] = float(value) if abs(value) < _MOST_TOKENS else float("inf")
    if (seed := _typed(fields, "seed", int, "a whole number")) is not None:
        if not -_SEEDS <= seed < _SEEDS:
            raise BadRequest("seed has more than 64 bits.", "Send a smaller one.", param="seed")
        changes["seed"] = seed
    for name in ("max_tokens", "max_completion_tokens"):  # the last is the newer name
        if (value := _typed(fields, name, int, "a whole number")) is not None:
            if not 1 <= value <= _MOST_TOKENS:
                raise BadRequest(f"{name} is out of range.", f"It must be from 1 to {_MOST_TOKENS:,}.", param=name)
            changes["reply_tokens"] = value
    if (quotes := _typed(own, "quotes", bool, "true or false")) is not None:
        changes["quotes"] = quotes
    try:
        return replace(settings, **changes)
    except UsageError as error:
        raise BadRequest(error.fact, error.remedy, param=error.fact.partition(" ")[0]) from None


def _own(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What only Longdesk knows: {"longdesk": {"only": ["src/"], "quotes": false}}."""
    own: Mapping[str, Any] = _typed(fields, "longdesk", dict, "an object") or {}
    if unknown := own.keys() - {"only", "quotes"}:
        raise BadRequest(
            f"longdesk has no {sorted(unknown)[0][:100]}.",
            "It takes only, a list of paths, and quotes.",
            param="longdesk",
        )
    return own


def _only(own: Mapping[str, Any]) -> frozenset[str] | None:
    """The paths that it is asked about."""
    only = own.get("only")
    if only is None:
        return None
    if not isinstance(only, list) or not only or not all(isinstance(path, str) for path in only):
        raise BadRequest("longdesk.only is no list of paths.", "Name sources of the corpus.", param="longdesk")
    return frozenset(map(_clean, only))


def _typed(fields: Mapping[str, Any], name: str, kind: type | tuple[type, ...], what: str) -> Any:
    """A field's value, None where it is not there."""
    value = fields.get(name)
    if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise BadRequest(f"{name} is not {what}.", "Mend it, or leave it out.", param=name)
    return value
