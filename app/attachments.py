"""What came with a question: the pictures that it was the first to send, and the attached files that were refused.

A turn keeps both, so that it shows them as they were (see `session_settings`). How they are drawn is left to parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.session_settings import Joined, asked_with
from engine.backend import Source
from storage.records import Turn


@dataclass(frozen=True, slots=True)
class Candidate:
    """Pictures of a session's source, and the turn that carried the source first."""

    pictures: Joined
    turn_index: int


def candidates(sent: Iterable[tuple[Source, int]], numbers: Mapping[str, int]) -> tuple[Candidate, ...]:
    """The pictures of all sources that are sent, each given with the turn that carried it first.

    numbers: of each source's first one, by path.
    """
    return tuple(
        Candidate(Joined(source.path, source.digest, numbers[source.path], len(source.pictures)), turn_index)
        for source, turn_index in sent
        if source.pictures
    )


def joining(sent: Sequence[Candidate], turns: Sequence[Turn]) -> tuple[Joined, ...]:
    """Those that none of the turns has sent yet, as they are now."""
    before = {(each.path, each.digest) for turn in turns for each in joined_with(turn, sent)}
    return tuple(one.pictures for one in sent if (one.pictures.path, one.pictures.digest) not in before)


def joined_with(turn: Turn, session: Sequence[Candidate]) -> tuple[Joined, ...]:
    """What a turn was the first to send. Of one that was asked before this was kept: what the session has from it."""
    kept = asked_with(turn).joined
    if kept is None:
        return tuple(one.pictures for one in session if one.turn_index == turn.index)
    return kept
