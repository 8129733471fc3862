"""A session as a JSON document that holds all that is needed to go on with it: what `export --format json` writes.

Reading it back is left to `reading`. The keys of `sessions show --json` stand in it as they do there.
"""

import json
import re
from base64 import b64encode
from typing import Any

from app.export import picture_numbers, session_cost
from app.session_settings import asked_with
from engine.backend import Picture, Skipped, Source
from storage.records import SessionRecord, SessionSource, Turn

VERSION = 1
Json = dict[str, Any]


def export_document(record: SessionRecord, *, max_tiles: int, with_sources: bool = True) -> Json:
    """The session with its turns of all branches, the ids of its replies, and its sources with what they hold.

    max_tiles: that its images have at most. with_sources: without what they hold it can be read, and not imported.
    """
    session, numbers = record.session, picture_numbers(record)
    current = {turn.index for turn in record.turns}
    return {
        "longdesk_export": VERSION,
        "id": session.id,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "system": session.system,
        "max_tiles": max_tiles,
        "frozen_date": session.frozen_date,
        "settings": dict(session.settings),
        "leaf": record.turns[-1].index if record.turns else None,
        "sources": [_source(placed, numbers.get(placed.source.path, 1), with_sources) for placed in record.sources],
        "skipped": [_skipped(one) for one in record.skipped],
        "turns": [{**_turn(turn), "current": turn.index in current} for turn in record.all_turns],
        "kept_notes": [note.to_json() for note in record.kept_notes],
        "cost": session_cost(record.all_turns),
    }


def to_bytes(document: Json) -> bytes:
    """A key a line, and an element of a list a line; what is no Unicode, such as half a file name, is escaped."""
    lines = (f"  {_compact(key)}: {_lines(value)}" for key, value in document.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text).encode()


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _compact(value)
    return "[\n" + ",\n".join(f"    {_compact(each)}" for each in value) + "\n  ]"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _source(placed: SessionSource, first_number: int, with_contents: bool) -> Json:
    source = placed.source
    return {
        "path": source.path,
        "kind": source.kind,
        "bytes": source.n_bytes,
        "pages": source.n_pages,
        "turn": placed.turn_index,
        "enabled": placed.enabled,
        "images": [
            {"number": number, "page": picture.number if source.n_pages else None}
            for number, picture in enumerate(source.pictures, first_number)
        ],
        "digest": source.digest,
        "encoding": source.encoding,
        "reader": source.reader,
        "folder": source.folder,
        "notes": list(source.notes),
        "page_starts": list(source.page_starts),
        "pictures": [_picture(picture) for picture in source.pictures],
        **(_contents(source) if with_contents else {}),
    }


def _contents(source: Source) -> Json:
    kept = source.kept_file
    file = kept and {"format": kept.format, "scalable": kept.scalable, "data": b64encode(kept.data).decode()}
    return {"text": source.text, "file": file}


def _picture(picture: Picture) -> Json:
    return {
        "number": picture.number,
        "width": picture.width,
        "height": picture.height,
        "span": list(picture.span) if picture.span else None,
        "digest": picture.digest,
    }


def _skipped(one: Skipped) -> Json:
    return {
        "path": one.path,
        "reason": one.reason,
        "cause": str(one.cause),
        "bytes": one.n_bytes,
        "can_include": one.can_include,
    }


def _turn(turn: Turn) -> Json:
    return {
        "index": turn.index,
        "parent": turn.parent,
        "created": turn.created,
        "finished": turn.finished or turn.created,
        "question": turn.question,
        "text": turn.text,
        "stop": turn.stop or "interrupted",
        "error": turn.error,
        "prompt_tokens": turn.prompt_tokens or 0,
        "reused_tokens": turn.reused_tokens or 0,
        "reply_tokens": turn.reply_tokens or 0,
        "read_s": turn.read_s,
        "load_s": turn.load_s,
        "prefill_s": turn.prefill_s,
        "ttft_s": turn.ttft_s,
        "prefill_done": turn.prefill_done,
        "citations": None if turn.citations is None else [citation.to_json() for citation in turn.citations],
        "receipt": turn.receipt,
        "thinking": turn.thought.text if turn.thought is not None else None,
        "thinking_tokens": turn.thought.n_tokens if turn.thought is not None else 0,
        "thinking_kept": turn.thinking_kept,
        "thought": turn.thought and turn.thought.to_json(),
        "template": turn.settings.get("template"),
        "cost": (turn.receipt or {}).get("cost"),
        "chat_template": used.to_json() if (used := asked_with(turn).chat_template) else None,
        "vocabulary": turn.vocabulary,
        "settings": dict(turn.settings),
        "reply_ids": list(turn.reply_ids),
    }
