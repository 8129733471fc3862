"""What questions to an engine that is paid for cost: before one is asked, while it is answered, and a session in all.

Where prices come from is left to whoever knows the engine: see Prices.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from app.sizes import show_usd
from engine.backend import About, Backend, Case, Cost, Event, Finished, Part, Prefill, Prompt, Spent, cost_of
from storage.records import Turn

_PAID = ("prompt_tokens", "cached_tokens", "reply_tokens")


def cost_ahead(about: About, case: Case) -> Cost | None:
    """Of asking what was prepared; None where its tokens have no price."""
    return cost_of_prompt(about, case.prompt, case.plan.written_tokens)


def cost_of_prompt(about: About, prompt: Prompt, reply_tokens: int) -> Cost | None:
    """The same of a prompt, and a reply of so many tokens at most."""
    if about.prices is None:
        return None
    asked = [segment.n_tokens for segment in prompt.segments if segment.part is Part.QUESTION]
    return cost_of(
        about.prices,
        prompt_tokens=prompt.n_tokens,
        reply_tokens=reply_tokens,
        question_tokens=asked[-1] if asked else 0,
        exact=about.counts_exactly,
    )


def cost_in_passes(about: About, n_tokens: int, reply_tokens: int) -> Cost | None:
    """Of reading so many tokens in passes, which write so many at most, the answer included; None as above. Notes that
    are there already are not paid for again."""
    if about.prices is None:
        return None
    return cost_of(about.prices, prompt_tokens=n_tokens, reply_tokens=reply_tokens, exact=False)


def cost_words(cost: Cost) -> str:
    """What a question costs before it is asked, on one line: "$0.12 to read, $0.031 where the server has it in its
    cache; at most $0.0012 for the reply"."""
    about = "~" if cost.estimated else ""
    cached = ""
    if cost.input_cached < cost.input:
        cached = f", {about}{show_usd(cost.input_cached)} where the server has it in its cache"
    return f"{about}{show_usd(cost.input)} to read{cached}; at most {show_usd(cost.reply_most)} for the reply"


@dataclass(slots=True)
class Metered:
    """Does what the backend behind it does. spent: by all answers that went through here, those of passes too."""

    behind: Backend
    spent: Spent = Spent()

    def generate(self, *given: Any, **named: Any) -> Generator[Event, None, None]:
        """See Backend.generate. An answer that breaks off has cost what was read by then."""
        read, ended = Spent(), False
        try:
            with closing(self.behind.generate(*given, **named)) as events:
                for event in events:
                    if isinstance(event, Prefill):
                        read = Spent(event.done, event.reused)
                    elif isinstance(event, Finished):
                        ended = True
                        self.spent += Spent(event.prompt_tokens, event.reused_tokens, _n_written(event))
                    yield event
        finally:
            if not ended:
                self.spent += read

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


def _n_written(event: Finished) -> int:
    return event.written_tokens if event.written_tokens is not None else len(event.reply_ids) or event.reply_tokens or 0


def metered(backend: Backend, receipt: Mapping[str, Any] | None = None) -> Backend:
    """The backend with a meter, where its tokens have a price. receipt: of what was answered so far of the same turn,
    which was paid for already."""
    if backend.about.prices is None:
        return backend
    before = (receipt or {}).get("cost") or {}
    return cast(Backend, Metered(backend, Spent(*(int(before.get(name) or 0) for name in _PAID))))


def cost_so_far(backend: Backend) -> dict[str, Any] | None:
    """What the answers of a metered backend have cost, as a receipt keeps it; None where its tokens have no price."""
    prices = backend.about.prices
    return backend.spent.to_json(prices) if isinstance(backend, Metered) and prices is not None else None


def session_cost(turns: Iterable[Turn]) -> dict[str, Any] | None:
    """What the turns of a session have cost in all, on all branches: dollars, and how many turns were paid for. None
    where none was. A receipt may come from a stranger's file: what is no cost is left out."""
    costs = [cost for turn in turns if isinstance(cost := (turn.receipt or {}).get("cost"), Mapping)]
    totals = [total for cost in costs if isinstance(total := cost.get("total"), int | float)]
    if not totals:
        return None
    return {
        "currency": "USD",
        "total": round(sum(totals), 9),
        "turns": len(totals),
        "estimated": any(bool(cost.get("estimated")) for cost in costs),
    }


def total_words(cost: Mapping[str, Any]) -> str:
    """ "$0.42", "~$0.42": of a turn's receipt, or of a session."""
    return f"{'~' if cost['estimated'] else ''}{show_usd(cost['total'])}"
