"""Archive: the sessions of a home, for whoever wants to read them, or change what they send, and nothing else.

Desk is one too. By itself it needs nothing of what Desk imports for reading, counting and asking.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from app.session_settings import SessionSettings, settings_of
from app.settings import Settings, read_settings
from app.templates.shelf import Shelf
from engine.errors import LongdeskError, UsageError
from storage.records import Hit, KeptNote, Session, SessionOverview, SessionRecord, SessionSource, SessionSummary, Turn
from storage.store import Store

if TYPE_CHECKING:
    from app.passes.summary.document import Summary
    from engine.backend import Advice
    from storage.notes import Pruned


@dataclass(frozen=True, slots=True)
class Imported:
    """The session of an export. is_new: whether it was not there before. has_its_id: whether its id is the export's."""

    session: Session
    is_new: bool
    has_its_id: bool

    @property
    def sentence(self) -> str:
        """What became of it."""
        if not self.is_new:
            return f"Session {self.session.id} is here already, with all of it. Nothing was changed."
        told = f"Imported as session {self.session.id}."
        return told if self.has_its_id else f"{told} Another session here has the id of the export."


class Archive:
    """What is kept, over one home; it is opened when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opening = Lock()
        self._summary: tuple[str, str, Summary | None] | None = None

    @property
    def templates(self) -> Shelf:
        """The ready-made questions: ours, and the user's own below the home."""
        return Shelf(self.settings.home / "templates")

    def sessions(self) -> tuple[SessionSummary, ...]:
        """All of them, the newest update first."""
        return self._store.sessions.list()

    def search(self, text: str) -> tuple[Hit, ...]:
        """Where these words occur in titles, questions and answers."""
        return self._store.search(text)

    def session(self, session_id: str) -> SessionOverview:
        """A session, its turns and what its sources are. Raises UsageError without such a session."""
        return self._store.overview(session_id)

    def record(self, session_id: str) -> SessionRecord:
        """All of a session, its sources' contents too. Raises UsageError without such a session."""
        return self._store.record(session_id)

    def turns(self, session_id: str) -> tuple[Turn, ...]:
        """The turns of a session's current branch, as far as they have come. Raises as session does."""
        return self._store.turns.of(session_id)

    def cost(self, session_id: str) -> dict[str, Any] | None:
        """What the turns of all its branches have cost, see session_cost; None where nothing was paid for."""
        from app.export import session_cost  # with what an engine says, which no list needs

        return session_cost(self._store.turns.all(session_id))

    def turns_before(self, session_id: str, index: int) -> tuple[Turn, ...]:
        """The turns that lead to this one, on whichever branch. Raises as session does, and without such a turn."""
        return self._store.turns.of(session_id, before=index)

    def choose_branch(self, session_id: str, index: int) -> None:
        """Goes back to the branch of this turn: it is shown, and the next question goes on from its end.

        Raises as turns_before does, SessionBusy while an answer runs.
        """
        self._store.turns.choose(session_id, index)

    def source(self, session_id: str, path: str) -> SessionSource | None:
        """One source with what it holds; None where the session has none of this path."""
        return self._store.sources.one(session_id, path)

    def summary(self, session_id: str) -> "Summary | None":
        """The summary of a session's sources as it was made last; None where there is none. Raises as session does."""
        from app.passes.summary.document import summary_from

        whole = self._store.sessions.get(session_id).id
        key = f"summary {whole}"
        if (stamp := self._store.notes.stamp(key)) is None:
            return None
        known = self._summary  # of the one that was asked for last: a page asks again and again
        if known is None or known[:2] != (key, stamp):
            kept, found = self._store.notes.get(key), None
            with suppress(KeyError, TypeError, ValueError):  # of another version
                found = summary_from(kept) if kept is not None else None
            known = self._summary = (key, stamp, found)
        return known[2]

    def prune_notes(self, *, older_than: timedelta | None = None, to_bytes: int | None = None) -> "Pruned":
        """Takes away what passes found and nobody used for so long, then until to_bytes are left."""
        since = None if older_than is None else f"{datetime.now(UTC) - older_than:%Y-%m-%dT%H:%M:%S}"
        return self._store.notes.prune(older_than=since, to_bytes=to_bytes)

    def digests(self, session_id: str) -> dict[str, str]:
        """Of the sources that a session sends, by path."""
        return {link.path: link.digest for link in self._store.sources.links(session_id) if link.enabled}

    def origins(self, session_id: str) -> dict[str, str]:
        """Where a session's sources lie on this machine, by path, as far as that is known."""
        return {link.path: link.origin for link in self._store.sources.links(session_id) if link.origin is not None}

    def rename(self, session_id: str, title: str) -> Session:
        """Gives a session another title. Raises UsageError for an empty one, and as session does."""
        return self._store.sessions.rename(session_id, title)

    def fork(self, session_id: str, last: int) -> Session:
        """A copy of a session with its sources and its last questions, so many, without those before: a session of its
        own. Raises as session does, and UsageError where nothing would be left behind."""
        from app.forking import fork_of

        return self._store.put(fork_of(self.record(session_id), last))

    def full_disk(self) -> LongdeskError | None:
        """What there is to say where the disk of the home is full; None where there is room for a change."""
        return self._store.full_disk()

    def draft(self, session_id: str) -> str:
        """What was typed in a session and not asked yet; '' for nothing, and without such a session."""
        return self._store.sessions.draft(session_id)

    def keep_draft(self, session_id: str, text: str) -> None:
        """Keeps it, in place of the one before."""
        self._store.sessions.keep_draft(session_id, text)

    def keep_note(self, session_id: str, index: int, *, words: str | None = None, title: str = "") -> KeptNote:
        """Keeps the answer of this turn, or words of it, as a note of the session, with their citations. title: that of
        the note, its beginning where it is "". Raises as turns_before does, and UsageError for nothing to keep."""
        from app.noting import piece_of, title_of_note

        text, citations = piece_of(self._store.turns.one(session_id, index), words)
        title = title_of_note(title, text)
        return self._store.kept_notes.add(session_id, title=title, text=text, turn_index=index, citations=citations)

    def kept_notes(self, session_id: str) -> tuple[KeptNote, ...]:
        """A session's notes. Raises as session does."""
        return self._store.kept_notes.of(session_id)

    def kept_note(self, session_id: str, number: int) -> KeptNote:
        """One of them. Raises as session does, and UsageError without it."""
        return self._store.kept_notes.one(session_id, number)

    def note_as_source(self, session_id: str, number: int) -> Any:
        """A note as the source that it is sent as. Raises as kept_note does."""
        from app.noting import source_of

        return source_of(self.kept_note(session_id, number), self._store.sources.links(session_id))

    def rename_note(self, session_id: str, number: int, title: str) -> KeptNote:
        """Gives a note another title. Raises UsageError for an empty one, and as kept_note does."""
        if not (title := " ".join(title.split())):
            raise UsageError("A title cannot be empty.", "Give it a word.")
        return self._store.kept_notes.rename(session_id, number, title)

    def delete_note(self, session_id: str, number: int) -> None:
        """Takes a note away; a source that it was sent as stays. Raises as kept_note does."""
        self._store.kept_notes.delete(session_id, number)

    def export(self, session_id: str, layout: str = "json", *, with_sources: bool = True) -> bytes:
        """A session as a file: "json", to be imported again, "md" or "html"; its tables, "csv". Raises as session does.

        with_sources: with what they hold; without, JSON cannot be imported, and HTML has no images.
        """
        if layout == "json":
            from app.exchange.document import to_bytes  # here and below: no list of sessions needs these

            return to_bytes(self._document(session_id, with_sources=with_sources))
        if layout == "csv":
            return self.tables(session_id)
        if layout == "html":
            from app.exchange.page import session_page
            from app.images.jpegs import draw

            return session_page(self.record(session_id), draw=draw if with_sources else None)
        from app.export import session_markdown

        return f"{session_markdown(self.record(session_id))}\n".encode("utf-8", "replace")

    def tables(self, session_id: str, index: int | None = None, layout: str = "csv", *, marked: bool = False) -> bytes:
        """The tables of this turn's answer as a file, of all answers of the current branch without one: "csv", "md" or
        "json", each cell with where it stands in the sources. marked: CSV with a mark that tells spreadsheets its
        encoding. Raises as turns_before does, and UsageError where there are none."""
        from app.exchange.tables import tables_as

        return tables_as(layout, self.record(session_id), index).encode("utf-8-sig" if marked else "utf-8", "replace")

    def take_in(self, data: bytes) -> Imported:
        """Stores the session of an export: all of it, or nothing. The one that is there already, with all that the
        export holds, is left alone; where another has its id, or it is none, it is given a new one.

        Raises InputRefused for what is no export.
        """
        from app.exchange.document import export_document, to_bytes
        from app.exchange.reading import read_export

        record = read_export(data)
        id = record.session.id
        with suppress(UsageError):  # there is none of this id
            max_tiles = self.settings_of(record.session).max_tiles
            if to_bytes(self._document(id)) == to_bytes(export_document(record, max_tiles=max_tiles)):
                return Imported(self._store.sessions.get(id), is_new=False, has_its_id=True)
        session = self._store.put(record)
        return Imported(session, is_new=True, has_its_id=session.id == id)

    def _document(self, session_id: str, *, with_sources: bool = True) -> dict[str, Any]:
        from app.exchange.document import export_document

        record = self.record(session_id)
        max_tiles = self.settings_of(record.session).max_tiles
        return export_document(record, max_tiles=max_tiles, with_sources=with_sources)

    def send(self, session_id: str, paths: Sequence[str], *, enabled: bool) -> None:
        """From now on, these sources are sent, or are not."""
        self._store.sources.set_enabled(session_id, paths, enabled=enabled)

    def leave_out(self, session_id: str, exclude: tuple[str, ...]) -> tuple[str, ...]:
        """Stops sending a session's sources that these globs match; their paths. Raises as session does."""
        from engine.corpus.walk.folder_walk import excludes

        whole = self._store.sessions.get(session_id).id
        matched = tuple(
            link.path for link in self._store.sources.links(whole) if link.enabled and excludes(exclude, link.path)
        )
        self.send(whole, matched, enabled=False)
        return matched

    def limit_tiles(self, session_id: str, max_tiles: int) -> None:
        """From now on, images of this session are scaled down to that many tiles. Raises as session does."""
        own = replace(self.settings_of(self._store.sessions.get(session_id)), max_tiles=max_tiles)
        self._store.sessions.change(session_id, settings=own.to_json("max_tiles"))

    def draw_pages(self, session_id: str, draw_pages: str) -> tuple[str, ...]:
        """From now on, these pages of this session's PDFs and TIFFs are sent as images: see page_choice.choose.

        What nothing is left of is sent no more; what is lost is told in sentences. Raises as session does, and
        UsageError where no source has such a page.
        """
        from app.images.page_choice import choose

        return choose(self._store, self.settings, session_id, draw_pages)

    def read_in_passes(self, session_id: str, on: bool, *, pass_tokens: int | None = None) -> None:
        """From now on, this session's questions read its sources slice by slice, or all at once: see app.passes.
        pass_tokens: the most that one pass reads, None for as much as fits. Raises as session does."""
        own = replace(
            self.settings_of(self._store.sessions.get(session_id)),
            in_passes=on,
            pass_tokens=pass_tokens if on else None,
        )
        self._store.sessions.change(session_id, settings=own.to_json("in_passes"))

    def follow(self, session_id: str, advice: "Advice") -> None:
        """Does to a session what an advice says of its sources. Raises as session does."""
        if advice.max_tiles is not None:
            self.limit_tiles(session_id, advice.max_tiles)
        if advice.draw_pages is not None:
            self.draw_pages(session_id, advice.draw_pages)
        self.send(session_id, advice.leave_out, enabled=False)

    def settings_of(self, session: Session | None) -> SessionSettings:
        """What a session was begun with or changed to; None for one that is not begun."""
        return settings_of(session, self.settings)

    def close(self) -> None:
        """Closes the store."""
        if "_opened_store" in self.__dict__:
            self._opened_store.close()

    @property
    def _store(self) -> Store:
        with self._opening:
            return self._opened_store

    @cached_property
    def _opened_store(self) -> Store:
        return Store(self.settings.home)


@contextmanager
def open_archive() -> Iterator[Archive]:
    """That of the user's home. Raises as read_settings and Store do."""
    with closing(Archive(read_settings())) as archive:
        yield archive
