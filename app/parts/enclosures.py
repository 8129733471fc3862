"""What came with a question, above it: the pictures that it was the first to send, and the files that were refused."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app import state
from app.attachments import Candidate
from app.images.albums import Album
from app.images.jpegs import Wish
from app.markdown import plain
from app.parts.thumbnails import draw_thumbnail, first_wish
from app.session_settings import Joined
from app.sizes import name_of
from engine.backend import Skipped
from storage.records import SourceLink

_CHIPS, _MORE_CHIPS = 12, 60
_MOST_NAMED = 5  # refused files that are named without a click


def candidates_of(links: Sequence[SourceLink], albums: Mapping[str, Album]) -> tuple[Candidate, ...]:
    """The pictures that the session's next question sends; none where nothing was counted or the model cannot see."""
    return tuple(
        Candidate(Joined(link.path, link.digest, album.first_number, album.n_pictures), link.turn_index)
        for link in links
        if link.enabled and (album := albums.get(link.path)) is not None and album.views
    )


def draw_joined(
    session_id: str, joined: Sequence[Joined], links: Mapping[str, SourceLink], albums: Mapping[str, Album], place: int
) -> list[Wish]:
    """Chips by the pictures' numbers, the last ones first of all: what was pasted just now stands last. Those before
    them are behind a button. place: the turn's index. Returns the thumbnails that are to be drawn."""
    if not joined:
        return []
    what = f"joined-{session_id}-{place}"
    n_hidden = max(0, len(joined) - state.shown(what, _CHIPS))
    wishes = []
    with st.container(key=f"joined-{place}", horizontal=True, gap="small", vertical_alignment="center"):
        if n_hidden:
            st.button(
                _names(joined[:n_hidden]),
                key=f"earlier-{place}-{session_id}",
                icon=":material/more_horiz:",
                type="tertiary",
                help="Show the images before these.",
                on_click=state.show_more,
                args=(what, _MORE_CHIPS),
            )
        for one in joined[n_hidden:]:
            wishes += _draw_chip(session_id, one, links.get(one.path), albums.get(one.path), place)
    return wishes


def _names(joined: Sequence[Joined]) -> str:
    """ "Images 1–28" for what is hidden; how many, where they are not numbered through."""
    first, last = joined[0], joined[-1]
    n_pictures = sum(one.n_pictures for one in joined)
    end = last.first_number + last.n_pictures
    if n_pictures > 1 and end - first.first_number == n_pictures:
        return f"Images {first.first_number}–{end - 1}"
    return f"{n_pictures:,} more"


def _draw_chip(session_id: str, one: Joined, link: SourceLink | None, album: Album | None, place: int) -> list[Wish]:
    """A button that opens the viewer, while the session still has what was sent."""
    name = name_of(one.first_number, one.n_pictures)
    if link is None or link.digest != one.digest:
        st.button(
            name.capitalize(),
            key=f"changed-{place}-{session_id}-{one.digest[:16]}-{one.first_number}",
            type="tertiary",
            disabled=True,
            help=f"{plain(one.path)} was changed since: what was sent with this question is not kept.",
        )
        return []
    wish = first_wish(link)
    draw_thumbnail(session_id, wish, (album.name if album else name).capitalize(), place="joined")
    return [wish]


def draw_refused(refused: Sequence[Skipped], place: int) -> None:
    """The files that were attached and could not be read, each with its reason; many are behind a count. place: the
    turn's index."""
    if len(refused) > _MOST_NAMED:
        with st.expander(f"{len(refused):,} attached files were not read: why", icon=":material/block:"):
            _draw_rows(refused, place)
    elif refused:
        _draw_rows(refused, place)


def _draw_rows(refused: Sequence[Skipped], place: int) -> None:
    with st.container(key=f"refused-{place}", gap=None):
        for one in refused:
            st.markdown(f":material/block: **{plain(one.path)}** was not read: {plain(one.reason)}.")
