"""Ollama, by its own chat call alone: its OpenAI-compatible one cuts what is too long and says nothing.

`truncate` and `shift` are off, so that it refuses; `num_ctx` is what an answer needs, in steps that seldom change,
since another one loads the model anew.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from threading import Event as Flag
from typing import Any

from engine.errors import EngineFailed
from engine.remote.compatible import Adapter, Piece, Request, Usage
from engine.remote.connection import Fields, TooLong
from engine.remote.faults import overflow_in
from engine.remote.said import fields, listed, text, whole

_LEAST_CTX = 4096
_DATA = "base64,"


class Ollama(Adapter):
    """See the module. It has no call that counts."""

    engine = "Ollama"
    takes_min_p = True
    tells_template = True
    takes_top_k = True
    repeats = "repeat_penalty"

    def version(self) -> str:
        told = self.connection.find("/api/version")
        return str(told.get("version", "")) if isinstance(told, dict) else ""

    def window(self) -> int | None:
        """The most that the model could be loaded with."""
        named = fields(self._shown.get("model_info")).items()
        found = [whole(value) for name, value in named if name.endswith(".context_length")]
        return next((each for each in found if each), None)

    def sees(self) -> bool:
        return "vision" in listed(self._shown.get("capabilities"))

    def file(self) -> str:
        found = re.search(r"^FROM (/\S.*)$", str(self._shown.get("modelfile") or ""), re.MULTILINE)
        return found[1].strip() if found else ""

    def n_ctx(self, needed: int, wanted: int | None) -> int:
        """What the model is loaded with, where that is enough; else the next power of two, as far as it goes."""
        if wanted is not None:
            return wanted
        loaded = self._loaded()
        if loaded is not None and loaded >= needed:
            return loaded
        step = _LEAST_CTX
        while step < needed:
            step *= 2
        return min(step, self.window() or step)

    def answer(self, request: Request, cancel: Flag) -> Generator[Piece | None, None, None]:
        for line in self.connection.lines("/api/chat", self.body(request), cancel):
            if line is None:
                yield None
            elif "error" in line:
                raise self._refusal(str(line["error"]))
            else:
                yield self.piece(line)
                if line.get("done") and (remark := self._shrunk(request.n_ctx)):
                    yield Piece(remark=remark)

    def body(self, request: Request) -> Fields:
        options: Fields = {
            "num_ctx": request.n_ctx,
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "min_p": request.min_p,
        }
        if request.top_k:
            options["top_k"] = request.top_k
        for name in ("repeat_penalty", "presence_penalty", "frequency_penalty"):
            options[name] = getattr(request, name)  # its own repeat penalty would be 1.1
        if request.seed is not None:
            options["seed"] = request.seed
        if request.stops:
            options["stop"] = list(request.stops)
        thinks = {"think": request.thinking not in ("off", "0")} if request.thinking else {}
        return {
            "model": self.id,
            **thinks,
            "messages": _own_messages(request.messages),
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": options,
        }

    def piece(self, chunk: Fields) -> Piece:
        message, done = fields(chunk.get("message")), bool(chunk.get("done"))
        return Piece(
            text=text(message.get("content")),
            reasoning=text(message.get("thinking")),
            finish=(text(chunk.get("done_reason")) or "stop") if done else None,
            usage=_usage(chunk) if done else None,
        )

    @cached_property
    def _shown(self) -> Mapping[str, Any]:
        return fields(self.connection.post("/api/show", {"model": self.id}))

    def _loaded(self) -> int | None:
        """The context that the model is loaded with now."""
        for each in map(fields, listed(fields(self.connection.find("/api/ps")).get("models"))):
            if self.id in (each.get("name"), each.get("model")) and (loaded := whole(each.get("context_length"))):
                return loaded
        return None

    def _shrunk(self, n_ctx: int) -> str:
        """What is to be said where the model was loaded with less than was asked for."""
        loaded = self._loaded()
        if loaded is None or loaded >= n_ctx:
            return ""
        return f"Ollama gave the model a context of {loaded:,} tokens where {n_ctx:,} were asked for."

    def _refusal(self, said: str) -> TooLong | EngineFailed:
        overflow = overflow_in(0, said)
        if overflow is not None:
            return TooLong(overflow)
        return EngineFailed(f"Ollama broke off: {said}.", "What it had written is kept. Look at its log.")


def _own_messages(messages: Sequence[Fields]) -> list[Fields]:
    """Messages in Ollama's shape: text, and images in base64 beside it."""
    own = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            own.append(dict(message))
            continue
        texts = [part["text"] for part in content if part["type"] == "text"]
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        own.append({**message, "content": "".join(texts), "images": [url.partition(_DATA)[2] for url in urls]})
    return own


def _usage(chunk: Fields) -> Usage:
    def rate(tokens: str, nanoseconds: str) -> float | None:
        n, took = whole(chunk.get(tokens)), whole(chunk.get(nanoseconds))
        return n / took * 1e9 if n is not None and took else None

    return Usage(
        prompt_tokens=whole(chunk.get("prompt_eval_count")),
        reply_tokens=whole(chunk.get("eval_count")),
        read_per_s=rate("prompt_eval_count", "prompt_eval_duration"),
        written_per_s=rate("eval_count", "eval_duration"),
    )
