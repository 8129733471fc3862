"""What would make a prompt fit, ranked: the least that has to be given up comes first.

Advice on memory is tried before it is given: whoever follows it as it is written gets a plan that fits.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from engine.errors import UsageError
from engine.memory.budget import Advice, Plan, Wanted, Weight
from engine.memory.context_search import largest
from engine.memory.reading import less_to_read

_LEAST_REPLY = 256
_SMALLER_KV = (("q8_0", "in 8 bits"), ("q4_0", "in 4 bits, which some models feel"))
_WIDE_KV = ("f32", "f16", "bf16")


class Planner(Protocol):
    """What advice asks of a planner; planner.Planner is one. Both raise UsageError for a KV type that cannot be."""

    def fitting(self, prompt_tokens: int, wanted: Wanted) -> Plan | None:
        """The plan for so many tokens, if there is one that fits."""

    def excess_bytes(self, n_ctx: int, wanted: Wanted) -> int:
        """What is missing for a context at the least, 0 or less for none; by estimate where much is missing."""

    def guessed_excess_bytes(self, n_ctx: int, wanted: Wanted) -> int:
        """The same by estimate alone, which costs nothing."""

    def frugal(self, n_ctx: int, wanted: Wanted) -> Plan:
        """The plan for a context of so many tokens that takes least."""


def advise(plan: Plan, wanted: Wanted, *, sources: Sequence[Weight], planner: Planner) -> tuple[Advice, ...]:
    """Advice for a plan that does not fit, best first."""
    if plan.over_tokens or plan.context_tokens > plan.window:
        return tuple(_for_window(plan, sources))
    return _Memory(plan, wanted, sources, planner).advice()


def _for_window(plan: Plan, sources: Sequence[Weight]) -> list[Advice]:
    advice, window = [], plan.window
    needed = plan.prompt_tokens + plan.reply_tokens
    if plan.context_tokens > window:
        advice.append(Advice(f"Use a context of at most {window:,} tokens, the model's window (--ctx {window})."))
    if needed <= window and needed > plan.context_tokens:
        advice.append(Advice(f"Use a larger context (--ctx {needed}); the model's window is {window:,} tokens."))
    advice += less_to_read(plan.over_tokens, sources)
    shorter = plan.reply_tokens - plan.over_tokens
    if plan.over_tokens and shorter >= _LEAST_REPLY:
        advice.append(Advice(_shorter_reply(plan.reply_tokens, shorter), saves_tokens=plan.over_tokens))
    if needed > window:
        advice.append(Advice(f"Use a model with a window of at least {needed:,} tokens; this one has {window:,}."))
    return advice


def _shown(n_bytes: int) -> str:
    """Rounded up, so that freeing so much is enough."""
    if n_bytes < 1 << 30:
        return f"{-(-n_bytes // (1 << 20)):,} MiB"
    return f"{-(-n_bytes * 10 // (1 << 30)) / 10:,.1f} GiB"


def _shorter_reply(before: int, shorter: int) -> str:
    flags = f"--max-tokens {shorter}, with plan --reply {shorter}"
    return f"Keep {shorter:,} tokens for the reply instead of {before:,} ({flags})."


@dataclass(frozen=True, slots=True)
class _Memory:
    """Advice where memory is short: first what changes no answer, then what stores less, then less to read."""

    plan: Plan
    wanted: Wanted
    sources: Sequence[Weight]
    planner: Planner

    def advice(self) -> tuple[Advice, ...]:
        offers = [*self._other_flags(), *self._smaller_context(self.wanted, ""), *self._smaller_kv()]
        offers += self._less_to_read() or self._shorter_reply()
        short = ", ".join(
            f"{need.short_bytes / (1 << 30):,.1f} GiB of {need.device.name}"
            for need in self.plan.needs
            if need.short_bytes
        )
        close = f"Free {short}: close other programs, or use a smaller model or quantization."
        return (*offers, Advice(close, saves_bytes=self.plan.short_bytes))

    def _offer(self, offer: str | Advice, wanted: Wanted) -> list[Advice]:
        """The change, if the plan fits with it; what it saves of the prompt is said in it."""
        advice = offer if isinstance(offer, Advice) else Advice(offer)
        with suppress(UsageError):  # a KV type that this model cannot have
            then = self.planner.fitting(self.plan.prompt_tokens - advice.saves_tokens, wanted)
            if then is not None:
                return [replace(advice, saves_bytes=max(0, self.plan.total_bytes - then.total_bytes))]
        return []

    def _other_flags(self) -> list[Advice]:
        """What the user asked for that takes memory and gives speed, or nothing."""
        wanted, offers = self.wanted, []
        if wanted.swa_full:
            offers += self._offer("Leave --swa-full out: answers stay the same.", replace(wanted, swa_full=False))
        if (wanted.n_ubatch or 0) > 128:
            change = "Compute fewer tokens at once, which is slower (--ubatch 128)."
            offers += self._offer(change, replace(wanted, n_ubatch=128))
        if wanted.kv_device != "auto":
            change = "Let Longdesk place the KV cache (--kv-device auto)."
            offers += self._offer(change, replace(wanted, kv_device="auto"))
        return offers

    def _smaller_context(self, wanted: Wanted, flag: str) -> list[Advice]:
        """The largest context that fits, where the user's own is larger than it must be. flag: what goes with it."""
        if not wanted.n_ctx:
            return []
        room = self._room(wanted)
        if room < self.plan.prompt_tokens + self.plan.reply_tokens:
            return []
        saved = self.plan.total_bytes - self.planner.frugal(room, wanted).total_bytes  # that it fits, _room has seen
        return [Advice(f"Use a context of {room:,} tokens ({flag}--ctx {room}).", max(0, saved))]

    def _smaller_kv(self) -> list[Advice]:
        """The first smaller KV type that is enough by itself; else with a smaller context, where that is the user's."""
        if self.wanted.kv_type not in _WIDE_KV:
            return []
        for with_context in (False, True):
            for kv_type, how in _SMALLER_KV:
                wanted = replace(self.wanted, kv_type=kv_type)
                if not with_context:
                    offers = self._offer(f"Store the KV cache {how} (--kv {kv_type}).", wanted)
                else:
                    offers = self._smaller_context(wanted, f"--kv {kv_type} ")
                if offers:
                    return offers
        return []

    def _less_to_read(self) -> list[Advice]:
        plan, wanted, offers = self.plan, self.wanted, []
        room = self._room(wanted)
        over = max(0, plan.prompt_tokens + plan.reply_tokens - room)
        for option in less_to_read(over, self.sources):
            smaller = replace(wanted, n_ctx=room if wanted.n_ctx else None)
            with_context = f"{option.change.removesuffix('.')}, and use --ctx {room}."
            offers += self._offer(replace(option, change=with_context) if wanted.n_ctx else option, smaller)
        return offers

    def _shorter_reply(self) -> list[Advice]:
        shorter = self._room(self.wanted) - self.plan.prompt_tokens
        if self.wanted.n_ctx or not _LEAST_REPLY <= shorter < self.plan.reply_tokens:
            return []
        change = _shorter_reply(self.plan.reply_tokens, shorter)
        return self._offer(change, replace(self.wanted, reply_tokens=shorter))

    def _room(self, wanted: Wanted) -> int:
        """The largest context that fits at all, whatever is to stand in it; 0 where none does, or none can be made."""

        def guessed(n_ctx: int) -> int:
            return self.planner.guessed_excess_bytes(n_ctx, wanted) + off_by

        def excess_bytes(n_ctx: int) -> int:
            return self.planner.excess_bytes(n_ctx, wanted)

        off_by, room = 0, self.plan.context_tokens
        with suppress(UsageError):
            for _ in range(2):  # the estimate's course is right, and one dry run shows how far it is off
                if guessed(1) > 0:
                    return 0
                room = largest(1, self.plan.context_tokens, guessed)
                off_by += excess_bytes(room) - guessed(room)
            for a_little_less in (room, room * 199 // 200, room * 49 // 50):
                if excess_bytes(a_little_less) <= 0:
                    return a_little_less
            return largest(1, room, excess_bytes) if excess_bytes(1) <= 0 else 0
        return 0
