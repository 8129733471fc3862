"""The documents of `sessions`."""

from collections.abc import Iterator, Mapping, Sequence

from app.documents.answer import turn_json
from app.documents.json import Json, skipped_json
from app.images.pictures import name_of
from app.session_settings import settings_of
from app.settings import Settings
from engine.corpus.source import Source
from engine.tokens.document import number_pictures
from storage.search import Hit
from storage.sessions import SessionSummary
from storage.store import SessionRecord


def session_json(record: SessionRecord, settings: Settings) -> Json:
    """The document of `sessions show --json` and of `export --format json`."""
    session, numbers = record.session, _numbers(record)
    return {
        "id": session.id,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "system": session.system,
        "max_tiles": settings_of(session, settings).max_tiles,
        "sources": [
            {
                "path": placed.source.path,
                "kind": placed.source.kind,
                "bytes": placed.source.n_bytes,
                "pages": placed.source.n_pages,
                "turn": placed.turn_index,
                "enabled": placed.enabled,
                "images": _images_json(placed.source, numbers),
            }
            for placed in record.sources
        ],
        "skipped": skipped_json(record.skipped),
        "turns": [turn_json(turn) for turn in record.turns],
    }


def session_text(record: SessionRecord) -> str:
    """A session as Markdown: what `show` prints and `export --format md` writes."""
    session = record.session
    lines = [f"# {session.title}", "", f"Session {session.id}, begun {session.created}, model {session.model}", ""]
    if record.sources:
        lines += ["Sources:", "", *_source_lines(record), ""]
    for turn in record.turns:
        lines += [f"## {turn.question}", "", turn.text, ""]
        if turn.stop != "end":
            lines += [f"({_ENDS.get(turn.stop or '', 'running')})", ""]
    return "\n".join(lines)


def _numbers(record: SessionRecord) -> Mapping[str, int]:
    """What the first picture of each source is called in prompts: see Conversation."""
    return number_pictures(placed.source for placed in record.sources)


def _images_json(source: Source, numbers: Mapping[str, int]) -> list[Json]:
    """A source's pictures: what a question can call them, and which page each is."""
    return [
        {"number": number, "page": picture.number if source.n_pages else None}
        for number, picture in enumerate(source.pictures, numbers.get(source.path, 1))
    ]


def _source_lines(record: SessionRecord) -> Iterator[str]:
    """Each source with what its pictures are called, and whether it is sent."""
    numbers, why = _numbers(record), {skipped.path: skipped.reason for skipped in record.skipped}
    for placed in record.sources:
        source, marks = placed.source, []
        if source.pictures:
            marks.append(name_of(numbers[source.path], len(source.pictures)))
        if not placed.enabled:
            marks.append(f"left out: {why[source.path]}" if source.path in why else "left out")
        yield f"- {source.path}" + (f" ({'; '.join(marks)})" if marks else "")


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
