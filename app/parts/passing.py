"""A question that is read in passes: how far it is, what the passes gave so far, and what each gave in the end."""

from functools import partial
from time import monotonic

import streamlit as st

from app import state
from app.answers.cited import marks_of, rows_of, summary_of
from app.answers.markup import blocks_of
from app.jobs import Phase, Progress
from app.markdown import literal_html
from app.parts.answer import draw_answer
from app.passes.given import Gift, gift_of, given
from app.passes.notes import read_note
from app.passes.progress import InPasses
from app.question import Passing
from app.sizes import show_seconds
from engine.corpus.wording import counted
from storage.records import Turn

_MOST_TITLE = 56  # characters
_LAST = 4  # passes whose facts are shown while others run


def line_of_passes(progress: Progress) -> str | None:
    """ "Pass 3 of 7 · core.py, part 2 of 3 · 42 % · 31 s left · 4 min for all"; None where something else is done."""
    passes = progress.passes
    if passes is None or passes.at is None or progress.phase not in (Phase.READING, Phase.STARTING):
        return None
    if passes.all_over:
        return "All is read; the answer comes" if progress.prefill is None else None
    at, prefill = passes.at, progress.prefill
    parts = [f"{'Notes' if at.merging else 'Pass'} {at.number:,} of {at.n_passes:,}", _short(at.title)]
    if passes.running is not None and prefill is not None:
        is_read = prefill.done == prefill.total
        parts.append("writing its note" if is_read else f"{100 * prefill.done / prefill.total:.0f} %")
        if (left := passes.pass_left_s(prefill)) is not None:
            parts.append(f"{show_seconds(left)} left")
    if at.number < at.n_passes and (left := passes.left_s(prefill, monotonic())) is not None:
        parts.append(f"{show_seconds(left)} for all")
    return " · ".join(parts)


def share_of_passes(progress: Progress) -> float | None:
    """How much of all slices is read, while they are."""
    passes = progress.passes
    return passes.share(progress.prefill) if passes is not None and line_of_passes(progress) is not None else None


def draw_so_far(passes: InPasses) -> None:
    """The facts of the passes that are over, the last ones in words."""
    if not passes.gave:
        return
    n_facts = sum(each.n_facts for each in passes.gave)
    told = passes.gave[-_LAST:]
    before = passes.gave[: -len(told)]
    rows = [f"<p><b>{counted(n_facts, 'fact')}</b> from {counted(len(passes.gave), 'pass', 'passes')} so far</p>"]
    if before:
        n_before = sum(each.n_facts for each in before)
        which = (
            f"Pass {before[0].number:,}"
            if len(before) == 1
            else f"Passes {before[0].number:,} to {before[-1].number:,}"
        )
        rows.append(f"<p>{which}: {counted(n_before, 'fact')}</p>")
    st.html(f'<div class="so-far">{"".join([*rows, *map(_told, told)])}</div>')


def _told(over: Passing) -> str:
    facts = "".join(f"<li>{literal_html(fact.text)}</li>" for fact in read_note(over.note or "").facts)
    kept = " · kept from before" if over.kept else ""
    head = literal_html(f"Pass {over.number:,} · {_short(over.title)}{kept}")
    return f"<p>{head}</p><ul>{facts}</ul>" if facts else f"<p>{head}: nothing here that helps</p>"


def draw_given(session_id: str, turn: Turn) -> None:
    """What each slice gave to an answer, behind a click: facts, with the words that show them as citations."""
    passes = given(turn.receipt)
    if not passes:
        return
    gift = gift_of(passes)
    with st.container(key=f"given-{turn.id}"), st.expander(_words(gift, len(passes)), icon=":material/splitscreen:"):
        opened = state.opened(session_id)
        is_open = opened is not None and opened.by_pass and opened.cited is not None and opened.cited[0] == turn.id
        draw_answer(
            f"given-{session_id}-{turn.index}",
            gift.text,
            blocks_of(gift.text, marks_of(gift.text, gift.citations)),
            act=partial(_open, turn),
            cited=rows_of(gift.text, gift.citations),
            summary=summary_of(gift.citations),
            places=[citation.path is not None for citation in gift.citations],
            open=opened.cited[1] if is_open and opened is not None and opened.cited is not None else None,
            turn=turn.id,
        )


def _words(gift: Gift, n_passes: int) -> str:
    which = "the pass" if n_passes == 1 else f"each of {n_passes:,} passes"
    return f"What {which} gave: {counted(gift.n_facts, 'fact')}"


def _open(turn: Turn, pressed: int, number: int) -> None:
    """The citation of this number among the facts was pressed. pressed: the id of the turn that was drawn."""
    citations, session_id = gift_of(given(turn.receipt)).citations, state.session_id()
    path = citations[number - 1].path if 0 < number <= len(citations) and pressed == turn.id else None
    if path is not None and session_id is not None:
        state.open_source(session_id, path, (turn.id, number), by_pass=True)


def _short(title: str) -> str:
    """Its beginning and its end."""
    half = _MOST_TITLE // 2
    return title if len(title) <= _MOST_TITLE else f"{title[:half].rstrip()}…{title[1 - half :].lstrip()}"
