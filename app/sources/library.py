"""Sources that are opened to be read on the page: a few are kept, so that turning a leaf does not read them again."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from time import monotonic
from typing import Any

from app.sources.colouring import Colour, Colourist
from app.sources.excerpts import Excerpt, Reading
from engine.corpus.source import Source
from storage.records import SessionSource, SourceLink

_KEPT = 4  # each of them may be 64 MB of text
_RETRY_S = 30.0
_LARGE = 8 << 20  # characters: of such, one is kept


@dataclass(frozen=True, slots=True)
class Volume:
    """A source with its text opened."""

    source: Source = field(repr=False)
    reading: Reading

    def page_span(self, number: int) -> tuple[int, int]:
        """Characters of a page, from 1."""
        starts = (*self.source.page_starts, len(self.source.text))
        number = min(max(1, number), max(1, len(starts) - 1))
        return (starts[number - 1], starts[number]) if len(starts) > 1 else (0, len(self.source.text))


class Library:
    """Opens sources and colours them. Safe to use from several threads. To be closed."""

    def __init__(self, source: Callable[[str, str], SessionSource | None]) -> None:
        """source: gives one of a session, by the session's id and its path."""
        self._source = source
        self._volumes: OrderedDict[tuple[str, str, str], Volume] = OrderedDict()
        self._found: OrderedDict[tuple[str, str], tuple[int, ...]] = OrderedDict()
        self._drawn: OrderedDict[tuple[str, str], tuple[Any, float]] = OrderedDict()
        self._lock = Lock()
        self._colourist = Colourist()

    def open(self, session_id: str, link: SourceLink) -> Volume | None:
        """A source of a session; None where it is not there any more."""
        key = (session_id, link.path, link.digest)
        with self._lock:
            if key not in self._volumes:
                placed = self._source(session_id, link.path)
                if placed is None:
                    return None
                self._volumes[key] = Volume(placed.source, Reading(placed.source.text))
                n_kept = 1 if any(len(each.source.text) > _LARGE for each in self._volumes.values()) else _KEPT
                while len(self._volumes) > n_kept:
                    self._volumes.popitem(last=False)
            self._volumes.move_to_end(key)
            return self._volumes[key]

    def find(self, volume: Volume, words: str) -> tuple[int, ...]:
        """Where words stand in a source, as Reading.find says."""
        key = (volume.source.digest, words)
        with self._lock:
            if key not in self._found:
                self._found[key] = volume.reading.find(words)
                while len(self._found) > _KEPT:
                    self._found.popitem(last=False)
            return self._found[key]

    def colours(self, volume: Volume, excerpt: Excerpt) -> tuple[Colour, ...]:
        """The syntax colours of rows; none where no language is known for the source."""
        source, start = volume.source, excerpt.rows[0].start
        return self._colourist.colours(source.digest, source.path, source.kind, source.text, start, excerpt.end)

    def drawn(self, volume: Volume, what: str, make: Callable[[], Any]) -> Any:
        """What was drawn of a source, made where it is not kept: a page is drawn once, however often it is shown. A str
        says why it could not be; that is tried again in a while."""
        key = (f"{volume.source.path} {volume.source.digest}", what)
        with self._lock:
            made, until = self._drawn.get(key, (None, 0.0))
            if monotonic() < until:
                return made
        made = make()
        with self._lock:
            # a sentence says why it could not be drawn now: memory, say, may be there in a while
            self._drawn[key] = made, monotonic() + _RETRY_S if isinstance(made, str) else inf
            while len(self._drawn) > _KEPT:
                self._drawn.popitem(last=False)
        return made

    def close(self) -> None:
        self._colourist.close()
