"""How far it reads: the model in use, tried with probes that are planted in copies of a corpus."""

import streamlit as st

from app import state
from app.markdown import plain, sentence_of
from app.parts.reach_grid import draw_grid
from app.reaching import FIRST, REPLY_TOKENS, Standing, Trial, farthest
from app.sizes import show_seconds, show_tokens
from engine.errors import LongdeskError

_POLL_S = 0.5
_USUAL = 8192  # the longest length that is tried where nobody chooses: minutes, on a laptop


def draw() -> None:
    """Draws the page."""
    with st.container(key="reading"):
        st.header("How far it reads", anchor=False)
        st.markdown(
            "A model may take more tokens than it reads reliably. Small facts are planted in copies of a corpus, at "
            "several depths and lengths, and asked for. Your files stay as they are."
        )
        for sentence in state.said():
            st.error(sentence, icon=":material/error:")
        standing = state.house().readings.standing
        if standing is not None and standing.running:
            st.fragment(_draw_running, run_every=_POLL_S)(len(standing.reading.lengths) if standing.reading else -1)
        else:
            _draw_choice()
            _draw_ended(standing)
        _draw_finding(standing)


def _draw_finding(standing: Standing | None) -> None:
    reading = standing.reading if standing is not None else None
    try:
        reading = reading if reading is not None and reading.lengths else farthest(state.house().desk)
    except LongdeskError as error:
        st.error(sentence_of(error), icon=":material/error:")
        return
    if reading is not None:
        draw_grid(reading)
    elif standing is None:
        st.caption("Nothing was tried yet with this model and KV type.")


def _draw_choice() -> None:
    """What it is tried with, up to which length, and the button."""
    desk = state.house().desk
    try:
        window = desk.about().window
    except LongdeskError:  # said below
        return
    most = min(window, desk.settings.n_ctx or window) - REPLY_TOKENS
    choices = [*_doubled(most), most]
    usual = max((each for each in choices if each <= _USUAL), default=most)
    with st.container(key="reading-choice", horizontal=True, vertical_alignment="bottom"):
        state.remember("reading-most", lambda: usual)
        longest: int = st.selectbox(
            "Up to", choices, key="reading-most", format_func=lambda n: f"{show_tokens(n)} tokens",
            help="Lengths double up to there, as far as corpus and memory have room. Each is read once.",
        )  # fmt: skip
        session_id, n_sources = state.session_id(), _n_sources()
        if st.button("Try it", type="primary", icon=":material/straighten:", key="reading-begin"):
            trial = Trial(longest=longest, own=not n_sources)
            with state.telling():
                state.house().readings.begin(session_id if n_sources else None, trial)
            st.rerun()
    what = f"the {n_sources:,} sources of the open session" if n_sources else "Longdesk's own program"
    more = "" if n_sources else " Open a session first to try it with your own sources."
    st.caption(f"Tried with {what}.{more} The command line has more to choose from: `longdesk reading --help`.")


def _doubled(longest: int) -> tuple[int, ...]:
    lengths, tokens = list[int](), FIRST
    while tokens < longest:
        lengths.append(tokens)
        tokens *= 2
    return tuple(lengths)


def _n_sources() -> int:
    """Of the session that is open, those which are sent; 0 without one."""
    session_id = state.session_id()
    if session_id is None:
        return 0
    try:
        return sum(link.enabled for link in state.house().desk.session(session_id).links)
    except LongdeskError:
        return 0


def _draw_running(n_drawn: int) -> None:
    """How far it is, again and again; the whole page when a length was read, and at the end."""
    readings = state.house().readings
    standing = readings.standing
    n_lengths = len(standing.reading.lengths) if standing is not None and standing.reading is not None else -1
    if standing is None or not standing.running or n_lengths != n_drawn:
        st.rerun()
    with st.container(key="reading-live", horizontal=True, vertical_alignment="center"):
        st.markdown(_progress(standing), width="stretch")
        st.button(
            "Stop", key="reading-stop", icon=":material/stop:", disabled=standing.stopping, on_click=readings.stop
        )
    for sentence in standing.told:
        st.caption(plain(sentence))


def _progress(standing: Standing) -> str:
    """What is going on now, in a line."""
    step = standing.step
    if standing.stopping:
        return "Stopping"
    if step is None:
        return "Counting"
    if step.doing == "loading":
        return f"Loading the model {step.done:.0%}"
    left = f" · {show_seconds(step.left_s)} left in all" if step.left_s is not None else ""
    if step.doing == "reading":
        return f"**{step.tokens:,} tokens** · Reading {step.done / max(1, step.total):.0%}{left}"
    return f"**{step.tokens:,} tokens** · {step.done:.0f} of {step.total:.0f} questions{left}"


def _draw_ended(standing: Standing | None) -> None:
    if standing is None:
        return
    if standing.error is not None:
        st.error(plain(standing.error), icon=":material/error:")
    for sentence in standing.told:
        st.caption(plain(sentence))
