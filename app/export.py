"""A session as a document of its own: Markdown, for the page's export and the command line's.

What was asked and answered stands in it whole, to the byte. Where it is Markdown that keeps to itself it stands as it
is; where it would go on behind its end (an open fence, a comment), look like another turn (a heading) or change others
(a definition), it stands between fences. Titles and paths that Markdown would change stand between backticks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from markdown_it import MarkdownIt

from app.answers.cited import NO_WORDS, is_code, numbered, place_of, standing_of
from app.costs import session_cost as session_cost  # whoever exports a session needs it
from app.sizes import name_of
from engine.answer.citations import Citation
from engine.backend import number_pictures
from storage.records import KeptNote, SessionRecord, Turn

ENDS = {
    "length": "cut at the reply's limit",
    "cancelled": "stopped by you",
    "error": "broken off by an error",
    "interrupted": "interrupted: the program ended",
}


# With HTML, as those have it who read exports; what is an image is not asked.
_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable("image")
_END = "The end of 7e1f"  # a paragraph that is looked for behind a text
_BOX = re.compile(r"^ {0,3}:::|^\+\+\+|^\\\[(?!.*\\\])", re.MULTILINE | re.DOTALL)
_EXTENSIONS = re.compile(r"\$|:[a-z]|\\[(\[]|https?:|www\.|@|==", re.IGNORECASE)  # that some readers of Markdown know


def session_markdown(record: SessionRecord) -> str:
    """A session as Markdown: what `show` prints, and what `export --format md` and the page export."""
    session = record.session
    begun = f"Session {session.id}, begun {session.created}, model {_named(session.model)}"
    lines = [f"# {_named(session.title)}", "", begun, ""]
    if record.sources:
        lines += ["Sources:", "", *_source_lines(record), ""]
    for turn in record.turns:
        lines += _turn_lines(turn, marked=bool(record.others))
    if record.others:
        lines += ["---", "", "Of other branches:", ""]
    for turn in record.others:
        lines += _turn_lines(turn, marked=True)
    if record.kept_notes:
        lines += ["---", "", "Notes:", ""]
    for note in record.kept_notes:
        lines += _note_lines(note)
    return "\n".join(lines)


def _note_lines(note: KeptNote) -> list[str]:
    """A note as a turn's answer stands."""
    of = f", of question {note.turn_index + 1}" if note.turn_index is not None else ""
    lines = [f"## Note {note.number}: {_named(note.title)}", "", f"(kept {note.created}{of})", ""]
    lines += [_whole(note.text), "", *_citation_lines(note.text, note.citations)]
    return lines


def _turn_lines(turn: Turn, *, marked: bool) -> list[str]:
    """A question and its answer. marked: with its number, and the one that it follows."""
    lines = []
    if _is_literal(turn.question):
        lines += [f"## {turn.question}", ""]
    else:
        lines += [f"## Question {turn.index + 1}", "", _fenced(turn.question, "text"), ""]
    if marked:
        after = "the first" if turn.parent is None else f"after {turn.parent + 1}"
        lines += [f"(question {turn.index + 1}, {after})", ""]
    if turn.thought is not None and turn.thought.text:
        lines += ["Thought:", "", _fenced(turn.thought.text, "text"), ""]
    lines += [_whole(turn.text), ""]
    if turn.stop != "end":
        lines += [f"({ENDS.get(turn.stop or '', 'running')})", ""]
    lines += _citation_lines(turn.text, turn.citations)
    if turn.receipt:
        lines += ["Receipt:", "", _fenced(json.dumps(turn.receipt, ensure_ascii=False, indent=1), "json"), ""]
    return lines


def _whole(text: str) -> str:
    """What a model wrote: as it is, or between fences where that would change what follows."""
    return text if _keeps_to_itself(text) else _fenced(text, "markdown")


def _citation_lines(text: str, citations: Sequence[Citation] | None) -> list[str]:
    """Those of a text, in their order."""
    lines = [_citation_line(text, one) for one in numbered(citations)]
    return ["Citations:", "", *lines, ""] if lines else []


def _citation_line(text: str, citation: Citation) -> str:
    """A quote, its place, and what became of it."""
    words = _named(citation.quote) if citation.quote else f"{NO_WORDS}: {_named(text[slice(*citation.statement)])}"
    place = place_of(citation)
    if is_code(citation):
        block = _fenced(citation.quote, "text").replace("\n", "\n   ")  # belongs to its list item
        return f"1. {_named(place)} ({standing_of(citation)})\n\n   {block}\n"
    return f"1. {words}" + (f", {_named(place)}" if place else "") + f" ({standing_of(citation)})"


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
        yield f"- {_named(source.path)}" + (f" ({'; '.join(marks)})" if marks else "")


def _is_literal(text: str) -> bool:
    """Whether Markdown shows a line as it is, as a heading and in a list."""
    if not text or text != text.strip() or "\n" in text or "\r" in text or "\0" in text or _EXTENSIONS.search(text):
        return False
    children = [token.children for token in _PARSER.parse(f"# {text}\n\n- {text}\n") if token.type == "inline"]
    shown = [[child.content for child in each or () if child.type == "text"] for each in children]
    return shown == [[text], [text]] and all(len(each or ()) == 1 for each in children)


def _named(text: str) -> str:
    """A title or a path within a line, shown as it is."""
    if _is_literal(text):
        return text
    text = " ".join(text.splitlines())
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if text[:1] in "` " or text[-1:] in "` " else f"{ticks}{text}{ticks}"


def _fenced(text: str, language: str) -> str:
    """A text between fences that it does not hold."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"


def _goes_on(text: str) -> bool:
    """Whether some readers of Markdown would look for the end of a formula, a comment or a box behind the text."""
    return text.count("$$") % 2 == 1 or text.count("%%") % 2 == 1 or _BOX.search(text) is not None


def _keeps_to_itself(text: str) -> bool:
    """Whether what follows a text is what it would be without it, and nothing in the text looks like another turn."""
    if _goes_on(text):
        return False
    env: dict[str, object] = {}
    tokens = _PARSER.parse(f"{text}\n\n{_END}\n", env)
    if len(tokens) < 3:
        return False
    *before, opened, last, closed = tokens
    ends = (opened.type, opened.level, last.content, closed.level) == ("paragraph_open", 0, _END, 0)
    inside = [child.type for token in before for child in token.children or ()]
    has_html = "html_inline" in inside or any(token.type == "html_block" for token in before)
    has_heading = any(token.type == "heading_open" and token.tag in ("h1", "h2") for token in before)
    return ends and not has_html and not has_heading and not env.get("references")
