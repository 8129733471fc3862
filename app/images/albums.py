"""The pictures of a session's sources as the page speaks of them: their numbers, their tiles, what they cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.sizes import name_of
from engine.backend import Document, View


@dataclass(frozen=True, slots=True)
class Album:
    """All pictures of one source. views: as the model is shown them, () where it cannot see."""

    path: str
    first_number: int
    n_pictures: int
    views: tuple[View, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """ "image 2", "images 3–8": what a question can call them."""
        return name_of(self.first_number, self.n_pictures)

    @property
    def grid(self) -> str | None:
        """ "2×3": columns and rows of tiles, where all pictures have the same."""
        grids = {view.tiles for view in self.views}
        only = grids.pop() if len(grids) == 1 else None
        return f"{only[0]}×{only[1]}" if only else None

    @property
    def n_tokens(self) -> int:
        return sum(view.n_tokens for view in self.views)


def albums_of(documents: Iterable[Document]) -> dict[str, Album]:
    """An album for each document that has pictures, by its path."""
    albums = {}
    for document in documents:
        n_pictures = len(document.shown) + document.unseen
        if n_pictures:
            views = tuple(shown.view for shown in document.shown)
            albums[document.path] = Album(document.path, document.first_number, n_pictures, views)
    return albums
