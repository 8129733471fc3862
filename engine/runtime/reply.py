"""One reply as it is sampled: its tokens, and its text in whole characters."""

import codecs
from time import perf_counter

from engine.runtime.events import Stop

_FLUSH_S = 0.05  # text goes out at most this often: every frame wakes the parent, which takes a core from a decode


class Reply:
    """The tokens and the text of one reply, as they come.

    before: the bytes of the tokens that it goes on from, where its beginning stands in the prompt.
    """

    def __init__(self, begun: float, before: bytes = b"") -> None:
        self.ids: list[int] = []
        self.stop = Stop.CANCELLED  # until something else ends it
        self.first_text_at: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder.decode(before)
        self.mends = bool(self._decoder.getstate()[0])  # what comes first is the rest of a character
        self._n_sent = 0
        self._pending = ""
        self._sent_at = begun - _FLUSH_S

    def add(self, token: int, piece: bytes) -> None:
        self.ids.append(token)
        self._pending += self._decoder.decode(piece)

    def due(self, *, last: bool = False) -> str:
        """Text to send now: whole characters only, the first at once, the rest at most every 50 ms."""
        now = perf_counter()
        if last:
            self._pending += self._decoder.decode(b"", final=True)
        elif now - self._sent_at < _FLUSH_S and self.first_text_at is not None:
            return ""
        text, self._pending = self._pending, ""
        if text:
            self._sent_at = now
            self.first_text_at = self.first_text_at or now
        return text

    def unsent(self) -> tuple[int, ...]:
        """The ids that were sampled since this was asked last."""
        ids, self._n_sent = tuple(self.ids[self._n_sent :]), len(self.ids)
        return ids
