"""engine.memory.budget and advice: verdicts at the edges, and advice that holds what it says."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.analyst import refuse_misfit
from engine.errors import DoesNotFit
from engine.memory.advice import Weight
from engine.memory.budget import DEFAULT_REPLY, Plan, Verdict, compute_bytes, make_plan, runtime_bytes
from engine.memory.card import ModelCard
from engine.memory.hardware import Device
from engine.memory.kv_cache import kv_bytes
from tests.test_kv_cache import SCOUT

GIB = 1 << 30
SMALL = replace(SCOUT, window=8_192, n_vocab=2_000, n_embd=64, n_ff=128, layers=SCOUT.layers[:4], weights_bytes=10**6)


def memory(free: int) -> Device:
    return Device("RAM", "ram", free, 64 * GIB)


def plan(
    prompt: int,
    reply: int = 1_000,
    *,
    card: ModelCard = SMALL,
    free: int = 32 * GIB,
    sources: Sequence[Weight] = (),
    n_ctx: int | None = None,
    kv_type: str = "f16",
) -> Plan:
    return make_plan(
        card,
        prompt_tokens=prompt,
        reply_tokens=reply,
        ram=memory(free),
        sources=sources,
        n_ctx=n_ctx,
        kv_type=kv_type,
    )


def anonymous(card: ModelCard, n_ctx: int, kv_type: str = "f16") -> int:
    """What a context takes beside the weights."""
    return (
        kv_bytes(card, n_ctx, kv_type=kv_type) + compute_bytes(card, n_ctx, n_ubatch=512) + runtime_bytes(card, n_ctx)
    )


# --- the window


def test_at_the_edge_of_the_window() -> None:
    fits = plan(7_192)
    assert (fits.verdict, fits.fits, fits.over_tokens, fits.context_tokens) == (Verdict.FITS, True, 0, 8_192)
    assert fits.advice == () and refuse_misfit(fits) is None
    over = plan(7_193)
    assert (over.verdict, over.fits, over.over_tokens, over.context_tokens) == (Verdict.OVER_WINDOW, False, 1, 8_192)
    with pytest.raises(DoesNotFit, match="^1 tokens over: the prompt has 7,193 and the reply keeps 1,000, of 8,192"):
        refuse_misfit(over)


def test_a_context_of_the_users_choice() -> None:
    assert plan(1_000, n_ctx=2_000).verdict is Verdict.FITS
    over = plan(1_001, n_ctx=2_000)
    assert (over.verdict, over.over_tokens, over.context_tokens) == (Verdict.OVER_WINDOW, 1, 2_000)
    assert "--ctx 2001" in over.advice[0].change
    assert plan(1_001, n_ctx=2_001).fits
    beyond = plan(1_000, n_ctx=8_193)
    assert (beyond.verdict, beyond.over_tokens) == (Verdict.OVER_WINDOW, 0)
    assert [advice.change for advice in beyond.advice] == [
        "Use a context of at most 8,192 tokens, the model's window (--ctx 8192)."
    ]
    with pytest.raises(DoesNotFit, match="A context of 8,193 tokens is more than the model's window"):
        refuse_misfit(beyond)


def test_room_for_further_turns() -> None:
    """A context cannot grow, so it is made for about eight more; the window and the memory cap that."""
    window = replace(SMALL, window=10**6)
    assert plan(1_000, 1_000, card=window).context_tokens == 14_336  # 2,000 + 8 x 1,512, in blocks of 256
    assert plan(1_000, 1_000).context_tokens == 8_192
    tight = plan(1_000, 1_000, card=window, free=anonymous(window, 5_000))
    assert 4_096 <= tight.context_tokens <= 5_120 and tight.fits
    tighter = plan(1_000, 1_000, card=window, free=anonymous(window, 2_000))
    assert tighter.context_tokens == 2_048 and tighter.fits  # the block of 256 that 2,000 needs


def test_a_plan_without_a_prompt() -> None:
    empty = plan(0, DEFAULT_REPLY)
    assert empty.fits and empty.prompt_tokens == 0 and empty.context_tokens >= DEFAULT_REPLY
    over = plan(0, 10_000)
    assert (over.verdict, over.over_tokens) == (Verdict.OVER_WINDOW, 1_808)
    assert [advice.leave_out for advice in over.advice] == [(), ()]
    assert "--max-tokens 8192" in over.advice[0].change
    assert plan(0, 8_192).fits


# --- memory


def test_at_the_edge_of_the_memory() -> None:
    needed = anonymous(SMALL, 2_000)
    whole = plan(1_000, free=needed + SMALL.weights_bytes, n_ctx=2_000)
    assert (whole.verdict, whole.short_bytes) == (Verdict.FITS, 0)
    assert whole.needs[0].needed_bytes == whole.total_bytes == needed + SMALL.weights_bytes
    slow = plan(1_000, free=needed + SMALL.weights_bytes - 1, n_ctx=2_000)
    assert (slow.verdict, slow.fits, slow.short_bytes) == (Verdict.SLOW, True, 0)
    assert plan(1_000, free=needed, n_ctx=2_000).verdict is Verdict.SLOW
    over = plan(1_000, free=needed - 1, n_ctx=2_000)
    assert (over.verdict, over.fits, over.short_bytes) == (Verdict.OVER_MEMORY, False, 1)
    with pytest.raises(DoesNotFit, match="^1 bytes of memory are missing: "):
        refuse_misfit(over)


def test_the_window_is_judged_before_the_memory() -> None:
    assert plan(10_000, free=1).verdict is Verdict.OVER_WINDOW
    assert plan(10, free=0).verdict is Verdict.OVER_MEMORY


def test_sums_add_up() -> None:
    one = plan(100_000, card=SCOUT, free=200 * GIB)
    assert one.total_bytes == one.weights_bytes + one.kv_bytes + one.compute_bytes + one.runtime_bytes
    assert one.kv_bytes == kv_bytes(SCOUT, one.context_tokens)
    assert one.estimated == ("compute_bytes", "runtime_bytes")
    assert plan(1, card=replace(SCOUT, exact=False)).estimated == ("kv_bytes", "compute_bytes", "runtime_bytes")


def test_compute_is_near_what_the_engine_took() -> None:
    """Scout's shape with one output row, read off the engine: 235 MiB at 131,072 tokens."""
    assert compute_bytes(SCOUT, 131_072, n_ubatch=512) / (1 << 20) == pytest.approx(235, rel=0.25)


