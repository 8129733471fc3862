"""What would make a prompt fit, ranked: the least that has to be given up comes first. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
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


def advise(plan: Shortage, window: int, sources: Sequence[Weight]) -> tuple[Advice, ...]:
    """Advice for a plan that does not fit, best first; () for one that does."""
    if plan.over_tokens or plan.context_tokens > window:
        return tuple(_for_window(plan, window, sources))
    return tuple(_for_memory(plan, sources)) if plan.short_bytes else ()


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
        change = f"Keep {shorter:,} tokens for the reply instead of {plan.reply_tokens:,} (--max-tokens {shorter})."
        advice.append(Advice(change, saves_tokens=plan.over_tokens))
    if needed > window:
        advice.append(Advice(f"Use a model with a window of at least {needed:,} tokens; this one has {window:,}."))
    return advice


def _leaving_out(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The smallest single source that is enough, then the fewest large ones together."""
    if not over or sum(source.n_tokens for source in sources) < over:
        return []
    advice = []
    enough = min((source for source in sources if source.n_tokens >= over), key=lambda s: s.n_tokens, default=None)
    if enough is not None:
        advice.append(_leave_out([enough]))
    largest = sorted(sources, key=lambda source: -source.n_tokens)
    saved = list(accumulate(source.n_tokens for source in largest))
    n_needed = next(at for at, tokens in enumerate(saved, 1) if tokens >= over)
    if [source.path for source in largest[:n_needed]] != ([enough.path] if enough else []):
        advice.append(_leave_out(largest[:n_needed]))
    return advice


def _leave_out(sources: Sequence[Weight]) -> Advice:
    shown = ", ".join(f"{source.path} ({source.n_tokens:,})" for source in sources[:4])
    more = f" and {len(sources) - 4:,} more" if len(sources) > 4 else ""
    return Advice(
        f"Leave out {shown}{more}.",
        saves_tokens=sum(source.n_tokens for source in sources),
        leave_out=tuple(source.path for source in sources),
    )


def _for_memory(plan: Shortage, sources: Sequence[Weight]) -> list[Advice]:
    advice = []
    if plan.kv_type in ("f32", "f16", "bf16"):
        saved = plan.kv_bytes - plan.kv_bytes * 34 // (128 if plan.kv_type == "f32" else 64)
        advice.append(Advice("Store the KV cache in 8 bits (--kv q8_0).", saves_bytes=saved))
    least = plan.prompt_tokens + plan.reply_tokens
    if plan.context_tokens > least:
        saved = plan.kv_bytes - plan.kv_bytes * least // plan.context_tokens
        advice.append(Advice(f"Use a context of {least:,} tokens (--ctx {least}).", saves_bytes=saved))
    bytes_a_token = plan.kv_bytes / max(1, plan.context_tokens)
    if bytes_a_token and sources:
        for option in _leaving_out(int(plan.short_bytes / bytes_a_token) + 1, sources):
            saves = int(option.saves_tokens * bytes_a_token)
            advice.append(Advice(option.change, saves, option.saves_tokens, option.leave_out))
    advice.append(Advice("Close other programs, or use a smaller model or quantization.", saves_bytes=plan.short_bytes))
    return advice
