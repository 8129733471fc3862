"""engine.memory.planner and advice: verdicts at the edges, the search, and advice that holds what it says.

Costs are estimates here: what llama.cpp says is tests/engine/memory/test_dry_run.py's.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.verdicts import change, refuse_misfit
from engine.errors import DoesNotFit, EngineDied, UsageError
from engine.memory.budget import DEFAULT_REPLY, Device, Hardware, Measured, Placement, Plan, Verdict, Wanted, Weight
from engine.memory.card import Layer, ModelCard
from engine.memory.kv_cache import kv_bytes, window_copy_bytes
from engine.memory.placement import estimate
from engine.memory.planner import Measure, make_plan

GIB = 1 << 30
SCOUT = ModelCard(
    path=Path("scout.gguf"),
    name="Scout",
    architecture="llama4",
    quantization="Q4_K",
    window=10_485_760,
    n_vocab=202_048,
    n_embd=5_120,
    n_ff=16_384,
    layers=tuple(
        Layer(8 * 128, 8 * 128, at % 4 != 3, weights_bytes=(57 * GIB) // 48, expert_bytes=GIB) for at in range(48)
    ),
    attention_window=8_192,
    exact=True,
    weights_bytes=57 * GIB,
    n_experts=16,
)
SMALL = replace(
    SCOUT,
    window=8_192,
    n_vocab=2_000,
    n_embd=64,
    n_ff=128,
    layers=tuple(replace(layer, weights_bytes=250_000) for layer in SCOUT.layers[:4]),
    weights_bytes=10**6,
)


def plan(
    prompt: int,
    reply: int = 1_000,
    *,
    card: ModelCard = SMALL,
    free: int = 32 * GIB,
    gpus: tuple[Device, ...] = (),
    sources: Sequence[Weight] = (),
    n_ctx: int | None = None,
    kv_type: str = "f16",
    kv_device: str = "auto",
    n_ubatch: int | None = 512,
    swa_full: bool = False,
    measure: Measure = estimate,
) -> Plan:
    return make_plan(
        card,
        prompt_tokens=prompt,
        wanted=Wanted(
            n_ctx=n_ctx,
            kv_type=kv_type,
            kv_device=kv_device,
            n_ubatch=n_ubatch,
            swa_full=swa_full,
            reply_tokens=reply,
        ),
        hardware=Hardware(Device("RAM", "ram", free, 64 * GIB), gpus),
        measure=measure,
        sources=sources,
    )


def anonymous(card: ModelCard, n_ctx: int, kv_type: str = "f16", n_ubatch: int = 512) -> int:
    """What a context takes beside the weights."""
    costs = estimate(card, Placement(n_ctx=n_ctx, kv_type=kv_type, n_ubatch=n_ubatch))
    copy = window_copy_bytes(card, n_ctx, kv_type=kv_type, swa_full=False)
    return costs.kv_bytes + costs.compute_bytes + costs.runtime_bytes + copy


def cautiously(n_bytes: int) -> int:
    """Free memory of which advice uses so much: it leaves a little, since free memory moves."""
    return n_bytes + min(n_bytes // 19 + 100, 1 << 30)


# --- the window


def test_at_the_edge_of_the_window() -> None:
    fits = plan(7_192)
    assert (fits.verdict, fits.fits, fits.over_tokens, fits.context_tokens) == (Verdict.FITS, True, 0, 8_192)
    assert fits.advice == () and refuse_misfit(fits) is None
    over = plan(7_193)
    assert (over.verdict, over.fits, over.over_tokens, over.context_tokens) == (Verdict.OVER_WINDOW, False, 1, 8_192)
    with pytest.raises(DoesNotFit, match="^1 token over: the prompt has 7,193 and the reply keeps 1,000, of 8,192"):
        refuse_misfit(over)


def test_a_context_of_the_users_choice() -> None:
    assert plan(1_000, n_ctx=2_000).verdict is Verdict.FITS
    over = plan(1_001, n_ctx=2_000)
    assert (over.verdict, over.over_tokens, over.context_tokens) == (Verdict.OVER_WINDOW, 1, 2_000)
    assert "--ctx 2001" in change(over, over.advice[0])
    assert plan(1_001, n_ctx=2_001).fits
    beyond = plan(1_000, n_ctx=8_193)
    assert (beyond.verdict, beyond.over_tokens) == (Verdict.OVER_WINDOW, 0)
    assert [change(beyond, advice) for advice in beyond.advice] == [
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
    assert "--max-tokens 8192" in change(over, over.advice[0])
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
    with pytest.raises(DoesNotFit, match="^1 bytes of memory are missing on RAM, "):
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


def test_the_estimate_of_compute_is_near_what_the_engine_took() -> None:
    """Scout's shape with one output row, read off the engine: 235 MiB at 131,072 tokens."""
    assert estimate(SCOUT, Placement(n_ctx=131_072)).compute_bytes / (1 << 20) == pytest.approx(235, rel=0.25)


