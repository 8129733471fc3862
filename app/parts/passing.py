"""A question while it is read in passes: how far it is, and what the passes gave so far."""

from time import monotonic

from app.jobs import Phase, Progress
from app.markdown import literal_html
from app.passes.notes import read_note
from app.passes.progress import InPasses
from app.question import Passing
from app.sizes import show_seconds
from engine.corpus.wording import counted

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


def so_far_html(passes: InPasses) -> str:
    """The facts of the passes that are over, the newest first and in words; "" where none is."""
    if not passes.gave:
        return ""
    n_facts, told = sum(each.n_facts for each in passes.gave), passes.gave[: -_LAST - 1 : -1]
    before = passes.gave[: -len(told)]
    rows = [f"<p><b>{counted(n_facts, 'fact')}</b> from {counted(len(passes.gave), 'pass', 'passes')} so far</p>"]
    rows += map(_told, told)
    if before:
        which = "Pass 1" if len(before) == 1 else f"Passes 1 to {len(before):,}"
        rows.append(f"<p>{which}: {counted(sum(each.n_facts for each in before), 'fact')}</p>")
    return f'<div class="so-far">{"".join(rows)}</div>'


def _told(over: Passing) -> str:
    facts = "".join(f"<li>{literal_html(fact.text)}</li>" for fact in read_note(over.note or "").facts)
    kept = " · kept from before" if over.kept else ""
    head = literal_html(f"Pass {over.number:,} · {_short(over.title)}{kept}")
    return f"<p>{head}</p><ul>{facts}</ul>" if facts else f"<p>{head}: nothing here that helps</p>"


def _short(title: str) -> str:
    """Its beginning and its end."""
    half = _MOST_TITLE // 2
    return title if len(title) <= _MOST_TITLE else f"{title[:half].rstrip()}…{title[1 - half :].lstrip()}"
