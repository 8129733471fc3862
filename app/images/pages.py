"""Which pages of a session's PDFs and TIFFs are sent as images: the choice that the session keeps, and the files that
pages are drawn from. What a choice means is left to engine.corpus.rules."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.settings import Settings
from engine.corpus.choice import refuse_absent
from engine.corpus.page import open_pages
from engine.corpus.redrawing import losses, redraw
from engine.corpus.rules import Rules
from engine.corpus.source import PDF, Corpus, KeptFile, Kind, Skipped, Source
from storage.sessions import Session
from storage.sources import SessionSource, SourceLink
from storage.store import Store

_DRAW_PAGES, _EMPTIED = "draw_pages", "without_pages"  # the session settings: the choice, and whom it left nothing of


def pages_of(session: Session | None, settings: Settings) -> str:
    """The session's own choice, as Rules.draw_pages has it; that of the settings where it has none."""
    kept = session.settings.get(_DRAW_PAGES) if session is not None else None
    return kept if isinstance(kept, str) else settings.draw_pages


def chosen(draw_pages: str) -> Mapping[str, Any]:
    """The session setting that says so."""
    return {_DRAW_PAGES: draw_pages}


def emptied_by(session: Session) -> frozenset[str]:
    """The paths of sources that the session's choice left nothing of."""
    return frozenset(session.settings.get(_EMPTIED, ()))


def choose(store: Store, session_id: str, draw_pages: str) -> tuple[str, ...]:
    """From now on, these pages of the session's PDFs and TIFFs are sent as images, as far as their files are there.

    What nothing is left of is sent no more, until a choice leaves something of it. Returns what is lost, in sentences.
    Raises as sessions.get does, and UsageError where no source has a page that is named.
    """
    session, rules = store.sessions.get(session_id), Rules(draw_pages=draw_pages)
    placed = store.sources.of(session.id)
    refuse_absent([at.source for at in placed], (), rules)
    drawn = [(at, _redrawn(at.source, rules)) for at in placed]
    changed = [new for at, new in drawn if isinstance(new, Source) and new != at.source]
    empty = {new.path for _, new in drawn if isinstance(new, Skipped)}
    before = emptied_by(session) & {at.source.path for at in placed}
    emptied = sorted(new.path for at, new in drawn if new.path in empty and (at.enabled or new.path in before))
    store.sources.put(session.id, changed, turn_index=0)
    store.sources.set_enabled(session.id, emptied, enabled=False)
    store.sources.set_enabled(session.id, before - empty, enabled=True)
    store.sessions.change(session.id, settings={**chosen(draw_pages), _EMPTIED: emptied})
    return tuple(sentence for at, new in drawn if at.enabled for sentence in losses(_source_of(at, new), new, rules))


def _source_of(at: SessionSource, new: Source | Skipped) -> Source:
    """What was redrawn: one whose file was read from the disk for that is not without one."""
    old = at.source
    return replace(old, kept_file=new.kept_file) if isinstance(new, Source) and old.kept_file is None else old


def _redrawn(source: Source, rules: Rules) -> Source | Skipped:
    """As it is with other pages; as it was where no file is there to draw them from."""
    if source.kind is not Kind.PDF or source.kept_file is not None:
        return redraw(source, rules)
    file = _file_on_disk(source)
    read = redraw(_with_file(source, file), rules) if file is not None else source
    # A file that was changed since would put another text in its place; one that is not drawn need not be kept.
    return read if isinstance(read, Source) and read.pictures and read.text == source.text else source


def _file_on_disk(source: Source) -> bytes | None:
    """The bytes of a PDF that was read from this machine, where it lies there still."""
    try:
        return Path(source.origin).read_bytes() if source.origin else None
    except OSError:  # gone, or inside a zip
        return None


def can_be_drawn(link: SourceLink) -> bool:
    """Whether there is a file to draw the pages of a source from."""
    return link.has_file or (link.origin is not None and Path(link.origin).is_file())


def with_files(corpus: Corpus, file_of: Callable[[str], Path | None]) -> Corpus:
    """The corpus with the bytes of those PDFs that no page was drawn of: an upload cannot be read again when another
    choice draws some. file_of: where the file of a source lies, by its path."""

    def kept() -> Iterator[Source]:
        for source in corpus.sources:
            file = file_of(source.path) if source.kind is Kind.PDF and source.kept_file is None else None
            yield _with_file(source, file.read_bytes()) if file is not None and file.is_file() else source

    return replace(corpus, sources=tuple(kept()))


def _with_file(source: Source, data: bytes) -> Source:
    """The source with a PDF that its pages can be drawn from; as it was where PDFium cannot open that."""
    pages = open_pages(source.path, data)
    if isinstance(pages, Skipped):
        return source
    with pages:
        can_be_drawn = any(size is not None for size in pages.sizes)
    return replace(source, kept_file=KeptFile(PDF, data, scalable=True)) if can_be_drawn else source
