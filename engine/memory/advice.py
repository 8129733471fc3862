"""What would make a prompt fit, ranked: the least that has to be given up comes first. Values only: no words.

Advice on memory is tried before it is given: whoever follows it gets a plan that fits.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from engine.corpus.wording import ranges_in_words
from engine.errors import UsageError
from engine.memory.budget import Advice, FewerPages, Plan, Wanted, Weight
from engine.memory.context_search import largest
from engine.memory.kv_cache import pad
from engine.memory.rope import MOST, YARN

_LEAST_REPLY = 256
_LEAST_THOUGHT = 256  # tokens: a shorter one is of no use
_LEAST_PASS = 1024  # tokens of the sources that a pass should have room for, with what is asked of it
_SMALLER_KV = ("q8_0", "q4_0")
_FEWER_AT_ONCE = 128
_WIDE_KV = ("f32", "f16", "bf16")
_MOST_TILES = 9  # see engine.tokens.tiles; more than are in force save nothing


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
        return for_window(plan, sources)
    return _Memory(plan, wanted, sources, planner).advice()


def for_window(plan: Plan, sources: Sequence[Weight]) -> tuple[Advice, ...]:
    """Advice for a plan that is over the window, or over the context; memory is no matter."""
    advice, window = [], plan.limit
    needed = plan.needed_tokens
    if plan.placement is not None and plan.context_tokens > window:
        advice.append(Advice(n_ctx=window))
    if plan.placement is not None and plan.context_tokens < needed <= window:
        advice.append(Advice(n_ctx=needed))
    beyond = max(needed, plan.context_tokens) if plan.placement is not None else needed
    stretched = [Advice(rope_scaling=YARN, n_ctx=pad(beyond))] if plan.stretches_from and beyond > window else []
    if plan.context_tokens > window:  # somebody asked for more than the window
        advice, stretched = [*advice, *stretched], []
    elif beyond > MOST * plan.stretches_from:  # nobody would like the answers
        stretched = []
    advice += _less_to_read(plan.over_tokens, sources)
    shorter = plan.reply_tokens - plan.over_tokens
    if plan.over_tokens and shorter >= _LEAST_REPLY:
        advice.append(Advice(reply_tokens=shorter, saves_tokens=plan.over_tokens))
    advice += _fewer_thoughts(plan, plan.over_tokens)
    advice += _in_passes(plan, min(plan.context_tokens, window), sources)
    advice += stretched
    if needed > window:
        advice.append(Advice(other_window=needed))
    return tuple(advice)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Advice where memory is short: first what changes no answer, then what stores less, then less to read."""

    plan: Plan
    wanted: Wanted
    sources: Sequence[Weight]
    planner: Planner

    def advice(self) -> tuple[Advice, ...]:
        offers = [*self._other_settings(), *self._smaller_context(Advice()), *self._smaller_kv()]
        less = self._less_to_read()
        if all(advice.in_passes for advice in less):
            offers += self._shorter_reply()
        offers += less
        return (*offers, Advice(saves_bytes=self.plan.short_bytes))

    def _offer(self, advice: Advice) -> list[Advice]:
        """The advice with what it saves, if the plan fits with it."""
        with suppress(UsageError):  # a KV type that this model cannot have
            prompt_tokens = self.plan.prompt_tokens - advice.saves_tokens
            then = self.planner.fitting(prompt_tokens, advice.applied(self.wanted))
            if then is not None:
                return [replace(advice, saves_bytes=max(0, self.plan.total_bytes - then.total_bytes))]
        return []

    def _other_settings(self) -> list[Advice]:
        """What the user asked for that takes memory and gives speed, or nothing."""
        wanted, offers = self.wanted, []
        if wanted.swa_full:
            offers += self._offer(Advice(swa_full=False))
        if (wanted.n_ubatch or 0) > _FEWER_AT_ONCE:
            offers += self._offer(Advice(n_ubatch=_FEWER_AT_ONCE))
        if wanted.kv_device != "auto":
            offers += self._offer(Advice(kv_device="auto"))
        return offers

    def _smaller_context(self, advice: Advice) -> list[Advice]:
        """The advice with the largest context that fits, where the user's own is larger than it must be."""
        wanted = advice.applied(self.wanted)
        if not wanted.n_ctx:
            return []
        room = self._room(wanted)
        if room < self._least(self.plan.prompt_tokens):
            return []
        saved = self.plan.total_bytes - self.planner.frugal(room, wanted).total_bytes  # that it fits, _room has seen
        return [replace(advice, n_ctx=room, saves_bytes=max(0, saved))]

    def _smaller_kv(self) -> list[Advice]:
        """The first smaller KV type that is enough by itself; else with a smaller context, where that is the user's."""
        if self.wanted.kv_type not in _WIDE_KV:
            return []
        for offer in (self._offer, self._smaller_context):
            for kv_type in _SMALLER_KV:
                if offers := offer(Advice(kv_type=kv_type)):
                    return offers
        return []

    def _less_to_read(self) -> list[Advice]:
        plan, wanted, offers = self.plan, self.wanted, []
        room = self._room(wanted)
        over = max(0, self._least(plan.prompt_tokens) - room)
        for advice in [*_less_to_read(over, self.sources), *_in_passes(plan, room, self.sources)]:
            offers += self._offer(replace(advice, n_ctx=room if wanted.n_ctx else None))
        return offers

    def _shorter_reply(self) -> list[Advice]:
        room, plan = self._room(self.wanted), self.plan
        shorter = room - plan.prompt_tokens - plan.thoughts.least
        if self.wanted.n_ctx:
            return []
        offers = self._offer(Advice(reply_tokens=shorter)) if _LEAST_REPLY <= shorter < plan.reply_tokens else []
        for fewer in _fewer_thoughts(plan, self._least(plan.prompt_tokens) - room):
            offers += self._offer(replace(fewer, saves_tokens=0))
        return offers

    def _least(self, prompt_tokens: int) -> int:
        """Tokens that a prompt of so many takes with what the model writes."""
        return prompt_tokens + self.plan.reply_tokens + self.plan.thoughts.least

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


