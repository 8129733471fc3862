"""What fits: a model, a context and a KV type against this machine, before anything is loaded or downloaded."""

import streamlit as st

from app import state
from app.forecast import MARKS, Forecast
from app.markdown import code, plain, sentence_of
from app.parts.chart import draw_chart
from app.parts.choice import describe, draw_context, draw_kv_type, draw_model, draw_more
from app.parts.contexts import draw_contexts
from app.parts.devices import draw_devices, placement_words
from app.parts.guides import draw_guides
from app.parts.remedies import draw_finding
from engine.backend import Plan, Wanted
from engine.corpus.wording import counted
from engine.errors import LongdeskError

_KV_TYPES = ("f16", "q8_0", "q4_0")
_WINDOW = 131_072  # what is offered where the model cannot be read


def draw() -> None:
    """Draws the page."""
    with st.container(key="plan"):
        st.header("What fits", anchor=False)
        with st.container(key="choice", horizontal=True, vertical_alignment="top"):
            with st.container(key="choice-model"):
                model = draw_model()
            with st.container(key="choice-context"):
                n_ctx, understood = draw_context(_window(model))
            with st.container(key="choice-kv"):
                kv_type = draw_kv_type()
            wanted = draw_more(n_ctx, kv_type)
        if line := describe(model):
            st.caption(line)
        if understood:
            _draw_plan(model, wanted)
        draw_guides()


def _window(model: str | None) -> int:
    try:
        return state.house().desk.window(model)
    except LongdeskError:  # said where it is planned
        return _WINDOW


def _plan(model: str | None, wanted: Wanted, prompt_tokens: int = 0) -> Plan:
    return state.house().desk.plan_for(model, wanted, prompt_tokens=prompt_tokens)


def _draw_plan(model: str | None, wanted: Wanted) -> None:
    prompt_tokens = _prompt_tokens()
    try:
        with st.spinner("Asking llama.cpp"):
            plan = _plan(model, wanted, prompt_tokens)
    except LongdeskError as error:
        st.error(sentence_of(error), icon=":material/error:")
        return
    draw_finding(plan)
    if plan.placement is None:  # of an engine elsewhere, no memory of this machine is taken
        st.page_link(state.page("connections"), label="Connections", icon=":material/lan:")
        return
    draw_devices(plan)
    notes = [placement_words(plan)]
    if prompt_tokens:
        other = model is not None and model != state.house().desk.settings.model
        tokens = counted(prompt_tokens, "token")
        tokens = f"~{tokens}, counted with the current model's vocabulary," if other else tokens
        notes.append(f"With the {tokens} of the open session, and {plan.reply_tokens:,} for the reply.")
    if plan.thinking_tokens:
        notes.append(f"{counted(plan.thinking_tokens, 'token')} are kept for what the model thinks before it answers.")
    if any(notes):
        st.caption(" ".join(notes))
    with st.spinner("Asking llama.cpp about other contexts"):
        types = tuple(dict.fromkeys((*_KV_TYPES, wanted.kv_type)))
        spot = st.empty()  # drawing anything, even nothing, lets a newer choice cut in
        cast = state.house().forecasts.of(model, wanted, types, spot.empty)
    _draw_forecast(cast, wanted, plan)
    st.caption(f"The same on the command line: {code(_command(model, wanted))}")


def _draw_forecast(cast: Forecast, wanted: Wanted, plan: Plan) -> None:
    free = sum(need.device.free_bytes for need in plan.needs)
    st.subheader("Memory against context", anchor=False)
    draw_chart(cast.curves, chosen=wanted.kv_type, free_bytes=free)
    for kv_type, why in cast.refused.items():
        st.caption(f"No line for {plain(kv_type)}: {plain(why)}")
    known = {at.context_tokens: at for curve in cast.curves if curve.kv_type == wanted.kv_type for at in curve.plans}
    known[plan.context_tokens] = plan
    rows = sorted({*MARKS, plan.context_tokens})
    st.subheader(f"With {wanted.kv_type} KV", anchor=False)
    draw_contexts(tuple((n_ctx, known.get(n_ctx)) for n_ctx in rows), window=plan.window, chosen=plan.context_tokens)


def _command(model: str | None, wanted: Wanted) -> str:
    """`longdesk plan` with the options that say what was chosen here."""
    settings = state.house().desk.settings
    parts = ["longdesk plan", *([f"--model {model}"] if model else [])]
    parts += [f"--ctx {wanted.n_ctx}"] if wanted.n_ctx else []
    parts += [f"--kv {wanted.kv_type}"] if wanted.kv_type != settings.kv_type else []
    parts += [f"--kv-device {wanted.kv_device}"] if wanted.kv_device != settings.kv_device else []
    parts += [f"--ubatch {wanted.n_ubatch}"] if wanted.n_ubatch else []
    parts += ["--swa-full"] if wanted.swa_full else []
    parts += [f"--thinking {wanted.thinking}"] if wanted.thinking else []
    parts += [f"--reply {wanted.reply_tokens}"] if wanted.reply_tokens != settings.reply_tokens else []
    return " ".join(parts)


def _prompt_tokens() -> int:
    """What the session that is open would send, counted with the current model; 0 without one."""
    house, session_id = state.house(), state.session_id()
    if session_id is None:
        return 0
    try:
        seen = house.desk.session(session_id)
        about = house.desk.about(seen.session)
        return house.previews.of(seen.session, seen.links, seen.turns, asked_of=about).plan.prompt_tokens
    except LongdeskError:
        return 0
