"""Archive: the sessions of a home, for whoever wants to read them and nothing else.

Desk is one too. By itself it needs nothing of what Desk imports for reading, counting and asking.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from app.session_settings import SessionSettings, settings_of
from app.settings import Settings, read_settings
from engine.errors import UsageError
from storage.records import Hit, Session, SessionOverview, SessionRecord, SessionSource, SessionSummary, Turn
from storage.store import Store

if TYPE_CHECKING:
    from app.passes.summary.document import Summary


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
        kept = self._store.notes.get(f"summary {whole}")
        with suppress(KeyError, TypeError, ValueError):  # of another version
            return summary_from(kept) if kept is not None else None
        return None

    def digests(self, session_id: str) -> dict[str, str]:
        """Of the sources that a session sends, by path."""
        return {link.path: link.digest for link in self._store.sources.links(session_id) if link.enabled}

    def origins(self, session_id: str) -> dict[str, str]:
        """Where a session's sources lie on this machine, by path, as far as that is known."""
        return {link.path: link.origin for link in self._store.sources.links(session_id) if link.origin is not None}

    def rename(self, session_id: str, title: str) -> Session:
        """Gives a session another title. Raises UsageError for an empty one, and as session does."""
        return self._store.sessions.rename(session_id, title)

    def draft(self, session_id: str) -> str:
        """What was typed in a session and not asked yet; '' for nothing, and without such a session."""
        return self._store.sessions.draft(session_id)

    def keep_draft(self, session_id: str, text: str) -> None:
        """Keeps it, in place of the one before."""
        self._store.sessions.keep_draft(session_id, text)

    def export(self, session_id: str, layout: str = "json", *, with_sources: bool = True) -> bytes:
        """A session as a file: "json", to be imported again, "md" or "html". Raises as session does.

        with_sources: with what they hold; without, JSON cannot be imported, and HTML has no images.
        """
        if layout == "json":
            from app.exchange.document import to_bytes  # here and below: no list of sessions needs these

            return to_bytes(self._document(session_id, with_sources=with_sources))
        if layout == "html":
            from app.exchange.page import session_page
            from app.images.jpegs import draw

            return session_page(self.record(session_id), draw=draw if with_sources else None)
        from app.export import session_markdown

        return f"{session_markdown(self.record(session_id))}\n".encode("utf-8", "replace")

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