# --- advice


def followed(before: Plan, at: int, prompt: int, reply: int, sources: Sequence[Weight], **how: object) -> Plan:
    """The plan after doing what one piece of advice says: sources left out, flags set."""
    advice = before.advice[at]
    left = [source for source in sources if source.path not in advice.leave_out]
    saved = sum(source.n_tokens for source in sources) - sum(source.n_tokens for source in left)
    assert saved == sum(source.n_tokens for source in sources if source.path in advice.leave_out)
    sentence = change(before, advice)  # read as a user reads it; the settings that come with it say the same
    if flag := re.search(r"--ctx (\d+)", sentence):
        how["n_ctx"] = int(flag[1])
    if flag := re.search(r"--kv (\w+)", sentence):
        how["kv_type"] = flag[1]
    if flag := re.search(r"--max-tokens (\d+), with plan --reply \1", sentence):
        reply = int(flag[1])
    given = Wanted(n_ctx=how.get("n_ctx"), kv_type=how.get("kv_type", "f16"), reply_tokens=reply)  # type: ignore[arg-type]
    assert advice.applied(given) == given
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
        assert path in change(before, advice)
    assert followed(before, naming[0], prompt, 300, sources, n_ctx=n_ctx).fits


def test_the_least_is_given_up() -> None:
    def left_out(over: int) -> tuple[str, ...]:
        before = plan(SMALL.window - 300 + over, 300, sources=SOURCES)
        return next(advice.leave_out for advice in before.advice if advice.leave_out)

    assert left_out(1) == ("a",)
    assert left_out(501) == ("e",)
    assert left_out(1_201) == ("d",)
    assert left_out(3_001) == ("b/c.py", "a")  # not the two largest: less does
    before = plan(SMALL.window - 300 + 7_000, 300, sources=SOURCES)
    assert not any(advice.leave_out for advice in before.advice)  # nothing would be left to ask about


def test_the_order_of_advice() -> None:
    before = plan(7_900, 1_000, sources=SOURCES)
    assert [change(before, advice) for advice in before.advice] == [
        "Leave out e (1,000).",
        "Keep 292 tokens for the reply instead of 1,000 (--max-tokens 292, with plan --reply 292).",
        "Read the files in passes, slice by slice, with nothing left out (ask --pass-tokens auto).",
        "Use a model with a window of at least 8,900 tokens; this one has 8,192.",
    ]
    assert all(followed(before, at, 7_900, 1_000, SOURCES).fits for at in (0, 1))
    with pytest.raises(DoesNotFit) as caught:
        refuse_misfit(before)
    assert caught.value.remedy.startswith("Leave out e (1,000). Or: Keep 292 tokens")


def test_a_reply_is_not_shortened_to_nothing() -> None:
    least, less = plan(7_936, 1_000), plan(7_937, 1_000)
    assert any("reply" in change(least, advice) for advice in least.advice)  # 256 are left
    assert not any("reply" in change(less, advice) for advice in less.advice)


def test_sources_that_are_too_few() -> None:
    before = plan(20_000, 300, sources=[Weight("a", 10), Weight("b", 20)])
    assert not any(advice.leave_out for advice in before.advice)
    assert "window of at least 20,300" in change(before, before.advice[-1])
    assert plan(20_000, 300).advice  # and without any


def test_many_names_are_cut_short_in_words_only() -> None:
    sources = [Weight(f"{n}.py", 100) for n in range(50)]
    over = plan(9_600, 300, sources=sources)
    advice = next(advice for advice in over.advice if advice.leave_out)
    assert change(over, advice).startswith("Leave out 0.py (100), 1.py (100), ")
    assert change(over, advice).endswith("11.py (100) and 6 more (--json names all).")
    assert len(advice.leave_out) == 18 and advice.saves_tokens == 1_800


