"""What came with a question: the pictures that it was the first to send, and the files attached to it that were
refused. A turn keeps both among its settings, so that it shows them as they were. How they are drawn is left to parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from app.conversation import Placed
from app.images.pictures import name_of
from engine.corpus.source import Cause, Skipped
from storage.turns import Turn

_JOINED, _REFUSED = "joined", "refused"  # the settings of a turn


@dataclass(frozen=True, slots=True)
class Joined:
    """The pictures of one source, as they were sent first. digest: of the source as it was then."""

    path: str
    digest: str
    first_number: int
    n_pictures: int

    @property
    def name(self) -> str:
        """ "image 2", "images 3–8"."""
        return name_of(self.first_number, self.n_pictures)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Pictures of a session's source, and the turn that carried the source first."""

    pictures: Joined
    turn_index: int


def candidates(placed: Iterable[Placed], numbers: Mapping[str, int]) -> tuple[Candidate, ...]:
    """The pictures of all sources that are sent. numbers: of each source's first one, by path."""
    return tuple(
        Candidate(Joined(source.path, source.digest, numbers[source.path], len(source.pictures)), at.turn_index)
        for at in placed
        if at.enabled and (source := at.source).pictures
    )


def joining(sent: Sequence[Candidate], turns: Sequence[Turn]) -> tuple[Joined, ...]:
    """Those that none of the turns has sent yet, as they are now."""
    before = {(each.path, each.digest) for turn in turns for each in joined_with(turn, sent)}
    return tuple(one.pictures for one in sent if (one.pictures.path, one.pictures.digest) not in before)


def joined_with(turn: Turn, session: Sequence[Candidate]) -> tuple[Joined, ...]:
    """What a turn was the first to send. Of one that was asked before this was kept: what the session has from it."""
    kept = turn.settings.get(_JOINED)
    if kept is None:
        return tuple(one.pictures for one in session if one.turn_index == turn.index)
    return tuple(Joined(*each) for each in kept)


def refused_with(turn: Turn) -> tuple[Skipped, ...]:
    """The files that were attached to a turn's question and could not be read."""
    return tuple(Skipped(path, Cause(cause), reason) for path, cause, reason in turn.settings.get(_REFUSED, ()))


def settings_of(joined: Sequence[Joined], refused: Sequence[Skipped]) -> Mapping[str, Any]:
    """The settings of a turn that say so."""
    files = [(one.path, str(one.cause), one.reason) for one in refused]
    return {_JOINED: [astuple(each) for each in joined], **({_REFUSED: files} if files else {})}
