"""The slider that says how many tiles an image of the session may have: fewer tiles, fewer tokens, less detail."""

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from app import state
from app.images.albums import Album
from engine.backend import About
from engine.corpus.wording import counted
from engine.tokens.tiles import MOST_TILES
from storage.records import Session, SourceLink


def draw_tiles(session: Session, links: Sequence[SourceLink], albums: Mapping[str, Album], about: About) -> None:
    """The slider, where images have tiles, and what those that are sent cost in all, by whose rule."""
    if not any(album.views for album in albums.values()):
        return
    sent = [albums[link.path] for link in links if link.enabled and link.path in albums]
    n_pictures = sum(len(album.views) for album in sent)
    n_tokens = sum(album.n_tokens for album in sent)
    images, rule = counted(n_pictures, "image"), escape(about.image_rule or "")
    with st.container(key="tiles", gap=None):
        st.html(f'<div class="tiles-note"><span>{images} by {rule}</span><b>{n_tokens:,}</b></div>')
        if about.has_tiles:
            key = f"tiles-{session.id}"
            state.follow(key, state.house().desk.settings_of(session).max_tiles)
            st.slider(
                "Tiles an image, at most",
                1,
                MOST_TILES,
                key=key,
                on_change=_limit,
                args=(session.id, key),
                help="Images are scaled down until they have no more tiles than this: fewer tokens, less detail. "
                "Images that were read with another limit are read again.",
            )


def _limit(session_id: str, key: str) -> None:
    with state.telling():
        state.house().desk.limit_tiles(session_id, int(state.value(key)))
