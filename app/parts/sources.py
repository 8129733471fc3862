"""The right column: a session's sources as a tree with a checkbox and tokens for each, and what was skipped.

Only what is unfolded is drawn, a page at a time, so that 5,000 files cost no more than the 20 that are looked at. A
file that is sent as images has a thumbnail of the first one, which opens the viewer.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b

import streamlit as st

from app import state
from app.images.albums import Album
from app.images.jpegs import Wish
from app.markdown import plain
from app.parts.pages import draw_pages
from app.parts.thumbnails import draw_thumbnail, first_wish
from app.parts.tiles import draw_tiles
from app.previews import Preview
from app.sizes import show_bytes
from app.sources.listing import File, Folder, build_tree, how_read, lacks_pages, notes_on, pages_sent
from app.verdicts import NOT_SENT
from engine.backend import About, Skipped
from engine.corpus.wording import counted
from storage.records import Session, SourceLink

_ROWS = 120  # rows drawn before "Show more"
_UNFOLD_UP_TO = 40  # a session with fewer sources shows them all at once
_SKIPPED_ROWS = 25
_DRAWING = "An SVG is sent as its text, not as an image; save it as PNG to have it looked at."


def draw_sources(
    session: Session, links: tuple[SourceLink, ...], preview: Preview | None, about: About | None
) -> list[Wish]:
    """The tree. Without a preview, because the model cannot be used, it shows no tokens. Returns thumbnails to draw."""
    session_id = session.id
    root = build_tree(links, preview.tokens if preview else {})
    total = f"{root.sent_tokens:,}" if preview else "not counted"
    left_out = root.n_sources - root.n_enabled
    files = counted(root.n_sources, "file")
    note = f"{root.n_enabled:,} of {files} sent" if left_out else files
    draw_panel_head(total, note)
    if about is not None and about.sees and preview is not None:
        draw_tiles(session, links, preview.albums, about)
        draw_pages(session, links)
    sees = None if preview is None or about is None else about.sees
    tree = _Tree(
        session_id,
        state.open_folders(session_id),
        state.shown(f"sources-{session_id}", _ROWS),
        preview.albums if preview else {},
        counted=preview is not None,
        sees=sees,
    )
    few = len(links) <= _UNFOLD_UP_TO
    state.remember(f"unfolded-{session_id}-{len(links)}", lambda: _unfold(root, tree.unfolded, all_below=few))
    with st.container(key="tree", gap=None):
        tree.draw(root, 0)
    if tree.n_hidden:
        st.button(
            f"Show more ({counted(tree.n_hidden, 'row')})",
            key="more-sources",
            type="tertiary",
            on_click=state.show_more,
            args=(f"sources-{session_id}", _ROWS),
        )
    _draw_notes(links, preview, sees=sees)
    return tree.wishes


def draw_panel_head(total: str, note: str) -> None:
    """The heading, with an anchor to go to; total and note are Longdesk's own words and numbers."""
    with st.container(key="panel-head", horizontal=True, vertical_alignment="bottom", gap="small", wrap=False):
        st.subheader("Sources", anchor="sources", width="stretch")
        st.html(f"<b>{total}</b>", width="content")
    st.html(f'<div class="panel-note">{note}</div>')


def _unfold(folder: Folder, unfolded: set[str], *, all_below: bool) -> bool:
    """Shows what a folder holds: all of it, or what lies in the only one at the top, as after a folder was dropped."""
    if all_below or (len(folder.folders) == 1 and not folder.files):
        for inner in folder.folders.values():
            unfolded.add(inner.path)
            _unfold(inner, unfolded, all_below=all_below)
    return True


