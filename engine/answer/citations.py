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


_MORE = ("text_bytes", "boxes")
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PageBox:
    """What of a passage stands on a page, from 1; box: see Citation."""

    page: int
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A quote and its first place; or a statement that no words were found for, with status missing.

    statement: characters of the answer that it stands for, from and to. quote: the words as they stand in the source
    (verified), or as the answer has them (altered, missing; "" where the answer quotes nothing). places: how often
    verified words stand in all that was sent. held: it could only be copied, since it was decoded under the constraint.
    logprob: of its least likely token, in nats; None where it was not held.

    The place: path and source_digest of the source.
    bytes: from and to, of the file as it lies on disk, a byte order mark included, in its own encoding; None of a text
    file whose bytes were not all read as what they are, which its notes say. Of PDFs and notebooks, whose text is made
    of what stands in the file, of that text in UTF-8.
    text_bytes: from and to, of the source's text in UTF-8 as it was sent; None where these are bytes, too.
    lines: of that text, first and last, from 1; page: of a PDF, from 1; cell: of a notebook, from 1: where it begins.
    image: the number that its picture has in the prompt.
    box: left, top, right, bottom on the page or picture, as shares of its width and height from its upper left corner.
    boxes: on each page that the passage stands on, the first included, where there are several. What does not apply is
    None.
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
    text_bytes: tuple[int, int] | None = None
    lines: tuple[int, int] | None = None
    page: int | None = None
    cell: int | None = None
    image: int | None = None
    box: Box | None = None
    boxes: tuple[PageBox, ...] | None = None

    @property
    def text_span(self) -> tuple[int, int] | None:
        """From and up to, bytes of the source's text in UTF-8 as it was sent."""
        return self.text_bytes or self.bytes

    def to_json(self) -> dict[str, Any]:
        """Its fields; lists in place of tuples. text_bytes and boxes are left out where they are None."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        boxes = None if self.boxes is None else [{"page": each.page, "box": list(each.box)} for each in self.boxes]
        values["boxes"] = boxes
        return {name: value for name, value in values.items() if value is not None or name not in _MORE}


def citation_from(fields: Mapping[str, Any]) -> Citation:
    """The way back from to_json. Unknown fields are left out, since a newer version may have written them."""
    known = {name: value for name, value in fields.items() if name in Citation.__slots__}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    if values.get("boxes") is not None:
        values["boxes"] = tuple(PageBox(each["page"], tuple(each["box"])) for each in values["boxes"])
    return Citation(**{**values, "status": Status(str(values["status"]))})
