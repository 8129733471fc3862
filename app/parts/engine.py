"""The foot of the sidebar: the model, whether it is loaded, its KV cache, the memory free, what is kept on disk; the
choice of a chat template."""

from contextlib import suppress
from html import escape
from pathlib import Path

import streamlit as st

from app import state
from app.jobs import Phase
from app.local_engine import Running
from app.markdown import plain
from app.models.places import models_here
from app.parts.sampling import draw_sampling
from app.settings import MODELS_OWN
from app.sizes import show_bytes
from engine.backend import About, Gauge, OwnTemplate
from engine.errors import LongdeskError, UsageError

_POLL_S = 1.0
_NEW = "chat-template-file"


def draw_engine() -> None:
    """Redraws itself while an answer runs in this process."""
    poll_s = _POLL_S if state.house().jobs.running() else None
    st.fragment(_draw_choice, run_every=poll_s)()
    st.fragment(_draw, run_every=poll_s)()
    st.page_link(state.page("connections"), label="Connections", icon=":material/lan:")
    st.page_link(state.page("caches"), label="Kept KV caches", icon=":material/save:")
    _draw_lora()
    _draw_chat_template()
    draw_sampling()


def _draw_choice() -> None:
    """Which model answers from now on: those of this machine, and engines elsewhere by their names; not while one
    answers."""
    house = state.house()
    desk, current = house.desk, house.desk.settings.model
    with suppress(LongdeskError):  # what is wrong in config.toml is said on the page of connections
        desk.read_engines()
    here = state.remember("models-here", lambda: models_here(desk.settings))
    options = dict.fromkeys((current, *here, *(engine.name for engine in desk.settings.engines)))
    state.follow("answers-with", current)
    st.selectbox(
        "Answers with", list(options), key="answers-with", on_change=_choose, disabled=bool(house.jobs.running()),
        format_func=_called, help="Until Longdesk is started again; `model` in `config.toml` says it for good.",
    )  # fmt: skip


def _choose() -> None:
    chosen = state.value("answers-with")
    if chosen is not None:
        with state.telling():
            state.house().desk.use_model(chosen)
    st.rerun()  # all of the page, which it is about


def _called(model: str) -> str:
    """A --model value as a list shows it."""
    engine = state.house().desk.settings.engine(model)
    return f"{model} (elsewhere)" if engine is not None else Path(model).name if model.endswith(".gguf") else model


def _draw() -> None:
    house = state.house()
    try:
        about = _about()
        name, window, server, origin = about.name, about.window, about.server, about.origin
    except LongdeskError:
        name, window, server, origin = "no model", None, "", None
    if server:
        rows = [_row("Engine", name), _row("Where", server), _row("Window", f"{window:,} tokens")]
        st.html(f'<dl class="engine elsewhere">{"".join(rows)}</dl>')
        return
    engine = house.desk.engine
    rows = [_row("Engine", name), _row("State", _engine_state())]
    if origin is not None and origin.lora:
        rows.append(_row("LoRA", *(f"{Path(file).name} at {scale:g}" for file, scale, _ in origin.lora)))
    if engine is not None:
        rows.append(_row("KV", *_kv_words(engine)) + _bar_html(engine.gauge))
    elif window:
        rows.append(_row("Window", f"{window:,} tokens"))
    rows.append(_row("RAM", f"{show_bytes(house.desk.free_bytes())} free"))
    if kept_bytes := house.desk.saved.total_bytes():
        rows.append(_row("Disk", f"{show_bytes(kept_bytes)} of KV caches"))
    st.html(f'<dl class="engine">{"".join(rows)}</dl>')


def _about() -> About:
    """Of the engine, as the open session is asked with it. Raises LongdeskError."""
    desk, session_id = state.house().desk, state.session_id()
    with suppress(UsageError):  # it is not begun yet
        return desk.about(desk.session(session_id).session if session_id else None)
    return desk.about()


