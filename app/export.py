"""A session as a document of its own: Markdown, for the page's export and the command line's."""

from collections.abc import Iterator, Mapping

from app.images.albums import name_of
from engine.backend import number_pictures
from storage.records import SessionRecord

_ENDS = {
    "length": "cut at the reply's limit",
    "cancelled": "stopped by you",
    "error": "broken off by an error",
    "interrupted": "interrupted: the program ended",
}


def session_markdown(record: SessionRecord) -> str:
    """A session as Markdown: what `show` prints, and what `export --format md` and the page export."""
    session = record.session
    lines = [f"# {session.title}", "", f"Session {session.id}, begun {session.created}, model {session.model}", ""]
    if record.sources:
        lines += ["Sources:", "", *_source_lines(record), ""]
    for turn in record.turns:
        lines += [f"## {turn.question}", "", turn.text, ""]
        if turn.stop != "end":
            lines += [f"({_ENDS.get(turn.stop or '', 'running')})", ""]
    return "\n".join(lines)


def picture_numbers(record: SessionRecord) -> Mapping[str, int]:
    """What the first picture of each source is called in prompts: see Conversation."""
    return number_pictures(placed.source for placed in record.sources)


def _source_lines(record: SessionRecord) -> Iterator[str]:
    """Each source with what its pictures are called, and whether it is sent."""
    numbers, why = picture_numbers(record), {skipped.path: skipped.reason for skipped in record.skipped}
    for placed in record.sources:
        source, marks = placed.source, []
        if source.pictures:
            marks.append(name_of(numbers[source.path], len(source.pictures)))
        if not placed.enabled:
            marks.append(f"left out: {why[source.path]}" if source.path in why else "left out")
        yield f"- {source.path}" + (f" ({'; '.join(marks)})" if marks else "")
