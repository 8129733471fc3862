"""A question as both doors put it, and what they hear of it until it is answered."""

from dataclasses import dataclass, field

from app.settings import Settings
from engine.backend import Corpus, Event, Gauge, Plan, Prompt, Skipped
from storage.records import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of ask. corpus: what was read for it, beside the session's own sources. session None begins a new one.

    refused: files that the user attached to it by hand and that could not be read; the turn keeps them. only: the paths
    of the session's sources that it is asked about, None for all that are sent; a slash at the end makes it a folder.
    settings: that this one is asked with, in place of Desk's own; of them, those of sampling and of the reply's length.
    """

    text: str
    corpus: Corpus = field(default_factory=Corpus)
    refused: tuple[Skipped, ...] = ()
    session: str | None = None
    only: frozenset[str] | None = None
    settings: Settings | None = None
    read_s: float = 0.0  # what reading the sources took


@dataclass(frozen=True, slots=True)
class Looking:
    """A picture at its place in a prompt: ids `start` to `end`. number: what it is called."""

    start: int
    end: int
    number: int


def looking_at(prompt: Prompt) -> tuple[Looking, ...]:
    """The pictures of a prompt, in order."""
    return tuple(Looking(shown.start, shown.start + shown.view.n_tokens, shown.number) for shown in prompt.shown)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another question has the engine; this one comes after it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The question was accepted: its turn stands in the store, and the engine starts. pictures: those of the prompt."""

    turn: Turn
    plan: Plan
    pictures: tuple[Looking, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that the user should see."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The last event: the turn as it was stored, the KV cache as it is now, and how often the vision encoder ran."""

    turn: Turn
    gauge: Gauge | None = None
    encoded: int = 0


DeskEvent = Event | Waiting | Begun | Notice | Answered
