"""What `sessions` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.output import Json, print_document, skipped_json
from engine.corpus.wording import counted
from storage.records import Hit, KeptNote, Session, SessionRecord, SessionSummary, Turn

if TYPE_CHECKING:  # with all that a prompt is laid out with, which no list needs
    from app.checking_again import Verification


def print_session(record: SessionRecord, *, max_tiles: int, as_json: bool) -> None:
    """Prints the whole of one session. max_tiles: that its images have at most."""
    from app.export import session_markdown  # with a parser of Markdown, which no list needs

    print_document(session_json(record, max_tiles=max_tiles) if as_json else session_markdown(record))


def print_sessions(sessions: Sequence[SessionSummary], *, as_json: bool) -> None:
    """Prints which sessions there are."""
    print_document(sessions_json(sessions) if as_json else sessions_text(sessions))


def print_hits(hits: Sequence[Hit], *, as_json: bool) -> None:
    """Prints what a search found."""
    lines = [f"{hit.session_id}  {hit.title}{'' if hit.current else '  (on another branch)'}" for hit in hits]
    text = "\n".join(lines) or "No session holds all of these words, in its title, its questions or its answers."
    print_document(hits_json(hits) if as_json else text)


def print_renamed(session: Session, *, as_json: bool) -> None:
    """Prints what a session is called now."""
    print_document({"id": session.id, "title": session.title} if as_json else f"{session.id}  {session.title}")


def print_branch(session_id: str, turns: Sequence[Turn], *, as_json: bool) -> None:
    """Prints the turns of the branch that the session shows now."""
    document = {"id": session_id, "turns": [{"index": turn.index, "question": turn.question} for turn in turns]}
    lines = [f"{turn.index + 1:>4}  {' '.join(turn.question.split())}" for turn in turns]
    print_document(document if as_json else "\n".join(lines))


def print_notes(notes: Sequence[KeptNote], *, as_json: bool) -> None:
    """Prints which notes a session has."""
    lines = [f"{note.number:>4}  {_of(note):<12}  {note.title}" for note in notes]
    text = "\n".join(lines) or "No notes yet. `longdesk sessions keep ID` keeps an answer as one."
    print_document({"kept_notes": [note.to_json() for note in notes]} if as_json else text)


def print_note(note: KeptNote, *, as_json: bool) -> None:
    """Prints a note: its text to the letter."""
    print_document(note.to_json() if as_json else note.text)


def print_sent(path: str, note: KeptNote, *, as_json: bool) -> None:
    """Prints as which source a note is sent."""
    print_document({"number": note.number, "path": path} if as_json else f"Sent from now on as {path}.")


def _of(note: KeptNote) -> str:
    return f"question {note.turn_index + 1}" if note.turn_index is not None else ""


def print_imported(session: Session, told: str, *, is_new: bool, as_json: bool) -> None:
    """Prints which session an export has become, and what is told of that."""
    document = {"id": session.id, "title": session.title, "new": is_new}
    print_document(document if as_json else told)


def print_deleted(session_id: str, *, as_json: bool) -> None:
    """Prints which session is gone."""
    print_document({"deleted": session_id} if as_json else f"Deleted {session_id}.")


def print_verified(session: Session, checked: "Verification", *, as_json: bool) -> None:
    """Prints what came of checking a session again."""
    print_document(verified_json(session, checked) if as_json else verified_text(checked))


def verified_json(session: Session, checked: "Verification") -> Json:
    """The document of `sessions verify --json`."""
    return {
        "id": session.id,
        "holds": not checked.faults,
        "turns": checked.n_turns,
        "sources": checked.n_sources,
        "passes": checked.n_passes,
        "citations": checked.n_citations,
        "prompts": checked.n_prompts,
        "faults": checked.faults,
        "unchecked": checked.unchecked,
    }


def verified_text(checked: "Verification") -> str:
    """What holds in one line, then a line for what does not, or could not be checked."""
    passes = f"{counted(checked.n_passes, 'pass', 'passes')}, " if checked.n_passes else ""
    held = (
        f"{counted(checked.n_turns, 'question')}: {counted(checked.n_sources, 'source')}, {passes}"
        f"{counted(checked.n_citations, 'citation')} and {counted(checked.n_prompts, 'prompt')} hold."
    )
    end = [] if checked.faults else ["Nothing was found that does not hold."]
    return "\n".join([held, *(f"Does not hold: {fault}" for fault in checked.faults), *checked.unchecked, *end])


def session_json(record: SessionRecord, *, max_tiles: int) -> Json:
    """The document of `sessions show --json` and of `export --format json`."""
    from app.cli.output.answer import turn_json  # with what an engine says, which no list needs
    from app.export import picture_numbers, session_cost

    session, numbers = record.session, picture_numbers(record)
    current = {turn.index for turn in record.turns}
    return {
        "id": session.id,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "system": session.system,
        "max_tiles": max_tiles,
        "sources": [
            {
                "path": placed.source.path,
                "kind": placed.source.kind,
                "bytes": placed.source.n_bytes,
                "pages": placed.source.n_pages,
                "turn": placed.turn_index,
                "enabled": placed.enabled,
                "images": [
                    {"number": number, "page": picture.number if placed.source.n_pages else None}
                    for number, picture in enumerate(placed.source.pictures, numbers.get(placed.source.path, 1))
                ],
            }
            for placed in record.sources
        ],
        "skipped": skipped_json(record.skipped),
        "turns": [
            {**turn_json(turn), "parent": turn.parent, "current": turn.index in current} for turn in record.all_turns
        ],
        "kept_notes": [note.to_json() for note in record.kept_notes],
        "cost": session_cost(record.all_turns),
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
                "current": hit.current,
            }
            for hit in hits
        ]
    }
