"""What to plan for: a model, a context, a KV type and what else decides memory. The address of the page holds them."""

import streamlit as st

from app import state
from app.forecast import MARKS
from app.markdown import plain
from app.settings import KV_DEVICES, STARTER
from app.sizes import parse_tokens, show_bytes, show_tokens
from engine.backend import Wanted
from engine.errors import LongdeskError
from engine.memory.catalog.entry import ENTRIES, find
from engine.tensor_types import KV_TYPES

_CURRENT = "current"
_UBATCHES = (128, 256, 512, 1024, 2048)
_AUTO = "auto"
_DEVICES = {"auto": "Where it fits", "gpu": "GPU", "ram": "RAM"}


def draw_model() -> str | None:
    """The choice of a model; None is the current one."""
    settings = state.house().desk.settings
    current, engines = settings.model, [engine.name for engine in settings.engines if engine.name != settings.model]
    here = [STARTER] if current != STARTER else []
    options = [_CURRENT, *here, *engines, *(entry.name for entry in ENTRIES)]
    named = state.named("model")
    state.remember("model", lambda: named if named in options else _CURRENT)
    chosen: str = st.selectbox(
        "Model", options, key="model",
        format_func=lambda option: _current_name() if option == _CURRENT else option,
        help="The model that answers here, an engine elsewhere, or one of the catalogue: nothing is downloaded.",
    )  # fmt: skip
    state.put_address(model=None if chosen == _CURRENT else chosen)
    return None if chosen == _CURRENT else chosen


def _current_name() -> str:
    desk = state.house().desk
    try:
        return desk.about().name
    except LongdeskError:
        return _CURRENT


def describe(model: str | None) -> str:
    """A line on a model of the catalogue as Markdown; '' for others."""
    entry = find(model) if model else None
    if entry is None:
        return ""
    made = "as published" if entry.released else "announced, never released: a shape that fits what was said of it"
    size = ("" if entry.weights_exact else "~") + show_bytes(entry.weights_bytes)
    return f"{plain(entry.model)}, {plain(entry.quantization)}, {size} of weights, {made}. {plain(entry.licence)}."


def draw_context(window: int) -> tuple[int | None, bool]:
    """The choice of a context in tokens, None for automatic; False where what was typed is no number of tokens."""
    state.remember("ctx", lambda: state.named("ctx") or _AUTO)
    typed = st.text_input(
        "Context", key="ctx", placeholder="128K, 300000, 1M, auto",
        help=f"Tokens: 128K, 300000, 1M; auto for what Longdesk would choose. The window is {window:,}.",
    )  # fmt: skip
    text = typed.strip().lower() or _AUTO
    n_ctx, error = _parsed(text)
    marks = [_AUTO, *(show_tokens(mark) for mark in (*MARKS, window) if mark <= window)]
    now = _AUTO if text == _AUTO else show_tokens(n_ctx) if n_ctx else None
    state.follow("ctx-mark", now if now in marks else None)
    st.segmented_control(
        "Usual contexts", list(dict.fromkeys(marks)), key="ctx-mark", label_visibility="collapsed",
        on_change=_take_mark, format_func=lambda mark: "Auto" if mark == _AUTO else mark, width="stretch",
    )  # fmt: skip
    if error:
        st.error(plain(error), icon=":material/error:")
    else:
        state.put_address(ctx=None if text == _AUTO else text.upper())
    return n_ctx, not error


def _parsed(text: str) -> tuple[int | None, str]:
    """The tokens that a text means, None for auto, and what is wrong with it."""
    if text == _AUTO:
        return None, ""
    try:
        tokens = parse_tokens(text.replace(",", ""))
    except ValueError as error:
        return None, str(error)
    return (tokens, "") if tokens >= 1 else (None, "A context has at least 1 token.")


def _take_mark() -> None:
    state.follow("ctx", state.value("ctx-mark") or _AUTO)


def draw_kv_type() -> str:
    """The choice of a KV type."""
    settled, named = state.house().desk.settings.kv_type, state.named("kv")
    state.remember("kv", lambda: named if named in KV_TYPES else settled)
    chosen: str = st.selectbox(
        "KV cache", KV_TYPES, key="kv",
        help="f16 is what models were made with. q8_0 takes a little over half of it, q4_0 over a quarter.",
    )  # fmt: skip
    state.put_address(kv=None if chosen == settled else chosen)
    return chosen


def draw_more(n_ctx: int | None, kv_type: str) -> Wanted:
    """What is seldom changed, behind a button; with the rest of the choice it is what is wanted."""
    settings = state.house().desk.settings
    state.remember("kv-device", lambda: settings.kv_device)
    state.remember("ubatch", int)
    state.remember("reply", lambda: settings.reply_tokens)
    with st.popover("More", icon=":material/tune:", key="plan-more"):
        device = st.segmented_control(
            "Where the KV cache lies", KV_DEVICES, key="kv-device", format_func=_DEVICES.__getitem__, required=True
        )
        ubatch = st.segmented_control(
            "Tokens computed at once", (0, *_UBATCHES), key="ubatch", required=True,
            format_func=lambda n: f"{n:,}" if n else "Auto",
        )  # fmt: skip
        reply = st.number_input("Tokens kept for the reply", 1, 1 << 24, key="reply")
        full = st.toggle(
            "Windowed layers keep every token", key="swa-full",
            help="Scout's windowed layers see 8,192 tokens. Keeping all of theirs costs four times the cache.",
        )  # fmt: skip
    return Wanted(
        n_ctx=n_ctx,
        kv_type=kv_type,
        kv_device=device or settings.kv_device,
        n_ubatch=ubatch or None,
        swa_full=full,
        reply_tokens=int(reply),
        thinking=settings.thinking or "",
    )
