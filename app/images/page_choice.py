"""Which pages of a session's PDFs and TIFFs are sent as images: the choice that the session keeps, and the files that
pages are drawn from. What a choice means is left to engine.corpus.rules."""

from dataclasses import replace

from app.session_settings import settings_of
from app.settings import Settings
from engine.backend import Skipped, Source
from engine.corpus.formats.reader import redraw, refuse_absent
from engine.corpus.rules import BARE_PAGES, DEFAULT_RULES, Rules
from engine.corpus.walk.held import lies_there, read_as_it_lay
from storage.records import SessionSource, SourceLink
from storage.sources import Arrived
from storage.store import Store


def choose(store: Store, settings: Settings, session_id: str, draw_pages: str) -> tuple[str, ...]:
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
    own = settings_of(session, settings)
    before = own.emptied & {at.source.path for at in placed}
    emptied = sorted(new.path for at, new in drawn if new.path in empty and (at.enabled or new.path in before))
    own = replace(own, draw_pages=draw_pages, emptied=frozenset(emptied))
    redrawn = Arrived(turn_index=0, sources=changed, left_out=emptied, sent_again=sorted(before - empty))
    store.take_in(session.id, redrawn, settings=own.to_json("draw_pages", "emptied"))
    return tuple(sentence for at, new in drawn if at.enabled for sentence in _losses(_source_of(at, new), new, rules))


def _source_of(at: SessionSource, new: Source | Skipped) -> Source:
    """What was redrawn: one whose file was read from the disk for that is not without one."""
    old = at.source
    return replace(old, kept_file=new.kept_file) if isinstance(new, Source) and old.kept_file is None else old


def _redrawn(source: Source, rules: Rules) -> Source | Skipped:
    """As it is with other pages; as it was where no file is there to draw them from."""
    if source.kept_file is not None:
        return redraw(source, rules)
    file = _file_on_disk(source) if source.n_pages else None
    read = redraw(source, rules, data=file) if file is not None else source
    # A file that was changed since would put another text in its place; one that is not drawn need not be kept.
    return read if isinstance(read, Source) and read.pictures and read.text == source.text else source


def _file_on_disk(source: Source) -> bytes | None:
    """The bytes of a file that was read from this machine, where it lies there still: not behind a link, and no larger
    than what is read. None of one that is gone, or inside a zip."""
    return read_as_it_lay(source.origin, DEFAULT_RULES.max_file_bytes) if source.origin else None


def _losses(old: Source, new: Source | Skipped, rules: Rules) -> tuple[str, ...]:
    """Sentences on what of a source is not sent now that it was redrawn, or could not be drawn."""
    if isinstance(new, Skipped):
        return (f"{old.path} is not sent any more: {new.reason}.",)
    if old.n_pages and old.kept_file is None and rules.draw_pages != BARE_PAGES:
        return (f"{old.path} is sent as text alone: its file was not kept. Give it again to have its pages drawn.",)
    return tuple(f"{old.path}: {note}" for note in new.notes if note not in old.notes)


def can_be_drawn(link: SourceLink) -> bool:
    """Whether there is a file to draw the pages of a source from."""
    return link.has_file or (link.origin is not None and lies_there(link.origin))
