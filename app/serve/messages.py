"""Requests for a chat completion, from JSON to what is asked. What cannot be done is refused in a sentence.

The corpus stands in front of all messages. So that it need not be read again for each client's own instructions, text
of the system's and the developer's stands where it comes: in front of the user's words that follow it. An image of a
message becomes a source of the session; where it came, its name stands in the text.
"""

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_to_bytes

from app.serve.asked import Asked, Image, Said
from app.serve.fields import BadRequest as BadRequest
from app.serve.fields import typed
from app.serve.thinking import READ, thinking_in
from app.settings import Settings
from engine.errors import UsageError

_MOST_TOKENS = 1 << 31
_SEEDS = 1 << 63
_REALS = (
    *("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty"),
    "repetition_penalty",
)
_OTHER_NAMES = {"repetition_penalty": "repeat_penalty"}
_READ = {
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
    *("min_p", "top_k", "presence_penalty", "frequency_penalty", "repeat_penalty", "repetition_penalty"),
    *("seed", "stop", "longdesk", *READ),
}
# said of whoever asks, or of how the request is filed: nothing of it changes an answer here
_NEEDLESS = {
    *("user", "metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key"),
    *("prompt_cache_retention", "prediction", "cache_prompt", "keep_alive", "id_slot"),
}
# what may be given with these values alone
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "typical_p": (1,),
    "mirostat": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "stop_token_ids": ([],),
    "grammar": ("",),
    "json_schema": ({},),
    "guided_json": ({},),
    "guided_regex": ("",),
    "web_search_options": (),
    "audio": (),
    "echo": (False,),
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
_MOST_STOPS, _LONGEST_STOP = 32, 1_000
_SUFFIXES = {"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/svg+xml": ".svg"}  # others as they are called


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request that can be answered. with_usage: in a stream, what it took is told behind the end."""

    asked: Asked
    stream: bool = False
    with_usage: bool = False


@dataclass(frozen=True, slots=True)
class _Content:
    """What a message says, with the names of its images where they came."""

    text: str
    images: tuple[Image, ...] = ()


def chat_request(body: bytes, *, models: Sequence[str], settings: Settings, sees: bool = True) -> ChatRequest:
    """A request's body as what is asked. models: the names that the one model goes by. sees: whether it is shown
    images. Raises UsageError."""
    fields = {name: value for name, value in _object(body).items() if value is not None}
    unknown = _refuse_others(fields)
    _refuse_model(fields.get("model"), models)
    past, last = _conversation(fields.get("messages"))
    if not sees and (last.images or any(said.images for said in past)):
        raise BadRequest(
            f"{models[0]} cannot see: an image of a message would not be looked at.",
            "Leave it out, or serve a model with its projector (--mmproj).",
            param="messages",
        )
    own = _own(fields)
    options = typed(fields, "stream_options", dict, "an object") or {}
    thinking, unheeded = thinking_in(fields, own)
    asked = Asked(
        text=last.text,
        past=past,
        only=_only(own),
        settings=_settings(fields, own, settings, thinking),
        images=last.images,
        unheeded=(*(f"{name[:100]} is not known here and changed nothing." for name in unknown), *unheeded),
    )
    stream = bool(typed(fields, "stream", bool, "true or false"))
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


def _refuse_others(fields: Mapping[str, Any]) -> list[str]:
    """Nothing is ignored silently that would change the answer. Returns the names that nobody knows."""
    unknown = []
    for name, value in fields.items():
        if name in _READ or name in _NEEDLESS:
            continue
        if name not in _NEUTRAL:
            unknown.append(_clean(name))
        elif value not in _NEUTRAL[name]:
            neutral = _NEUTRAL[name]
            remedy = f"Leave it out, or send {json.dumps(neutral[0])}." if neutral else "Leave it out."
            raise BadRequest(f"{name} is not supported.", remedy, param=name)
    return unknown


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


def _conversation(messages: object) -> tuple[tuple[Said, ...], _Content]:
    """What was said before, and the question."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages is not a list of messages.", "Send at least the user's question.", param="messages")
    past: list[Said] = []
    waiting: list[_Content] = []
    asks = False  # whether what waits has words of the user's
    for at, message in enumerate(messages):
        role, content = _message(message, f"messages[{at}]")
        text = content.text
        if role != "assistant":
            waiting.append(content)
            asks |= role == "user"
        elif text and waiting:
            asked = _joined(waiting)
            past.append(Said(asked.text, text, asked.images))
            waiting, asks = [], False
        elif text and past:
            past[-1] = replace(past[-1], reply=past[-1].reply + _BETWEEN + text)
        elif text:
            raise BadRequest("The first message is the assistant's.", "Begin with the user's.", param="messages")
    question = _joined(waiting)
    if not asks or not question.text.strip():
        raise BadRequest("The last message holds no question.", "Let it be the user's.", param="messages")
    return tuple(past), question


def _joined(contents: Sequence[_Content]) -> _Content:
    images = dict.fromkeys(image for content in contents for image in content.images)
    return _Content(_BETWEEN.join(content.text for content in contents), tuple(images))