def _in_passes(plan: Plan, n_ctx: int, sources: Sequence[Weight]) -> list[Advice]:
    """Reading slice by slice, where the sources are what is too much for so many tokens of context."""
    n_tokens = sum(source.n_tokens for source in sources)
    room = n_ctx - (plan.prompt_tokens - n_tokens) - plan.reply_tokens - plan.thoughts.least
    return [Advice(in_passes=True, saves_tokens=n_tokens - room)] if _LEAST_PASS <= room < n_tokens else []


def _fewer_thoughts(plan: Plan, over: int) -> list[Advice]:
    """A limit for thoughts that saves so many tokens, or none at all; nothing where that is too little."""
    left = plan.thinking_tokens - over
    if not over or left < 0 or not plan.thinking_tokens:
        return []
    return [Advice(thinking=str(left) if left >= _LEAST_THOUGHT else "off", saves_tokens=over)]


def _less_to_read(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """Ways to save at least `over` tokens, each enough by itself: what loses detail before what loses pages or files.

    Nothing for 0.
    """
    if not over:
        return []
    return [*_fewer_tiles(over, sources), *_fewer_pages(over, sources), *_leaving_out(over, sources)]


def _fewer_tiles(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The most tiles an image may have; nothing where even one is too many."""
    for max_tiles in range(_MOST_TILES - 1, 0, -1):
        saved = sum(source.n_tokens - source.within(max_tiles) for source in sources if source.within)
        if saved >= over:
            return [Advice(saves_tokens=saved, max_tiles=max_tiles)]
    return []


def _fewer_pages(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The most drawn pages that fit, of every source from its first on; nothing where the first is one too many."""
    drawn = [source for source in sources if source.pages]
    numbers = sorted({number for source in drawn for number in source.pages})
    n_pages, saved = sum(len(source.pages) for source in drawn), 0
    n_left = n_pages
    while saved < over and numbers:
        last = numbers.pop()
        dropped = [source.pages[last] for source in drawn if last in source.pages]
        saved, n_left = saved + sum(dropped), n_left - len(dropped)
    if saved < over or not n_left:
        return []
    pages = ("" if _are_drawn(numbers, sources) else "bare:") + ranges_in_words(numbers).replace(" ", "")
    fewer = FewerPages(pages, n_left, n_pages, tuple(source.path for source in drawn))
    return [Advice(saves_tokens=saved, fewer_pages=fewer)]


def _are_drawn(numbers: Sequence[int], sources: Sequence[Weight]) -> bool:
    """Whether these pages are drawn now in whichever source has them: else naming them would draw some more."""
    return all(number in source.pages for source in sources for number in numbers if number <= source.n_pages)


def _leaving_out(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The smallest single source that is enough; without one the fewest, the last of them as small as can be.

    Nothing where no source would be left.
    """
    if sum(source.n_tokens for source in sources) < over:
        return []
    left_out: list[Weight] = []
    largest_first = sorted(sources, key=lambda source: -source.n_tokens)
    while largest_first[0].n_tokens < over:
        left_out.append(largest_first.pop(0))
        over -= left_out[-1].n_tokens
    enough = min((source for source in largest_first if source.n_tokens >= over), key=lambda source: source.n_tokens)
    chosen = [*left_out, enough]
    if len(chosen) == len(sources):
        return []
    return [Advice(saves_tokens=sum(source.n_tokens for source in chosen), sources=tuple(chosen))]
