"""How the next tokens are chosen, in the sidebar: what is set, and what holds where nothing is; whether the model
thinks first, and what ends its answers."""

from contextlib import suppress

import streamlit as st

from app import state
from app.markdown import plain
from app.session_settings import sampling_of
from app.settings import MOST_TOP_K
from engine.backend import Makers
from engine.errors import LongdeskError

# by the names of settings: what it is called, from, up to, a step of its arrows, and what it does
_FIELDS: tuple[tuple[str, str, float, float, float, str], ...] = (
    ("temperature", "Temperature", 0.0, 10.0, 0.1, "0 always takes the likeliest token; higher leaves more to chance."),
    ("top_k", "Top-k", 0, MOST_TOP_K, 1, "Of so many of the likeliest tokens; 0 for all."),
    ("top_p", "Top-p", 0.0, 1.0, 0.05, "Of the likeliest tokens that have this share together."),
    ("min_p", "Min-p", 0.0, 1.0, 0.01, "Of tokens that are at least this likely, against the likeliest one."),
    ("repeat_penalty", "Repeat penalty", 0.1, 10.0, 0.05, "Above 1, against tokens that the reply had lately."),
    ("presence_penalty", "Presence penalty", -10.0, 10.0, 0.1, "The same, once for each such token."),
    ("frequency_penalty", "Frequency penalty", -10.0, 10.0, 0.1, "The same, as often as it was there."),
)


def draw_sampling() -> None:
    """A button in the sidebar. A field that is empty leaves it to the model's makers where what they say is used, else
    to Longdesk."""
    desk = state.house().desk
    makers = _makers()
    held, _ = sampling_of(desk.settings, makers)
    with st.popover("Sampling", icon=":material/casino:", width="stretch", key="sampling-more"):
        if makers is not None and makers.sentence:
            st.caption(plain(makers.sentence))
        for name, label, least, most, step, about in _FIELDS:
            key = f"sampling-{name}"
            state.follow(key, _as(type(step), getattr(desk.settings, name)))
            st.number_input(
                label, least, most, value=None, step=step, key=key, help=about, on_change=_set, args=(name, key),
                placeholder=f"{getattr(held, name):g}",
            )  # fmt: skip
        _draw_thinking()
        _draw_stops()
        st.caption("Until Longdesk is started again; `config.toml` says it for good.")


def _draw_thinking() -> None:
    """Whether the model thinks before it answers, with what its chat template does with thoughts."""
    desk = state.house().desk
    with suppress(LongdeskError):  # of a model that cannot be used more is said elsewhere
        used = desk.about().template
        if does := used.on_thinking:
            st.caption(plain(f"In this chat template, {does}."))
        if unswitched := used.unswitched(desk.settings.thinking or ""):
            st.caption(plain(unswitched))
    state.follow("thinking", desk.settings.thinking or "")
    st.text_input(
        "Thinking",
        key="thinking",
        placeholder="as the model does",
        help="on, off, or the most tokens that the model may think before it answers, kept free for that.",
        on_change=_take_thinking,
    )


def _draw_stops() -> None:
    desk = state.house().desk
    state.follow("stops", "\n".join(desk.settings.stops))
    st.text_area(
        "Stop before",
        key="stops",
        height=68,
        placeholder="none",
        help="Texts, one a line. An answer ends before the first of them; it is no part of it.",
        on_change=_take_stops,
    )


def _take_thinking() -> None:
    typed = str(state.value("thinking") or "").strip().lower().replace(",", "")
    with state.telling():
        state.house().desk.use_sampling(thinking=typed or None)


def _take_stops() -> None:
    lines = str(state.value("stops") or "").splitlines()
    with state.telling():
        state.house().desk.use_sampling(stops=tuple(line for line in lines if line.strip()))


def _makers() -> Makers | None:
    try:
        return state.house().desk.about().makers
    except LongdeskError:  # of a model that cannot be used more is said elsewhere
        return None


def _as(kind: type, value: float | None) -> float | None:
    return None if value is None else kind(value)


def _set(name: str, key: str) -> None:
    with state.telling():
        state.house().desk.use_sampling(**{name: state.value(key)})
