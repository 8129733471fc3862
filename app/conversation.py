"""A session's sources and turns as the exchanges of a prompt. What the prompt then looks like is engine.prompt's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.sources.joining import Joining
from engine.corpus.source import Source
from engine.local.opened import OpenModel
from engine.prompt.layout import Exchange
from engine.tokens.document import IdCache, Ids, number_pictures
from storage.sources import SessionSource
from storage.turns import Turn


@dataclass(frozen=True, slots=True)
class Placed:
    """A source of a session: the turn that carries it first, and whether it is sent."""

    source: Source
    turn_index: int
    enabled: bool = True


def place(kept: Sequence[SessionSource], joining: Joining, turn_index: int) -> tuple[Placed, ...]:
    """The session's sources and those that join: a known path keeps its place with the new content, others follow."""
    new = {source.path: source for source in joining.sources}
    gone, back = {skipped.path for skipped in joining.gone}, set(joining.returning)
    known = []
    for at in kept:
        path = at.source.path
        enabled = (at.enabled or path in back) and path not in gone
        known.append(Placed(new.pop(path, at.source), at.turn_index, enabled))
    return (*known, *(Placed(source, turn_index) for source in new.values()))


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the next question stands on: the exchanges so far, and the sources that it carries itself.

    numbers: of each source's first picture, by path. They are of all that the session has, sent or not, so that a
    picture keeps its number. unseen: the paths of those whose pictures this model cannot see.
    """

    history: tuple[Exchange, ...]
    sources: tuple[Source, ...]
    numbers: Mapping[str, int]
    unseen: tuple[str, ...] = ()


def converse(placed: Sequence[Placed], turns: Sequence[Turn], *, opened: OpenModel, cache: IdCache) -> Conversation:
    """The turns that count as history, each with its documents, and the sources that wait for the next question.

    A turn without a reply (cancelled while reading, or broken off) is left out; its sources move to the next one.
    """
    numbers = number_pictures(place.source for place in placed)
    sent = [place for place in placed if place.enabled]
    unseen = tuple(place.source.path for place in sent if place.source.pictures) if opened.sight is None else ()
    waiting = [place for place in sent if opened.sight is not None or not place.source.is_wordless]
    exchanges = []
    for turn in turns:
        reply = _reply_ids(turn, opened)
        if not len(reply):
            continue
        due = [place.source for place in waiting if place.turn_index <= turn.index]
        waiting = [place for place in waiting if place.turn_index > turn.index]
        exchanges.append(Exchange(turn.question, opened.documents(due, cache, numbers), reply))
    return Conversation(tuple(exchanges), tuple(place.source for place in waiting), numbers, unseen)


def _reply_ids(turn: Turn, opened: OpenModel) -> Ids:
    """The ids as they were sampled; the text's own ids where the model has changed or the turn was interrupted."""
    if turn.reply_ids and turn.vocabulary == opened.tokenizer.vocabulary.digest:
        return np.array(turn.reply_ids, dtype=np.int32)
    return opened.tokenizer.encode(turn.text)
