"""Conversations: in which session the messages of a request go on.

A request brings along all that was said before it; a session keeps the same with the ids that were sampled. Where a
session has said just that, it goes on; where it has said only the beginning, or has gone on otherwise, a new one begins
with a copy of what both share, and with the rest as text. All of them begin with the same corpus, so that its KV cache
serves them all.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock

from app.desk import Desk
from app.serve.asked import Said
from engine.backend import Corpus
from engine.errors import UsageError
from storage.records import Outcome, Turn
from storage.store import Store

_MOST_REMEMBERED = 20_000  # beginnings of conversations, 100 bytes each
_TITLE_LENGTH = 60
_ENDS = ("end", "length", "cancelled", "error")


def corpus_of(desk: Desk, session: str) -> Corpus:
    """All that a session sends, as a corpus of its own. Raises UsageError without such a session."""
    return Corpus(tuple(placed.source for placed in desk.record(session).sources if placed.enabled))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation goes on: in a session that there is (None: in a new one without a past). is_new: the session
    was made for it, and is nobody's where its question is refused."""

    session: str | None = None
    is_new: bool = False


class Conversations:
    """Those over one corpus, of this process. May be used from any thread.

    session: one whose sources the corpus is, and that may go on itself; None where the corpus was read from files.
    """

    def __init__(self, desk: Desk, corpus: Corpus, session: str | None = None) -> None:
        self._desk, self.corpus = desk, corpus
        self._store = Store(desk.settings.home)  # the past of a copied session is written there
        self._known: OrderedDict[bytes, str] = OrderedDict()  # of what was said, a session that begins so
        self._busy: set[str] = set()
        self._own: set[str] = set()
        self._lock = Lock()
        if session is not None:
            self.remember(session)

    def close(self) -> None:
        """Nothing is entered any more."""
        self._store.close()

    def enter(
        self, past: Sequence[Said], images: Corpus | None = None, *, begins: bool = False, text: str = ""
    ) -> Place:
        """A place for a conversation with this past; nobody else gets it until it is left. Raises as Desk does.

        images: those of the past. begins: what comes with the question stands behind the corpus, so that a new session
        has the corpus first; text: its question then.
        """
        with self._lock:
            session, shared, is_all = self._longest(_keys([(said.question, said.reply) for said in past]))
            if session is not None and is_all and session not in self._busy:
                self._busy.add(session)
                return Place(session)
        if not past and not begins:
            return Place()
        made = self._begin(past, shared, images, text)
        with self._lock:
            self._busy.add(made)
        return Place(made, is_new=True)

    def claim(self, session: str) -> Place:
        """A place in this session, whatever was said in it. Raises UsageError where it is not one of these, or busy."""
        with self._lock:
            if session not in self._own:
                raise UsageError(f"There is no session {session} here.", "Leave it out, and a new one begins.")
            if session in self._busy:
                raise UsageError(f"A question runs in the session {session}.", "Wait for its answer, or leave it out.")
            self._busy.add(session)
        return Place(session)

    def leave(self, place: Place, *, answered: str | None) -> None:
        """answered: the session in which it was; None where the question left no trace, and nothing made for it
        stays."""
        with self._lock:
            self._busy.discard(place.session or "")
        if answered is not None:
            self.remember(answered)
        elif place.is_new and place.session is not None:
            with suppress(UsageError):
                self._desk.delete_session(place.session)

    def remember(self, session: str) -> None:
        """What was said in a session so far can be gone on from."""
        with suppress(UsageError):  # it was deleted
            keys = _keys([(turn.question, turn.text) for turn in self._turns(session)])
            with self._lock:
                self._own.add(session)
                for key in keys[:-1]:
                    self._known.setdefault(key, session)
                    self._known.move_to_end(key)
                self._known[keys[-1]] = session  # who says all of it goes on, and does not branch off
                self._known.move_to_end(keys[-1])
                while len(self._known) > _MOST_REMEMBERED:
                    self._known.popitem(last=False)

    def _longest(self, keys: Sequence[bytes]) -> tuple[str | None, tuple[Turn, ...], bool]:
        """The session that shares most of this past, the turns that say it, and whether it has said nothing else."""
        for n_shared in reversed(range(len(keys))):
            session = self._known.get(keys[n_shared])
            if session is None:
                continue
            with suppress(UsageError):  # it was deleted
                turns = self._turns(session)
                own = _keys([(turn.question, turn.text) for turn in turns])
                if len(own) > n_shared and own[n_shared] == keys[n_shared]:
                    is_all = len(own) == len(keys) == n_shared + 1
                    return session, turns[:n_shared], is_all
            del self._known[keys[n_shared]]
        return None, (), False

    def _turns(self, session: str) -> tuple[Turn, ...]:
        """Those that count as said: see next_turn.converse."""
        return tuple(turn for turn in self._desk.turns(session) if turn.text and turn.stop is not None)

    def _begin(self, past: Sequence[Said], shared: Sequence[Turn], images: Corpus | None, text: str) -> str:
        """A new session with this past. shared: the turns of another that say the beginning of it, with their ids."""
        first = past[0].question if past else text
        session = self._desk.begin_session(" ".join(first.split())[:_TITLE_LENGTH] or "Untitled").id
        self._desk.add_sources(session, self.corpus)
        if images is not None and images.sources:
            self._desk.add_sources(session, images)
        with self._store.leases.acquire(session) as lease:
            for turn in shared:
                begun = self._store.turns.begin(
                    lease, question=turn.question, vocabulary=turn.vocabulary, settings=turn.settings
                )
                stop = turn.stop if turn.stop in _ENDS else "cancelled"
                self._store.turns.finish(begun.id, Outcome(text=turn.text, stop=stop, reply_ids=turn.reply_ids))
                self._store.turns.cite(begun.id, turn.citations)  # a receipt is of the session that sent it
            for said in past[len(shared) :]:
                begun = self._store.turns.begin(lease, question=said.question)
                self._store.turns.finish(begun.id, Outcome(text=said.reply, stop="end"))
        return session


def _keys(said: Sequence[tuple[str, str]]) -> list[bytes]:
    """Of nothing said, of the first exchange, of the first two, and so on. Clients trim what they keep: white space at
    both ends does not count."""
    keys = [b""]
    for question, reply in said:
        state = blake2b(keys[-1], digest_size=16)
        for text in (question, reply):
            data = text.strip().encode("utf-8", "surrogatepass")
            state.update(len(data).to_bytes(8, "big") + data)
        keys.append(state.digest())
    return keys
