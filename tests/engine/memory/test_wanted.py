"""engine.memory: what is kept free for thoughts beside the reply, in plans, verdicts and advice."""

from dataclasses import replace

import pytest

from app.verdicts import change, refuse_misfit
from engine.errors import DoesNotFit
from engine.memory.advice import for_window
from engine.memory.budget import Device, Hardware, Plan, Verdict
from engine.memory.placement import estimate
from engine.memory.planner import Planner, make_plan
from engine.memory.wanted import DEFAULT_THINKING, NO_THOUGHTS, Thoughts, Wanted, is_thinking, thoughts_of
from tests.engine.memory.test_planner import GIB, SCOUT, SMALL

WIDE = replace(SMALL, window=32_768)


def planned(prompt: int, wanted: Wanted, *, card=SMALL, free: int = 32 * GIB) -> Plan:  # type: ignore[no-untyped-def]
    hardware = Hardware(Device("RAM", "ram", free, 64 * GIB))
    return make_plan(card, prompt_tokens=prompt, wanted=wanted, hardware=hardware, measure=estimate)


@pytest.mark.parametrize(
    ("thinking", "thinks", "kept"),
    [
        ("", False, NO_THOUGHTS),
        ("", True, Thoughts(DEFAULT_THINKING, 1_000)),
        ("on", False, Thoughts(DEFAULT_THINKING, 1_000)),
        ("off", True, NO_THOUGHTS),
        ("0", True, NO_THOUGHTS),
        ("300", False, Thoughts(300, 300)),
        ("300", True, Thoughts(300, 300)),
        ("20000", True, Thoughts(20_000, 20_000)),
    ],
)
def test_what_is_kept(thinking: str, thinks: bool, kept: Thoughts) -> None:
    assert is_thinking(thinking) and thoughts_of(thinking, 2_000, thinks=thinks) == kept


def test_a_limit_is_kept_to_the_token() -> None:
    wanted = Wanted(reply_tokens=1_000, thinking="500")
    fits = planned(SMALL.window - 1_500, wanted)
    assert (fits.verdict, fits.thinking_tokens, fits.over_tokens) == (Verdict.FITS, 500, 0)
    assert fits.needed_tokens == SMALL.window <= fits.context_tokens
    over = planned(SMALL.window - 1_499, wanted)
    assert (over.verdict, over.over_tokens) == (Verdict.OVER_WINDOW, 1)
    assert planned(SMALL.window - 1_499, replace(wanted, thinking="off")).fits
    with pytest.raises(DoesNotFit, match=r"the reply keeps 1,000, thoughts before it 500, of 8,192"):
        refuse_misfit(over)


def test_a_context_that_was_asked_for_holds_both() -> None:
    wanted = Wanted(n_ctx=2_048, reply_tokens=256, thinking="1024")
    assert planned(768, wanted).fits and planned(769, wanted).over_tokens == 1
    assert advised_of(planned(800, wanted), "n_ctx") == [2_080]


def advised_of(plan: Plan, name: str) -> list[object]:
    return [value for advice in plan.advice if (value := getattr(advice, name)) is not None]


def test_a_model_that_thinks_has_room_for_it_where_there_is_some() -> None:
    wanted = Wanted(reply_tokens=2_000, thinking="", thinks=True)
    free = planned(1_000, wanted, card=WIDE)
    assert free.thinking_tokens == DEFAULT_THINKING and free.context_tokens >= 1_000 + 2_000 + DEFAULT_THINKING
    tight = planned(WIDE.window - 5_000, wanted, card=WIDE)
    assert tight.fits and tight.thinking_tokens == 3_000 and tight.needed_tokens == WIDE.window
    least = planned(WIDE.window - 3_000, wanted, card=WIDE)
    assert least.fits and least.thinking_tokens == 1_000
    assert planned(WIDE.window - 2_999, wanted, card=WIDE).over_tokens == 1
    assert planned(1_000, replace(wanted, thinks=False), card=WIDE).thinking_tokens == 0


def test_memory_that_has_no_room_for_all_thoughts_has_some_for_a_few() -> None:
    wanted, scout = Wanted(n_ubatch=128, reply_tokens=2_000, thinking="", thinks=True), replace(SCOUT, window=65_536)
    need = Planner(scout, Hardware(Device("RAM", "ram", 1 << 50, 1 << 50)), estimate)
    enough = need.plan(1_000, replace(wanted, n_ctx=6_144)).total_bytes
    plan = planned(1_000, wanted, card=scout, free=enough)
    assert plan.fits and plan.context_tokens < 1_000 + 2_000 + DEFAULT_THINKING
    assert plan.thinking_tokens == plan.context_tokens - 3_000 >= 1_000


def test_fewer_thoughts_are_advised() -> None:
    def advised(over: int, thinking: str) -> list[object]:
        plan = planned(SMALL.window - 1_000 - int(thinking) + over, Wanted(reply_tokens=1_000, thinking=thinking))
        assert plan.over_tokens == over
        for advice in plan.advice:
            if advice.thinking is not None:
                then = advice.applied(Wanted(reply_tokens=1_000, thinking=thinking))
                assert planned(plan.prompt_tokens, then).fits
        return advised_of(plan, "thinking")

    assert advised(100, "2000") == ["1900"] and advised(1_800, "2000") == ["off"] and advised(2_100, "2000") == []
    plan = planned(SMALL.window - 2_900, Wanted(reply_tokens=1_000, thinking="2000"))
    [fewer] = [advice for advice in for_window(plan, ()) if advice.thinking]
    assert change(plan, fewer) == "Let the model think for 1,900 tokens at most instead of 2,000 (--thinking 1900)."
    assert change(plan, replace(fewer, thinking="off"), options=False) == (
        "Let the model answer without thinking, 2,000 tokens less."
    )


def test_memory_that_is_short_is_saved_by_fewer_thoughts() -> None:
    wanted, scout = Wanted(n_ubatch=128, reply_tokens=300, thinking="40000"), replace(SCOUT, window=131_072)
    need = Planner(scout, Hardware(Device("RAM", "ram", 1 << 50, 1 << 50)), estimate)
    enough = need.plan(1_000, replace(wanted, thinking="off", n_ctx=12_288)).total_bytes - scout.weights_bytes
    plan = planned(1_000, wanted, card=scout, free=enough + (1 << 28))
    assert plan.verdict is Verdict.OVER_MEMORY
    [fewer] = advised_of(plan, "thinking")
    assert planned(1_000, replace(wanted, thinking=str(fewer)), card=scout, free=enough + (1 << 28)).fits
