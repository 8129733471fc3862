"""How long the first read of a session takes on this machine, said before it begins.

By what this model was measured to read last, in any session; where it never read here, by a guess from what the
processor multiplies; by nothing where that would be no honest one. No Streamlit: drawing is left to the page.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.desk import Desk
from app.next_turn import last_read, tokens_read
from app.passes.outline import Outline
from app.previews import Preview
from app.verdicts import first_reading
from engine.backend import Plan, Verdict
from engine.cores import usable_cores
from engine.errors import LongdeskError
from engine.local.reading_time import ReadingWork, products_per_s, reading_work
from storage.records import Turn

_WORTH_SAYING_TOKENS = 256
_SESSIONS = 8  # the last ones that are looked through for an answer of this model


@dataclass(frozen=True, slots=True)
class Duration:
    """About how long something takes; is_guess: it was not measured."""

    seconds: float
    is_guess: bool = False


def first_read(
    desk: Desk, preview: Preview, turns: Sequence[Turn], *, pace: Callable[[], float] = products_per_s
) -> str | None:
    """What is said of a session's next question where this model has read nothing of it yet; None for the others, and
    where there is little to read.

    preview: of that question. turns: the session's. pace: products that a core makes in a second, see products_per_s.
    """
    n_held, n_tokens, model = preview.reused_tokens or 0, preview.prompt.n_tokens, desk.settings.model
    if not preview.corpus_tokens or tokens_read(turns, model) or n_tokens - n_held < _WORTH_SAYING_TOKENS:
        return None
    work = _work(desk, preview.plan)
    n_cores = desk.settings.n_threads or usable_cores()
    rate = (lambda: n_cores * pace()) if _can_guess(preview) else None
    took = duration(n_held, n_tokens, last=_last_read(desk, model), work=work, rate=rate)
    seconds, is_guess = (took.seconds, took.is_guess) if took else (None, False)
    return first_reading(n_tokens - n_held, seconds, is_guess=is_guess, is_first=not turns)


def pass_times(
    desk: Desk, outline: Outline, *, pace: Callable[[], float] = products_per_s
) -> tuple[Duration | None, ...]:
    """About how long each slice of a plan takes to be read; None where nobody can tell. pace: see first_read."""
    plan = desk.plan()
    work, n_cores = _work(desk, plan), desk.settings.n_threads or usable_cores()
    rate = (lambda: n_cores * pace()) if plan.verdict is Verdict.FITS and _is_here(plan) else None
    last = _last_read(desk, desk.settings.model)
    found = []
    for each in outline.slices:
        took = duration(each.n_tokens - each.n_left, each.n_tokens, last=last, work=work, rate=rate)
        if took is None and outline.tokens_per_s:
            took = Duration(each.n_left / outline.tokens_per_s)
        found.append(took if each.n_left else Duration(0.0))
    return tuple(found)


def duration(
    n_held: int, n_tokens: int, *, last: Turn | None, work: ReadingWork | None, rate: Callable[[], float] | None
) -> Duration | None:
    """About how long a prompt takes to be read whose first n_held tokens need not be; None where nobody can tell.

    last: a turn that this model read, by whose time it is reckoned. work: what reading takes; without it, every token
    is as good as another. rate: of that work, in a second; asked where nothing was measured, None to guess nothing.
    """
    reading = work or ReadingWork(per_token=1.0, per_look=0.0)
    if last is not None and last.prefill_s and last.prompt_tokens:
        done = reading.between(last.reused_tokens or 0, last.prompt_tokens)
        return Duration(reading.between(n_held, n_tokens) * last.prefill_s / done)
    if work is None or rate is None:
        return None
    return Duration(work.between(n_held, n_tokens) / rate(), is_guess=True)


def _can_guess(preview: Preview) -> bool:
    """Whether it is read by this machine's cores alone, with all weights in memory and no pictures to be encoded."""
    plan = preview.plan
    return plan.verdict is Verdict.FITS and _is_here(plan) and not preview.prompt.shown


def _is_here(plan: Plan) -> bool:
    return bool(plan.needs) and all(need.device.kind == "ram" for need in plan.needs)


def _work(desk: Desk, plan: Plan) -> ReadingWork | None:
    with suppress(LongdeskError):
        if plan.needs:
            return reading_work(desk.planner().card)
    return None


def _last_read(desk: Desk, model: str) -> Turn | None:
    """The last turn of any session of which this model read enough to tell how long that takes."""
    sessions = [each for each in desk.sessions() if each.model == model and each.turns]
    for session in sessions[:_SESSIONS]:
        with suppress(LongdeskError):  # it was deleted meanwhile
            if turn := last_read(desk.turns(session.id), model):
                return turn
    return None