def _draw_lora() -> None:
    """With which adapters the open session is asked, where that is not what is set: it goes on as it was begun."""
    desk, session_id = state.house().desk, state.session_id()
    with suppress(LongdeskError):  # of a session that is not begun yet
        if session_id and (words := desk.other_lora(session_id)) is not None:
            kept, now = words
            with st.container(key="session-lora", gap="small"):
                st.caption(plain(f"This session goes on with {kept}; set is {now}."))
                st.button(plain(f"Use {now}"), key="use-lora", type="tertiary", on_click=_use_lora, args=(session_id,))


def _use_lora(session_id: str) -> None:
    desk = state.house().desk
    with state.telling():
        if changed := desk.choose_lora(session_id, desk.settings.lora_for(desk.settings.model)):
            state.tell(session_id, (changed,))


def _row(label: str, *values: str) -> str:
    """A name and what it is. Values stand one after the other, each of them unbroken."""
    shown = " · ".join(f"<span>{escape(value)}</span>" for value in values)
    return f"<dt>{escape(label)}</dt><dd>{shown}</dd>"


def _kv_words(engine: Running) -> tuple[str, ...]:
    """Cells used of cells there, and their bytes and where they lie, once the engine has told."""
    gauge = engine.gauge
    if gauge is None:
        return (f"– / {engine.n_ctx:,}",)
    tokens = f"{gauge.used:,} / {gauge.cells:,}"
    return (tokens, f"{show_bytes(gauge.n_bytes)} in {gauge.where}") if gauge.n_bytes else (tokens,)


def _bar_html(gauge: Gauge | None) -> str:
    """The gauge as a bar across both columns."""
    share = 100 * gauge.used / max(1, gauge.cells) if gauge else 0
    spoken = f"{share:.0f} % of the KV cache is used"
    return f'<dd class="gauge" role="img" aria-label="{spoken}"><i style="width:{share:.2f}%"></i></dd>'


def _engine_state() -> str:
    house = state.house()
    if any(job.progress.phase is Phase.LOADING for job in house.jobs.running()):
        return "loading"
    return "not loaded" if house.desk.engine is None else "ready"


def _draw_chat_template() -> None:
    """A button in the sidebar: the model's own, one that the home keeps, or a file that is given now. It is the session
    that is open whose template is chosen; without one, that of sessions that are begun from now on."""
    desk, session_id = state.house().desk, state.session_id()
    used = _used(session_id)
    own = used.name if used is not None else MODELS_OWN
    kept = desk.own_templates()
    options = [MODELS_OWN, *kept, *([own] if own not in (MODELS_OWN, *kept) else [])]
    with st.popover("Chat template", icon=":material/forum:", width="stretch", key="chat-template-more"):
        key = f"chat-template-{session_id}"
        state.follow(key, own)
        st.selectbox(
            "This session is laid out with" if session_id else "New sessions are laid out with",
            options,
            key=key,
            format_func=lambda name: "The model's own" if name == MODELS_OWN else name,
            on_change=_choose_template,
            args=(session_id, key, own),
            help="How questions and answers are told apart. What was read under another template is read again.",
        )
        st.file_uploader(
            "Another one, in Jinja", type=["jinja", "jinja2", "j2", "txt"], key=state.fresh_key(_NEW),
            on_change=_take, args=(session_id, state.fresh_key(_NEW)),
        )  # fmt: skip


def _used(session_id: str | None) -> OwnTemplate | None:
    """The chat template that stands in for the model's, where there is one that can be read."""
    desk = state.house().desk
    try:
        session = desk.session(session_id).session if session_id else None
        return desk.settings_of(session).chat_template
    except LongdeskError:  # a session that is not begun yet, or a file that went away: asking says so
        return None


def _choose_template(session_id: str | None, key: str, before: str) -> None:
    name = str(state.value(key))
    if name == before:
        return
    with state.telling():
        desk = state.house().desk
        _lay_out(session_id, None if name == MODELS_OWN else desk.own_template(name))


def _take(session_id: str | None, key: str) -> None:
    given = state.value(key)
    if given is None:
        return
    state.renew(_NEW)
    with state.telling():
        desk = state.house().desk
        _lay_out(session_id, desk.keep_template(given.name, given.getvalue()))


def _lay_out(session_id: str | None, own: OwnTemplate | None) -> None:
    changed = state.house().desk.choose_template(session_id, own)
    if changed is not None and session_id is not None:
        state.tell(session_id, (changed,))
