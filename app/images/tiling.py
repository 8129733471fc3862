"""How many tiles an image of a session has at most: a session keeps what it was begun with, until it is changed."""

from collections.abc import Mapping
from typing import Any

from app.settings import Settings
from engine.tokens.tiles import MOST_TILES
from storage.sessions import Session

_MAX_TILES = "max_tiles"  # the session setting


def begun_with(settings: Settings) -> Mapping[str, Any]:
    """What a new session keeps of it, so that its images stay as they were read whatever is set later."""
    return limit(settings.max_tiles)


def limit(max_tiles: int) -> Mapping[str, Any]:
    """The session setting that says so."""
    return {_MAX_TILES: max_tiles}


def max_tiles_of(session: Session | None, settings: Settings) -> int:
    """The session's own limit; that of the settings for a session that is not begun, or is older than the limit."""
    kept = session.settings.get(_MAX_TILES) if session is not None else None
    return kept if isinstance(kept, int) and 1 <= kept <= MOST_TILES else settings.max_tiles
