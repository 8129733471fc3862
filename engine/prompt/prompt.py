"""What a prompt is: segments of ids in the order in which they are decoded, and the turns that it is laid out from.

Values only. Laying out is left to `layout`, which rewinding prompts allow to engine.runtime.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from engine.tokens.document import Content, Document, Ids, Shown


class Part(StrEnum):
    """What a segment holds."""

    TEMPLATE = "template"
    SYSTEM = "system"
    SOURCE = "source"
    QUESTION = "question"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of ids, int32 of shape [n_tokens], and what it is; path names the source, shown its pictures. content: see
    Document."""

    part: Part
    ids: Ids = field(repr=False)
    path: str | None = None
    shown: tuple[Shown, ...] = field(default=(), repr=False)
    content: Content = field(default=(), repr=False)

    @property
    def n_tokens(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that is decoded before the reply, in order. asks: the template's text behind the question, where the reply
    begins."""

    segments: tuple[Segment, ...]
    asks: str = ""

    @property
    def n_tokens(self) -> int:
        return sum(segment.n_tokens for segment in self.segments)

    def ids(self) -> Ids:
        """int32 of shape [n_tokens]."""
        return np.concatenate([segment.ids for segment in self.segments])

    @property
    def shown(self) -> tuple[Shown, ...]:
        """The pictures, each at its place in the ids of the prompt."""
        found, at = [], 0
        for segment in self.segments:
            found += [replace(shown, start=at + shown.start) for shown in segment.shown]
            at += segment.n_tokens
        return tuple(found)

    @property
    def n_at_once(self) -> int:
        """Cells of a picture that have to be decoded together; 1 where none do."""
        return max((shown.view.n_at_once for segment in self.segments for shown in segment.shown), default=1)

    @property
    def corpus_end(self) -> int:
        """Tokens up to the end of the last source: what another question about the same corpus begins with too."""
        end = at = 0
        for segment in self.segments:
            at += segment.n_tokens
            end = at if segment.part is Part.SOURCE else end
        return end

    @property
    def n_begun(self) -> int:
        """Tokens at the end that are the beginning of the reply, which goes on from them; 0 where none are."""
        last = self.segments[-1] if self.segments else None
        return last.n_tokens if last is not None and last.part is Part.REPLY else 0

    @property
    def unbegun(self) -> "Prompt":
        """The same without the beginning of its reply."""
        return replace(self, segments=self.segments[:-1]) if self.n_begun else self

    def begun_with(self, ids: Ids, text: str = "") -> "Prompt":
        """The same, with the beginning of its reply. text: what the ids say, for engines that are sent text."""
        return replace(self, segments=(*self.segments, Segment(Part.REPLY, ids, content=(text,)))) if len(ids) else self

    def count(self, *parts: Part) -> int:
        """Tokens in the segments of these parts."""
        return sum(segment.n_tokens for segment in self.segments if segment.part in parts)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn: the documents that join here, the question, and the ids of the reply (None for the last).

    reply: the text of its answer, for engines that are sent text. sampled: the ids are those that were sampled behind
    the generation prompt of this template. thoughts: of them, from and up to, what is no part of the answer. thought:
    whether it was thought through, and then answered. thinking: what the turn was asked with, see Sampling.
    """

    question: str
    documents: tuple[Document, ...] = ()
    reply_ids: Ids | None = None
    reply: str = field(default="", repr=False)
    sampled: bool = False
    thoughts: tuple[tuple[int, int], ...] = ()
    thought: bool = False
    thinking: str = ""

    @property
    def answer_ids(self) -> Ids:
        """The ids of the reply without its thoughts."""
        assert self.reply_ids is not None
        stays = np.ones(len(self.reply_ids), dtype=bool)
        for start, end in self.thoughts:
            stays[start:end] = False
        return self.reply_ids[stays]
