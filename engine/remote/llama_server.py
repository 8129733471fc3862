"""llama.cpp's own server, also as a router before several models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from engine.errors import ModelRefused
from engine.memory.capacity import Capacity
from engine.remote.compatible import Adapter, Piece, Request, Usage
from engine.remote.connection import SHORT_S, Connection, Fields
from engine.remote.said import fields, ids, listed, rate, text, whole

_CHAT = "/chat/completions"


class LlamaServer(Adapter):
    """It counts whole chats, images too, tells how far it is, and holds replies to grammars in its own notation.

    router: it stands before several models, and wants to be told which in every call.
    """

    engine = "llama-server"
    takes_min_p = True
    tells_template = True
    takes_top_k = True
    repeats = "repeat_penalty"
    holds_forms = True
    goes_on = True
    tells_progress = True
    how_counted = ""

    def __init__(self, connection: Connection, model: Mapping[str, Any], *, router: bool = False) -> None:
        super().__init__(connection, model)
        self._router = router

    def version(self) -> str:
        return str(self._props.get("build_info") or "")

    def window(self) -> int | None:
        """Of a slot."""
        settings, meta = self._props.get("default_generation_settings"), self.model.get("meta")
        return whole(fields(settings).get("n_ctx")) or whole(fields(meta).get("n_ctx")) or None

    def sees(self) -> bool:
        return super().sees() or fields(self._props.get("modalities")).get("vision") is True

    def tokenize(self, texts: Sequence[str]) -> list[list[int]] | None:
        bodies = [self._named({"content": text, "add_special": False, "parse_special": False}) for text in texts]
        return [ids(found) for found in self.connection.post_all("/tokenize", bodies)]

    def count(self, messages: Sequence[Fields], *, begun: bool = False) -> int | None:
        body = {"model": self.id, "messages": list(messages)}
        try:
            return whole(fields(self.connection.post(f"{_CHAT}/input_tokens", body, of_api=True)).get("input_tokens"))
        except ModelRefused:  # older ones have no such call: a chat without images can be counted as text
            prompt = text(fields(self.connection.post("/apply-template", body)).get("prompt"))
            rendered = {"content": prompt, "add_special": True, "parse_special": True}
            return len(ids(self.connection.post("/tokenize", self._named(rendered)))) if prompt else None

    def capacity(self, wait_s: float = SHORT_S) -> Capacity | None:
        """Each slot has a context of its own: what counts is whether one is free."""
        slots = listed(self.connection.find("/slots", params=self._query, wait_s=wait_s))
        if not slots:
            return None
        busy = sum(bool(slot.get("is_processing")) for slot in slots if isinstance(slot, dict))
        return Capacity(running=busy, slots=len(slots))

    def body(self, request: Request) -> Fields:
        body = {**super().body(request), "return_progress": True, "cache_prompt": True}
        return {**body, "grammar": request.form} if request.form is not None else body

    def piece(self, chunk: Fields) -> Piece:
        piece, progress, timings = (
            super().piece(chunk),
            fields(chunk.get("prompt_progress")),
            fields(chunk.get("timings")),
        )
        done, total, kept = (whole(progress.get(name)) for name in ("processed", "total", "cache"))
        if done is not None and total:
            piece = replace(piece, read=(min(done, total), total, kept or 0))
        read_now, kept = whole(timings.get("prompt_n")), whole(timings.get("cache_n"))
        if read_now is not None:
            told = piece.usage or Usage(prompt_tokens=(kept or 0) + read_now)
            cached = told.cached_tokens if told.cached_tokens is not None else kept
            read, written = rate(timings.get("prompt_per_second")), rate(timings.get("predicted_per_second"))
            usage = replace(told, cached_tokens=cached, read_per_s=read, written_per_s=written)
            piece = replace(piece, usage=usage)
        return piece

    @cached_property
    def _props(self) -> Mapping[str, Any]:
        """Of the server, or of the model that a router loads for that."""
        told = self.connection.find("/props", params=self._query)
        return told if isinstance(told, dict) else {}

    @property
    def _query(self) -> dict[str, str] | None:
        return {"model": self.id} if self._router else None

    def _named(self, body: Fields) -> Fields:
        return {**body, "model": self.id} if self._router else body
