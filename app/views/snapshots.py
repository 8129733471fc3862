"""The KV caches kept on disk: what each holds, what all of them take of their budget, and taking them away."""

from collections.abc import Callable
from datetime import timedelta

import streamlit as st

from app import state
from app.kv.disk import Kept, Tier, model_words, session_words
from app.markdown import plain, sentence_of, when
from app.sizes import show_bytes
from engine.corpus.wording import counted
from engine.errors import LongdeskError
from storage.records import Snapshot

_ROWS = 50
_AGES = {"Not used for a week": timedelta(days=7), "Not used for a month": timedelta(days=30), "All": None}


def draw() -> None:
    """Draws the page."""
    kept = _tier().kept()
    with st.container(key="caches"):
        st.header("Kept KV caches", anchor=False)
        st.markdown(
            "What a model has read is kept on disk. Any session that begins with the same tokens goes on from there, "
            "also after a restart. Deleting a KV cache loses nothing but time: it is read again when it is asked about."
        )
        if not state.house().desk.settings.snapshot:
            st.caption("Nothing is added now: the setting `snapshot` is off.")
        st.html(budget_html(kept))
        if not kept.snapshots:
            st.markdown("None yet. They appear here once a question about a corpus was answered.")
            return
        _draw_several(kept)
        n_shown = state.shown("caches", _ROWS)
        for snapshot in kept.snapshots[::-1][:n_shown]:
            _draw_row(snapshot)
        if len(kept.snapshots) > n_shown:
            st.button(
                f"Show more ({len(kept.snapshots) - n_shown:,})",
                key="more-caches",
                on_click=state.show_more,
                args=("caches", _ROWS),
            )


def budget_html(kept: Kept) -> str:
    """A bar: what is kept of what may be."""
    share = min(100.0, 100 * kept.total_bytes / max(1, kept.budget_bytes))
    return (
        '<div class="devices"><section><div class="head"><b>Disk</b>'
        f"<span>{show_bytes(kept.total_bytes)} kept, {show_bytes(kept.budget_bytes)} allowed</span></div>"
        f'<div class="bar" role="img" aria-label="{share:.0f} % of what is allowed is used">'
        f'<i class="kv" style="width:{share:.3f}%"></i></div></section></div>'
    )


def _draw_several(kept: Kept) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="caches-head"):
        st.caption(
            "Where there is no room, what others hold as well goes first, then what was not used for longest. "
            "`snapshot_budget` in `config.toml` sets how much is allowed.",
            width="stretch",
        )
        choice = st.menu_button("Delete several", list(_AGES), key="several")
    if choice:
        age = _AGES[choice]
        _delete_several(choice, kept.snapshots if age is None else kept.unused_for(age))


def _draw_row(snapshot: Snapshot) -> None:
    with st.container(key=f"cache-{snapshot.path.stem}", horizontal=True, vertical_alignment="center"):
        facts = (
            counted(snapshot.n_tokens, "token"),
            show_bytes(snapshot.n_bytes),
            f"{plain(model_words(snapshot))}, {plain(snapshot.kv_type)} KV",
            f"used {when(snapshot.last_used)}",
        )
        st.markdown(f"**{plain(session_words(snapshot))}**  \n:small[{' · '.join(facts)}]", width="stretch")
        if st.button("Delete", key=f"delete-{snapshot.path.stem}"):
            _delete(snapshot)


@st.dialog("Delete the KV cache?", icon=":material/delete:")
def _delete(snapshot: Snapshot) -> None:
    are = "is read again when it is" if snapshot.n_tokens == 1 else "are read again when they are"
    st.markdown(f"**{plain(session_words(snapshot))}**: {counted(snapshot.n_tokens, 'token')} {are} asked about.")
    if _is_sure():
        _go(lambda: _tier().delete(snapshot.path))


@st.dialog("Delete several KV caches?", icon=":material/delete:")
def _delete_several(choice: str, snapshots: tuple[Snapshot, ...]) -> None:
    if not snapshots:
        st.markdown("There are none.")
        return
    freed = show_bytes(sum(snapshot.n_bytes for snapshot in snapshots))
    n_gone = len(snapshots)
    st.markdown(f"{choice}: {counted(n_gone, 'KV cache')}, {freed}. The sessions stay.")
    if _is_sure():
        age = _AGES[choice]
        _go(lambda: _tier().prune(older_than=age) if age is not None else _tier().prune(to_bytes=0))


def _is_sure() -> bool:
    """The two buttons of a dialog: whether the second one was pressed."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep", key="keep"):
            st.rerun()
        return st.button("Delete", key="really-delete", type="primary", icon=":material/delete:")


def _go(delete: Callable[[], object]) -> None:
    """Deletes and draws the page again; says why where that was not possible."""
    try:
        delete()
    except (LongdeskError, OSError) as error:
        st.error(sentence_of(error) if isinstance(error, LongdeskError) else plain(str(error)))
        return
    st.rerun()


def _tier() -> Tier:
    desk = state.house().desk
    return desk.saved