@pytest.mark.parametrize("n_ctx", [None, 120_000])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.parametrize("room", [10_000, 50_000, 80_000])
def test_leaving_out_what_is_named_makes_it_fit_the_memory(room: int, kv_type: str, n_ctx: int | None) -> None:
    """Of Scout's KV only a quarter of the layers grows with the prompt: an average a token would promise too much."""
    sources = [Weight(str(n), 1_000 + n) for n in range(97)]
    prompt = sum(source.n_tokens for source in sources)
    free = cautiously(anonymous(SCOUT, room, kv_type))
    before = plan(prompt, 1_000, card=SCOUT, free=free, sources=sources, kv_type=kv_type, n_ctx=n_ctx)
    assert before.verdict is Verdict.OVER_MEMORY and before.over_tokens == 0
    at, advice = next((at, advice) for at, advice in enumerate(before.advice) if advice.leave_out)
    assert advice.saves_bytes >= before.short_bytes and advice.saves_tokens
    how = {"card": SCOUT, "free": free, "kv_type": kv_type, "n_ctx": n_ctx}
    assert followed(before, at, prompt, 1_000, sources, **how).fits


@pytest.mark.parametrize("n_ctx", [None, 120_000])
def test_smaller_images_and_fewer_pages_are_advised_for_memory_too(n_ctx: int | None) -> None:
    def scanned(at: int, tiles: int = 9, last: int = 99) -> Weight:
        pages = {number: 144 * tiles + 10 for number in range(1, min(last, 20) + 1)}
        return Weight(f"{at}.pdf", 50 + sum(pages.values()), pages, 20, lambda m: scanned(at, m, last).n_tokens)

    sources, prompt = [scanned(at) for at in range(4)], 4 * scanned(0).n_tokens
    free = cautiously(anonymous(SCOUT, 60_000))
    how = {"card": SCOUT, "free": free, "n_ctx": n_ctx}
    before = plan(prompt, 1_000, sources=sources, **how)  # type: ignore[arg-type]
    assert before.verdict is Verdict.OVER_MEMORY
    tiles, pages = (next(one for one in before.advice if getattr(one, name)) for name in ("max_tiles", "draw_pages"))
    for one in (tiles, pages):
        assert one.saves_bytes >= before.short_bytes and f"{one.saves_tokens:,} tokens less" in change(before, one)
        flag = re.search(r"--ctx (\d+)", change(before, one))
        context = {"n_ctx": int(flag[1])} if flag else {}
        assert plan(prompt - one.saves_tokens, 1_000, **{**how, **context}).fits  # type: ignore[arg-type]
    assert tiles.saves_tokens == sum(source.n_tokens - scanned(0, tiles.max_tiles or 0).n_tokens for source in sources)
    last = int((pages.draw_pages or "").removeprefix("1-"))
    assert pages.saves_tokens == sum(source.n_tokens - scanned(0, last=last).n_tokens for source in sources)


def test_a_smaller_context_comes_first_where_it_is_enough() -> None:
    free = cautiously(anonymous(SCOUT, 50_000))
    before = plan(20_000, 1_000, card=SCOUT, free=free, n_ctx=1_000_000, sources=[Weight("a", 19_000)])
    assert re.search(r"--ctx (\d+)", change(before, before.advice[0]))
    assert not any(advice.leave_out for advice in before.advice)
    after = followed(before, 0, 20_000, 1_000, [], card=SCOUT, free=free)
    assert after.fits and after.context_tokens >= 49_700
    assert before.advice[0].saves_bytes >= before.short_bytes


def test_a_smaller_kv_type_says_exactly_what_it_saves() -> None:
    for kv_type, fits in (("f16", True), ("f32", True), ("q8_0", None), ("q4_0", None)):
        free = cautiously(anonymous(SCOUT, 100_000, "q8_0"))
        before = plan(99_000, 1_000, card=SCOUT, free=free - (0 if fits else 10**9), kv_type=kv_type, n_ctx=100_000)
        found = [advice for advice in before.advice if "--kv q8_0" in change(before, advice)]
        assert bool(found) is bool(fits)
        if fits:
            assert before.advice[0] == found[0]
            after = followed(before, 0, 99_000, 1_000, [], card=SCOUT, free=free, n_ctx=100_000)
            assert after.fits and before.total_bytes - after.total_bytes == found[0].saves_bytes


