"""A verdict in a sentence, and under a bad one what would mend it, each with a click that tries it on this page."""

from collections.abc import Mapping

import streamlit as st

from app import state
from app.markdown import plain
from app.sizes import show_bytes
from app.verdicts import change, memory_missing, room_on_server, tokens_over, verdict
from engine.backend import Advice, Plan, Verdict


def draw_finding(plan: Plan) -> None:
    """Whether it fits, and what to do where it does not."""
    with st.container(key=f"finding-{plan.verdict.value.replace('_', '-')}", gap="small"):
        st.markdown(_sentence(plan))
        for at, advice in enumerate(plan.advice):
            _draw_advice(at, plan, advice)
        for note in plan.notes:
            st.caption(plain(note))


def _sentence(plan: Plan) -> str:
    tokens = f"{plan.context_tokens:,} tokens"
    match plan.verdict:
        case Verdict.FITS if plan.placement is None:  # elsewhere: how it lies there is that engine's business
            room = room_on_server(plan)
            return f":material/check_circle: **{verdict(plan)}** The window is {tokens}{f': {room}' if room else ''}."
        case Verdict.FITS:
            left = sum(need.device.free_bytes for need in plan.needs) - plan.total_bytes
            more = f"{tokens} run from memory, and {show_bytes(left)} stay free."
            return f":material/check_circle: **{verdict(plan)}** {more}"
        case Verdict.SLOW:
            return f":material/hourglass: **{tokens}.** {verdict(plan)}"
        case Verdict.OVER_MEMORY:
            return f":material/memory: **{verdict(plan)}** {plain(memory_missing(plan))}."
    if plan.over_tokens:
        return f":material/straighten: **{tokens_over(plan)}.** Prompt and reply do not fit the context."
    return f":material/straighten: **Over the window.** {tokens_over(plan)}, {plan.window:,}."


def _draw_advice(at: int, plan: Plan, advice: Advice) -> None:
    values = widget_values(advice)
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"remedy-{at}"):
        st.markdown(plain(change(plan, advice, options=False)), width="stretch")
        if values:
            st.button("Try", key=f"try-{at}", on_click=_try, args=(values,))


def widget_values(advice: Advice) -> dict[str, str | int | bool]:
    """What this page's widgets show once an advice is followed, by their keys; nothing where it is about no setting."""
    if advice.rope_scaling is not None:  # it is a setting of config.toml, which stays as this page was started with
        return {}
    values = {
        "ctx": str(advice.n_ctx) if advice.n_ctx is not None else None,
        "kv": advice.kv_type,
        "kv-device": advice.kv_device,
        "ubatch": advice.n_ubatch,
        "swa-full": advice.swa_full,
        "reply": advice.reply_tokens,
    }
    return {key: value for key, value in values.items() if value is not None}


def _try(values: Mapping[str, str | int | bool]) -> None:
    for key, value in values.items():
        state.follow(key, value)
