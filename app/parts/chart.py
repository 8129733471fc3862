"""Memory against context: a line for each KV type, this machine's free memory across them, and where it stops fitting.

The chart is drawn in the browser from the numbers alone; nothing is fetched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.forecast import Curve
from app.sizes import show_bytes, show_tokens
from engine.backend import Plan, Verdict

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 340
_GIB = 1 << 30
# Midway between light and dark, so that each has a contrast of 3 to 1 on paper and on slate alike.
_CHOSEN, _OTHER, _MACHINE = "#1f8ba8", "#868c93", "#b8741a"
_DASHES = {Verdict.FITS: [1, 0], Verdict.SLOW: [7, 4], Verdict.OVER_MEMORY: [1.5, 4], Verdict.OVER_WINDOW: [1.5, 4]}
_STATES = {
    Verdict.FITS: "fits",
    Verdict.SLOW: "runs, slowly",
    Verdict.OVER_MEMORY: "does not fit",
    Verdict.OVER_WINDOW: "over the window",
}
_LABEL_GAP = 0.055  # of the height, between the middles of two labels
_AS_TOKENS = (
    "datum.value >= 1048576 ? format(datum.value / 1048576, '~r') + 'M' : "
    "datum.value >= 1024 ? format(datum.value / 1024, '~r') + 'K' : datum.value"
)
_AS_SIZE = (
    "datum.value >= 1024 ? format(datum.value / 1024, '~r') + ' TiB' : "
    "datum.value >= 1 ? format(datum.value, '~r') + ' GiB' : format(datum.value * 1024, '~r') + ' MiB'"
)


def draw_chart(curves: Sequence[Curve], *, chosen: str, free_bytes: int) -> None:
    """chosen: the KV type that stands out. free_bytes: of all devices that the plan uses."""
    st.altair_chart(_chart(curves, chosen, free_bytes), width="stretch", height=_HEIGHT, alt=_alt(curves, free_bytes))
    st.html(
        '<div class="lines"><span><i></i>runs from memory</span>'
        '<span class="slow"><i></i>runs slowly: weights are read from disk again and again</span>'
        '<span class="over"><i></i>does not fit</span></div>'
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """The axes that all layers share. x_domain: tokens, y_domain: GiB. alt: the library, which only this page loads."""

    alt: Any
    x: "alt.X"
    y: "alt.Y"
    x_domain: tuple[float, float]
    y_domain: tuple[float, float]

    def of(self, *rows: Mapping[str, Any]) -> "alt.Chart":
        """A layer over these rows, each of which has a context and its GiB."""
        chart: alt.Chart = self.alt.Chart(self.alt.Data(values=list(rows))).encode(x=self.x, y=self.y)
        return chart

    def told(self, *plans: Plan) -> "alt.Chart":
        """A layer over plans that tells the pointer their figures."""
        return self.of(*map(_row, plans)).encode(tooltip=[self.alt.Tooltip(f"{name}:N") for name in _words(plans[0])])


def _chart(curves: Sequence[Curve], chosen: str, free_bytes: int) -> "alt.LayerChart":
    frame = _frame(curves, free_bytes)
    layers = [*_machine(frame, free_bytes)]
    for curve in sorted(curves, key=lambda curve: curve.kv_type == chosen):
        layers += _line(frame, curve, chosen=curve.kv_type == chosen)
    layers.append(_labels(frame, curves, chosen))
    for curve in curves:
        if curve.kv_type == chosen:
            layers += _limits(frame, curve)
    layered: alt.LayerChart = frame.alt.layer(*layers).configure_view(strokeWidth=0)
    return layered


def _frame(curves: Sequence[Curve], free_bytes: int) -> _Frame:
    import altair as alt  # a third of a second

    plans = [plan for curve in curves for plan in curve.plans]
    low, high = (pick(plan.context_tokens for plan in plans) for pick in (min, max))
    x_domain = (low, high * (high / low) ** 0.14)  # room for the labels
    y_domain = _y_domain([*(plan.total_bytes for plan in plans), free_bytes])
    x_axis = alt.Axis(values=_octaves(low, high), labelExpr=_AS_TOKENS, grid=False)
    y_axis = alt.Axis(values=_ticks(*y_domain), labelExpr=_AS_SIZE)

    def scale(domain: tuple[float, float]) -> alt.Scale:
        return alt.Scale(type="log", base=2, domain=list(domain), nice=False)

    return _Frame(
        alt,
        alt.X("context:Q", title="Context", scale=scale(x_domain), axis=x_axis),
        alt.Y("gib:Q", title=None, scale=scale(y_domain), axis=y_axis),
        x_domain,
        y_domain,
    )


def _machine(frame: _Frame, free_bytes: int) -> "list[alt.Chart]":
    """What is more than free, shaded, with its edge and its name."""
    left, right = frame.x_domain
    row = {"context": left, "to": right, "gib": free_bytes / _GIB, "top": frame.y_domain[1]}
    name = {**row, "name": f"Free here: {show_bytes(free_bytes)}"}
    return [
        frame.of(row).mark_rect(color=_MACHINE, opacity=0.07).encode(x2="to:Q", y2="top:Q"),
        frame.of(row).mark_rule(color=_MACHINE, strokeWidth=1.5).encode(x2="to:Q"),
        frame.of(name)
        .mark_text(align="left", baseline="bottom", dx=6, dy=-4, color=_MACHINE, fontSize=12)
        .encode(text="name:N"),
    ]


def _line(frame: _Frame, curve: Curve, *, chosen: bool) -> "list[alt.Chart]":
    """A line from plan to plan, dashed where it is slow and dotted where it does not fit, and the plans as points."""
    color, width, size = (_CHOSEN, 2.5, 44) if chosen else (_OTHER, 1.5, 28)
    pieces = [
        {**_row(plan), "piece": piece, "state": following.verdict.value}
        for piece, (before, following) in enumerate(pairwise(curve.plans))
        for plan in (before, following)
    ]
    scale = frame.alt.Scale(domain=list(_DASHES), range=list(_DASHES.values()))
    dash = frame.alt.StrokeDash("state:N", legend=None, scale=scale)
    return [
        frame.of(*pieces)
        .mark_line(color=color, strokeWidth=width, strokeCap="round")
        .encode(detail="piece:N", strokeDash=dash),
        frame.told(*curve.plans).mark_circle(color=color, size=size, opacity=1),
    ]


def _row(plan: Plan) -> dict[str, Any]:
    return {"context": plan.context_tokens, "gib": plan.total_bytes / _GIB, **_words(plan)}


def _words(plan: Plan) -> dict[str, str]:
    """What the pointer is told at a plan."""

    def size(name: str, n_bytes: int) -> str:
        return ("~" if name in plan.estimated else "") + show_bytes(n_bytes)

    return {
        "Context": f"{plan.context_tokens:,} tokens, {plan.kv_type}",
        "Weights": size("weights_bytes", plan.weights_bytes),
        "KV cache": size("kv_bytes", plan.kv_bytes),
        "Compute": size("compute_bytes", plan.compute_bytes),
        "Engine": size("runtime_bytes", plan.runtime_bytes),
        "In all": ("~" if plan.estimated else "") + show_bytes(plan.total_bytes),
        "This machine": _STATES[plan.verdict],
    }


def _labels(frame: _Frame, curves: Sequence[Curve], chosen: str) -> "alt.Chart":
    """Each line's name at its end."""
    curves = sorted(curves, key=lambda curve: curve.plans[-1].total_bytes)
    low, high = map(log2, frame.y_domain)
    heights = apart([log2(curve.plans[-1].total_bytes / _GIB) for curve in curves], low, high)
    rows = [
        {
            "context": curve.plans[-1].context_tokens,
            "gib": 2**height,
            "name": curve.kv_type,
            "color": _CHOSEN if curve.kv_type == chosen else _OTHER,
        }
        for height, curve in zip(heights, curves, strict=True)
    ]
    text = frame.of(*rows).mark_text(align="left", baseline="middle", dx=9, fontSize=12, fontWeight=600)
    chart: alt.Chart = text.encode(text="name:N", color=frame.alt.Color("color:N", scale=None))
    return chart