def _message(message: object, where: str) -> tuple[str, _Content]:
    """A message's role and what it says."""
    if not isinstance(message, dict):
        raise BadRequest(f"{where} is no object.", "Send role and content.", param="messages")
    role = message.get("role")
    if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
        raise BadRequest(f"{where} is of a tool, and Longdesk calls none.", "Leave it out.", param="messages")
    if role not in (*_INSTRUCTING, "user", "assistant"):
        raise BadRequest(f"{where} has no role that is known.", "It is system, user or assistant.", param="messages")
    content = message.get("content")
    if content is None and role == "assistant":
        return role, _Content("")
    if isinstance(content, str):
        return role, _Content(_clean(content))
    if not isinstance(content, list):
        raise BadRequest(f"{where} has no content.", "Send text.", param="messages")
    found = _joined([_part(part, where) for part in content])
    if found.images and role == "assistant":
        raise BadRequest(f"{where} is the assistant's and holds an image.", "Leave it out.", param="messages")
    return role, found


def _part(part: object, where: str) -> _Content:
    """One piece of a message that comes in pieces."""
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return _Content(_clean(part[kind]))
    if isinstance(part, dict) and kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if isinstance(url, str) and url.strip()[:5].lower() in ("data:", "http:", "https"):
            found = _image(url.strip(), where)
            return _Content(f"[{found.path}]", (found,))
    raise BadRequest(
        f"{where} holds something else than text and images in data: URLs.",
        "Files belong to the corpus: give their paths to `longdesk serve`.",
        param="messages",
    )


def _image(url: str, where: str) -> Image:
    """That of a data: URL."""
    head, comma, data = url.partition(",")
    if head[:5].lower() != "data:":
        raise BadRequest(
            f"{where} has an image at another address, and Longdesk fetches nothing.",
            "Send it as a data: URL, or give its path to `longdesk serve`.",
            param="messages",
        )
    kind, *how = (each.strip().lower() for each in head[5:].split(";"))
    if not comma or not kind.startswith("image/"):
        raise BadRequest(
            f"{where} has a data: URL that is no image.", "Send data:image/png;base64,… or another kind of image.",
            param="messages",
        )  # fmt: skip
    found = unquote_to_bytes(data)
    if "base64" in how:
        try:
            found = b"".join(found.split())
            found = b64decode(found + b"=" * (-len(found) % 4), validate=True)
        except binascii.Error as error:
            raise BadRequest(
                f"{where} has an image that is no base64: {error}.", "Encode it again.", param="messages"
            ) from None
    name = kind.removeprefix("image/").removeprefix("x-")
    return Image(found, _SUFFIXES.get(kind, f".{name}" if name.isalnum() else ".png"))


def _clean(text: str) -> str:
    """Without halves of characters, which JSON can say and no tokenizer takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _settings(fields: Mapping[str, Any], own: Mapping[str, Any], settings: Settings, thinking: str | None) -> Settings:
    """The server's, with what the request wants otherwise. Raises UsageError for what no engine could take."""
    changes: dict[str, Any] = {} if thinking is None else {"thinking": thinking}
    for name in _REALS:
        if (value := typed(fields, name, (int, float), "a number")) is not None:
            own_name = _OTHER_NAMES.get(name, name)
            value = 1 if own_name == "repeat_penalty" and value == 0 else value  # another way to say that it is off
            changes[own_name] = float(value) if abs(value) < _MOST_TOKENS else float("inf")
    if (top_k := typed(fields, "top_k", int, "a whole number")) is not None:
        changes["top_k"] = 0 if top_k == -1 else top_k
    if (seed := typed(fields, "seed", int, "a whole number")) is not None:
        if not -_SEEDS <= seed < _SEEDS:
            raise BadRequest("seed has more than 64 bits.", "Send a smaller one.", param="seed")
        changes["seed"] = seed
    for name in ("max_tokens", "max_completion_tokens"):  # the last is the newer name
        if (value := typed(fields, name, int, "a whole number")) is not None:
            if not 1 <= value <= _MOST_TOKENS:
                raise BadRequest(f"{name} is out of range.", f"It must be from 1 to {_MOST_TOKENS:,}.", param=name)
            changes["reply_tokens"] = value
    if stops := _stops(fields.get("stop")):
        changes["stops"] = stops
    if (quotes := typed(own, "quotes", bool, "true or false")) is not None:
        changes["quotes"] = quotes
    try:
        return replace(settings, **changes)
    except UsageError as error:
        raise BadRequest(error.fact, error.remedy, param=error.fact.partition(" ")[0]) from None


def _stops(stop: object) -> tuple[str, ...]:
    """The texts that end a reply: one, or a list. One that is empty ends nothing."""
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else [] if stop is None else [None]
    found = tuple(_clean(each) for each in stops if isinstance(each, str) and each)
    if not all(isinstance(each, str) for each in stops):
        raise BadRequest("stop is no text and no list of texts.", "Send one, or a list of them.", param="stop")
    if len(found) > _MOST_STOPS or any(len(each) > _LONGEST_STOP for each in found):
        raise BadRequest(
            "stop holds too much.",
            f"Send at most {_MOST_STOPS} texts of at most {_LONGEST_STOP:,} characters.",
            param="stop",
        )
    return found


def _own(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What only Longdesk knows: {"longdesk": {"only": ["src/"], "quotes": false, "thinking": "off"}}."""
    own: Mapping[str, Any] = typed(fields, "longdesk", dict, "an object") or {}
    if unknown := own.keys() - {"only", "quotes", "thinking"}:
        raise BadRequest(
            f"longdesk has no {sorted(unknown)[0][:100]}.",
            "It takes only, a list of paths, quotes, and thinking.",
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
