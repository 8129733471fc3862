"""A session as one HTML page that needs nothing else: no script, nothing fetched, light and dark, images inlined small.

What people and models wrote stands in it as text. The page forbids scripts and requests itself, for a second lock.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from app.answers.cited import NO_WORDS, compared, marks_of, numbered, place_of, standing_of
from app.answers.markup import blocks_of
from app.answers.receipt_table import receipt_html
from app.export import ENDS, picture_numbers
from app.sizes import name_of
from app.sources.excerpts import Reading
from engine.answer.citations import Citation, Status
from storage.records import KeptNote, SessionRecord, SessionSource, Turn

Draw = Callable[..., Any]  # of a source, a picture's number and the longer side in pixels: a Drawing, or Skipped
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LONGEST = 320  # pixels of an image
_MOST_IMAGES = 200
_BEFORE, _BEHIND = 300, 700  # characters around the words, where a paragraph is that long
_LINES_BEFORE = 6  # so that the words are in sight on a phone: a page without scripts scrolls to nothing
_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_BUTTON = re.compile(r'<button type="button" class="copy"[^>]*>[^<]*</button>')
_CITE = re.compile(r'<button type="button" class="cite (\w+)" data-cite="(\d+)"( aria-label="[^"]*")>\d+</button>')


def session_page(record: SessionRecord, *, draw: Draw | None = None) -> bytes:
    """The page, in UTF-8. draw: app.images.jpegs.draw; None for a page without pictures."""
    session = record.session
    style = (Path(__file__).with_name("export.css")).read_text(encoding="utf-8")
    cited = _Cited({placed.source.path: placed for placed in record.sources}, draw)
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="referrer" content="no-referrer">\n<meta http-equiv="x-dns-prefetch-control" content="off">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_shown(session.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
        f'<header><h1 dir="auto">{_shown(session.title)}</h1>',
        f'<p class="about">Longdesk session {_shown(session.id)}, begun {_shown(session.created)}, model '
        f"{_shown(Path(session.model).name)}</p></header>",
        *_sources(record, draw),
        *(part for turn in record.turns for part in _turn(turn, cited)),
    ]
    parts += [part for note in record.kept_notes for part in _note(note, cited)]
    if record.others:
        parts += ["<details><summary>Other branches</summary>"]
        parts += [part for turn in record.others for part in _turn(turn, cited)]
        parts += ["</details>"]
    return "\n".join([*parts, "</body>\n</html>\n"]).encode()


def _sources(record: SessionRecord, draw: Draw | None) -> Iterator[str]:
    if not record.sources:
        return
    numbers, why = picture_numbers(record), {skipped.path: skipped.reason for skipped in record.skipped}
    yield f"<details><summary>Sources ({len(record.sources):,})</summary><ul>"
    for placed in record.sources:
        yield f"<li>{_shown(placed.source.path)}{_marks(placed, numbers, why.get(placed.source.path))}</li>"
    yield "</ul></details>"
    pictures = [(at, each.number, numbers[at.source.path] + n)
                for at in record.sources if at.enabled for n, each in enumerate(at.source.pictures)]  # fmt: skip
    if draw is not None and pictures:
        yield f'<details open><summary>Images ({len(pictures):,})</summary><div class="images">'
        yield from (_image(draw, *each) for each in pictures[:_MOST_IMAGES])
        if len(pictures) > _MOST_IMAGES:
            yield f"<p>The first {_MOST_IMAGES} of them.</p>"
        yield "</div></details>"


def _marks(placed: SessionSource, numbers: Mapping[str, int], why: str | None) -> str:
    source, marks = placed.source, []
    if source.n_pages:
        marks.append(f"{source.n_pages:,} page{'' if source.n_pages == 1 else 's'}")
    if source.pictures:
        marks.append(name_of(numbers[source.path], len(source.pictures)))
    if not placed.enabled:
        marks.append(f"left out: {why}" if why else "left out")
    return f' <span class="about">({_shown("; ".join(marks))})</span>' if marks else ""


def _image(draw: Draw, placed: SessionSource, number: int, called: int) -> str:
    source = placed.source
    drawn = draw(source, number, _LONGEST)
    name = _shown(f"image {called}: {source.path}" + (f", page {number}" if source.n_pages else ""))
    if not hasattr(drawn, "address"):  # Skipped
        return f"<figure><figcaption>{name}, cannot be drawn</figcaption></figure>"
    size = f'width="{drawn.width}" height="{drawn.height}"'
    return f'<figure><img src="{drawn.address}" {size} alt="{name}"><figcaption>{name}</figcaption></figure>'


def _turn(turn: Turn, cited: "_Cited") -> Iterator[str]:
    citations = numbered(turn.citations)
    after = f", after {turn.parent + 1}" if len(turn.alternatives) > 1 and turn.parent is not None else ""
    yield f'<section id="q{turn.index + 1}"><h2>Question {turn.index + 1}{after}</h2>'
    yield f'<div class="question" dir="auto">{_shown(turn.question)}</div>'
    if turn.thought is not None and turn.thought.text:
        yield f'<details class="thought"><summary>Thought</summary><pre>{_shown(turn.thought.text)}</pre></details>'
    yield from _answer(turn.text, citations, f"c{turn.index + 1}")
    if turn.stop != "end":
        yield f'<p class="end">({_shown(ENDS.get(turn.stop or "", "running"))})</p>'
    yield from _citations(turn.text, citations, f"c{turn.index + 1}", cited)
    if turn.receipt:
        yield f'<details class="receipt"><summary>Receipt</summary>{_acceptable(receipt_html(turn.receipt))}</details>'
    yield "</section>"


def _note(note: KeptNote, cited: "_Cited") -> Iterator[str]:
    citations = numbered(note.citations)
    of = (
        f', of <a href="#q{note.turn_index + 1}">question {note.turn_index + 1}</a>'
        if note.turn_index is not None
        else ""
    )
    yield f'<section id="n{note.number}"><h2 dir="auto">Note: {_shown(note.title)}</h2>'
    yield f'<p class="about">Kept {_shown(note.created)}{of}</p>'
    yield from _answer(note.text, citations, f"n{note.number}")
    yield from _citations(note.text, citations, f"n{note.number}", cited)
    yield "</section>"


def _answer(text: str, citations: Sequence[Citation], name: str) -> Iterator[str]:
    """What a model wrote, with links to its citations. name: that their ids begin with."""
    yield '<div class="answer">'
    for block in blocks_of(text, marks_of(text, citations)):
        html = _BUTTON.sub("", _acceptable(block.html))
        yield _CITE.sub(rf'<a class="cite \1" href="#{name}-\2"\3>\2</a>', html)
    yield "</div>"


def _citations(text: str, citations: Sequence[Citation], name: str, cited: "_Cited") -> Iterator[str]:
    if citations:
        yield '<ol class="citations">'
        for number, citation in enumerate(citations, 1):
            yield f'<li id="{name}-{number}" class="{citation.status.value}">{cited.row(citation, text)}</li>'
        yield "</ol>"


class _Cited:
    """What stands below an answer for each of its citations. draw: see session_page."""

    def __init__(self, placed: Mapping[str, SessionSource], draw: Draw | None) -> None:
        self._placed, self._draw = placed, draw
        self._readings: dict[str, Reading] = {}
        self._n_images = 0

    def row(self, citation: Citation, answer: str) -> str:
        """The place, what became of the quote, and the words where they stand, or the part of the image."""
        place = place_of(citation)
        if place and citation.lines and (citation.page or citation.cell):
            first, last = citation.lines
            place += f", lines {first}–{last}" if last > first else f", line {first}"
        standing = standing_of(citation)
        if citation.status is Status.MISSING and not citation.quote:
            standing = NO_WORDS
        parts = [f'<span class="place">{_shown(place)}</span>'] if place else []
        parts.append(f'<span class="standing">{_shown(standing)}</span>')
        return " · ".join(parts) + self._shows(citation, answer)

    def _shows(self, citation: Citation, answer: str) -> str:
        placed = self._placed.get(citation.path or "")
        if placed is None or citation.text_span is None:
            said = f'<p class="said" dir="auto">{_shown(citation.quote or answer[slice(*citation.statement)])}</p>'
            return said + self._image(placed, citation)
        source = placed.source
        if source.path not in self._readings:
            self._readings[source.path] = Reading(source.text)
        reading = self._readings[source.path]
        start, end = reading.span_of_bytes(citation.text_span)
        before, behind = _paragraph(reading.text, start, end)
        text = reading.text
        around = f"{_shown(text[before:start])}<mark>{_shown(text[start:end])}</mark>{_shown(text[end:behind])}"
        said = ""
        if citation.status is Status.ALTERED:
            said = f'<p class="about">The answer has: {_difference(citation.quote, text[start:end])}</p>'
        kind = "" if source.kind == "pdf" else ' class="lines"'
        return f'<blockquote dir="auto"{kind}>{around}</blockquote>{said}'

    def _image(self, placed: SessionSource | None, citation: Citation) -> str:
        """The image that is meant, small, with its part boxed."""
        if placed is None or citation.image is None or not placed.source.pictures or self._draw is None:
            return ""
        self._n_images, source = self._n_images + 1, placed.source
        numbers = [picture.number for picture in source.pictures]
        number = citation.page if citation.page in numbers else numbers[0]
        drawn = self._draw(source, number, _LONGEST) if self._n_images <= _MOST_IMAGES else None
        if drawn is None or not hasattr(drawn, "address"):
            return ""
        box = ""
        if citation.box is not None:
            left, top, right, bottom = (100 * min(1.0, max(0.0, each)) for each in citation.box)
            style = f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"
            box = f'<i style="{style}"></i>'
        size = f'width="{drawn.width}" height="{drawn.height}"'
        return f'<div class="meant"><img src="{drawn.address}" {size} alt="The image that is meant">{box}</div>'


def _difference(quoted: str, stands: str) -> str:
    tags = {"gone": "del", "new": "ins"}
    pieces = compared(quoted, stands)
    if pieces is None:
        return _shown(quoted)
    return "".join(
        f"<{tags[what]}>{_shown(words)}</{tags[what]}>" if what in tags else _shown(words) for what, words in pieces
    )


def _paragraph(text: str, start: int, end: int) -> tuple[int, int]:
    """The paragraph around a place: up to an empty line, or as much as is shown at most."""
    low, high = max(0, start - _BEFORE), min(len(text), end + _BEHIND)
    before = max((match.end() for match in re.finditer(r"\n[ \t\r]*\n", text[low:start])), default=None)
    behind = re.search(r"\n[ \t\r]*\n", text[end:high])
    first = low + before if before is not None else low if low == 0 else text.find("\n", low, start) + 1 or low
    lines = [match.end() for match in re.finditer("\n", text[first:start])]
    if len(lines) > _LINES_BEFORE:
        first += lines[-_LINES_BEFORE - 1]
    return first, end + behind.start() if behind else high


def _shown(text: str) -> str:
    """Text as HTML; what HTML and UTF-8 cannot hold as the sign that says so."""
    return escape(_acceptable(text))


def _acceptable(html: str) -> str:
    """Without what HTML and UTF-8 cannot hold."""
    return _UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", html)
