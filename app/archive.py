"""Archive: the sessions of a home, for whoever wants to read them and nothing else.

What Desk says of them, from the same store, without importing what Desk needs for reading, counting and asking.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.session_settings import SessionSettings, settings_of
from app.settings import Settings, read_settings
from storage.records import Hit, Session, SessionRecord, SessionSummary
from storage.store import Store


class Archive:
    """What is kept, over one home. Each method is the one of Desk that has its name."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def sessions(self) -> tuple[SessionSummary, ...]:
        """All of them, the newest update first."""
        return self._store.sessions.list()

    def search(self, text: str) -> tuple[Hit, ...]:
        """Where these words occur in titles, questions and answers."""
        return self._store.search(text)

    def record(self, session_id: str) -> SessionRecord:
        """All of a session, its sources' contents too. Raises UsageError without such a session."""
        return self._store.record(session_id)

    def rename(self, session_id: str, title: str) -> Session:
        """Gives a session another title. Raises UsageError for an empty one, and as record does."""
        return self._store.sessions.rename(session_id, title)

    def settings_of(self, session: Session) -> SessionSettings:
        """What a session was begun with or changed to."""
        return settings_of(session, self._settings)


@contextmanager
def open_archive() -> Iterator[Archive]:
    """That of the user's home. Raises as read_settings and Store do."""
    settings = read_settings()
    with closing(Store(settings.home)) as store:
        yield Archive(store, settings)