class _Tree:
    """The tree in the middle of being drawn: how many rows are left to draw."""

    def __init__(
        self,
        session_id: str,
        unfolded: set[str],
        n_rows: int,
        albums: Mapping[str, Album],
        *,
        counted: bool,
        sees: bool | None,
    ) -> None:
        self.session_id = session_id
        self.albums = albums
        self.wishes: list[Wish] = []
        self.counted, self.sees = counted, sees
        self.unfolded = unfolded
        self.n_left = n_rows
        self.n_hidden = 0

    def draw(self, folder: Folder, depth: int) -> None:
        for inner in folder.folders.values():
            if self._room():
                self._draw_folder(inner, depth)
            if inner.path in self.unfolded:
                self.draw(inner, depth + 1)
        for file in folder.files:
            if self._room():
                self._draw_file(file, depth)

    def _room(self) -> bool:
        if self.n_left:
            self.n_left -= 1
            return True
        self.n_hidden += 1
        return False

    def _draw_folder(self, folder: Folder, depth: int) -> None:
        unfolded = folder.path in self.unfolded
        key = self._key(folder.path, depth)
        with st.container(horizontal=True, gap=None, vertical_alignment="center", key=f"{key}-row", wrap=False):
            st.button(
                f"{'Fold' if unfolded else 'Unfold'} {plain(folder.name)}",
                icon=":material/keyboard_arrow_down:" if unfolded else ":material/keyboard_arrow_right:",
                key=f"{key}-fold",
                type="tertiary",
                on_click=_fold,
                args=(self.session_id, folder.path),
            )
            some = 0 < folder.n_enabled < folder.n_sources
            part = f"{folder.n_enabled:,}/{folder.n_sources:,} · " if some else ""
            files = f"{part}files" if some else counted(folder.n_sources, "file")
            tokens = f"{part}{folder.sent_tokens if some else folder.n_tokens:,}" if self.counted else files
            label = f"{plain(folder.name)}/ *{tokens}*"
            self._draw_check(key, label, folder.n_enabled > 0, tuple(link.path for link in folder.sources()))

    def _draw_file(self, file: File, depth: int) -> None:
        link = file.link
        pages = f"{link.n_pages:,} p · " if link.n_pages else ""
        tokens = f" *{pages}{file.n_tokens:,}*" if file.n_tokens is not None else ""
        drawing = _DRAWING if link.path.lower().endswith(".svg") else ""
        remarks = [how_read(link), *notes_on(link, sees=self.sees), drawing]
        notes = "  \n".join(plain(note) for note in remarks if note) or None
        key, label = self._key(link.path, depth), plain(file.name) + tokens
        if not link.pictures:
            with st.container(key=f"{key}-file", gap=None):
                self._draw_check(key, label + _about(link, None), link.enabled, (link.path,), help=notes)
                self._draw_name(key, link.path)
            return
        album, wish = self.albums.get(link.path), first_wish(link)
        self.wishes.append(wish)
        with st.container(key=f"{key}-pic", gap=None):
            draw_thumbnail(self.session_id, wish, f"Look at {album.name if album else plain(file.name)}", place="tree")
            self._draw_check(key, label + _about(link, album), link.enabled, (link.path,), help=notes)
            self._draw_name(key, link.path)

    def _draw_name(self, key: str, path: str) -> None:
        """A button that lies over the name that the check box shows: a click there opens the source."""
        st.button(
            f"Open {plain(path)}",
            key=f"open-{key}",
            type="tertiary",
            on_click=state.open_source,
            args=(self.session_id, path),
        )

    def _draw_check(self, key: str, label: str, value: bool, paths: tuple[str, ...], help: str | None = None) -> None:
        state.follow(key, value)
        st.checkbox(
            label,
            key=key,
            width="stretch",
            help=help,
            on_change=_send,
            args=(self.session_id, paths, key, value),
        )

    def _key(self, path: str, depth: int) -> str:
        """A widget key, which is also the class that the style sheet indents by."""
        digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return f"depth{min(depth, 8)}-{self.session_id}-{digest}"


def _about(link: SourceLink, album: Album | None) -> str:
    """A second line below a name: what its pictures are called and how they are cut, or that they are not sent; and how
    many of its pages they are."""
    if album is not None and not album.views:
        return f" **{album.name} · {NOT_SENT}**"
    pages = pages_sent(link)
    parts = [album.name, album.grid, f":orange[{pages}]" if pages and lacks_pages(link) else pages] if album else []
    if not link.pictures and pages:
        parts = [f":orange[{pages}]"]
    return f" **{' · '.join(part for part in parts if part)}**" if parts else ""


def _fold(session_id: str, path: str) -> None:
    state.open_folders(session_id).symmetric_difference_update({path})


def _send(session_id: str, paths: tuple[str, ...], key: str, shown: bool) -> None:
    """Called by Streamlit too where a box is drawn again after the page was elsewhere: then it is as it was shown."""
    enabled = bool(state.value(key))
    if enabled != shown:
        with state.telling():
            state.house().desk.send(session_id, paths, enabled=enabled)


def _draw_notes(links: tuple[SourceLink, ...], preview: Preview | None, *, sees: bool | None) -> None:
    """What the user should know of sources that are not quite what lies on the disk."""
    notes = [f"{plain(link.path)}: {plain(note)}" for link in links for note in notes_on(link, sees=sees)]
    if preview:
        notes += [
            f"{plain(path)}: {counted(n, 'character')} that this vocabulary has no token for "
            f"{'was' if n == 1 else 'were'} left out"
            for path, n in preview.unrepresentable.items()
        ]
    if notes:
        with st.expander(counted(len(notes), "note"), icon=":material/info:"):
            st.caption("  \n".join(notes[:100]))


def draw_skipped(session_id: str, skipped: tuple[Skipped, ...], bring_back: Callable[[str, str], None]) -> None:
    """What was left out and why, each with a button where the user can overrule it: it calls bring_back with session
    and path."""
    if not skipped:
        return
    intake = state.house().intake
    with st.expander(f"{len(skipped):,} skipped: why", icon=":material/visibility_off:"):
        n_shown = state.shown(f"skipped-{session_id}", _SKIPPED_ROWS)
        for at, one in enumerate(skipped[:n_shown]):
            size = f" · {show_bytes(one.n_bytes)}" if one.n_bytes else ""
            with st.container(key=f"skipped-{at}", horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"{plain(one.path)}  \n:small[{plain(one.reason)}{size}]", width="stretch")
                if one.can_include and intake.can_bring_back(session_id, one.path):
                    st.button(
                        "Bring back",
                        key=f"bring-{session_id}-{at}",
                        on_click=bring_back,
                        args=(session_id, one.path),
                    )
                elif one.can_include:
                    st.caption("add it again to bring it back")
        if len(skipped) > n_shown:
            st.button(
                f"Show more ({len(skipped) - n_shown:,})",
                key="more-skipped",
                type="tertiary",
                on_click=state.show_more,
                args=(f"skipped-{session_id}", 4 * _SKIPPED_ROWS),
            )
