"""A source beside the chat: the rows around what is cited, a PDF's page, an image under its tiles; with search.

Opened by a citation's button or by a name in the tree (state.open_source). What it does in the browser is `source.js`;
only the part that is looked at is sent there, as text and numbers, never as HTML.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app import state
from app.answers.cited import ACTING, compared, numbered, place_of, shown, standing_of
from app.parts.source_pages import figure_of, page_of
from app.parts.viewer import Seen, cost_of
from app.passes.given import gift_of, given
from app.sources.excerpts import Excerpt, pieces_of
from app.sources.library import Volume
from engine.answer.citations import Citation, Status
from engine.backend import About
from storage.records import SourceLink, Turn

_CELL_MARK = re.compile(r"(?:\A|\n\n)\[cell (\d{1,9}), ")
_MOST_QUOTE = 4_000  # characters of an altered passage that are compared
_KEY = "source-view"

_mount = st.components.v2.component(
    "longdesk_source", js=Path(__file__).with_name("source.js").read_text(encoding="utf-8"), isolate_styles=False
)


@dataclass(frozen=True, slots=True)
class Beside:
    """What the page knows while it is drawn."""

    session_id: str
    links: Sequence[SourceLink]
    turns: Sequence[Turn]
    pictures: Sequence[Seen]
    about: About | None


def draw_source_view(
    session_id: str, links: Sequence[SourceLink], turns: Sequence[Turn], pictures: Sequence[Seen], about: About | None
) -> None:
    """The source that stands open, if one does. It is drawn again by itself, so that turning a leaf redraws no chat."""
    if state.opened(session_id) is None:
        st.empty()  # so that what is below keeps its place: the browser makes anew all that has moved
        return
    with st.container(key=_KEY):
        st.fragment(_draw)(Beside(session_id, links, turns, pictures, about))


def _draw(desk: Beside) -> None:
    opened = state.opened(desk.session_id)
    if opened is None:
        st.rerun()
    else:
        _mount(key=f"{_KEY}-{desk.session_id}", data=data_of(desk, opened), on_act_change=_act)


def _act() -> None:
    """What was done in the browser: one thing and its value."""
    session_id = state.session_id()
    opened = state.opened(session_id) if session_id else None
    done = getattr(state.value(f"{_KEY}-{session_id}"), "act", None)
    if opened is None or not isinstance(done, dict):
        return
    match done:
        case {"what": "close"}:
            state.look_within(path="")
        case {"what": "go", "path": str(path), "number": int(number)} if opened.cited:
            state.open_source(opened.session, path, (opened.cited[0], number), by_pass=opened.by_pass)
        case {"what": "rows", "start": int(start), "scroll": str(scroll)}:
            state.look_within(start=max(0, start), line=None, scroll=scroll)
        case {"what": "line", "line": int(line)}:
            state.look_within(line=max(1, line), start=None, words="", mode="text", scroll="lit")
        case {"what": "page", "page": int(page)}:
            state.look_within(page=max(1, page), start=None, line=None, words="", scroll="top")
        case {"what": "mode", "mode": ("page" | "text" | "picture") as mode}:
            state.look_within(mode=mode, start=None, scroll="lit")
        case {"what": "find", "words": str(words), "hit": int(hit)}:
            state.look_within(words=words, hit=max(0, hit), start=None, line=None, scroll="lit")


def data_of(desk: Beside, opened: state.Opened) -> dict[str, Any]:
    """All that the browser is told, as JSON."""
    link = next((each for each in desk.links if each.path == opened.path), None)
    cited = _cited(desk.turns, opened)
    data: dict[str, Any] = {
        "nth": opened.nth,
        "scroll": opened.scroll,
        "title": shown(opened.path.rsplit("/", 1)[-1]),
        "path": shown(opened.path),
        "turn": (-opened.cited[0] if opened.by_pass else opened.cited[0]) if opened.cited else None,
        "notices": [],
        **_citation(cited, opened),
    }
    volume = state.house().library.open(desk.session_id, link) if link is not None else None
    if link is None or volume is None:
        return {**data, "mode": "none", "modes": [], "notices": ["This source is not in the session any more."]}
    citation = cited[opened.cited[1] - 1] if opened.cited and cited else None
    if citation is not None and citation.source_digest not in (None, link.digest):
        data["notices"].append("This source was changed since: the words may stand elsewhere now, or be gone.")
    if opened.cited is None:
        data["where"] = _size(link, volume)
    data |= _look(desk, opened, link, volume, citation)
    if citation is not None and citation.status is Status.ALTERED and citation.text_span is not None:
        stands = volume.source.text[slice(*volume.reading.span_of_bytes(citation.text_span))]
        pieces = compared(citation.quote[:_MOST_QUOTE], stands[:_MOST_QUOTE])
        data["pieces"] = [(what, _one_line(words)) for what, words in pieces or ()]
    return data


def _look(
    desk: Beside, opened: state.Opened, link: SourceLink, volume: Volume, citation: Citation | None
) -> dict[str, Any]:
    """The page, the picture or the rows, by what suits the source where nothing was chosen."""
    modes = _modes(link)
    seen = _picture(desk.pictures, opened, link, citation)
    mode = opened.mode if opened.mode in modes else modes[0]
    if not opened.mode and citation is not None and citation.image is None and citation.page is None:
        mode = "text" if "text" in modes else mode
    if opened.words and "text" in modes:
        mode = "text"
    found = {"mode": mode, "modes": modes if len(modes) > 1 else []}
    if mode == "text":
        return {**found, **_rows(opened, volume, citation)}
    drawn = _page(opened, link, volume, citation) if mode == "page" else _figure(desk, volume, citation, seen)
    if isinstance(drawn, str) and "text" in modes:
        return {**found, "mode": "text", **_rows(opened, volume, citation), "notices": [drawn]}
    return {**found, **({"mode": "none", "notices": [drawn]} if isinstance(drawn, str) else drawn)}


def _modes(link: SourceLink) -> list[str]:
    if link.kind == "pdf":
        return ["page", "text"]
    if link.kind == "image":
        return ["picture"]
    return ["text", "picture"] if link.pictures else ["text"]


def _cited(turns: Sequence[Turn], opened: state.Opened) -> tuple[Citation, ...]:
    """The citations among which one stands open: those of an answer, or of what the slices gave to it."""
    cited = opened.cited
    turn = next((each for each in turns if cited and each.id == cited[0]), None)
    if turn is None or cited is None:
        return ()
    citations = gift_of(given(turn.receipt)).citations if opened.by_pass else numbered(turn.citations)
    return citations if 0 < cited[1] <= len(citations) else ()


def _citation(cited: Sequence[Citation], opened: state.Opened) -> dict[str, Any]:
    """What is said of the citation, and the way to those before and behind it that have a place."""
    if not cited or opened.cited is None:
        return {}
    number = opened.cited[1]
    citation = cited[number - 1]
    places = [(at, each.path) for at, each in enumerate(cited, 1) if each.path is not None]
    before = [each for each in places if each[0] < number]
    behind = [each for each in places if each[0] > number]
    place = shown(place_of(citation)).removeprefix(shown(citation.path or ""))
    where = f"{'lines' if '–' in place else 'line'} {place[1:]}" if place.startswith(":") else place.lstrip(", ")
    return {
        "number": number,
        "of": len(cited),
        "status": citation.status.value,
        "standing": standing_of(citation),
        "where": where,
        "facts": " · ".join(_facts(citation)),
        "previous": before[-1] if before else None,
        "next": behind[0] if behind else None,
    }


def _facts(citation: Citation) -> list[str]:
    """How a quote came about: what it is worth is another matter."""
    facts = ["copied: the model could write no other words"] if citation.held else []
    if citation.logprob is not None:
        facts.append(f"lowest log-probability of a token: {citation.logprob:.2f}")
    return facts


def _size(link: SourceLink, volume: Volume) -> str:
    if link.n_pages:
        return f"{link.n_pages:,} {'page' if link.n_pages == 1 else 'pages'}"
    if link.kind == "image":
        return ""
    n_lines = volume.reading.n_lines
    return f"{n_lines:,} {'line' if n_lines == 1 else 'lines'}"


def _rows(opened: state.Opened, volume: Volume, citation: Citation | None) -> dict[str, Any]:
    """The rows that are looked at, with what is lit and what was found."""
    reading, marks = volume.reading, []
    lit = _lit(volume, citation)
    looked_at = lit or (volume.page_span(opened.page) if opened.page else (0, 0))
    if lit is not None:
        marks.append((*lit, "lit"))
    if opened.line is not None:
        looked_at = reading.span_of_lines((opened.line, opened.line))
        marks.append((looked_at[0], looked_at[1] + 1, "here"))
    hits = state.house().library.find(volume, opened.words)
    hit = min(opened.hit, len(hits) - 1)
    if hits:
        looked_at = (hits[hit], hits[hit] + len(opened.words))
    if opened.start is not None:
        excerpt = reading.at(min(opened.start, max(0, len(reading.text) - 1)))
    else:
        excerpt = reading.around(looked_at)
    first, end = excerpt.rows[0].start, excerpt.end
    for at, start in enumerate(hits):
        if first <= start < end:
            marks.append((start, start + len(opened.words), "hit now" if at == hit else "hit"))
    rows = _drawn(volume, excerpt, marks, citation)
    return {
        "rows": rows,
        "before": reading.before(excerpt).rows[0].start if first else None,
        "after": reading.after(excerpt).rows[0].start if end < len(reading.text) else None,
        "total": reading.n_lines,
        "parts": _parts(volume, excerpt),
        "found": {"words": opened.words, "n": len(hits), "at": hit} if opened.words else None,
        "target": "now" if hits else "here" if opened.line is not None else "lit" if lit else "page",
        "at": looked_at[0],
    }


def _parts(volume: Volume, excerpt: Excerpt) -> list[tuple[int, str]]:
    """What the model knows places by, pages and cells, each with its first character, as far as they are shown."""
    parts = [(at, f"page {number:,}") for number, at in enumerate(volume.source.page_starts, 1)]
    if volume.source.kind == "notebook":
        parts = [(at, f"cell {number:,}") for number, at in _cells(volume)]
    behind = bisect_right(parts, excerpt.rows[0].start, key=lambda part: part[0])
    return [part for part in parts[max(0, behind - 1) :] if part[0] < excerpt.end]


def _cells(volume: Volume) -> list[tuple[int, int]]:
    """The number of each cell of a notebook, and its first character."""
    return [(int(mark[1]), mark.start(1) - len("[cell ")) for mark in _CELL_MARK.finditer(volume.source.text)]


def _lit(volume: Volume, citation: Citation | None) -> tuple[int, int] | None:
    """The characters that are cited."""
    if citation is None:
        return None
    if citation.text_span is not None:
        lit = volume.reading.span_of_bytes(citation.text_span)
        words = volume.source.text[slice(*lit)]
        same = citation.source_digest in (None, volume.source.digest)
        if same or words.split() == citation.quote.split():
            return lit
    if citation.quote and (start := volume.source.text.find(citation.quote)) >= 0:  # the source was changed
        return start, start + len(citation.quote)
    if citation.lines is not None and citation.source_digest in (None, volume.source.digest):
        return volume.reading.span_of_lines(citation.lines)
    return None


def _drawn(
    volume: Volume, excerpt: Excerpt, marks: list[tuple[int, int, str]], citation: Citation | None
) -> list[tuple[int, int, int, list[Any], str]]:
    """Each row's line, piece, first character and runs. Of a notebook, the rows of the cited cell are marked, too."""
    colours = state.house().library.colours(volume, excerpt)
    cell = _cell(volume, citation)
    rows = []
    for row in excerpt.rows:
        end = row.start + len(row.text)
        acting = [(row.start + sign.start(), row.start + sign.end(), "acting") for sign in ACTING.finditer(row.text)]
        near = [one for one in marks if one[0] <= end and one[1] > row.start]
        runs = pieces_of(row, colours, [*near, *acting])
        names = {one[2].split()[0] for one in near} & {"lit", "here"}
        if cell and cell[0] <= row.start < cell[1]:
            names.add("cell")
        rows.append((row.line, row.piece, row.start, runs, " ".join(sorted(names))))
    return rows


