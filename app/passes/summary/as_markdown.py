"""A summary as Markdown pages, each statement with a link to the lines that show it."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from app.passes.summary.diagram import diagram_of, mermaid
from app.passes.summary.document import Page, PartRecord, Section, Statement, Summary, stale_sentence
from engine.answer.citations import Citation
from engine.corpus.wording import counted

NOT_SHOWN = "no words were found that show this"
_LONGEST_QUOTE = 160
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp|www)([:.])")
_CODE = re.compile(r"(`[^`\n]+`)")

Places = Mapping[str, str]  # of sources, by path: where they lie, seen from the folder of the pages


def pages_as_markdown(summary: Summary, places: Places, stale: Mapping[str, Sequence[str]] = {}) -> dict[str, str]:
    """The texts of all files, by their path in the folder. stale: pages that are not of the sources as they are now,
    with what changed."""
    published = [page for page in summary.pages if page.is_published]
    texts = {f"{page.name}.md": _page(summary, page, places, stale.get(page.name, ())) for page in published}
    return {"index.md": _index(summary, places, stale), **texts}


def figures(summary: Summary) -> Iterator[str]:
    """How it was made, in sentences."""
    reading = summary.reading
    yield f"{reading.sentence}."
    yield (
        f"{counted(reading.n_tokens, 'token')} of sources; {reading.read_tokens:,} tokens read and "
        f"{reading.reused_tokens:,} reused in {counted(reading.n_calls, 'call')}, {reading.seconds:,.0f} s, with "
        f"{summary.model}."
    )
    if cut := reading.n_calls - reading.n_whole:
        yield f"{counted(cut, 'reply', 'replies')} reached the longest length: a last line was left out there."
    if summary.evidence:
        yield f"No words were looked for that show what these pages say: {summary.evidence}"
    if summary.left_out:
        yield summary.left_out


def text_of_place(citation: Citation) -> str:
    """ "src/core.py#L10-L20"; a PDF's page or a notebook's cell with it."""
    first, last = citation.lines or (0, 0)
    lines = "" if not first else f"#L{first}" if first == last else f"#L{first}-L{last}"
    page = f", page {citation.page}" if citation.page is not None else ""
    cell = f", cell {citation.cell}" if citation.cell is not None else ""
    return f"{citation.path or ''}{lines}{page}{cell}"


def address_of(citation: Citation, places: Places, folder: str) -> str | None:
    """Where a link from a page in `folder` leads; None where the source is no file beside it."""
    place = places.get(citation.path or "")
    if place is None:
        return None
    there = _quoted(_up(folder) + place)
    if PurePosixPath(citation.path or "").suffix.lower() == ".pdf":
        return f"{there}#page={citation.page}" if citation.page is not None else there
    first, last = citation.lines or (0, 0)
    return there if not first else f"{there}#L{first}" if first == last else f"{there}#L{first}-L{last}"


def _index(summary: Summary, places: Places, stale: Mapping[str, Sequence[str]]) -> str:
    lines = [f"# {_text(summary.title)}", ""]
    if summary.purpose:
        lines += [_text(summary.purpose), ""]
    if (purpose := summary.page("purpose")) is not None and purpose.is_published and purpose.sections:
        lines += [*_statements(summary, purpose.sections[0].statements[:5], places, ""), ""]
    lines += ["## Pages", ""]
    whole = [page for page in summary.pages if "/" not in page.name and page.is_published]
    lines += [f"- [{_text(page.title)}]({page.name}.md){_mark(page, stale)}" for page in whole]
    lines += ["", "## Parts", "", "| Part | What it is | Files | Tokens |", "|---|---|---:|---:|"]
    lines += [_row(summary, part, stale) for part in summary.parts]
    if missing := [page for page in summary.pages if not page.is_published]:
        lines += ["", "## Not published", ""]
        lines += [f"- {_text(page.title)}: {_text(page.why_not)}" for page in missing]
    lines += ["", "## How this was made", "", *(f"- {_text(each)}" for each in figures(summary))]
    if summary.skipped:
        lines += ["", f"## Not read ({len(summary.skipped):,})", ""]
        lines += [f"- {_text(path)}: {_text(reason)}" for path, reason in summary.skipped]
    return "\n".join(lines) + "\n"


def _row(summary: Summary, part: PartRecord, stale: Mapping[str, Sequence[str]]) -> str:
    page = summary.page(f"parts/{part.key}")
    label = _text(part.label)
    if page is not None and page.is_published:
        label = f"[{label}]({quote(page.name)}.md){_mark(page, stale)}"
    what = ". ".join(filter(None, (part.name, part.description)))
    return f"| {label} | {_text(what)} | {len(part.sources):,} | {part.n_tokens:,} |"


def _mark(page: Page, stale: Mapping[str, Sequence[str]]) -> str:
    return " (stale)" if page.name in stale else ""


def _page(summary: Summary, page: Page, places: Places, changed: Sequence[str]) -> str:
    folder = posixpath.dirname(page.name)
    lines = [f"# {_text(page.title)}", "", f"[{_text(summary.title)}]({_up(folder)}index.md)", ""]
    if changed:
        lines += [f"> {_text(stale_sentence(changed))}", ""]
    if summary.evidence:
        lines += [f"> No words were looked for that show what this page says: {_text(summary.evidence)}", ""]
    part = next((each for each in summary.parts if page.name == f"parts/{each.key}"), None)
    if part is not None:
        lines += [_text(". ".join(filter(None, (part.name, part.description)))), ""]
    if page.name == "map":
        lines += ["An arrow says that files of one part import files of another, and how many times.", ""]
        lines += ["```mermaid", mermaid(diagram_of(summary.parts)).rstrip("\n"), "```", ""]
    for section in page.sections:
        if section.heading:
            lines += [f"## {_heading(summary, section, folder, own=part)}", ""]
        lines += [*_statements(summary, section.statements, places, folder), ""]
    if part is not None:
        lines += ["## Files", "", *(f"- {_file(path, places, folder)}" for path in part.sources), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _heading(summary: Summary, section: Section, folder: str, *, own: PartRecord | None) -> str:
    page = summary.page(f"parts/{section.part}") if section.part and own is None else None
    if page is None or not page.is_published:
        return _text(section.heading)
    return f"[{_text(section.heading)}]({quote(_up(folder) + page.name)}.md)"


def _statements(summary: Summary, statements: Sequence[Statement], places: Places, folder: str) -> Iterator[str]:
    for each in statements:
        yield f"- {_text(each.text)}{_shown(summary, each, places, folder)}"


def _shown(summary: Summary, statement: Statement, places: Places, folder: str) -> str:
    citation = statement.citation
    if citation is None or not statement.is_shown:
        return "" if summary.evidence else f" *({NOT_SHOWN})*"
    place, address = _text(text_of_place(citation)), address_of(citation, places, folder)
    link = f"[{place}]({address})" if address is not None else place
    words = " ".join(citation.quote.split())
    words = words if len(words) <= _LONGEST_QUOTE else words[: _LONGEST_QUOTE - 1] + "\u2026"
    return f"  \n  {link}: \u201c{_text(words)}\u201d"


def _file(path: str, places: Places, folder: str) -> str:
    place = places.get(path)
    return f"[{_text(path)}]({_quoted(_up(folder) + place)})" if place is not None else _text(path)


def _up(folder: str) -> str:
    """From a page's folder to that of all pages."""
    return "../" * len(folder.split("/")) if folder else ""


def _quoted(path: str) -> str:
    """A path as an address, also one that is no UTF-8."""
    return quote(path, safe="/.-_~+@=,", errors="surrogateescape")


def _text(text: str) -> str:
    """Text as it stands, but for code between backticks; nothing in it is a link, an image or HTML."""
    line = " ".join(text.split())
    parts = _CODE.split(line) if line.count("`") % 2 == 0 else [line]
    return "".join(part if _CODE.fullmatch(part) and "|" not in part else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    """An address that stands in it stays text, too: some Markdown makes links of them, and some does not."""
    return _ADDRESS.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text))
