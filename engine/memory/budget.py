"""Whether a prompt and its reply fit, into the window and into memory. Pure arithmetic.

KV bytes are the engine's own figure; compute and runtime memory are estimates until the engine is asked itself, and
stand in `estimated` as such. What to do about a bad verdict is left to `advice`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from engine.memory.advice import Advice, Weight, advise
from engine.memory.card import ModelCard
from engine.memory.hardware import Device
from engine.memory.kv_cache import kv_bytes, pad

DEFAULT_REPLY = 2048
_TURNS_AHEAD, _QUESTION = 8, 512  # a context cannot grow, so room is kept for further turns of about this size
_CELL_BYTES = 52  # llama.cpp's table entry for one KV cell [measured]
_VOCABULARY_BYTES = 330  # a token's text, attributes and map entries: 63 MiB for Llama 4's 202,048 [measured]
_STEP = 1024
_PROCESS_BYTES = 96 << 20  # Python, numpy and llama.cpp in the child process


class Verdict(StrEnum):
    """Whether it runs, in the words of `plan --json`."""

    FITS = "fits"
    SLOW = "slow"  # runs, but weights are read from disk again and again
    OVER_WINDOW = "over_window"
    OVER_MEMORY = "over_memory"


@dataclass(frozen=True, slots=True)
class Costs:
    """What a context takes beside the weights, in bytes; nothing of it can be given back while the engine runs."""

    kv_bytes: int
    compute_bytes: int
    runtime_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.kv_bytes + self.compute_bytes + self.runtime_bytes


@dataclass(frozen=True, slots=True)
class Need:
    """A device and the bytes that are needed on it."""

    device: Device
    needed_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a prompt costs with a model, and the verdict. All sizes are bytes or tokens, as named."""

    context_tokens: int
    prompt_tokens: int
    reply_tokens: int
    over_tokens: int
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    runtime_bytes: int
    kv_type: str
    needs: tuple[Need, ...]
    verdict: Verdict
    advice: tuple[Advice, ...]
    estimated: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.runtime_bytes

    @property
    def short_bytes(self) -> int:
        """Bytes missing on the tightest device; weights that can be read from disk again do not count."""
        return max(0, *(need.needed_bytes - self.weights_bytes - need.device.free_bytes for need in self.needs))

    @property
    def fits(self) -> bool:
        return self.verdict in (Verdict.FITS, Verdict.SLOW)


def make_plan(
    card: ModelCard,
    *,
    prompt_tokens: int,
    reply_tokens: int,
    ram: Device,
    sources: Sequence[Weight] = (),
    n_ctx: int | None = None,
    kv_type: str = "f16",
    n_ubatch: int = 512,
    swa_full: bool = False,
) -> Plan:
    """The plan for one prompt.

    n_ctx None chooses: prompt, reply and room for about eight further turns, capped by the window and by RAM.
    """
    costs = partial(context_costs, card, kv_type=kv_type, n_ubatch=n_ubatch, swa_full=swa_full)

    def bytes_for(context: int) -> int:
        return costs(context).total_bytes

    least = prompt_tokens + reply_tokens
    ahead = _TURNS_AHEAD * (reply_tokens + _QUESTION)
    context = n_ctx or _context(card, least, ahead, lambda cells: bytes_for(cells) <= ram.free_bytes)
    cost = costs(context)
    plan = Plan(
        context_tokens=context,
        prompt_tokens=prompt_tokens,
        reply_tokens=reply_tokens,
        over_tokens=max(0, least - min(context, card.window)),
        weights_bytes=card.weights_bytes,
        kv_bytes=cost.kv_bytes,
        compute_bytes=cost.compute_bytes,
        runtime_bytes=cost.runtime_bytes,
        kv_type=kv_type,
        needs=(Need(ram, cost.total_bytes + card.weights_bytes),),
        verdict=Verdict.FITS,
        advice=(),
        estimated=(*(() if card.exact else ("kv_bytes",)), "compute_bytes", "runtime_bytes"),
    )
    advice = advise(plan, window=card.window, sources=sources, bytes_for=bytes_for, fixed=bool(n_ctx))
    return replace(plan, verdict=_verdict(plan, card.window), advice=advice)


def _verdict(plan: Plan, window: int) -> Verdict:
    if plan.over_tokens or plan.context_tokens > window:
        return Verdict.OVER_WINDOW
    if plan.short_bytes:
        return Verdict.OVER_MEMORY
    is_tight = any(need.needed_bytes > need.device.free_bytes for need in plan.needs)
    return Verdict.SLOW if is_tight else Verdict.FITS


def context_costs(card: ModelCard, n_ctx: int, *, kv_type: str, n_ubatch: int, swa_full: bool) -> Costs:
    """What a context of n_ctx tokens takes beside the weights."""
    kv = kv_bytes(card, n_ctx, kv_type=kv_type, n_ubatch=n_ubatch, swa_full=swa_full)
    return Costs(kv, compute_bytes(card, n_ctx, n_ubatch=n_ubatch), runtime_bytes(card, n_ctx))


def compute_bytes(card: ModelCard, n_ctx: int, *, n_ubatch: int) -> int:
    """An estimate of the compute and output buffers: attention masks, a row of logits, a layer's activations."""
    mask = pad(n_ctx) * n_ubatch * 2
    narrow = pad(min(n_ctx, card.attention_window + n_ubatch)) * n_ubatch * 2 if card.attention_window else 0
    return mask + narrow + 4 * card.n_vocab + 4 * n_ubatch * (3 * card.n_embd + 2 * card.n_ff)


def runtime_bytes(card: ModelCard, n_ctx: int) -> int:
    """An estimate of what the engine's process needs itself: the vocabulary, the cell tables, Python."""
    return _PROCESS_BYTES + _VOCABULARY_BYTES * card.n_vocab + _CELL_BYTES * pad(n_ctx)


def _context(card: ModelCard, least: int, ahead: int, fits: Callable[[int], bool]) -> int:
    """Room for `least` and for further turns, as far as window and memory allow; never less than is needed now."""
    wanted = min(card.window, pad(least + ahead))
    least = min(least, card.window)
    while wanted > least and not fits(wanted):
        wanted = max(least, (wanted - _STEP) // _STEP * _STEP)
    return max(1, wanted)
