"""Reading in passes, before anything runs: the offer where a corpus is too large, the plan of slices, the settings."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from app import state
from app.first_read import Duration, pass_times
from app.markdown import literal_html, plain, sentence_of
from app.pass_plans import Outlook
from app.passes.outline import Outline, PlannedSlice
from app.sizes import parse_tokens
from app.verdicts import about_time
from engine.corpus.wording import counted

_POLL_S = 0.4
_ROWS, _MORE_ROWS = 60, 300
_AUTO = "auto"


def draw_offer(session_id: str, outlook: Outlook, *, is_first: bool) -> None:
    """A button that turns passes on, with what that means; or that it is being worked out, or why it cannot be done.

    is_first: of what is offered.
    """
    outline = outlook.outline
    if outlook.error is not None:
        st.caption(f"It cannot be read in passes either. {sentence_of(outlook.error)}")
    else:
        with st.container(key="offer", horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Read in passes" if outline is None else f"Read in {_passes(outline)}",
                key="read-in-passes",
                icon=":material/splitscreen:",
                type="primary" if is_first else "secondary",
                disabled=outline is None,
                on_click=_turn,
                args=(session_id, True),
            )
            st.caption("Working out the slices" if outline is None else f"{_sum(outline)}.", width="stretch")
    _watch(session_id, outlook)


def draw_passes(session_id: str, outlook: Outlook, *, busy: bool) -> None:
    """That this session is read in passes: how many, of what, in what time; the slices; a button to turn it off.

    busy: an answer runs.
    """
    outline = outlook.outline
    with st.container(key="passes", gap=None):
        with st.container(key="passes-head", horizontal=True, vertical_alignment="center", gap="small"):
            if outlook.error is not None:
                st.error(f"**It cannot be read in passes.** {sentence_of(outlook.error)}", icon=":material/error:")
            elif outline is None:
                st.markdown(":material/splitscreen: **Read in passes.** Working out the slices", width="stretch")
            else:
                words = f"Read in {_passes(outline)}"
                st.markdown(f":material/splitscreen: **{words}.** {_sum(outline)}.", width="stretch")
            st.button(
                "Turn off",
                key="not-in-passes",
                type="tertiary",
                disabled=busy,
                on_click=_turn,
                args=(session_id, False),
            )
        if outline is not None:
            most = max((each.n_tokens for each in outline.slices), default=0)
            with st.expander(f"The slices: up to {most:,} tokens each", icon=":material/table_rows:"):
                _draw_slices(session_id, outline)
    _watch(session_id, outlook)


def draw_left(session_id: str, index: int, outlook: Outlook) -> None:
    """Under a question whose reading was stopped: what is kept of it, and what is left. index: of its turn."""
    outline = outlook.outline
    if outline is not None and outline.is_sure:
        n_left = len(outline.slices) - outline.n_noted
        what = f"{outline.n_noted:,} of {_passes(outline)} read; their notes are kept."
        seconds = _time(outline, _times(outline))
        left = f" Going on reads {counted(outline.n_left, 'token')}{seconds}." if n_left else " Going on answers."
        st.caption(f":material/bookmark: {what}{left}")
    _watch(session_id, outlook, index)


def draw_settings(session_id: str, *, in_passes: bool, pass_tokens: int | None) -> None:
    """The choice of passes, also for a corpus that fits, and of how much one of them reads: see Question."""
    with st.expander("Passes", icon=":material/splitscreen:"):
        st.caption("The sources are read slice by slice, each once, and the answer is made of what each slice gave.")
        st.button(
            "Read at once" if in_passes else "Read in passes",
            key="turn-passes",
            on_click=_turn,
            args=(session_id, not in_passes),
        )
        now = _AUTO if pass_tokens is None else f"{pass_tokens:,}"
        key = f"pass-tokens-{session_id}-{now}"
        st.text_input(
            "Tokens of a pass, at most",
            value=now,
            key=key,
            placeholder="2000, 8K, auto",
            help="As many as fit where it is auto. A model finds more in little than in much.",
            on_change=_take_tokens,
            args=(session_id, key),
        )


def _turn(session_id: str, on: bool) -> None:
    with state.telling():
        state.house().desk.read_in_passes(session_id, on)


def _take_tokens(session_id: str, key: str) -> None:
    """What was typed turns passes on."""
    typed = str(state.value(key) or _AUTO).strip().lower()
    try:
        n_tokens = None if typed == _AUTO else parse_tokens(typed.replace(",", ""))
    except ValueError as error:
        state.say(plain(str(error)))
    else:
        with state.telling():
            state.house().desk.read_in_passes(session_id, True, pass_tokens=n_tokens)


def _watch(session_id: str, outlook: Outlook, resumed: int | None = None) -> None:
    """Draws the page again when more is known. resumed: see PassPlans.of."""
    if not outlook.is_ready:
        st.fragment(_look, run_every=_POLL_S)(session_id, resumed, outlook.outline)


def _look(session_id: str, resumed: int | None, drawn: Outline | None) -> None:
    plans = state.house().pass_plans
    if not plans.is_busy(session_id) or plans.last(session_id, resumed=resumed).outline is not drawn:
        st.rerun()


def _passes(outline: Outline) -> str:
    return counted(len(outline.slices), "pass", "passes")


def _sum(outline: Outline) -> str:
    """What is read, in which time, and what is kept of it; without a full stop."""
    sources = f"All {outline.n_sources:,} sources" if outline.n_sources > 1 else "The source"
    parts = f"{sources}, each once: {counted(outline.n_tokens, 'token')}"
    n_kept = outline.n_tokens - outline.n_left
    kept = f", {n_kept:,} of them kept from before" if n_kept else ""
    return f"{parts}{kept}{_time(outline, _times(outline))}"


def _times(outline: Outline) -> tuple[Duration | None, ...]:
    return pass_times(state.house().desk, outline)


def _time(outline: Outline, times: Sequence[Duration | None]) -> str:
    """ ", about 12 min"; "" where nobody knows, or it is nothing."""
    known = [each for each in times if each is not None]
    if not outline.n_left or len(known) < len(times):
        return ""
    is_guess = any(each.is_guess for each in known)
    return f", {about_time(sum(each.seconds for each in known), is_guess=is_guess)}{' (a guess)' if is_guess else ''}"


def _draw_slices(session_id: str, outline: Outline) -> None:
    what = f"slices-{session_id}"
    n_rows, times = state.shown(what, _ROWS), _times(outline)
    rows = "".join(_row(at, each, times[at]) for at, each in enumerate(outline.slices[:n_rows]))
    head = (
        "<tr><th>Pass</th><th>Sources</th><th class='n'>Tokens</th><th class='n'>Time</th><th class='n'>Kept</th></tr>"
    )
    st.html(f'<table class="slices"><thead>{head}</thead><tbody>{rows}</tbody></table>')
    if len(outline.slices) > n_rows:
        left = len(outline.slices) - n_rows
        st.button(
            f"{left:,} more", key="more-slices", type="tertiary", on_click=state.show_more, args=(what, _MORE_ROWS)
        )


def _row(at: int, each: PlannedSlice, took: Duration | None) -> str:
    contents = "".join(f"<div>{literal_html(name)}</div>" for name in each.contents)
    time = "" if took is None or not each.n_left else about_time(took.seconds, is_guess=took.is_guess)
    kept = "note" if each.is_noted else f"{each.n_kept:,}" if each.n_kept else ""
    return (
        f"<tr><th>{at + 1:,}</th><td>{contents}</td><td class='n'>{each.n_tokens:,}</td>"
        f"<td class='n'>{escape(time)}</td><td class='n'>{kept}</td></tr>"
    )