# --- advice


def followed(before: Plan, at: int, prompt: int, reply: int, sources: Sequence[Weight], **how: object) -> Plan:
    """The plan after doing what one piece of advice says: sources left out, flags set."""
    advice = before.advice[at]
    left = [source for source in sources if source.path not in advice.leave_out]
    saved = sum(source.n_tokens for source in sources) - sum(source.n_tokens for source in left)
    assert saved == sum(source.n_tokens for source in sources if source.path in advice.leave_out)
    if flag := re.search(r"--ctx (\d+)", advice.change):
        how["n_ctx"] = int(flag[1])
    if flag := re.search(r"--kv (\w+)", advice.change):
        how["kv_type"] = flag[1]
    if flag := re.search(r"--max-tokens (\d+), with plan --reply \1", advice.change):
        reply = int(flag[1])
    return plan(prompt - saved, reply, sources=left, **how)  # type: ignore[arg-type]


SOURCES = (Weight("a", 500), Weight("b/c.py", 3_000), Weight("lock", 1_200), Weight("d", 1_300), Weight("e", 1_000))


@pytest.mark.parametrize("over", [1, 499, 500, 501, 1_200, 3_000, 3_001, 4_300, 6_000, 7_000])
@pytest.mark.parametrize("n_ctx", [None, 4_000])
def test_leaving_out_what_is_named_makes_it_fit_the_window(over: int, n_ctx: int | None) -> None:
    prompt = (n_ctx or SMALL.window) - 300 + over
    sources = (*SOURCES, Weight("rest", prompt - 7_000)) if prompt > 7_000 else SOURCES
    before = plan(prompt, 300, sources=sources, n_ctx=n_ctx)
    assert before.over_tokens == over
    naming = [at for at, advice in enumerate(before.advice) if advice.leave_out]
    assert len(naming) == 1
    advice = before.advice[naming[0]]
    assert advice.saves_tokens >= over
    for path in advice.leave_out[:4]:
        assert path in advice.change
    assert followed(before, naming[0], prompt, 300, sources, n_ctx=n_ctx).fits


def test_the_least_is_given_up() -> None:
    def left_out(over: int) -> tuple[str, ...]:
        before = plan(SMALL.window - 300 + over, 300, sources=SOURCES)
        return next(advice.leave_out for advice in before.advice if advice.leave_out)

    assert left_out(1) == ("a",)
    assert left_out(501) == ("e",)
    assert left_out(1_201) == ("d",)
    assert left_out(3_001) == ("b/c.py", "a")  # not the two largest: less does
    assert left_out(7_000) == ("b/c.py", "d", "lock", "e", "a")


def test_the_order_of_advice() -> None:
    before = plan(7_900, 1_000, sources=SOURCES)
    assert [advice.change for advice in before.advice] == [
        "Leave out e (1,000).",
        "Keep 292 tokens for the reply instead of 1,000 (--max-tokens 292, with plan --reply 292).",
        "Use a model with a window of at least 8,900 tokens; this one has 8,192.",
    ]
    assert all(followed(before, at, 7_900, 1_000, SOURCES).fits for at in (0, 1))
    with pytest.raises(DoesNotFit) as caught:
        refuse_misfit(before)
    assert caught.value.remedy.startswith("Leave out e (1,000). Or: Keep 292 tokens")


