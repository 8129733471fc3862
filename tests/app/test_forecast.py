"""app.forecast: contexts on the way to a window, and where the verdict changes."""

from dataclasses import replace
from itertools import pairwise

import pytest

from app.forecast import MARKS, contexts, make_forecast
from engine.errors import UsageError
from engine.memory.budget import Device, Hardware, Measured, Placement, Verdict, Wanted
from engine.memory.card import Layer, ModelCard
from engine.memory.kv_cache import kv_bytes
from engine.memory.planner import Planner

GIB = 1 << 30


@pytest.mark.parametrize("window", [256, 2_048, 8_192, 32_768, 131_072, 200_000, 1 << 20, 10 << 20])
def test_contexts_reach_the_window_by_even_factors(window: int) -> None:
    chosen = contexts(window)
    assert chosen[-1] == window and list(chosen) == sorted(set(chosen))
    assert len(chosen) <= 8 + len(MARKS)
    assert all(high / low <= 8 for low, high in pairwise(chosen))
    assert {mark for mark in MARKS if mark <= window} <= set(chosen)


def planner(*, free_gib: float, weights_gib: float = 8) -> Planner:
    """Of a model with 1M tokens of window, whose KV cache takes 128 KiB a token, on a machine with RAM alone."""
    weights = int(weights_gib * GIB)
    card = ModelCard(
        **{field: "" for field in ("name", "architecture", "quantization")},
        path=None,  # type: ignore[arg-type]
        window=1 << 20,
        n_vocab=1000,
        n_embd=4096,
        n_ff=4096,
        layers=tuple(Layer(1024, 1024, False, weights_bytes=weights // 32) for _ in range(32)),
        attention_window=0,
        exact=True,
        weights_bytes=weights,
    )

    def measure(card: ModelCard, placement: Placement) -> Measured:
        if placement.kv_type == "q4_0":
            raise UsageError("This model has no q4_0 KV.", "Use another.")
        return Measured(
            kv_bytes(card, placement.n_ctx, kv_type=placement.kv_type), (("CPU", placement.n_ctx * 1024),), 100 << 20
        )

    return Planner(card, Hardware(Device("RAM", "ram", int(free_gib * GIB), 64 * GIB)), measure)


def test_the_last_context_that_fits_is_on_the_curve() -> None:
    made = make_forecast(planner(free_gib=24), Wanted(), ("f16",))
    curve = made.curves[0]
    verdicts = [plan.verdict for plan in curve.plans]
    assert verdicts[0] is Verdict.FITS and verdicts[-1] is Verdict.OVER_MEMORY
    assert curve.at_speed and curve.at_all and curve.at_speed < curve.at_all < 1 << 20
    again = planner(free_gib=24)
    for n_ctx, good in ((curve.at_speed, {Verdict.FITS}), (curve.at_all, {Verdict.FITS, Verdict.SLOW})):
        assert again.plan(0, Wanted(n_ctx=n_ctx, reply_tokens=1)).verdict in good
        assert again.plan(0, Wanted(n_ctx=int(n_ctx * 1.02), reply_tokens=1)).verdict not in good


def test_what_always_fits_and_what_never_does() -> None:
    always = make_forecast(planner(free_gib=10_000), Wanted(), ("f16",)).curves[0]
    assert always.at_speed == always.at_all == 1 << 20
    never = make_forecast(planner(free_gib=0.05), Wanted(), ("f16",)).curves[0]
    assert never.at_speed is never.at_all is None


def test_a_kv_type_that_the_model_cannot_have_is_no_curve_but_a_sentence() -> None:
    made = make_forecast(planner(free_gib=24), Wanted(), ("f16", "q4_0"))
    assert [curve.kv_type for curve in made.curves] == ["f16"]
    assert "no q4_0" in made.refused["q4_0"]


def test_figures_are_the_planners_own() -> None:
    plans = planner(free_gib=24)
    for plan in make_forecast(plans, Wanted(), ("f16", "q8_0")).curves[1].plans:
        wanted = Wanted(n_ctx=plan.context_tokens, kv_type="q8_0", reply_tokens=1)
        assert plan == replace(plans.plan(0, wanted), advice=())


def test_it_can_be_cut_short() -> None:
    seen = []

    def between() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_forecast(planner(free_gib=24), Wanted(), ("f16",), between)
    assert len(seen) == 3
