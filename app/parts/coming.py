"""What is being read into sessions: how far it is, a button to stop it, and what came of it."""

from collections.abc import Iterator, Sequence

import streamlit as st

from app import state
from app.additions import Addition, Stage, Standing
from app.markdown import plain
from app.parts.turns import status_html
from app.reading import Doing
from app.sizes import show_bytes, show_seconds
from engine.backend import Skipped
from engine.corpus.wording import counted

_POLL_S = 0.3
_MOST_NAMED = 5  # refused files that a sentence each is said of
_MOST_PATH = 48  # characters of a path


def draw_coming(session_id: str | None, before: Sequence[Addition]) -> None:
    """A line for everything that is being read, by whichever tab; looks again and again until it is done.

    before: what was being read before the page looked at the session. What has ended since may have changed it: then
    the page is drawn again at once.
    """
    running = tuple(dict.fromkeys((*before, *state.house().additions.running())))
    for each in running:
        if each.session_id == session_id:
            state.watch(each)
    if running:
        st.fragment(_draw_live, run_every=_POLL_S)(session_id, tuple(each.id for each in running))


def hear() -> tuple[Addition, ...]:
    """Says what came of all that this tab has watched, and gives what is being read. A session that came to nothing is
    left."""
    running = state.house().additions.running()
    for addition in state.ended():
        standing, additions = addition.standing, state.house().additions
        is_gone = addition.is_new and not additions.has_begun(addition.session_id)
        is_gone = is_gone and not additions.is_coming(addition.session_id)  # with what is read after it
        if is_gone and state.session_id() == addition.session_id:
            state.go_to(None)
        if standing.error is not None:
            state.say(plain(standing.error))
        state.tell(state.NOWHERE if is_gone else addition.session_id, _sentences(addition))
    return running


def line_of(standing: Standing) -> str:
    """What an addition is at: "Reading 1,204 of 4,100 files · core/loop.py · 26.0 MiB/s · 3 s left"."""
    progress = standing.progress
    if standing.stage is Stage.WAITING:
        return "Waits for what is read before it"
    if progress is None:
        return "Reading the files"
    if standing.stage is Stage.ADDING:
        return f"Adding {counted(progress.n_total or progress.n_files, 'file')}"
    if progress.doing is Doing.FINDING:
        return f"Looking for files · {progress.n_files:,} found"
    parts = [f"{progress.n_files:,} of {counted(progress.n_total or progress.n_files, 'file')}"]
    if progress.doing is Doing.READING:
        parts += [_short(progress.path), f"{show_bytes(progress.bytes_per_s)}/s"]
    if progress.left_s is not None and progress.left_s >= 1:
        parts.append(f"{show_seconds(progress.left_s)} left")
    line = " · ".join(parts)
    return f"Reading {line}" if progress.doing is Doing.READING else f"Counting tokens · {line}"


def _draw_live(session_id: str | None, drawn: Sequence[str]) -> None:
    running = state.house().additions.running()
    if tuple(each.id for each in running) != drawn or state.session_id() != session_id:
        st.rerun()
    with st.container(key="coming", gap="small"):
        for each in running:
            _draw_one(each, here=each.session_id == session_id)


def _draw_one(addition: Addition, *, here: bool) -> None:
    """here: whether it goes to the session that is looked at."""
    standing = addition.standing
    share = standing.progress.share if standing.progress is not None else None
    line = line_of(standing)
    with st.container(
        key=f"coming-{addition.id}", horizontal=True, vertical_alignment="center", gap="small", wrap=False
    ):
        st.html(status_html(line if here else f"{addition.title}: {line}", share), width="stretch")
        if not here:
            st.button(
                "Open",
                key=f"open-{addition.id}",
                icon=":material/arrow_forward:",
                on_click=state.go_to,
                args=(addition.session_id,),
            )
        st.button(
            "Stop",
            key=f"stop-{addition.id}",
            icon=":material/stop_circle:",
            on_click=addition.stop,
            disabled=standing.stage is Stage.ADDING,
        )
    if here and standing.question is not None:
        st.caption(f"Asked once it is read: {plain(standing.question)}")


def _sentences(addition: Addition) -> Iterator[str]:
    """What the user should know of an addition that is done."""
    standing = addition.standing
    if standing.stopped:
        asked = f" It was not asked: {standing.question}" if standing.question is not None else ""
        yield f"Reading {addition.title} was stopped; nothing of it was added.{asked}"
    yield from standing.notices
    if standing.question is None:  # else they stand above the question
        yield from _refusals((*standing.refused, *addition.lost))


def _refusals(refused: Sequence[Skipped]) -> Iterator[str]:
    """What was refused, and why; many are a count."""
    refused = list(dict.fromkeys(refused))
    if len(refused) > _MOST_NAMED:
        yield f"{len(refused):,} of the files could not be read; the list of what was skipped says why."
        return
    for one in refused:
        yield f"{one.path} was not read: {one.reason}."


def _short(path: str) -> str:
    """The end of a path says most."""
    return path if len(path) <= _MOST_PATH else f"…{path[1 - _MOST_PATH :]}"