def test_a_reply_is_not_shortened_to_nothing() -> None:
    assert any("reply" in advice.change for advice in plan(7_936, 1_000).advice)  # 256 are left
    assert not any("reply" in advice.change for advice in plan(7_937, 1_000).advice)


def test_sources_that_are_too_few() -> None:
    before = plan(20_000, 300, sources=[Weight("a", 10), Weight("b", 20)])
    assert not any(advice.leave_out for advice in before.advice)
    assert "window of at least 20,300" in before.advice[-1].change
    assert plan(20_000, 300).advice  # and without any


def test_many_names_are_cut_short_in_words_only() -> None:
    sources = [Weight(f"{n}.py", 100) for n in range(50)]
    advice = next(advice for advice in plan(9_000, 300, sources=sources).advice if advice.leave_out)
    assert advice.change == "Leave out 0.py (100), 1.py (100), 2.py (100), 3.py (100) and 8 more."
    assert len(advice.leave_out) == 12 and advice.saves_tokens == 1_200


@pytest.mark.parametrize("n_ctx", [None, 120_000])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.parametrize("room", [10_000, 50_000, 99_999])
def test_leaving_out_what_is_named_makes_it_fit_the_memory(room: int, kv_type: str, n_ctx: int | None) -> None:
    """Of Scout's KV only a quarter of the layers grows with the prompt: an average a token would promise too much."""
    sources = [Weight(str(n), 1_000 + n) for n in range(97)]
    prompt = sum(source.n_tokens for source in sources)
    free = anonymous(SCOUT, room, kv_type)
    before = plan(prompt, 1_000, card=SCOUT, free=free, sources=sources, kv_type=kv_type, n_ctx=n_ctx)
    assert before.verdict is Verdict.OVER_MEMORY and before.over_tokens == 0
    at, advice = next((at, advice) for at, advice in enumerate(before.advice) if advice.leave_out)
    assert advice.saves_bytes >= before.short_bytes and advice.saves_tokens
    how = {"card": SCOUT, "free": free, "kv_type": kv_type, "n_ctx": n_ctx}
    assert followed(before, at, prompt, 1_000, sources, **how).fits
    fewer = replace(advice, leave_out=advice.leave_out[:-1])
    assert not followed(replace(before, advice=(fewer,)), 0, prompt, 1_000, sources, **how).fits


def test_a_smaller_context_comes_first_where_it_is_enough() -> None:
    free = anonymous(SCOUT, 50_000)
    before = plan(20_000, 1_000, card=SCOUT, free=free, n_ctx=1_000_000, sources=[Weight("a", 19_000)])
    assert re.search(r"--ctx (\d+)", before.advice[0].change)
    assert not any(advice.leave_out for advice in before.advice)
    after = followed(before, 0, 20_000, 1_000, [], card=SCOUT, free=free)
    assert after.fits and after.context_tokens >= 50_000
    assert before.advice[0].saves_bytes >= before.short_bytes


def test_a_smaller_kv_type_says_exactly_what_it_saves() -> None:
    for kv_type, fits in (("f16", True), ("f32", True), ("q8_0", None), ("q4_0", None)):
        free = anonymous(SCOUT, 100_000, "q8_0")
        before = plan(99_000, 1_000, card=SCOUT, free=free - (0 if fits else 10**9), kv_type=kv_type, n_ctx=100_000)
        found = [advice for advice in before.advice if "--kv q8_0" in advice.change]
        assert bool(found) is bool(fits)
        if fits:
            assert before.advice[0] == found[0]
            after = followed(before, 0, 99_000, 1_000, [], card=SCOUT, free=free, n_ctx=100_000)
            assert after.fits and before.kv_bytes - after.kv_bytes == found[0].saves_bytes


def test_what_only_helps_comes_after_what_is_enough() -> None:
    free = anonymous(SCOUT, 20_000)
    sources = [Weight("a", 200_000), Weight("b", 600_000)]
    before = plan(801_000, 1_000, card=SCOUT, free=free, sources=sources)
    leave_out, kv, close = before.advice
    assert leave_out.leave_out and "--kv" in kv.change and close.change.startswith("Close other programs")
    assert kv.saves_bytes < before.short_bytes <= leave_out.saves_bytes


def test_no_room_at_all() -> None:
    nothing = plan(7_000, free=0, sources=SOURCES)
    assert not any(advice.leave_out or "--ctx" in advice.change for advice in nothing.advice)
    assert nothing.advice[-1].saves_bytes == nothing.short_bytes == anonymous(SMALL, nothing.context_tokens)
