"""What is written whatever the model would say: how its reply begins, and the end of a thought that is too long."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from engine.runtime.events import Gauge, Sampling, Text, Thinking
from engine.runtime.manner import Manner
from engine.runtime.reply import Reply

_MARKS = 256  # tokens that marks, and what the model says between them, may take beside


class Pen:
    """One reply's. most: tokens of its answer; n_thoughts: those that it may think."""

    def __init__(self, manner: Manner, reply: Reply, most: int, *, n_thoughts: int) -> None:
        self.reply = reply
        self._manner, self._most, self._n_thoughts = manner, most, n_thoughts
        self._forced, self._n_all = deque(manner.begins), n_thoughts + _MARKS

    @property
    def most(self) -> int:
        """Tokens that the reply may have, as far as it is known by now whether it thinks."""
        return self._most + (self._n_thoughts if self.reply.is_open else 0)

    def forced(self) -> int | None:
        """The token that stands here whatever the model would say; None where it is asked."""
        if not self._forced and not self._n_thoughts and self.reply.is_open:
            self._end_thought()
        return self._forced.popleft() if self._forced else None

    def ends(self, token: int, *, is_end: bool) -> bool:
        """Whether the reply ends with a token that was sampled. is_end: by llama.cpp's word."""
        return (is_end or token in self._manner.ends) and not self.reply.goes_on_at(token)

    @property
    def is_full(self) -> bool:
        """Whether the answer may have no more tokens, or the thoughts never let it begin."""
        too_many = len(self.reply.ids) >= self._most + self._n_all
        return not self._forced and (self.reply.n_answer >= self._most or too_many)

    @property
    def overrun(self) -> str:
        """A sentence for where the context ends, if the answer could have been longer without the thoughts."""
        if self.is_full or not self.reply.n_thought:
            return ""
        return (
            f"The context is full: {self.reply.n_thought:,} tokens of thoughts left the answer less than the "
            f"{self._most:,} that it may have. --thinking N keeps room for both."
        )

    def limit_thoughts(self) -> str:
        """Ends a thought that has had its tokens; a sentence on that where the limit was nobody's wish."""
        n_thoughts, reply = self._n_thoughts, self.reply
        if self._forced or not reply.is_open or reply.n_thought < n_thoughts:
            return ""
        wished, ending = self._manner.limit, self._manner.n_ending
        if not self._end_thought() or (wished is not None and n_thoughts + ending >= wished):
            return ""
        return f"The model had thought for {n_thoughts:,} tokens and was made to answer. --thinking N sets how many."

    def _end_thought(self) -> bool:
        """Whether it can be ended; the next thought is ended where it begins."""
        mark = self.reply.open_mark
        ids = self._manner.ending(mark) if mark is not None else ()
        self._forced.extend(ids)
        self._n_thoughts = 0 if ids else self._n_all
        return bool(ids)


def begun_pen(
    begun: float,
    before: Sequence[int],
    piece: Callable[[int], bytes],
    sampling: Sampling,
    manner: Manner,
    *,
    room: int,
) -> Pen:
    """The pen of a reply that goes on from these ids. begun: when it was asked for. piece: the bytes of a token. room:
    tokens that are left for it in the context."""
    parting, marks = manner.parting(), dict(manner.tokens)
    pieces = [(token, piece(token)) for token in before]
    parting.hear(marks, pieces)
    spoken, stops = b"".join(each for _, each in pieces), (*sampling.stops, *manner.stops)
    reply = Reply(begun, spoken, stops=stops, parting=parting, marks=marks)
    return Pen(manner, reply, sampling.max_tokens, n_thoughts=manner.room(room, sampling))


def said(reply: Reply, gauge: Gauge, *, last: bool = False) -> Iterator[Thinking | Text]:
    """What of a reply is to be sent now."""
    for each in reply.due(last=last):
        if each.is_thought:
            yield Thinking(each.text, reply.n_thought, gauge, each.ids, each.takes_text)
            continue
        mends, reply.mends = reply.mends, False
        yield Text(each.text, reply.n_answer, gauge, each.ids, mends, each.may_be_thought)
