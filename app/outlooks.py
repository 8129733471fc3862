"""What the next question of a session would cost, worked out once for each state of the session, not at each redraw."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from app.counting import Outlook
from app.desk import Desk
from app.images.pictures import Album, albums_of
from app.images.tiling import max_tiles_of
from engine.prompt.layout import Part
from storage.sessions import Session
from storage.sources import SourceLink
from storage.turns import Turn

_KEPT = 8

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Costs:
    """An outlook as the page shows it. tokens, albums: by path, for every source of the session, sent or not.

    An image that the model cannot see costs nothing: it is not sent.
    """

    outlook: Outlook
    tokens: dict[str, int]
    unrepresentable: dict[str, int]  # by path, characters that the vocabulary has no token for
    corpus_tokens: int
    chat_tokens: int  # all of the prompt that is no source
    albums: dict[str, Album]


class Outlooks:
    """The last few outlooks of this process. Safe to use from several threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: OrderedDict[Key, Costs] = OrderedDict()
        self._lock = Lock()

    def of(self, session: Session, links: Sequence[SourceLink], turns: Sequence[Turn]) -> Costs:
        """The costs of a session that has these sources and turns. Raises as Desk.look_ahead does."""
        key = (
            session.id,
            max_tiles_of(session, self._desk.settings),
            self._desk.open().sight is not None,
            tuple((link.path, link.digest, link.turn_index, link.enabled) for link in links),
            tuple((turn.id, turn.stop) for turn in turns),
        )
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        costs = _costs(self._desk.look_ahead(session.id))
        with self._lock:
            self._kept[key] = costs
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return costs


def _costs(outlook: Outlook) -> Costs:
    corpus_tokens = outlook.prompt.count(Part.SOURCE)
    return Costs(
        outlook,
        tokens={d.path: 0 if d.path in outlook.unsent else d.n_tokens for d in outlook.documents},
        unrepresentable={
            document.path: sum(document.unrepresentable.values())
            for document in outlook.documents
            if document.unrepresentable
        },
        corpus_tokens=corpus_tokens,
        chat_tokens=outlook.prompt.n_tokens - corpus_tokens,
        albums=albums_of(outlook.documents),
    )
