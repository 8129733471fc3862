"""Which image a statement means: "image 2, upper right", or the name of its file. Words cannot show what it says of it.

So its citation has status missing and no quote; but the image that it names, and where on it, where it says so plainly.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.answer.citations import Citation, Status
from engine.answer.statements import Span, statements
from engine.corpus.source import Picture, Source

Box = tuple[float, float, float, float]

_NUMBERED = re.compile(
    r"\b(?:image|picture|photo|photograph|screenshot|bild|imagen)\s*(?:no\.?|nr\.?|#)?\s*(\d{1,6})\b"
    r"|(?:\u56fe\u7247?|\u753b\u50cf)\s*(\d{1,6})",
    re.IGNORECASE,
)
_LOW, _MIDDLE, _HIGH = (0.0, 0.5), (0.25, 0.75), (0.5, 1.0)
_ACROSS = {"left": _LOW, "right": _HIGH, "center": _MIDDLE, "centre": _MIDDLE, "middle": _MIDDLE}
_DOWN = {
    "upper": _LOW,
    "top": _LOW,
    "lower": _HIGH,
    "bottom": _HIGH,
    "center": _MIDDLE,
    "centre": _MIDDLE,
    "middle": _MIDDLE,
}
_CORNER = re.compile(
    r"\b(upper|top|lower|bottom|center|centre|middle)[- ]?(?:hand )?(left|right|center|centre|middle)\b"
    r"|\b(left|right)[- ](upper|top|lower|bottom)\b",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"\b(?:on|at|in|to|along|near|from)\s+(?:the|its)\s+(?:(?:very|far)\s+)?(left|right|top|bottom|center|centre|middle)\b"
    r"|\b(left|right|upper|lower|top|bottom)[- ](?:hand[- ])?(?:half|side|part|edge|third)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture of a source, by the number that it has in the prompt."""

    source: Source
    picture: Picture
    number: int


def cite_images(text: str, sources: Sequence[Source], first: Mapping[str, int]) -> tuple[Citation, ...]:
    """A citation for each statement of an answer and each image that it means.

    sources: those whose pictures were shown. first: what the first picture of each is called, by path.
    """
    shown = {
        number: _Shown(source, picture, number)
        for source in sources
        for number, picture in enumerate(source.pictures, first.get(source.path, 1))
    }
    names = dict(_names(shown))
    return tuple(
        citation for span in statements(text) if shown for citation in _cited(text[slice(*span)], span, shown, names)
    )


def images_of_rows(
    rows: Sequence[Sequence[str]], sources: Sequence[Source], first: Mapping[str, int]
) -> list[Citation | None]:
    """For each row of a table the image that its cells must be of: the one that it names, or the only one that was
    shown.

    first: what the first picture of each source is called, by path.
    """
    pictured = [source for source in sources if source.pictures]
    alone = None
    if len(pictured) == 1 and len(pictured[0].pictures) == 1:
        source = pictured[0]
        page = source.pictures[0].number if source.n_pages else None
        alone = Citation(
            statement=(0, 0),
            status=Status.MISSING,
            path=source.path,
            source_digest=source.digest,
            image=first.get(source.path, 1),
            page=page,
        )
    named = [cite_images(". ".join(filter(None, row)), pictured, first) if pictured else () for row in rows]
    return [cited[0] if len({each.image for each in cited}) == 1 else alone for cited in named]


def _names(shown: Mapping[int, _Shown]) -> Iterator[tuple[str, _Shown]]:
    """The names of files that are one image each; a name that two of them have tells nothing."""
    single = [each for each in shown.values() if each.source.n_pages is None and len(each.source.pictures) == 1]
    names = [each.source.path.rpartition("/")[2] for each in single if each.source.is_wordless]
    for each in single:
        name = each.source.path.rpartition("/")[2]
        if each.source.is_wordless:
            yield each.source.path, each
            if names.count(name) == 1:
                yield name, each


def _cited(statement: str, span: Span, shown: Mapping[int, _Shown], names: Mapping[str, _Shown]) -> Iterator[Citation]:
    numbers = [int(found[1] or found[2]) for found in _NUMBERED.finditer(statement)]
    meant = [shown[number] for number in dict.fromkeys(numbers) if number in shown]
    meant = meant or list({each.number: each for name, each in names.items() if _stands(name, statement)}.values())
    box = box_in_words(statement) if len(meant) == 1 else None
    for each in meant:
        yield Citation(
            statement=span,
            status=Status.MISSING,
            path=each.source.path,
            source_digest=each.source.digest,
            image=each.number,
            page=each.picture.number if each.source.n_pages else None,
            box=box,
        )


def _stands(name: str, statement: str) -> bool:
    return re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", statement) is not None


def box_in_words(statement: str) -> Box | None:
    """Where on an image a statement says that something is: a quarter or a half of it; None where it does not say so,
    or names several places."""
    found: list[Box] = []
    for corner in _CORNER.finditer(statement):
        down, across = (corner[1], corner[2]) if corner[1] else (corner[4], corner[3])
        found.append(_box(_ACROSS[across.lower()], _DOWN[down.lower()]))
    if not found:
        for side in _SIDE.finditer(statement):
            word = (side[1] or side[2]).lower()
            is_across = word in ("left", "right")
            is_middle = word in ("center", "centre", "middle")
            across = _ACROSS[word] if is_across or is_middle else (0.0, 1.0)
            found.append(_box(across, (0.0, 1.0) if is_across else _DOWN[word]))
    return found[0] if len(set(found)) == 1 else None


def _box(across: tuple[float, float], down: tuple[float, float]) -> Box:
    return across[0], down[0], across[1], down[1]
