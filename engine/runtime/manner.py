"""How a reply is written: where its thoughts stand and how many there may be, and what ends it. A value that the
engine's child is given; cutting the text is left to `parting`, its tokens to `reply`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.memory.wanted import DEFAULT_THINKING
from engine.prompt.marks import THOUGHTS, Mark
from engine.runtime.events import Sampling
from engine.runtime.parting import Parting


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """marks: that open thoughts; opened: the one that stands open before the reply; closing: those that may end a
    thought which nothing opened, see `unopened`. tokens: the texts of the special
    tokens that marks are made of, by their ids. endings: ids that end a thought from outside, by its closing mark.
    begins: ids that the reply begins with, whatever the model would say. ends: ids that end it beside llama.cpp's.
    stops: texts before which the answer ends. limit: tokens that it may think, None where nobody said."""

    marks: tuple[Mark, ...] = THOUGHTS
    opened: Mark | None = None
    closing: tuple[Mark, ...] = ()
    tokens: tuple[tuple[int, str], ...] = ()
    endings: tuple[tuple[str, tuple[int, ...]], ...] = ()
    begins: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    stops: tuple[str, ...] = ()
    limit: int | None = None

    def parting(self) -> Parting:
        """What cuts the reply's text."""
        tokens = [text for _, text in self.tokens]
        return Parting(self.marks, opened=self.opened, tokens=tokens, closing=self.closing)

    def ending(self, mark: Mark) -> tuple[int, ...]:
        """The ids that end a thought; none where the vocabulary cannot say them."""
        return dict(self.endings).get(mark.closing, ())

    @property
    def n_ending(self) -> int:
        """Tokens that end a thought, at most."""
        return max((len(ids) for _, ids in self.endings), default=0)

    def room(self, left: int, sampling: Sampling) -> int:
        """Tokens that it may think where so many are left in the context, which is to hold the answer too, and what
        ends a thought."""
        most, limit = sampling.max_tokens, DEFAULT_THINKING if self.limit is None else self.limit
        return min(limit, max(left - most - self.n_ending, most // 2))

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def manner_from(fields: Mapping[str, Any]) -> Manner:
    """A manner from its fields, after a way through JSON."""
    opened = fields["opened"]
    return Manner(
        marks=tuple(Mark(**mark) for mark in fields["marks"]),
        opened=Mark(**opened) if opened else None,
        closing=tuple(Mark(**mark) for mark in fields["closing"]),
        tokens=tuple((int(token), str(text)) for token, text in fields["tokens"]),
        endings=tuple((str(closing), tuple(ids)) for closing, ids in fields["endings"]),
        begins=tuple(fields["begins"]),
        ends=tuple(fields["ends"]),
        stops=tuple(fields["stops"]),
        limit=fields["limit"],
    )
