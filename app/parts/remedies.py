"""A verdict in a sentence, and under a bad one what would mend it, each with a click that tries it on this page."""

import re
from collections.abc import Mapping

import streamlit as st

from app import state
from app.parts.wording import plain
from app.sizes import show_bytes
from engine.memory.budget import Advice, Plan, Verdict

_FLAG = re.compile(r"--(ctx|kv-device|kv|ubatch|reply) ([\w.]+)")
_IN_BRACKETS = re.compile(r" \((?:--[^()]*)\)")


def draw_finding(plan: Plan) -> None:
    """Whether it fits, and what to do where it does not."""
    with st.container(key=f"finding-{plan.verdict.value.replace('_', '-')}", gap="small"):
        st.markdown(_sentence(plan))
        for at, advice in enumerate(plan.advice):
            _draw_advice(at, advice)
        for note in plan.notes:
            st.caption(plain(note))


def _sentence(plan: Plan) -> str:
    tokens = f"{plan.context_tokens:,} tokens"
    match plan.verdict:
        case Verdict.FITS:
            left = sum(need.device.free_bytes for need in plan.needs) - plan.total_bytes
            return f":material/check_circle: **It fits.** {tokens} run from memory, and {show_bytes(left)} stay free."
        case Verdict.SLOW:
            return (
                f":material/hourglass: **It runs, slowly.** {tokens} fit, but not with all of the weights: "
                "they are read from disk again and again."
            )
        case Verdict.OVER_MEMORY:
            return f":material/memory: **It does not fit into memory.** {show_bytes(plan.short_bytes)} are missing."
    if plan.over_tokens:
        return f":material/straighten: **{plan.over_tokens:,} tokens over.** Prompt and reply do not fit the context."
    return f":material/straighten: **Over the window.** {tokens} are more than the model's {plan.window:,}."


def _draw_advice(at: int, advice: Advice) -> None:
    settings = settings_in(advice.change)
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"remedy-{at}"):
        st.markdown(plain(_IN_BRACKETS.sub("", advice.change)), width="stretch")
        if settings:
            st.button("Try", key=f"try-{at}", on_click=_try, args=(settings,))


def settings_in(change: str) -> dict[str, str]:
    """The command line's options that an advice names: {"ctx": "65536"}. The page's widgets have the same names."""
    return {match[1]: match[2] for match in _FLAG.finditer(change)}


def _try(settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        state.follow(name, int(value) if name in ("ubatch", "reply") else value)
