"""The documents of `ask`: its events, and a turn as they and a session show it."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.documents.json import Json, skipped_json
from app.question import Answered, DeskEvent
from engine.corpus.source import Skipped
from engine.runtime.events import Gauge, Prefill, Text
from storage.turns import Turn


def event_json(event: DeskEvent, skipped: Sequence[Skipped] = ()) -> Json | None:
    """One line of `ask --json`; None for events that the contract does not show.

    skipped: what of the paths that were given is not sent.
    """
    match event:
        case Prefill():
            return {
                "event": "prefill",
                "done": event.done,
                "total": event.total,
                "reused": event.reused,
                "encoded": event.encoded,
                **_kv_json(event.gauge),
            }
        case Text():
            return {"event": "text", "text": event.text}
        case Answered():
            turn = event.turn
            return {
                "event": "answer",
                "session": turn.session_id,
                **turn_json(turn, "question", "index", "created"),
                "encoded": event.encoded,
                "skipped": skipped_json(skipped),
                **_kv_json(event.gauge),
            }
    return None


def _kv_json(gauge: Gauge | None) -> Json:
    """The KV cache: cells used of cells there, its bytes, and where they lie."""
    if gauge is None:
        return {}
    return {"kv": {"used": gauge.used, "cells": gauge.cells, "bytes": gauge.n_bytes, "places": dict(gauge.places)}}


def turn_json(turn: Turn, *without: str) -> Json:
    """A turn's question, text and figures, but for what is named."""
    reply_tokens = turn.reply_tokens or 0
    fields: Mapping[str, Any] = {
        "index": turn.index,
        "created": turn.created,
        "question": turn.question,
        "text": turn.text,
        "stop": turn.stop,
        "error": turn.error,
        "prompt_tokens": turn.prompt_tokens or 0,
        "reused_tokens": turn.reused_tokens or 0,
        "reply_tokens": reply_tokens,
        "read_s": turn.read_s,
        "load_s": turn.load_s,
        "prefill_s": turn.prefill_s,
        "ttft_s": turn.ttft_s,
        "citations": turn.citations,
        "receipt": turn.receipt,
    }
    return {name: value for name, value in fields.items() if name not in without}
