"""The choice of pages that are sent as images, of PDFs and of TIFFs with several: beside the slider of their tiles."""

from collections.abc import Sequence

import streamlit as st

from app import state
from app.images.page_choice import can_be_drawn
from app.markdown import plain
from engine.corpus.rules import ALL_PAGES, BARE_AMONG, BARE_PAGES, parse_pages
from engine.corpus.wording import listed
from storage.records import Session, SourceLink

_THESE, _THESE_BARE = "these", "these-bare"
_MODES = {
    BARE_PAGES: "Those without text",
    ALL_PAGES: "All",
    _THESE: "These",
    _THESE_BARE: "Those of these without text",
}


def draw_pages(session: Session, links: Sequence[SourceLink]) -> None:
    """The choice as it is, where a source has pages; a field for their numbers where they are named."""
    paged = [link for link in links if link.n_pages]
    if not paged:
        return
    own = state.house().desk.settings_of(session)
    choice = own.draw_pages
    over, wanted, typed = state.value(_wish(session.id), (None, "", ""))
    if over != choice:  # nothing was begun on this page, or it was chosen otherwise since
        wanted, typed = _mode(choice), _numbers(choice)
    n_last = max(link.n_pages or 0 for link in paged)
    mode_key, text_key = f"pages-{session.id}", f"pages-named-{session.id}"
    with st.container(key="pages", gap="small"):
        state.follow(mode_key, wanted)
        st.selectbox(
            "Pages sent as images",
            list(_MODES),
            key=mode_key,
            format_func=_MODES.__getitem__,
            help="Of PDFs and TIFFs. A page that is sent as an image keeps its text, too.",
            on_change=_take,
            args=(session.id, mode_key, text_key, n_last),
        )
        if wanted in (_THESE, _THESE_BARE):
            state.follow(text_key, typed)
            st.text_input(
                "Their numbers",
                key=text_key,
                placeholder="1-23, 30",
                on_change=_take,
                args=(session.id, mode_key, text_key, n_last),
            )
            if typed and (wrong := wrong_in(typed, n_last)):
                st.caption(f":material/error: {plain(wrong)}")
        _draw_missing(own.emptied, paged, every=wanted != BARE_PAGES)


def _draw_missing(emptied: frozenset[str], paged: Sequence[SourceLink], *, every: bool) -> None:
    """What the choice leaves nothing of, and, where pages with text are wanted, what they cannot be drawn of."""
    empty = [link.path for link in paged if not link.enabled and link.path in emptied]
    if empty:
        st.caption(f"{plain(listed(empty))}: none of these pages and no text, so nothing of it is sent.")
    fileless = [link.path for link in paged if not can_be_drawn(link)] if every else []
    if fileless:
        st.caption(f"{plain(listed(fileless))}: the file was not kept. Add it again, not in a zip, to have it drawn.")


def wrong_in(text: str, n_last: int) -> str | None:
    """What is wrong with numbers of pages that were typed, in a sentence. n_last: the last page that there is."""
    try:
        pages = parse_pages(text)
    except ValueError:
        return f"“{text}” names no pages. Write numbers and ranges, such as 1-23, 30."
    if all(each[0] > n_last for each in pages):
        return f"There is no page {pages[0][0]:,}: the last one is page {n_last:,}."
    return None


def _take(session_id: str, mode_key: str, text_key: str, n_last: int) -> None:
    """What was chosen and typed becomes the session's choice, where it is one; else it stays as it is on the page."""
    mode, typed = str(state.value(mode_key)), str(state.value(text_key, "")).strip()
    desk = state.house().desk
    draw_pages = mode
    if mode in (_THESE, _THESE_BARE):
        if not typed or wrong_in(typed, n_last):
            over = desk.settings_of(desk.session(session_id).session).draw_pages
            state.follow(_wish(session_id), (over, mode, typed))
            return
        numbers = ",".join(part.strip() for part in typed.split(","))
        draw_pages = numbers if mode == _THESE else BARE_AMONG + numbers
    with state.telling():
        desk.draw_pages(session_id, draw_pages)
        state.follow(_wish(session_id), (None, "", ""))


def _wish(session_id: str) -> str:
    """Where this tab keeps what was chosen or typed and is no choice yet."""
    return f"pages-wished-{session_id}"


def _mode(choice: str) -> str:
    if choice in (BARE_PAGES, ALL_PAGES):
        return choice
    return _THESE_BARE if choice.startswith(BARE_AMONG) else _THESE


def _numbers(choice: str) -> str:
    return "" if choice in (BARE_PAGES, ALL_PAGES) else choice.removeprefix(BARE_AMONG).replace(",", ", ")