def test_what_is_not_enough_by_itself_is_not_offered() -> None:
    free = cautiously(anonymous(SCOUT, 20_000))
    sources = [Weight("a", 200_000), Weight("b", 600_000), Weight("c", 1_000)]
    before = plan(802_000, 1_000, card=SCOUT, free=free, sources=sources)
    leave_out, passes, close = before.advice
    assert leave_out.leave_out == ("b", "a") and change(before, close).startswith("Free ")
    assert before.short_bytes <= min(leave_out.saves_bytes, passes.saves_bytes) and passes.in_passes


def test_passes_are_advised_where_the_sources_are_too_much_and_a_pass_has_room() -> None:
    def in_passes(prompt: int, reply: int, sources: list[Weight], **known: Any) -> list[str]:
        before = plan(prompt, reply, sources=sources, **known)
        return [change(before, advice, options=False) for advice in before.advice if advice.in_passes]

    assert in_passes(40_000, 1_000, [Weight("a", 39_900)]) == [
        "Read the files in passes, slice by slice, with nothing left out."
    ]
    assert in_passes(40_000, 1_000, [Weight("a", 2_000)]) == []  # what was said before takes the window
    assert in_passes(40_000, 7_900, [Weight("a", 39_900)]) == []  # the reply does
    assert in_passes(1_500, 300, [Weight("a", 1_400)], n_ctx=1_000) == []
    with pytest.raises(DoesNotFit) as caught:  # whatever else there is
        refuse_misfit(plan(40_000, 1_000, sources=[Weight("a", 33_000), Weight("b", 6_900)], n_ctx=4_000))
    assert "--pass-tokens auto" in caught.value.remedy


def test_no_room_at_all() -> None:
    nothing = plan(7_000, free=0, sources=SOURCES)
    assert not any(advice.leave_out or "--ctx" in change(nothing, advice) for advice in nothing.advice)
    assert nothing.advice[-1].saves_bytes == nothing.short_bytes == anonymous(SMALL, nothing.context_tokens)


# --- what llama.cpp says


def test_a_kv_type_that_cannot_be_is_refused_and_never_advised() -> None:
    def measure(card: ModelCard, placement: Placement) -> Measured:
        if placement.kv_type not in ("f32", "f16", "bf16"):
            raise UsageError("K cache type does not divide the head.", "Use --kv f16.")
        return estimate(card, placement)

    with pytest.raises(UsageError):
        plan(1_000, kv_type="q8_0", measure=measure)
    before = plan(99_000, card=SCOUT, free=anonymous(SCOUT, 99_000, "q8_0"), measure=measure)
    assert before.verdict is Verdict.OVER_MEMORY
    assert not any("--kv" in change(before, advice) for advice in before.advice)


def test_where_llama_cpp_breaks_off_the_figures_are_estimates_and_it_is_said() -> None:
    def measure(card: ModelCard, placement: Placement) -> Measured:
        raise EngineDied("The engine's process ended with signal SIGABRT.")

    guessed = plan(1_000, measure=measure)
    assert guessed.fits and guessed.estimated == ("compute_bytes", "runtime_bytes")
    assert "SIGABRT" in guessed.notes[0] and "estimates" in guessed.notes[0]


def test_the_log_is_made_exact_by_the_formula_and_trusted_where_there_is_none() -> None:
    def measure(card: ModelCard, placement: Placement) -> Measured:
        exact = estimate(card, placement)
        return Measured(exact.kv_bytes - 5_000, (("CPU", 1 << 20),), 1 << 20)

    known = plan(1_000, measure=measure)
    assert known.kv_bytes == kv_bytes(SMALL, known.context_tokens) and known.estimated == ("runtime_bytes",)
    unknown = plan(1_000, card=replace(SMALL, exact=False), measure=measure)
    assert unknown.kv_bytes == kv_bytes(SMALL, unknown.context_tokens) - 5_000
    assert "dry run" in unknown.notes[0]


