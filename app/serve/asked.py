"""What is asked of the service, whichever way it came in."""

from dataclasses import dataclass, field
from hashlib import blake2b

from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Image:
    """An image that came in a message. suffix: of its file's name, by what the message calls it."""

    data: bytes = field(repr=False)
    suffix: str

    @property
    def path(self) -> str:
        """What it is called as a source: the same image is the same source."""
        return f"attached-{blake2b(self.data, digest_size=6).hexdigest()}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Said:
    """One exchange of a conversation, as a client remembers it. images: of the question, whose text names them."""

    question: str
    reply: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, with all that was said before it.

    session: goes on in this one, and past is what it has; None: in the one that has said the same, or a new one. only:
    see Question. settings: that it is asked with, None for the server's own. images: that came with the question.
    unheeded: sentences on what of the request was not known.
    """

    text: str
    past: tuple[Said, ...] = ()
    session: str | None = None
    only: frozenset[str] | None = None
    settings: Settings | None = None
    images: tuple[Image, ...] = ()
    unheeded: tuple[str, ...] = ()
