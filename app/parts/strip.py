"""The budget strip: what the next question takes of the window and of memory, what to do where it is too much, and what
of it the model cannot see."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape

import streamlit as st

from app import state
from app.dates import today, written
from app.markdown import plain
from app.previews import Budget, Preview
from app.reaching import reached
from app.sizes import show_bytes
from app.verdicts import change, memory_missing, room_on_server, tokens_over, unseen_markdown, verdict
from engine.backend import About, Advice, Plan, Verdict
from engine.errors import LongdeskError

Offer = Callable[[bool], None]


def draw_strip(budget: Budget, plan: Plan, *, has_panel: bool, slices: Sequence[int] = ()) -> None:
    """The two lines with the bar between them. Numbers only: nothing here comes from a file or a user.

    has_panel: whether there is a list of sources to go to, which on a phone lies far below. slices: tokens of each,
    where the sources are read in passes.
    """
    with st.container(key="strip", gap=None):
        st.html(_strip_html(budget, plan, has_panel=has_panel, slices=slices))
        with st.container(key="strip-plan"):
            draw_plan_link("What fits", icon=None)


def draw_verdict(plan: Plan, session_id: str | None, offer: Offer = lambda is_first: None) -> None:
    """Whether it fits; where not, by how much, and one click that mends it. Window and memory are told apart.

    offer: draws what else can be done; is told whether nothing else was offered.
    """
    if plan.verdict is Verdict.OVER_WINDOW:
        fact = f"**{tokens_over(plan)}.** Asking is off; nothing is cut."
        _draw_advice(fact, plan, session_id, "over-window", ":material/straighten:", offer)
    elif plan.verdict is Verdict.OVER_MEMORY:
        fact = f"**{verdict(plan)}** {plain(memory_missing(plan))}. Asking is off."
        _draw_advice(fact, plan, session_id, "over-memory", ":material/memory:", offer)
    elif plan.verdict is Verdict.SLOW:
        st.warning(verdict(plan), icon=":material/hourglass:")


def draw_cost(told: Sequence[str]) -> None:
    """Sentences on what the next question costs with an engine that is paid for, and the session so far."""
    if told:
        with st.container(key="cost", gap=None):
            st.caption(f":material/payments: {plain(' '.join(told))}")


def draw_rereading(sentence: str | None) -> None:
    """What the next question throws away of what was read, where that takes a while: see PreparedTurn.rereads."""
    if sentence is not None:
        with st.container(key="rereading", gap=None):
            st.caption(f":material/replay: {sentence}, before the next answer.")


def draw_read_on(session_id: str, preview: Preview) -> None:
    """The date that the prompt shows, where that is not today's: see app.dates. One click takes today's. And the type
    of the KV cache, where that is the session's own."""
    if preview.kv_note is not None:
        with st.container(key="kv-note", gap=None):
            st.caption(f":material/memory: {plain(preview.kv_note)}")
    if (day := preview.read_on) is not None:
        with st.container(key="read-on", horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f":material/event: Read with the date of {written(day)}.", width="content")
            st.button(
                "Use today's date", key="use-today", type="tertiary", on_click=_use_today, args=(session_id,),
                help="What stands behind it in the prompt is read again: all sources, as a rule.",
            )  # fmt: skip


def _use_today(session_id: str) -> None:
    with state.telling():
        state.house().desk.use_date(session_id, today())


def draw_reach(n_tokens: int) -> None:
    """Whether a corpus of so many tokens is beyond what the model in use was found to read reliably here."""
    with suppress(LongdeskError):  # of a model that cannot be used more is said elsewhere
        found = reached(state.house().desk)
        if found is not None and found.warns_of(n_tokens):
            with st.container(key="reach", horizontal=True, vertical_alignment="center", gap="small"):
                st.caption(f":material/straighten: {found.sentence}: this corpus is longer.", width="content")
                draw_reading_link("See how far it reads", icon=None)


def draw_unseen(paths: Sequence[str], about: About | None) -> None:
    """Images that the model cannot see, before anything is asked: on a phone the list of sources lies far below.

    paths: of sources whose images are not sent. about: the engine that is asked.
    """
    if paths and about is not None:
        with st.container(key="unseen", gap=None):
            st.markdown(f":material/visibility_off: {unseen_markdown(paths, about.name, about.unfit, plain=plain)}")


def draw_template_note(about: About | None) -> None:
    """Why it is not the model's own template that is used, and what was made of the model or is odd about its file,
    before anything is asked."""
    if about is not None and about.notes:
        with st.container(key="model-notes", gap=None):
            for note in about.notes:
                st.warning(plain(note), icon=":material/tune:")
    if about is not None and about.template.note:
        with st.container(key="template-note", gap=None):
            st.warning(plain(about.template.note), icon=":material/forum:")


