"""What the command line prints: the JSON documents of its contract, and the same for people to read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.asking import Answered, DeskEvent
from app.counting import Count
from app.notes import notes_on
from app.settings import Settings
from app.sizes import show_bytes
from app.tiling import max_tiles_of
from engine.memory.budget import Need, Plan
from engine.runtime.model import Gauge, Prefill, Text
from engine.tokens.documents import Document
from storage.search import Hit
from storage.sessions import SessionSummary
from storage.store import SessionRecord
from storage.turns import Turn

Json = dict[str, Any]


def count_json(count: Count) -> Json:
    """The document of `count --json`."""
    return {
        "model": count.model,
        "total_tokens": count.total_tokens,
        "template_tokens": count.template_tokens,
        "image_rule": count.image_rule,
        "sources": [
            {
                "path": source.path,
                "kind": source.kind.value,
                "tokens": document.n_tokens,
                "bytes": source.n_bytes,
                "pages": source.n_pages,
                "tiles": _tiles(document),
                "images": [
                    {
                        "number": shown.number,
                        "page": shown.view.number if source.n_pages else None,
                        "width": shown.view.width,
                        "height": shown.view.height,
                        "tiles": shown.view.tiles,
                        "tokens": shown.view.n_tokens,
                    }
                    for shown in document.shown
                ],
                "notes": [*notes_on(source, sees=count.sees), *_unrepresentable(document.unrepresentable)],
            }
            for source, document in zip(count.sources, count.documents, strict=True)
        ],
        "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in count.skipped],
    }


def count_text(count: Count) -> str:
    """A table: tokens and path of every source, then the sum and what was skipped."""
    lines = [f"{document.n_tokens:>12,}  {document.path}" for document in count.documents]
    if count.image_rule is not None and any(document.shown for document in count.documents):
        lines.append(f"{'':>12}  images by {count.image_rule}")
    lines.append(f"{count.template_tokens:>12,}  (chat template and instruction)")
    lines.append(f"{count.total_tokens:>12,}  tokens in all, with {count.model}")
    lines += [
        f"{'':>12}  {document.path}: {note}"
        for source, document in zip(count.sources, count.documents, strict=True)
        for note in (*notes_on(source, sees=count.sees), *_unrepresentable(document.unrepresentable))
    ]
    if count.skipped:
        lines.append(f"\n{len(count.skipped):,} skipped:")
        lines += [f"  {skipped.path}: {skipped.reason}" for skipped in count.skipped]
    return "\n".join(lines)


def plan_json(plan: Plan) -> Json:
    """The document of `plan --json`."""
    return {
        "model": plan.model,
        "context_tokens": plan.context_tokens,
        "prompt_tokens": plan.prompt_tokens,
        "reply_tokens": plan.reply_tokens,
        "over_tokens": plan.over_tokens,
        "kv_type": plan.kv_type,
        "weights_bytes": plan.weights_bytes,
        "kv_bytes": plan.kv_bytes,
        "compute_bytes": plan.compute_bytes,
        "runtime_bytes": plan.runtime_bytes,
        "total_bytes": plan.total_bytes,
        "devices": [
            {
                "name": need.device.name,
                "kind": need.device.kind,
                "free_bytes": need.device.free_bytes,
                "total_bytes": need.device.total_bytes,
                "needed_bytes": need.needed_bytes,
                "short_bytes": need.short_bytes,
                "weights_bytes": need.weights_bytes,
                "kv_bytes": need.kv_bytes,
                "compute_bytes": need.compute_bytes,
                "runtime_bytes": need.runtime_bytes,
            }
            for need in plan.needs
        ],
        "placement": asdict(plan.placement),
        "fits": plan.fits,
        "verdict": plan.verdict.value,
        "advice": [
            {
                "change": advice.change,
                "saves_bytes": advice.saves_bytes,
                "saves_tokens": advice.saves_tokens,
                "leave_out": list(advice.leave_out),
                "max_tiles": advice.max_tiles,
                "draw_pages": advice.draw_pages,
            }
            for advice in plan.advice
        ],
        "estimated": list(plan.estimated),
        "notes": list(plan.notes),
    }


_VERDICTS = {
    "fits": "It fits.",
    "slow": "It fits, but slowly: the weights do not fit into free memory and are read from disk again and again.",
    "over_window": "It does not fit into the window.",
    "over_memory": "It does not fit into memory.",
}


def plan_text(plan: Plan) -> str:
    """The same for people; a ~ marks an estimate."""

    def size(name: str, n_bytes: int) -> str:
        return ("~" if name in plan.estimated else "") + show_bytes(n_bytes)

    lines = [
        f"{plan.model}, a context of {plan.context_tokens:,} tokens with {plan.kv_type} KV",
        f"  prompt   {plan.prompt_tokens:>12,} tokens",
        f"  reply    {plan.reply_tokens:>12,} tokens",
        f"  weights  {size('weights_bytes', plan.weights_bytes):>12}",
        f"  KV cache {size('kv_bytes', plan.kv_bytes):>12}",
        f"  compute  {size('compute_bytes', plan.compute_bytes):>12}  ({plan.placement.n_ubatch:,} tokens at once)",
        f"  runtime  {size('runtime_bytes', plan.runtime_bytes):>12}",
        *(_need_text(need) for need in plan.needs),
        _VERDICTS[plan.verdict.value],
    ]
    if plan.over_tokens:
        lines.append(f"{plan.over_tokens:,} tokens over.")
    return "\n".join([*lines, *(f"- {advice.change}" for advice in plan.advice), *plan.notes])


def _need_text(need: Need) -> str:
    device = need.device
    free = f"{show_bytes(device.free_bytes)} free of {show_bytes(device.total_bytes)}"
    short = f", {show_bytes(need.short_bytes)} short" if need.short_bytes else ""
    return f"{device.name}: {show_bytes(need.needed_bytes)} needed, {free}{short}"


def event_json(event: DeskEvent) -> Json | None:
    """One line of `ask --json`; None for events that the contract does not show."""
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
                **_turn_json(turn, "question", "index", "created"),
                "encoded": event.encoded,
                **_kv_json(event.gauge),
            }
    return None


def _kv_json(gauge: Gauge | None) -> Json:
    """The KV cache: cells used of cells there, its bytes, and where they lie."""
    if gauge is None:
        return {}
    return {"kv": {"used": gauge.used, "cells": gauge.cells, "bytes": gauge.n_bytes, "places": dict(gauge.places)}}


def session_json(record: SessionRecord, settings: Settings) -> Json:
    """The document of `sessions show --json` and of `export --format json`."""
    session = record.session
    return {
        "id": session.id,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "system": session.system,
        "max_tiles": max_tiles_of(session, settings),
        "sources": [
            {
                "path": placed.source.path,
                "kind": placed.source.kind.value,
                "bytes": placed.source.n_bytes,
                "pages": placed.source.n_pages,
                "turn": placed.turn_index,
                "enabled": placed.enabled,
            }
            for placed in record.sources
        ],
        "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in record.skipped],
        "turns": [_turn_json(turn) for turn in record.turns],
    }


def session_text(record: SessionRecord) -> str:
    """A session as Markdown: what `show` prints and `export --format md` writes."""
    session = record.session
    lines = [f"# {session.title}", "", f"Session {session.id}, begun {session.created}, model {session.model}", ""]
    if record.sources:
        lines += ["Sources:", "", *(f"- {placed.source.path}" for placed in record.sources), ""]
    for turn in record.turns:
        lines += [f"## {turn.question}", "", turn.text, ""]
        if turn.stop != "end":
            lines += [f"({_ENDS.get(turn.stop or '', 'running')})", ""]
    return "\n".join(lines)


_ENDS = {
    "length": "cut at the reply's limit",
    "cancelled": "stopped by you",
    "error": "broken off by an error",
    "interrupted": "interrupted: the program ended",
}


def sessions_json(sessions: Sequence[SessionSummary]) -> Json:
    """The document of `sessions list --json`."""
    return {
        "sessions": [
            {
                "id": session.id,
                "title": session.title,
                "created": session.created,
                "updated": session.updated,
                "model": session.model,
                "turns": session.turns,
            }
            for session in sessions
        ]
    }


def sessions_text(sessions: Sequence[SessionSummary]) -> str:
    """One line a session, the newest first."""
    if not sessions:
        return "No sessions yet. `longdesk ask PATH -q QUESTION` begins one."
    return "\n".join(f"{session.id}  {session.updated}  {session.turns:>3}  {session.title}" for session in sessions)


def hits_json(hits: Sequence[Hit]) -> Json:
    """The document of `sessions search --json`."""
    return {
        "sessions": [
            {
                "id": hit.session_id,
                "title": hit.title,
                "updated": hit.updated,
                "turn": hit.turn_index,
                "snippet": hit.snippet,
            }
            for hit in hits
        ]
    }


def _turn_json(turn: Turn, *without: str) -> Json:
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


def _tiles(document: Document) -> list[int] | None:
    """Columns and rows of an image's tiles; None for what has none, or several images."""
    if len(document.shown) != 1 or (tiles := document.shown[0].view.tiles) is None:
        return None
    return list(tiles)


def _unrepresentable(characters: Mapping[str, int]) -> list[str]:
    """What a vocabulary has no token for, as a sentence."""
    if not characters:
        return []
    shown = ", ".join(f"U+{ord(character):04X} ({n:,})" for character, n in sorted(characters.items())[:6])
    return [f"characters this vocabulary has no token for were left out: {shown}"]
