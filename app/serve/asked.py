"""What is asked of the service, whichever way it came in."""

from dataclasses import dataclass

from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Said:
    """One exchange of a conversation, as a client remembers it."""

    question: str
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, with all that was said before it.

    session: goes on in this one, and past is what it has; None: in the one that has said the same, or a new one. only:
    see Question. settings: that it is asked with, None for the server's own.
    """

    text: str
    past: tuple[Said, ...] = ()
    session: str | None = None
    only: frozenset[str] | None = None
    settings: Settings | None = None
