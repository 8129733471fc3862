"""What would make a prompt fit, ranked: the least that has to be given up comes first. Pure arithmetic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

_LEAST_REPLY = 256


@dataclass(frozen=True, slots=True)
class Weight:
    """A source and its tokens: what leaving it out would save."""

    path: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Advice:
    """One way to make it fit, and what it saves. leave_out names the sources, for a button or for --exclude."""

    change: str
    saves_bytes: int = 0
    saves_tokens: int = 0
    leave_out: tuple[str, ...] = ()


class Shortage(Protocol):
    """What advice needs to know of a plan; budget.Plan is one."""

    @property
    def context_tokens(self) -> int: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def reply_tokens(self) -> int: ...
    @property
    def over_tokens(self) -> int: ...
    @property
    def short_bytes(self) -> int: ...
    @property
    def kv_bytes(self) -> int: ...
    @property
    def kv_type(self) -> str: ...
    @property
    def weights_bytes(self) -> int: ...


def advise(
    plan: Shortage, *, window: int, sources: Sequence[Weight], bytes_for: Callable[[int], int], fixed: bool
) -> tuple[Advice, ...]:
    """Advice for a plan that does not fit, best first; () for one that does.

    bytes_for: what a context of so many tokens takes of the memory that is short. fixed: the user chose the context, so
    that a shorter prompt alone makes it no smaller.
    """
    if plan.over_tokens or plan.context_tokens > window:
        return tuple(_for_window(plan, window, sources))
    return tuple(_for_memory(plan, sources, bytes_for, fixed)) if plan.short_bytes else ()


def _for_window(plan: Shortage, window: int, sources: Sequence[Weight]) -> list[Advice]:
    advice = []
    needed = plan.prompt_tokens + plan.reply_tokens
    if plan.context_tokens > window:
        advice.append(Advice(f"Use a context of at most {window:,} tokens, the model's window (--ctx {window})."))
    if needed <= window and needed > plan.context_tokens:
        advice.append(Advice(f"Use a larger context (--ctx {needed}); the model's window is {window:,} tokens."))
    advice += _leaving_out(plan.over_tokens, sources)
    shorter = plan.reply_tokens - plan.over_tokens
    if plan.over_tokens and shorter >= _LEAST_REPLY:
        flags = f"--max-tokens {shorter}, with plan --reply {shorter}"
        change = f"Keep {shorter:,} tokens for the reply instead of {plan.reply_tokens:,} ({flags})."
        advice.append(Advice(change, saves_tokens=plan.over_tokens))
    if needed > window:
        advice.append(Advice(f"Use a model with a window of at least {needed:,} tokens; this one has {window:,}."))
    return advice


def _leaving_out(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The smallest single source that is enough; without one the fewest, the last of them as small as can be."""
    if not over or sum(source.n_tokens for source in sources) < over:
        return []
    left_out: list[Weight] = []
    largest_first = sorted(sources, key=lambda source: -source.n_tokens)
    while largest_first[0].n_tokens < over:
        left_out.append(largest_first.pop(0))
        over -= left_out[-1].n_tokens
    enough = min((source for source in largest_first if source.n_tokens >= over), key=lambda source: source.n_tokens)
    return [_leave_out([*left_out, enough])]


def _leave_out(sources: Sequence[Weight]) -> Advice:
    shown = ", ".join(f"{source.path} ({source.n_tokens:,})" for source in sources[:4])
    more = f" and {len(sources) - 4:,} more" if len(sources) > 4 else ""
    return Advice(
        f"Leave out {shown}{more}.",
        saves_tokens=sum(source.n_tokens for source in sources),
        leave_out=tuple(source.path for source in sources),
    )


def _for_memory(
    plan: Shortage, sources: Sequence[Weight], bytes_for: Callable[[int], int], fixed: bool
) -> list[Advice]:
    """What is enough by itself comes before what only helps."""
    least, taken = plan.prompt_tokens + plan.reply_tokens, bytes_for(plan.context_tokens)
    room = _largest_context(bytes_for, taken - plan.short_bytes, plan.context_tokens)
    advice = []
    if least <= room:
        advice.append(Advice(f"Use a context of {room:,} tokens (--ctx {room}).", saves_bytes=taken - bytes_for(room)))
    if plan.kv_type in ("f32", "f16", "bf16"):
        saved = plan.kv_bytes - plan.kv_bytes * 34 // (128 if plan.kv_type == "f32" else 64)
        advice.append(Advice("Store the KV cache in 8 bits (--kv q8_0).", saves_bytes=saved))
    for option in _leaving_out(max(0, least - room), sources):
        smaller = room if fixed else least - option.saves_tokens
        change = f"{option.change.removesuffix('.')}, and use --ctx {room}." if fixed else option.change
        advice.append(replace(option, change=change, saves_bytes=taken - bytes_for(smaller)))
    advice.sort(key=lambda option: option.saves_bytes < plan.short_bytes)
    advice.append(Advice("Close other programs, or use a smaller model or quantization.", saves_bytes=plan.short_bytes))
    return advice


def _largest_context(bytes_for: Callable[[int], int], free_bytes: int, most: int) -> int:
    """The largest context up to `most` whose bytes are free; 0 if none is."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if bytes_for(middle) <= free_bytes else (low, middle - 1)
    return low