def _draw_advice(fact: str, plan: Plan, session_id: str | None, key: str, icon: str, offer: Offer) -> None:
    with st.container(key=key, gap="small"):
        st.error(fact, icon=icon)
        at_hand = [advice for advice in plan.advice if _is_at_hand(advice) and session_id]
        for at, advice in enumerate(at_hand):
            st.button(
                plain(change(plan, advice, options=False).removesuffix(".")) + "?",
                key=f"{key}-{at}",
                icon=_icon(advice),
                type="primary" if at == 0 else "secondary",
                on_click=_follow,
                args=(session_id, advice),
            )
        offer(not at_hand)
        if plan.verdict is Verdict.OVER_MEMORY:
            draw_plan_link("See what would fit")
        others = [change(plan, advice) for advice in plan.advice if not (_is_at_hand(advice) or advice.in_passes)]
        if others:
            st.caption("Or: " + " ".join(map(plain, others)))


def _icon(advice: Advice) -> str:
    if advice.without_turns:
        return ":material/fork_right:"
    if advice.thinking is not None:
        return ":material/psychology:"
    return ":material/playlist_remove:" if advice.sources else ":material/photo_size_select_small:"


def _is_at_hand(advice: Advice) -> bool:
    """Whether a click can follow it: it is about the session's sources, or about how long the model thinks."""
    return bool(
        advice.sources or advice.max_tiles or advice.fewer_pages or advice.without_turns or advice.thinking is not None
    )


def _follow(session_id: str, advice: Advice) -> None:
    desk = state.house().desk
    with state.telling():
        if advice.thinking is not None:
            desk.use_sampling(thinking=advice.thinking)
            return
        if not advice.without_turns:
            desk.follow(session_id, advice)
            return
        copy, typed = desk.fork(session_id, advice.keeps_turns), desk.draft(session_id)
        if typed:
            desk.keep_draft(copy.id, typed)
        state.open_session(copy.id)


def _strip_html(budget: Budget, plan: Plan, *, has_panel: bool, slices: Sequence[int]) -> str:
    parts = [("corpus", "Corpus", budget.corpus), ("chat", "Chat", budget.chat), ("reply", "Reply", budget.reply)]
    parts += [("thoughts", "Thoughts", budget.thinking)] if budget.thinking else []
    legend = "".join(f'<span class="part {name}"><i></i>{label} <b>{n:,}</b></span>' for name, label, n in parts)
    full = max(1, budget.limit, budget.limit - budget.free)
    bar = "".join(f'<i class="{name}" style="width:{100 * n / full:.3f}%"></i>' for name, _, n in parts)
    if slices:
        bar = "".join(f'<i class="corpus" style="width:{100 * n / max(1, sum(slices)):.3f}%"></i>' for n in slices)
    elif budget.free < 0:
        bar += f'<i class="edge" style="left:{100 * budget.limit / full:.3f}%"></i>'
    if slices:
        word = "pass" if len(slices) == 1 else "passes"
        rest = f'<span class="part free"><b>{len(slices):,} {word}</b> of {budget.limit:,}</span>'
    elif budget.free >= 0:
        rest = f'<span class="part free">Free <b>{budget.free:,}</b> of {budget.limit:,}</span>'
    else:
        rest = f'<span class="part free"><b>{-budget.free:,}</b> over the window of {budget.limit:,}</span>'
    if has_panel:
        legend += '<a class="to-sources" href="#sources">Sources</a>'
    spoken = f"{100 * budget.share:.0f} % of the window of {budget.limit:,} tokens is taken"
    spoken = f"The sources in {len(slices):,} slices" if slices else spoken
    level = "calm sliced" if slices else budget.level
    return (
        f'<div class="strip {level}" data-prompt-tokens="{budget.corpus + budget.chat}">'
        f'<div class="legend">{legend}{rest}</div>'
        f'<div class="bar" role="img" aria-label="{spoken}">{bar}</div>'
        f'<div class="memory">{_memory_html(plan)}</div></div>'
    )


def _memory_html(plan: Plan) -> str:
    """What it takes here; of a server what that has room for, and when."""
    if plan.placement is None:
        estimated = "prompt tokens are an estimate" if "prompt_tokens" in plan.estimated else ""
        told = [verdict(plan), room_on_server(plan), estimated]
        return " · ".join(f"<span>{escape(each.removesuffix('.'))}</span>" for each in told if each)

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


def draw_summary_link(session_id: str) -> None:
    """The way from a session's sources to the summary of them."""
    st.page_link(
        state.page("summary"),
        label="Summarize this codebase",
        icon=":material/summarize:",
        query_params={"session": session_id},
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


def draw_reading_link(label: str, *, icon: str | None = ":material/straighten:") -> None:
    """The way to the page that says how far the model reads, with the session that is open."""
    session_id = state.session_id()
    st.page_link(
        state.page("reading"),
        label=label,
        icon=icon,
        query_params={"session": session_id} if session_id else None,
    )