def _cell(volume: Volume, citation: Citation | None) -> tuple[int, int] | None:
    """Characters of the notebook's cell that is cited, its output included."""
    if citation is None or citation.cell is None or volume.source.kind != "notebook":
        return None
    lit = _lit(volume, citation)
    marks = _cells(volume)
    starts = [at for number, at in marks if number == citation.cell and (lit is None or at <= lit[0])]
    if not starts:
        return None
    return starts[-1], next((at for number, at in marks if number > citation.cell and at > starts[-1]), 1 << 60)


def _page(opened: state.Opened, link: SourceLink, volume: Volume, citation: Citation | None) -> dict[str, Any] | str:
    cited = citation.page if citation is not None else None
    n_pages = link.n_pages or 1
    number = min(opened.page or cited or 1, n_pages)
    what = f"page {number} {(citation.box, citation.boxes) if citation else None} {cited}"
    drawn: dict[str, Any] | str = state.house().library.drawn(
        volume, what, lambda: page_of(volume.source, number, n_pages, citation)
    )
    return drawn


def _figure(
    desk: Beside, volume: Volume, citation: Citation | None, found: tuple[int, Seen] | None
) -> dict[str, Any] | str:
    """A picture, what it costs, and which of the source's pictures it is."""
    if found is None:
        return "This source has no picture that could be shown."
    at, seen = found
    its_own = citation if citation is not None and citation.image in (None, seen.number) else None
    drawn = figure_of(volume.source, seen.page, seen.view, desk.about.tile_tokens if desk.about else 0, its_own)
    if isinstance(drawn, str):
        return drawn
    about = {"cost": cost_of(seen, desk.about), "name": f"Image {seen.number}" if seen.number else ""}
    return {**drawn, **about, "page": {"number": at + 1, "of": len(seen.link.pictures)}}


def _picture(
    pictures: Sequence[Seen], opened: state.Opened, link: SourceLink, citation: Citation | None
) -> tuple[int, Seen] | None:
    """The picture of the source that is looked at, and which of its pictures it is."""
    own = [each for each in pictures if each.link.path == link.path]
    wanted = citation.image if citation is not None and opened.page is None else None
    page = opened.page or (citation.page if citation is not None else None)
    for at, seen in enumerate(own):
        if (wanted is not None and seen.number == wanted) or (wanted is None and page == at + 1):
            return at, seen
    return (0, own[0]) if own else None


def _one_line(words: str) -> str:
    """Words between others: blanks at their ends stay."""
    inside = shown(words)
    left, right = (" " if words[:1].isspace() else ""), (" " if words[-1:].isspace() and words.strip() else "")
    return f"{left}{inside}{right}"