def apart(heights: Sequence[float], low: float, high: float) -> list[float]:
    """Rising heights moved apart where two labels would lie over each other: up, and down again from the top edge."""
    gap = _LABEL_GAP * (high - low)
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    ceiling = high - gap / 2
    for at in reversed(range(len(moved))):
        moved[at] = min(moved[at], ceiling)
        ceiling = moved[at] - gap
    return moved


def _limits(frame: _Frame, curve: Curve) -> "list[alt.Chart]":
    """Where the chosen line stops fitting, where it does on the way."""
    limits = {curve.at_speed: "from memory to", curve.at_all: "fits to"}
    layers: list[alt.Chart] = []
    for plan in curve.plans[:-1]:
        if plan.context_tokens in limits:
            layers += _limit(frame, plan, f"{limits[plan.context_tokens]} {plan.context_tokens:,}", len(layers))
    return layers


def _limit(frame: _Frame, plan: Plan, words: str, n_before: int) -> "list[alt.Chart]":
    """One limit, named at the top: left of where a line reaches the top there is none in the way."""
    left, right = frame.x_domain
    is_left = log2(plan.context_tokens / left) < 0.3 * log2(right / left)
    name = {"context": plan.context_tokens, "gib": frame.y_domain[1], "name": words}
    return [
        frame.alt.Chart(frame.alt.Data(values=[_row(plan)]))
        .mark_rule(color=_CHOSEN, strokeDash=[3, 3])
        .encode(x=frame.x),
        frame.told(plan).mark_point(color=_CHOSEN, fill=_CHOSEN, shape="diamond", size=110, opacity=1),
        frame.of(name)
        .mark_text(
            align="left" if is_left else "right",
            baseline="top",
            dx=7 if is_left else -7,
            dy=6 + 6 * n_before,  # three layers for each that is named already: a line of text further down
            color=_CHOSEN,
            fontSize=12,
            fontWeight=600,
        )
        .encode(text="name:N"),
    ]


