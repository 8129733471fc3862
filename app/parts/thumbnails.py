"""Thumbnails: buttons that open the viewer, wherever they stand.

A button's picture is a rule of style, so that it can be drawn after the button: the page does not wait for a hundred
photos to be decoded. What was wished for in one redraw is drawn at its end.
"""

from collections.abc import Sequence
from hashlib import blake2b

import streamlit as st

from app import state
from app.images.jpegs import Thumbnails, Wish
from storage.records import SourceLink

_FIRST_S, _LATER_S = 0.3, 0.25  # that a redraw spends on new ones
_POLL_S = 0.4


def first_wish(link: SourceLink) -> Wish:
    """The picture that stands for a source: its first one. A scan of 40 pages has one thumbnail."""
    return Wish(link.path, link.digest, link.pictures[0].number)


def draw_thumbnail(session_id: str, wish: Wish, label: str, *, place: str) -> None:
    """A button with the picture on it. place: where on the page it stands, as part of its key; label: Markdown."""
    path = blake2b(wish.path.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    st.button(
        label,
        key=f"{_class(wish.digest, wish.number)}-{place}-{session_id}-{path}",
        type="tertiary",
        on_click=state.look_at,
        args=(session_id, wish.path, wish.number),
    )


def draw_thumbnails(session_id: str, wishes: Sequence[Wish]) -> None:
    """Draws what was wished for, as much as can be drawn in a moment; the rest bit by bit, while the page is there."""
    if not wishes:
        return
    thumbnails = state.house().thumbnails.draw(session_id, wishes, within_s=_FIRST_S)
    if thumbnails.missing:
        st.fragment(_draw_more, run_every=_POLL_S)(session_id, tuple(wishes))
    else:
        st.html(_style(thumbnails))


def _draw_more(session_id: str, wishes: tuple[Wish, ...]) -> None:
    thumbnails = state.house().thumbnails.draw(session_id, wishes, within_s=_LATER_S)
    if not thumbnails.missing:
        st.rerun()
    st.html(_style(thumbnails))


def _class(digest: str, number: int) -> str:
    return f"look-{digest[:16]}-{number}"


def _style(thumbnails: Thumbnails) -> str:
    """Digests, numbers and JPEGs of our own: nothing of a user's text."""
    rules = (
        f'[class*="st-key-{_class(digest, number)}-"]{{--ld-picture:url({address})}}'
        for (digest, number), address in thumbnails.addresses.items()
    )
    return f"<style>{''.join(rules)}</style>"
