"""Pictures as the page shows them: small beside a name, larger in the viewer. As JPEG, upright, drawn by
a reader's process.

Thumbnails are drawn once and kept by content; where they stand is left to the page. What the engine is sent is drawn by
the engine's child; size and frame are the same ones.
"""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from threading import Lock
from time import monotonic

from engine.corpus.formats import apart
from engine.corpus.source import Cause, KeptFile, Picture, Skipped, Source
from storage.records import SessionSource

_LONGEST = 96  # pixels: twice what they are shown at
_RETRY_S = 30.0
_KEPT = 2_000  # of about 2 KB each


@dataclass(frozen=True, slots=True)
class Drawing:
    """A JPEG and its size in pixels."""

    width: int
    height: int
    jpeg: bytes

    @property
    def address(self) -> str:
        """A URL that holds all of it."""
        return f"data:image/jpeg;base64,{b64encode(self.jpeg).decode()}"


def draw(source: Source, number: int, longest: int) -> Drawing | Skipped:
    """A picture of a source, by the number of its page or frame, its longer side at most so many pixels."""
    picture = next((each for each in source.pictures if each.number == number), None)
    if picture is None or source.kept_file is None:
        return Skipped(source.path, Cause.BROKEN, f"it has no page {number}")
    return _drawing(_drawn(source.path, source.kept_file, picture, longest))


def draw_page(path: str, pdf: bytes, number: int, longest: int) -> Drawing | Skipped:
    """A page of a PDF, whether it is sent as a picture or not, its longer side so many pixels."""
    return _drawing(apart.draw_page(path, pdf, number, longest))


def _drawing(drawn: apart.Drawn | Skipped) -> Drawing | Skipped:
    return drawn if isinstance(drawn, Skipped) else Drawing(drawn.width, drawn.height, drawn.data)


def _drawn(path: str, file: KeptFile, picture: Picture, longest: int) -> apart.Drawn | Skipped:
    scale = longest / max(picture.width, picture.height)
    scale = scale if file.scalable else min(1.0, scale)  # no image is made larger than it is
    width, height = (max(1, round(side * scale)) for side in (picture.width, picture.height))
    return apart.draw_into("JPEG", path, file, number=picture.number, width=width, height=height, quick=True)


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
        self._kept: OrderedDict[tuple[str, int], tuple[str | None, float]] = OrderedDict()
        self._lock = Lock()

    def draw(self, session_id: str, wishes: Iterable[Wish], *, within_s: float) -> Thumbnails:
        """Those that are kept, and as many more as can be drawn in that time, but one at least. What cannot be drawn is
        not asked for again for a while."""
        until, addresses, missing, drawn = monotonic() + within_s, {}, 0, False
        for wish in dict.fromkeys(wishes):
            key = (wish.digest, wish.number)
            with self._lock:
                address, kept_until = self._kept.get(key, (None, 0.0))
                is_kept = monotonic() < kept_until
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
        key = wish.digest, wish.number
        with self._lock:
            self._kept[key] = address, inf if address is not None else monotonic() + _RETRY_S
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return address