def test_a_context_over_the_window_is_not_asked_about() -> None:
    def measure(card: ModelCard, placement: Placement) -> Measured:
        raise AssertionError("a dry run of it might not fit itself")

    assert plan(1_000, n_ctx=2**31, measure=measure).verdict is Verdict.OVER_WINDOW


# --- choices


def test_fewer_tokens_at_once_before_no_plan_at_all() -> None:
    """Speed is given up where memory is short, unless the user chose it; answers stay what they are."""
    free = anonymous(SCOUT, 4_000_000, n_ubatch=128)
    chosen = plan(3_998_000, card=SCOUT, free=free, n_ubatch=None)
    assert chosen.verdict is Verdict.SLOW and chosen.placement.n_ubatch == 128
    assert (chosen.placement.kv_type, chosen.placement.swa_full) == ("f16", False)
    asked = plan(3_998_000, card=SCOUT, free=cautiously(free), n_ubatch=512)
    assert asked.verdict is Verdict.OVER_MEMORY and "--ubatch 128" in change(asked, asked.advice[0])
    assert plan(3_998_000, card=SCOUT, free=400 * GIB, n_ubatch=None).placement.n_ubatch == 512


def test_room_is_given_up_before_weights_are_read_again_and_again() -> None:
    whole = 57 * GIB + anonymous(SCOUT, 103_000)
    tight = plan(99_000, card=SCOUT, free=whole, n_ubatch=None)
    assert tight.verdict is Verdict.FITS and 100_000 <= tight.context_tokens <= 103_168 and tight.placement.repack
    slow = plan(99_000, card=SCOUT, free=57 * GIB, n_ubatch=None)
    assert slow.verdict is Verdict.SLOW and slow.context_tokens == 112_128 and not slow.placement.repack


def test_a_full_cache_of_windowed_layers_is_advised_against() -> None:
    before = plan(99_000, card=SCOUT, free=cautiously(anonymous(SCOUT, 120_000)), swa_full=True)
    assert before.verdict is Verdict.OVER_MEMORY and "--swa-full" in change(before, before.advice[0])


GPU = Device("CUDA0", "gpu", 80 * GIB, 80 * GIB)


def test_on_a_gpu_with_room_for_all() -> None:
    one = plan(99_000, card=SCOUT, free=64 * GIB, gpus=(GPU,), n_ubatch=None)
    ram, gpu = one.needs
    assert one.verdict is Verdict.FITS and one.placement.n_gpu_layers == 49 and not one.placement.expert_layers_in_ram
    assert gpu.kv_bytes == one.kv_bytes and gpu.mapped_bytes == 0 and ram.kv_bytes == 0


def test_a_smaller_gpu_gives_up_experts_first() -> None:
    small = replace(GPU, free_bytes=24 * GIB, total_bytes=24 * GIB)
    one = plan(99_000, card=SCOUT, free=64 * GIB, gpus=(small,), n_ubatch=None)
    assert one.verdict is Verdict.FITS and one.placement.n_gpu_layers == 49
    layers = one.placement.expert_layers_in_ram
    assert 0 < layers < 48 and one.needs[1].needed_bytes <= 24 * GIB
    fewer = plan(99_000, card=SCOUT, free=64 * GIB, gpus=(replace(small, free_bytes=25 * GIB),), n_ubatch=None)
    assert fewer.placement.expert_layers_in_ram == layers - 1
    assert one.total_bytes == sum(need.needed_bytes for need in one.needs)


def test_the_kv_cache_in_ram_for_those_who_ask() -> None:
    one = plan(99_000, card=SCOUT, free=64 * GIB, gpus=(GPU,), kv_device="ram")
    assert one.fits and one.needs[0].kv_bytes == one.kv_bytes and one.needs[1].kv_bytes == 0
    with pytest.raises(UsageError, match="no GPU"):
        plan(1_000, kv_device="gpu")


def test_an_integrated_gpu_takes_main_memory() -> None:
    shared = replace(GPU, shares_ram=True)
    assert plan(1_000, card=SCOUT, free=64 * GIB, gpus=(shared,)).fits
    over = plan(1_000, card=SCOUT, free=2 * GIB, gpus=(shared,))
    assert over.verdict in (Verdict.SLOW, Verdict.OVER_MEMORY)
