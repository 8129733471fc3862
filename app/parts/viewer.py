"""The viewer: a picture as the model is shown it, under its tile grid, with what each tile costs and by whose rule.

Whoever opens a source (the tree, a question, later a citation) calls state.look_at; this draws what is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from app import state
from app.images.albums import Album
from app.images.jpegs import Drawing, draw
from app.markdown import plain
from app.verdicts import NOT_SENT
from engine.backend import About, Skipped, View
from engine.corpus.wording import counted
from storage.records import SourceLink

_LONGEST = 1344  # pixels that are drawn at most: four tiles, on a screen of two pixels a point


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture of a session. number: what it is called, None where nothing was counted; view: None where the model
    cannot see it."""

    link: SourceLink
    page: int
    number: int | None
    view: View | None


def pictures_of(links: Sequence[SourceLink], albums: Mapping[str, Album]) -> tuple[Seen, ...]:
    """All pictures of a session, in the order of their numbers."""
    found = []
    for link in links:
        album = albums.get(link.path)
        for at, picture in enumerate(link.pictures):
            view = album.views[at] if album and at < len(album.views) else None
            found.append(Seen(link, picture.number, album.first_number + at if album else None, view))
    return tuple(found)


def draw_viewer(session_id: str, pictures: Sequence[Seen], about: About | None) -> None:
    """The dialog, while something is looked at. about: the engine, None where none can be used."""
    if _current(session_id, pictures) is not None:
        title, icon = (
            ("As the model sees it", ":material/grid_on:") if about and about.sees else ("Image", ":material/image:")
        )
        dialog = st.dialog(title, width="medium", icon=icon, on_dismiss=state.look_away)
        dialog(_draw_inside)(session_id, pictures, about)


def _draw_inside(session_id: str, pictures: Sequence[Seen], about: About | None) -> None:
    at = _current(session_id, pictures)
    if at is None:
        return
    seen = pictures[at]
    with st.container(key="viewer", gap="small"):
        _draw_head(session_id, pictures, at)
        placed = state.house().desk.source(session_id, seen.link.path)
        drawing = draw(placed.source, seen.page, _LONGEST) if placed is not None else None
        if isinstance(drawing, Drawing):
            st.html(_figure(drawing, seen, about.tile_tokens if about else 0))
        else:
            reason = drawing.reason if isinstance(drawing, Skipped) else "it is not in the session any more"
            st.error(f"{plain(seen.link.path)} cannot be shown: {plain(reason)}.", icon=":material/broken_image:")
        st.html(f'<div class="look-cost">{escape(cost_of(seen, about))}</div>')


def _current(session_id: str, pictures: Sequence[Seen]) -> int | None:
    """Which of the pictures is looked at."""
    looked_at = state.looked_at(session_id)
    return next((at for at, seen in enumerate(pictures) if (seen.link.path, seen.page) == looked_at), None)


def _draw_head(session_id: str, pictures: Sequence[Seen], at: int) -> None:
    """The name, and the way to the pictures before and behind it."""
    seen = pictures[at]
    name = f"**Image {seen.number}** · " if seen.number else ""
    n_pages, n_pictures = seen.link.n_pages, len(seen.link.pictures)
    page = f", page {seen.page} of {n_pages:,}" if n_pages else ""
    if n_pictures > 1 and not n_pages:
        page = f", picture {seen.page} of {n_pictures:,}"
    with st.container(key="viewer-head", horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        st.markdown(name + plain(seen.link.path) + page, width="stretch")
        if len(pictures) > 1:
            for label, icon, step, key in (
                ("Previous", ":material/chevron_left:", -1, "Left"),
                ("Next", ":material/chevron_right:", 1, "Right"),
            ):
                to = pictures[at + step] if 0 <= at + step < len(pictures) else None
                st.button(
                    label,
                    key=f"viewer-{label}",
                    icon=icon,
                    disabled=to is None,
                    shortcut=key,
                    on_click=state.look_at,
                    args=(session_id, to.link.path, to.page) if to else (),
                )


def cost_of(seen: Seen, about: About | None) -> str:
    """What the picture costs, from its tiles to their sum, and by whose rule; or why it costs nothing."""
    view = seen.view
    if about is None or not about.sees:
        return f"{NOT_SENT.capitalize()}."
    if view is None:
        return ""
    left_out = "" if seen.link.enabled else " Left out now: nothing of it is sent."
    sent = f"Sent as {view.width:,} × {view.height:,} pixels"
    if view.tiles is None:
        return f"{view.n_tokens:,} tokens, by {about.image_rule}. {sent}.{left_out}"
    columns, rows = view.tiles
    n_tiles = columns * rows
    n_marks = view.n_tokens - view.n_cells
    if n_tiles == 1:
        parts = f"1 tile of {about.tile_tokens:,} tokens and {counted(n_marks, 'mark')}"
    else:
        whole = f"the overview of {about.tile_tokens:,}"
        parts = f"{columns} × {rows} tiles of {about.tile_tokens:,} tokens, {whole}, and {counted(n_marks, 'mark')}"
    return f"{parts}: {view.n_tokens:,} tokens, by {about.image_rule}. {sent}.{left_out}"


def _figure(drawing: Drawing, seen: Seen, tile_tokens: int) -> str:
    """The picture in the middle of its tiles, each with its tokens, and the overview. Nothing in it is a user's text.

    llama.cpp scales an image into its tiles whole, and fills what is left with black; an overview, and an image that is
    one tile, it stretches to a square.
    """
    spoken = f"Image {seen.number}" if seen.number else "The image"
    image = f'<img src="{drawing.address}" alt="{spoken}">'
    view = seen.view
    if view is None or view.tiles is None:
        return f'<div class="look"><div class="look-plain">{image}</div></div>'
    columns, rows = view.tiles
    stretched = image.replace("<img", '<img class="stretched"')
    whole = f'<div class="overview"><div>{stretched}<i><span>{tile_tokens:,}</span></i></div>%s</div>'
    if columns * rows == 1:
        return f'<div class="look one">{whole % ""}</div>'
    cells = f"<i><span>{tile_tokens:,}</span></i>" * (columns * rows)
    style = f"--columns:{columns};--rows:{rows}"
    return f'<div class="look" style="{style}"><div class="grid">{image}{cells}</div>{whole % "overview"}</div>'