def _y_domain(sizes: Sequence[int]) -> tuple[float, float]:
    """In GiB, from a little under the least to a little over the most: there is room for a line of text."""
    low, high = min(sizes) / _GIB, max(sizes) / _GIB
    margin = max(1.25, (high / low) ** 0.09)
    return low / margin, high * margin


def _octaves(low: int, high: int) -> list[int]:
    """Powers of two from low on, every second one where there are many, and high itself at the end."""
    powers = [1 << at for at in range((low - 1).bit_length(), high.bit_length())]
    powers = powers[::2] if len(powers) > 7 else powers
    return [*(power for power in powers if power <= high / 1.9), high]


def _ticks(low: float, high: float) -> list[float]:
    """Powers of two of a GiB between these, at most seven; quarters of the way between them where they are few."""
    powers = [2.0**at for at in range(-12, 16)]
    ticks = [power for power in powers if low <= power <= high]
    if len(ticks) < 3:
        ticks = [power * part for power in powers for part in (1, 1.25, 1.5, 1.75) if low <= power * part <= high]
    return ticks[:: max(1, -(-len(ticks) // 7))]


def _alt(curves: Sequence[Curve], free_bytes: int) -> str:
    """The chart in a sentence a line, for who does not see it."""
    said = []
    for curve in curves:
        first, last = curve.plans[0], curve.plans[-1]
        fits = f"fits to {curve.at_all:,} tokens" if curve.at_all else "does not fit"
        said.append(
            f"{curve.kv_type}: {show_bytes(first.total_bytes)} at {show_tokens(first.context_tokens)}, "
            f"{show_bytes(last.total_bytes)} at {show_tokens(last.context_tokens)}, {fits}."
        )
    return f"Memory against context. {show_bytes(free_bytes)} are free here. " + " ".join(said)
