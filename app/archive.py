"""Archive: the sessions of a home, for whoever wants to read them and nothing else.

Desk is one too. By itself it needs nothing of what Desk imports for reading, counting and asking.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from threading import Lock

from app.session_settings import SessionSettings, settings_of
from app.settings import Settings, read_settings
from storage.records import Hit, Session, SessionOverview, SessionRecord, SessionSource, SessionSummary, Turn
from storage.store import Store


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

    def rename(self, session_id: str, title: str) -> Session:
        """Gives a session another title. Raises UsageError for an empty one, and as session does."""
        return self._store.sessions.rename(session_id, title)

    def draft(self, session_id: str) -> str:
        """What was typed in a session and not asked yet; '' for nothing, and without such a session."""
        return self._store.sessions.draft(session_id)

    def keep_draft(self, session_id: str, text: str) -> None:
        """Keeps it, in place of the one before."""
        self._store.sessions.keep_draft(session_id, text)

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
