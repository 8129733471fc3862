"""Small pictures of sources, drawn once in this process and kept by content. Where they stand is left to the page."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from app.images.drawing import Drawing, draw
from storage.records import SessionSource

_LONGEST = 96  # pixels: twice what they are shown at
_KEPT = 2_000  # of about 2 KB each


@dataclass(frozen=True, slots=True)
class Wish:
    """A thumbnail that the page would like: of which source, by path and digest, and of which page or frame."""

    path: str
    digest: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """What of a list of wishes is there. addresses: URLs by digest and number; missing: how many are not drawn yet."""

    addresses: dict[tuple[str, int], str]
    missing: int


class Thumbnailer:
    """Draws thumbnails and keeps the last ones. Safe to use from several threads."""

    def __init__(self, source: Callable[[str, str], SessionSource | None]) -> None:
        """source: gives one of a session, by the session's id and its path."""
        self._source = source
        self._kept: OrderedDict[tuple[str, int], str | None] = OrderedDict()
        self._lock = Lock()

    def draw(self, session_id: str, wishes: Iterable[Wish], *, within_s: float) -> Thumbnails:
        """Those that are kept, and as many more as can be drawn in that time, but one at least. What cannot be drawn is
        not asked for again."""
        until, addresses, missing, drawn = monotonic() + within_s, {}, 0, False
        for wish in dict.fromkeys(wishes):
            key = (wish.digest, wish.number)
            with self._lock:
                is_kept, address = key in self._kept, self._kept.get(key)
            if not is_kept and (not drawn or monotonic() < until):
                address, is_kept, drawn = self._draw(session_id, wish), True, True
            missing += not is_kept
            if address is not None:
                addresses[key] = address
        return Thumbnails(addresses, missing)

    def _draw(self, session_id: str, wish: Wish) -> str | None:
        placed = self._source(session_id, wish.path)
        drawing = draw(placed.source, wish.number, _LONGEST) if placed is not None else None
        address = drawing.address if isinstance(drawing, Drawing) else None
        with self._lock:
            self._kept[wish.digest, wish.number] = address
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return address
