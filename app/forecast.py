"""How a model's memory grows with its context: plans along the way up to its window, and where the verdict changes.

Every figure is a Plan's own; nothing is interpolated into one. No Streamlit: drawing is left to the page.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log2, sqrt
from threading import Lock

from engine.errors import UsageError
from engine.memory.budget import Hardware, Plan, Verdict, Wanted
from engine.memory.context_search import largest
from engine.memory.planner import Planner

MARKS = (4 << 10, 32 << 10, 128 << 10, 256 << 10, 1 << 20, 10 << 20)  # the contexts that people speak of
_POINTS = 8
_LEAST = 256  # tokens: llama.cpp allocates cells in blocks of this many
_KEPT = 8
_MOVES = 0.01  # of a device: what is free moves by this much while nothing happens


@dataclass(frozen=True, slots=True)
class Curve:
    """One KV type from a small context to the window. plans: by context; where the verdict changes between two,
    also the last one before it does."""

    kv_type: str
    plans: tuple[Plan, ...]

    @property
    def at_speed(self) -> int | None:
        """The most tokens with everything in memory; None where it never is."""
        return max((plan.context_tokens for plan in self.plans if plan.verdict is Verdict.FITS), default=None)

    @property
    def at_all(self) -> int | None:
        """The most tokens with which it runs; None where it never does."""
        return max((plan.context_tokens for plan in self.plans if plan.fits), default=None)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The curves that there are, and why others are not: a sentence for each KV type that this model cannot have."""

    curves: tuple[Curve, ...]
    refused: dict[str, str]


def make_forecast(
    planner: Planner, wanted: Wanted, kv_types: tuple[str, ...], between: Callable[[], object] = lambda: None
) -> Forecast:
    """The curves of these KV types, for all that is wanted but its context and KV type.

    between: called after each plan, of which one may take a second; what it raises ends the work. Memory does not
    depend on the reply, which a small context has no room for: it is left out.
    """
    curves: list[Curve] = []
    refused: dict[str, str] = {}
    for kv_type in kv_types:
        try:
            plans = []
            for plan in _walk(planner, replace(wanted, kv_type=kv_type, reply_tokens=1)):
                plans.append(plan)
                between()
            curves.append(Curve(kv_type, tuple(plans)))
        except UsageError as error:  # a KV type that this model cannot have
            refused[kv_type] = str(error)
    return Forecast(tuple(curves), refused)


def contexts(window: int) -> tuple[int, ...]:
    """About eight contexts up to a window, evenly by factors: those that people speak of, and some between."""
    chosen = {window, min(window, max(_LEAST, min(MARKS[0], window // 16))), *(mark for mark in MARKS if mark < window)}
    while len(chosen) < _POINTS:
        low, high = max(pairwise(sorted(chosen)), key=lambda gap: gap[1] / gap[0], default=(1, 1))
        between = 1 << round(log2(sqrt(low * high)))
        if not low < between < high:
            break
        chosen.add(between)
    return tuple(sorted(chosen))


def _walk(planner: Planner, wanted: Wanted) -> Iterator[Plan]:
    """The plans on the way; where the verdict changes between two of them, also the last one before it does."""
    before: Plan | None = None
    for n_ctx in contexts(planner.card.window):
        plan = planner.plan(0, replace(wanted, n_ctx=n_ctx))
        if before is not None and before.fits and plan.verdict is not before.verdict:
            last = _last_before(planner, wanted, before, plan)
            if last.context_tokens not in (before.context_tokens, n_ctx):
                yield last
        yield plan
        before = plan


def _last_before(planner: Planner, wanted: Wanted, low: Plan, high: Plan) -> Plan:
    """The plan with the largest context between two that is as good as the lower one."""

    def plan_at(n_ctx: int) -> Plan:
        return planner.plan(0, replace(wanted, n_ctx=n_ctx))

    def excess_bytes(n_ctx: int) -> int:
        if low.verdict is Verdict.SLOW:
            return planner.excess_bytes(n_ctx, wanted)
        return max(need.excess_bytes(reread=False) for need in plan_at(n_ctx).needs)

    return plan_at(largest(low.context_tokens, high.context_tokens, excess_bytes))


class Forecasts:
    """The last few forecasts of this process, for as long as the memory that is free stays about the same."""

    def __init__(self, planner: Callable[[str | None], Planner]) -> None:
        """planner: of a model, as Desk.planner gives it."""
        self._planner = planner
        self._kept: OrderedDict[object, tuple[Hardware, Forecast]] = OrderedDict()
        self._lock = Lock()

    def of(
        self, model: str | None, wanted: Wanted, kv_types: tuple[str, ...], between: Callable[[], object]
    ) -> Forecast:
        """As make_forecast, for any model that can be planned. Raises as Desk.planner does."""
        planner = self._planner(model)
        bare = replace(wanted, n_ctx=None, kv_type="f16", reply_tokens=1)
        key = (planner.card, bare, kv_types)
        with self._lock:
            before = self._kept.get(key)
        if before is not None and _alike(before[0], planner.hardware):
            return before[1]
        cast = make_forecast(planner, bare, kv_types, between)
        with self._lock:
            self._kept[key] = (planner.hardware, cast)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return cast


def _alike(before: Hardware, now: Hardware) -> bool:
    """Whether as much is free on each device, but for what moves while one looks."""
    pairs = zip(before.devices, now.devices, strict=False)
    return len(before.devices) == len(now.devices) and all(
        abs(old.free_bytes - new.free_bytes) <= _MOVES * new.total_bytes for old, new in pairs
    )
