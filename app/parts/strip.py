"""The budget strip: what the next question takes of the window and of memory, and what to do where it is too much."""

import re
from html import escape

import streamlit as st

from app import state
from app.parts.wording import plain, sentence_of
from app.previews import Budget
from app.sizes import show_bytes
from engine.errors import LongdeskError
from engine.memory.budget import Advice, Plan, Verdict

_FLAGS = re.compile(r" \(--[^()]*\)")  # what a click needs no more


def draw_strip(budget: Budget, plan: Plan, *, has_panel: bool) -> None:
    """The two lines with the bar between them. Numbers only: nothing here comes from a file or a user.

    has_panel: whether there is a list of sources to go to, which on a phone lies far below.
    """
    with st.container(key="strip", gap=None):
        st.html(_strip_html(budget, plan, has_panel=has_panel))
        with st.container(key="strip-plan"):
            draw_plan_link("What fits", icon=None)


def draw_verdict(plan: Plan, session_id: str | None) -> None:
    """Whether it fits; where not, by how much, and one click that mends it. Window and memory are told apart."""
    if plan.verdict is Verdict.OVER_WINDOW:
        if plan.over_tokens:
            fact = f"**{plan.over_tokens:,} tokens over.** Asking is off; nothing is cut."
        else:
            fact = f"**A context of {plan.context_tokens:,} tokens is more than the model's window.**"
        _draw_advice(fact, plan, session_id, "over-window", ":material/straighten:")
    elif plan.verdict is Verdict.OVER_MEMORY:
        short = "; ".join(
            f"{plain(need.device.name)} must hold {show_bytes(need.needed_bytes - need.mapped_bytes)} and has "
            f"{show_bytes(need.device.free_bytes)} free"
            for need in plan.needs
            if need.short_bytes
        )
        fact = f"**{show_bytes(plan.short_bytes)} of memory are missing.** {short}. Asking is off."
        _draw_advice(fact, plan, session_id, "over-memory", ":material/memory:")
    elif plan.verdict is Verdict.SLOW:
        st.warning(
            "It fits, but slowly: the weights do not fit into free memory and are read from disk again and again.",
            icon=":material/hourglass:",
        )


def draw_rereading(sentence: str | None) -> None:
    """What the next question throws away of what was read, where that takes a while: see PreparedTurn.rereads."""
    if sentence is not None:
        with st.container(key="rereading", gap=None):
            st.caption(f":material/replay: {sentence}, before the next answer.")


def _draw_advice(fact: str, plan: Plan, session_id: str | None, key: str, icon: str) -> None:
    with st.container(key=key, gap="small"):
        st.error(fact, icon=icon)
        at_hand = [advice for advice in plan.advice if _is_at_hand(advice) and session_id]
        for at, advice in enumerate(at_hand):
            st.button(
                plain(_FLAGS.sub("", advice.change).removesuffix(".")) + "?",
                key=f"{key}-{at}",
                icon=":material/playlist_remove:" if advice.leave_out else ":material/photo_size_select_small:",
                type="primary" if at == 0 else "secondary",
                on_click=_follow,
                args=(session_id, advice),
            )
        if plan.verdict is Verdict.OVER_MEMORY:
            draw_plan_link("See what would fit")
        others = [advice.change for advice in plan.advice if not _is_at_hand(advice)]
        if others:
            st.caption("Or: " + " ".join(plain(change) for change in others))


def _is_at_hand(advice: Advice) -> bool:
    """Whether a click can follow it: it is about the session's sources."""
    return bool(advice.leave_out or advice.max_tiles or advice.draw_pages)


def _follow(session_id: str, advice: Advice) -> None:
    try:
        state.house().desk.follow(session_id, advice)
    except LongdeskError as error:
        state.say(sentence_of(error))


def _strip_html(budget: Budget, plan: Plan, *, has_panel: bool) -> str:
    parts = (("corpus", "Corpus", budget.corpus), ("chat", "Chat", budget.chat), ("reply", "Reply", budget.reply))
    legend = "".join(f'<span class="part {name}"><i></i>{label} <b>{n:,}</b></span>' for name, label, n in parts)
    full = max(1, budget.limit, budget.limit - budget.free)
    bar = "".join(f'<i class="{name}" style="width:{100 * n / full:.3f}%"></i>' for name, _, n in parts)
    if budget.free < 0:
        bar += f'<i class="edge" style="left:{100 * budget.limit / full:.3f}%"></i>'
    if budget.free >= 0:
        rest = f'<span class="part free">Free <b>{budget.free:,}</b> of {budget.limit:,}</span>'
    else:
        rest = f'<span class="part free"><b>{-budget.free:,}</b> over the window of {budget.limit:,}</span>'
    if has_panel:
        legend += '<a class="to-sources" href="#sources">Sources</a>'
    spoken = f"{100 * budget.share:.0f} % of the window of {budget.limit:,} tokens is taken"
    return (
        f'<div class="strip {budget.level}" data-prompt-tokens="{budget.corpus + budget.chat}">'
        f'<div class="legend">{legend}{rest}</div>'
        f'<div class="bar" role="img" aria-label="{spoken}">{bar}</div>'
        f'<div class="memory">{_memory_html(plan)}</div></div>'
    )


def _memory_html(plan: Plan) -> str:
    def size(name: str, n_bytes: int) -> str:
        return ("~" if name in plan.estimated else "") + show_bytes(n_bytes)

    rest = ("~" if plan.estimated else "") + show_bytes(plan.compute_bytes + plan.runtime_bytes)
    free = " + ".join(f"{show_bytes(need.device.free_bytes)} free {escape(need.device.name)}" for need in plan.needs)
    return (
        f"<span>weights {size('weights_bytes', plan.weights_bytes)}</span> + "
        f"<span>KV {size('kv_bytes', plan.kv_bytes)} for {plan.context_tokens:,} tokens</span> + "
        f"<span>compute {rest}</span> "
        f"<span>of {free}</span>"
    )


def draw_plan_link(label: str, *, icon: str | None = ":material/memory:") -> None:
    """The way to the page that says what fits, with the session that is open."""
    session_id = state.session_id()
    st.page_link(
        state.page("plan"),
        label=label,
        icon=icon,
        query_params={"session": session_id} if session_id else None,
    )
