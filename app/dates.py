"""Which date a session's prompts show, where its chat template shows one: as a rule it stands near their beginning, so
that another date makes all that was read worth nothing.

A session keeps the date of its first question. One that has none yet takes the date that its corpus was read with
before, where that spares reading it again; the user can take today's at any time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line asks what day it is, and does without
    from engine.backend import Case, Prompt

MOST_TRIED = 4  # dates of what was read last: laying a prompt out for each takes a moment
_LEAST_TOKENS = 64
_LEAST_SHARE = 4  # of the prompt, a quarter: less is not the same corpus


def today() -> date:
    """The day as this machine has it."""
    return date.today()


def best_read(case: "Case", dates: Iterable[str], laid_out: "Callable[[date], Case]") -> "Case":
    """The case as it is with today's date, or with that of these dates of whose prompt most need not be read, where
    that is a good deal more. dates: in ISO 8601, those used last first; laid_out: the same question with another."""
    least = max(_LEAST_TOKENS, case.prompt.n_tokens / _LEAST_SHARE)
    if case.prompt.today is None or case.prompt.n_tokens - (case.reuse.n_tokens or 0) < least:
        return case
    best = case
    others = [day for day in map(_day, dict.fromkeys(dates)) if day is not None and day != case.prompt.today]
    for day in others[:MOST_TRIED]:
        found = laid_out(day)
        if (found.reuse.n_tokens or 0) > (best.reuse.n_tokens or 0):
            best = found
    gain = (best.reuse.n_tokens or 0) - (case.reuse.n_tokens or 0)
    return best if gain >= least else case


@dataclass(frozen=True, slots=True)
class Dated:
    """A question's case with the date that was chosen. read_on: see stale."""

    case: "Case"
    day: date
    read_on: date | None


def dated(
    laid_out: "Callable[[date], Prompt]",
    consider: "Callable[[Prompt], Case]",
    *,
    on: date | None,
    kept: Callable[[], Iterable[str]],
) -> Dated:
    """The question as it is asked on this date; with None, on the best of today and those that are kept."""
    case = consider(laid_out(on or today()))
    if on is None:
        case = best_read(case, kept(), lambda day: consider(laid_out(day)))
    return Dated(case, case.prompt.today or on or today(), stale(case.prompt, lambda: laid_out(today())))


def stale(prompt: "Prompt", with_today: "Callable[[], Prompt]") -> date | None:
    """The date that a prompt shows, where that is not today's. with_today: the same with today's, for a template may
    ask for the date and not show it."""
    if prompt.today in (None, today()):
        return None
    now = with_today()
    return None if prompt.ids().tolist() == now.ids().tolist() else prompt.today


def written(day: date) -> str:
    """ "12 November 2026", in whatever locale."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def read_with(day: date) -> str:
    """A sentence on a prompt that shows another date than today's."""
    return f"Read with the date of {written(day)}, which the model is told; `--date today` reads it anew with today's."


def _day(kept: str) -> date | None:
    try:
        return date.fromisoformat(kept)
    except ValueError:  # of a stranger's session
        return None


_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
