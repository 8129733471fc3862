"""The pictures of a prompt as the engine's child is told of them: where they stand, and what they are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.prompt.prompt import Prompt
from engine.runtime.positions import Positions
from engine.tokens.document import Grid, Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """start, end: its place in the prompt's ids, where its cells are the negative ones. n_cells: how many those are.

    key: what is seen, see engine.tokens.sight.View. file: which of the prompt's files it is drawn from. number, width,
    height, format: the page or frame, the size to draw it at in pixels, and what the file is. name: for messages.
    non_causal: whether its cells see each other, so that each run of them is decoded at once. grids: its cells' rows
    and columns, by their places in the prompt's ids, in models whose positions have several dimensions.
    """

    start: int
    end: int
    n_cells: int
    key: str
    file: int
    number: int
    width: int
    height: int
    format: str
    name: str
    non_causal: bool = False
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True, slots=True)
class Pictures:
    """All of a prompt's, in order, and the bytes of the files that they are drawn from."""

    pictures: tuple[Picture, ...] = ()
    files: tuple[bytes, ...] = ()

    def fields(self) -> list[dict[str, Any]]:
        """As JSON for the child process; the files follow when they are asked for."""
        return [asdict(picture) for picture in self.pictures]


def pictures_of(prompt: Prompt) -> Pictures:
    """The pictures of a prompt."""
    files: dict[int, int] = {}  # by the identity of the value that holds them
    data: list[bytes] = []
    pictures, at = [], 0
    for segment in prompt.segments:
        for shown in segment.shown:
            if id(shown.file) not in files:
                files[id(shown.file)] = len(data)
                data.append(shown.file.data)
            pictures.append(_picture(shown, at, files[id(shown.file)], segment.path))
        at += segment.n_tokens
    return Pictures(tuple(pictures), tuple(data))


def _picture(shown: Shown, at: int, file: int, path: str | None) -> Picture:
    view, start = shown.view, at + shown.start
    page = f", page {view.number}" if shown.is_page else ""
    return Picture(
        start=start,
        end=start + view.n_tokens,
        n_cells=view.n_cells,
        key=view.key,
        file=file,
        number=view.number,
        width=view.width,
        height=view.height,
        format=shown.file.format,
        name=f"image {shown.number} ({path}{page})" if path else f"image {shown.number}",
        non_causal=view.non_causal,
        grids=tuple(grid.moved(start) for grid in view.grids or ()),
    )


def pictures_from(fields: Sequence[Mapping[str, Any]]) -> tuple[Picture, ...]:
    """The way back from `Pictures.fields`."""
    return tuple(Picture(**{**each, "grids": tuple(Grid(**grid) for grid in each["grids"])}) for each in fields)


def positions_of(pictures: Sequence[Picture]) -> Positions:
    """Where the ids of a prompt stand that shows these pictures."""
    return Positions(tuple(grid for picture in pictures for grid in picture.grids))
