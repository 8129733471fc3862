"""One reply as it is sampled: its tokens, and its text in whole characters."""

import codecs
from bisect import bisect_left
from collections.abc import Sequence
from time import perf_counter

from engine.runtime.events import Stop

_FLUSH_S = 0.05  # text goes out at most this often: every frame wakes the parent, which takes a core from a decode


class Reply:
    """The tokens and the text of one reply, as they come.

    before: the bytes of the tokens that it goes on from, where its beginning stands in the prompt. stops: the text ends
    before the first of them; the ids with the token in which the text ends, as it was sampled.
    """

    def __init__(self, begun: float, before: bytes = b"", *, stops: Sequence[str] = ()) -> None:
        self.ids: list[int] = []
        self.stop = Stop.CANCELLED  # until something else ends it
        self.stopped = False  # one of the stops has ended it
        self.first_text_at: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder.decode(before)
        self.mends = bool(self._decoder.getstate()[0])  # what comes first is the rest of a character
        self._stops = [stop for stop in stops if stop]
        self._ends: list[int] = []  # characters of the text up to each token's end
        self._n_sent = self._n_characters = 0  # ids and characters
        self._pending = ""
        self._sent_at = begun - _FLUSH_S

    def add(self, token: int, piece: bytes) -> None:
        self.ids.append(token)
        decoded = self._decoder.decode(piece)
        self._pending += decoded
        self._ends.append(self._n_characters + len(self._pending))
        if self._stops and decoded:
            self._stop_at(min((at for at in map(self._pending.find, self._stops) if at >= 0), default=-1))

    def _stop_at(self, at: int) -> None:
        """The text ends there, of what is pending; -1 where it goes on."""
        if at < 0:
            return
        self._pending, self.stop, self.stopped = self._pending[:at], Stop.END, True
        end = self._n_characters + at
        del self.ids[self._n_ids(end) :]
        del self._ends[len(self.ids) :]

    def due(self, *, last: bool = False) -> str:
        """Text to send now: whole characters only, the first at once, the rest at most every 50 ms."""
        now = perf_counter()
        if last:
            self._pending += "" if self.stopped else self._decoder.decode(b"", final=True)
        elif now - self._sent_at < _FLUSH_S and self.first_text_at is not None:
            return ""
        n_held = 0 if last else self._n_held()
        cut = len(self._pending) - n_held
        text, self._pending = self._pending[:cut], self._pending[cut:]
        self._n_characters += len(text)
        if text:
            self._sent_at = now
            self.first_text_at = self.first_text_at or now
        return text

    def _n_ids(self, end: int) -> int:
        """Tokens up to the one that brought the text to so many characters."""
        return min(len(self.ids), bisect_left(self._ends, end) + 1) if end else 0

    def _n_held(self) -> int:
        """Characters at the end of what is pending that may be the beginning of a stop."""
        text = self._pending
        lengths = (
            n for stop in self._stops for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])
        )
        return max(lengths, default=0)

    def unsent(self) -> tuple[int, ...]:
        """The ids of the text that was sent, but those that this has given before."""
        n_ids = self._n_ids(self._n_characters) if self._stops and not self.stopped else len(self.ids)
        ids, self._n_sent = tuple(self.ids[self._n_sent : n_ids]), max(n_ids, self._n_sent)
        return ids
