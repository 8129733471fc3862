"""Citations: an answer's quotes with their places in the sources, as they are stored, shown and printed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What became of a quote; the value of `status` in citations."""

    VERIFIED = "verified"
    ALTERED = "altered"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A quote and its first place; or a statement that no words were found for, with status missing.

    statement: characters of the answer that it stands for, from and to. quote: the words as they stand in the source
    (verified), or as the answer has them (altered, missing; "" where the answer quotes nothing). places: how often
    verified words stand in all that was sent. held: it could only be copied, since it was decoded under the constraint.
    logprob: of its least likely token, in nats; None where it was not held.

    The place: path and source_digest of the source; bytes: from and to, of its text in UTF-8 as it was sent; lines: of
    that text, first and last, from 1; page: of a PDF, from 1; cell: of a notebook, from 1; image: the number that its
    picture has in the prompt; box: left, top, right, bottom on the page or picture, as shares of its width and height
    from its upper left corner. What does not apply is None.
    """

    statement: tuple[int, int]
    status: Status
    quote: str = ""
    places: int = 0
    held: bool = False
    logprob: float | None = None
    path: str | None = None
    source_digest: str | None = None
    bytes: tuple[int, int] | None = None
    lines: tuple[int, int] | None = None
    page: int | None = None
    cell: int | None = None
    image: int | None = None
    box: tuple[float, float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Its fields; lists in place of tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def citation_from(fields: Mapping[str, Any]) -> Citation:
    """The way back from to_json. Unknown fields are left out, since a newer version may have written them."""
    known = {name: value for name, value in fields.items() if name in Citation.__slots__}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return Citation(**{**values, "status": Status(str(values["status"]))})
