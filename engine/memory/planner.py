"""Making a plan: the fastest placement that fits this machine now, and the verdict. Arithmetic over measured costs.

llama.cpp is asked through `Measure`; what a plan holds is `budget`'s, advice for one that does not fit `advice`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.errors import EngineFailed
from engine.memory.advice import advise
from engine.memory.budget import DISK_RESERVE_BYTES, Hardware, Measured, Need, Placement, Plan, Wanted, Weight, owner
from engine.memory.card import ModelCard
from engine.memory.context_search import largest
from engine.memory.kv_cache import kv_bytes, pad, window_copy_bytes
from engine.memory.placement import Ladder, estimate, held, ladders, vocabulary_bytes

Measure = Callable[[ModelCard, Placement], Measured]

_TURNS_AHEAD, _FEWEST_AHEAD, _QUESTION = 8, 2, 512  # room is kept for further turns of about this size
_UBATCHES = (512, 256, 128)  # down to 64 tokens at once llama.cpp computes the same; only slower
_MAY_BE_TAKEN, _MOST_TAKEN_BYTES = 0.05, 1 << 30  # of what is free now, while the user reads the advice
_GPU_SPARE_BYTES = 512 << 20  # a driver's context and kernels take 300 to 600 MiB that no log tells of [unmeasured]
_FIGURES = ("weights_bytes", "kv_bytes", "compute_bytes", "runtime_bytes")
_LOG_ROUNDING = 16 << 10  # llama.cpp's log gives sizes in hundredths of MiB, a line for each kind of layer


def make_plan(
    card: ModelCard,
    *,
    prompt_tokens: int,
    wanted: Wanted,
    hardware: Hardware,
    measure: Measure,
    sources: Sequence[Weight] = (),
) -> Plan:
    """The plan for one prompt; sources are for advice on what to leave out.

    Without a context that was asked for, it has room for prompt, reply and about eight further turns, as far as window
    and memory allow. Nothing that changes answers is chosen: a smaller KV type is offered, not taken.
    Raises UsageError for a KV type that this model cannot have, ModelRefused where llama.cpp refuses the model.
    """
    planner = Planner(card, hardware, measure)
    plan = planner.plan(prompt_tokens, wanted)
    if plan.fits:
        return plan
    cautious = replace(planner, hardware=hardware.without(_MAY_BE_TAKEN, most_bytes=_MOST_TAKEN_BYTES))
    return replace(plan, advice=advise(plan, wanted, sources=sources, planner=cautious))


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans for one model on one machine. Keeps nothing; what was measured, `measure` keeps."""

    card: ModelCard
    hardware: Hardware
    measure: Measure

    def plan(self, prompt_tokens: int, wanted: Wanted) -> Plan:
        """The plan for so many tokens, without advice. Raises as make_plan does."""
        fitting = self.fitting(prompt_tokens, wanted)
        if fitting is not None:
            return fitting
        least = min(self.card.window, max(1, prompt_tokens + wanted.ahead_tokens))
        return self.made(self._last_resort(wanted.n_ctx or least, wanted), prompt_tokens, wanted)

    def fitting(self, prompt_tokens: int, wanted: Wanted) -> Plan | None:
        """The fastest plan that fits, with room for further turns as far as there is some; None where none fits."""
        least, fixed = max(1, prompt_tokens + wanted.ahead_tokens), wanted.n_ctx
        if least > (fixed or self.card.window) or (fixed or 0) > self.card.window:
            return None
        whole = least + wanted.thoughts.most - wanted.thoughts.least
        most, enough, whole = (self._ahead(whole, wanted, turns) for turns in (_TURNS_AHEAD, _FEWEST_AHEAD, 0))
        tight = min(whole, self._ahead(least, wanted, 0))  # where there is no room for all thoughts
        ranges = ((fixed, fixed),) if fixed else tuple((low, most) for low in dict.fromkeys((enough, whole, tight)))
        for reread in (False, True):
            for low, high in ranges:
                if self._hopeless_bytes(low, wanted, reread=reread) > 0:
                    continue
                for ladder in self._ladders(low, wanted, reread=reread):
                    search = _Search(self, ladder, prompt_tokens, wanted, reread)
                    if (step := search.first_step(low)) is not None:
                        return search.made(step, search.widest(step, low, high))
        return None

    def excess_bytes(self, n_ctx: int, wanted: Wanted) -> int:
        """What is missing for a context at the least; the KV cache alone decides where that is too much already."""
        hopeless = self._hopeless_bytes(n_ctx, wanted, reread=True)
        if hopeless > 0:
            return hopeless
        if self.hardware.gpus and (
            plan := self.fitting(0, replace(wanted, n_ctx=n_ctx, reply_tokens=0, thinking="off"))
        ):
            return max(need.excess_bytes(reread=True) for need in plan.needs)
        return max(need.excess_bytes(reread=True) for need in self.frugal(n_ctx, wanted).needs)

    def frugal(self, n_ctx: int, wanted: Wanted) -> Plan:
        """The plan for a context of so many tokens that takes least: off the GPUs, few tokens at once."""
        fewest = _ubatches(wanted)[-1]
        return self.made(self._last_resort(n_ctx, replace(wanted, n_ubatch=fewest)), 0, wanted)

    def guessed_excess_bytes(self, n_ctx: int, wanted: Wanted) -> int:
        """The same by estimate alone, which costs nothing."""
        guessing = replace(self, measure=estimate)
        return guessing.excess_bytes(n_ctx, wanted)

    def _hopeless_bytes(self, n_ctx: int, wanted: Wanted, *, reread: bool) -> int:
        """By how much weights and KV cache alone exceed all that is free, which saves asking llama.cpp."""
        if not self.card.exact:
            return 0
        n_ubatch = _ubatches(wanted)[-1]
        cache = kv_bytes(self.card, n_ctx, kv_type=wanted.kv_type, n_ubatch=n_ubatch, swa_full=wanted.swa_full)
        weights = 0 if reread else self.card.weights_bytes
        return cache + weights - sum(device.free_bytes for device in self.hardware.devices)

    def _ahead(self, least: int, wanted: Wanted, turns: int) -> int:
        return min(self.card.window, pad(least + turns * (wanted.reply_tokens + _QUESTION)))

    def _ladders(self, n_ctx: int, wanted: Wanted, *, reread: bool) -> Iterator[Ladder]:
        """Ways to place it, the fastest first; each with the usual number of tokens at once before smaller ones.

        reread: weights may be dropped and read again, so that none are copied.
        """
        first = Placement(
            n_ctx=n_ctx, kv_type=wanted.kv_type, swa_full=wanted.swa_full, repack=not reread, rope=self.card.rope
        )
        alike = [
            ladders(self.card, replace(first, n_ubatch=n), gpus=self.hardware.gpus, kv_device=wanted.kv_device)
            for n in _ubatches(wanted)
        ]
        for same in zip(*alike, strict=True):
            yield from same

    def _last_resort(self, n_ctx: int, wanted: Wanted) -> Placement:
        """What asks least of GPUs, with the usual number of tokens at once; what it lacks is what is short."""
        *_, last = self._ladders(n_ctx, replace(wanted, n_ubatch=_ubatches(wanted)[0]), reread=True)
        return last.make(last.n_steps - 1)

    def made(self, placement: Placement, prompt_tokens: int, wanted: Wanted) -> Plan:
        """The plan that this placement makes."""
        measured, notes = self._measured(placement)
        notes += self.card.notes
        measured = replace(measured, runtime_bytes=measured.runtime_bytes + wanted.vision_bytes)
        state_bytes = measured.kv_bytes * min(prompt_tokens, placement.n_ctx) // placement.n_ctx
        room = max(0, self.hardware.disk_free_bytes - DISK_RESERVE_BYTES)
        if self.hardware.disk_free_bytes and state_bytes > room:
            notes += (
                f"The disk has no room to keep the KV cache of this prompt: about {state_bytes:,} bytes, and "
                f"{room:,} are free beside the 2 GiB that always are. Free some, or move LONGDESK_HOME.",
            )
        return Plan(
            model=self.card.name,
            placement=placement,
            window=self.card.window,
            prompt_tokens=prompt_tokens,
            reply_tokens=wanted.reply_tokens,
            needs=_needs(self.card, placement, measured, self.hardware),
            estimated=tuple(
                name
                for name in _FIGURES
                if name in (*measured.estimated, *self.card.estimated)
                or (wanted.vision_bytes and name == "runtime_bytes")
            ),
            notes=notes,
            stretches_from=self.card.stretches_from,
            thoughts=wanted.thoughts,
        )

    def _measured(self, placement: Placement) -> tuple[Measured, tuple[str, ...]]:
        """llama.cpp's own figures, with its KV figure, which its log rounds, made exact where the formula is known."""
        estimated = estimate(self.card, placement)
        if placement.n_ctx > self.card.window:  # refused anyway, and a dry run of it might not fit itself
            return estimated, ()
        try:
            measured = self.measure(self.card, placement)
        except EngineFailed as error:
            return estimated, (f"llama.cpp broke off when it was asked, so these are estimates: {error.fact}",)
        more = window_copy_bytes(self.card, placement.n_ctx, kv_type=placement.kv_type, swa_full=placement.swa_full) + (
            0 if self.card.has_vocabulary else vocabulary_bytes(self.card)
        )
        measured = replace(measured, runtime_bytes=measured.runtime_bytes + more)
        if self.card.adapters:  # no dry run knows of them: one more activation, and the small one between the halves
            widest = max(adapter.widest + adapter.rank for adapter in self.card.adapters)
            added = ("CPU", 4 * placement.n_ubatch * widest)
            measured = replace(measured, buffers=(*measured.buffers, added))
        if self.card.exact and abs(measured.kv_bytes - estimated.kv_bytes) <= _LOG_ROUNDING:
            return replace(measured, kv_bytes=estimated.kv_bytes), ()
        return replace(measured, estimated=("kv_bytes", *measured.estimated)), (
            f"Longdesk does not know how {self.card.architecture} keeps its KV cache: its size is what llama.cpp says "
            "in a dry run, rounded to 10 KiB.",
        )


@dataclass(frozen=True, slots=True)
class _Search:
    """The search along one ladder: how little of it must leave the GPUs, and how wide the context may be.

    reread: weights in RAM may be dropped and read again, which is slow.
    """

    planner: Planner
    ladder: Ladder
    prompt_tokens: int
    wanted: Wanted
    reread: bool

    def made(self, step: int, n_ctx: int) -> Plan:
        placement = replace(self.ladder.make(step), n_ctx=n_ctx)
        return self.planner.made(placement, self.prompt_tokens, self.wanted)

    def excess_bytes(self, step: int, n_ctx: int, kinds: tuple[str, ...] = ("ram", "gpu")) -> int:
        """How far the tightest device of these kinds is from having room: 0 or less means that it has."""
        spare = {"ram": 0, "gpu": _GPU_SPARE_BYTES}
        needs = [need for need in self.made(step, n_ctx).needs if need.device.kind in kinds and need.needed_bytes]
        return max((need.excess_bytes(reread=self.reread) + spare[need.device.kind] for need in needs), default=0)

    def first_step(self, n_ctx: int) -> int | None:
        """The first step that fits. Later ones ask less of the GPUs and more of RAM."""
        low, high = 0, self.ladder.n_steps - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.excess_bytes(middle, n_ctx, ("gpu",)) <= 0 else (middle + 1, high)
        return low if self.excess_bytes(low, n_ctx) <= 0 else None

    def widest(self, step: int, low: int, high: int) -> int:
        """The widest context from low, which fits, to high."""
        return largest(low, high, lambda n_ctx: self.excess_bytes(step, n_ctx))


def _ubatches(wanted: Wanted) -> tuple[int, ...]:
    """How many tokens to compute at once: what was asked for, else the usual numbers, the largest first."""
    if wanted.n_ubatch:
        return (wanted.n_ubatch,)
    return tuple(n for n in _UBATCHES if n >= wanted.at_once) or (pad(wanted.at_once),)


def _needs(card: ModelCard, placement: Placement, measured: Measured, hardware: Hardware) -> tuple[Need, ...]:
    """What each device has to hold. An integrated GPU's share is missing from RAM."""
    gpus = hardware.gpus
    compute = dict.fromkeys((device.name for device in hardware.devices), 0)
    for buffer, n_bytes in measured.buffers:
        compute[owner(buffer, gpus)] += n_bytes
    for gpu in gpus if len(gpus) > 1 else ():  # between several, a real run may copy one activation more
        compute[gpu.name] += 4 * card.n_embd * placement.n_ubatch if compute[gpu.name] else 0
    parts = held(card, placement, gpus)
    known = sum(part.kv_bytes for part in parts)
    scale = measured.kv_bytes / known if known else 0.0
    found = {part.name: part for part in parts}
    on_gpus = [
        Need(gpu, found[gpu.name].weights_bytes, round(found[gpu.name].kv_bytes * scale), compute[gpu.name])
        for gpu in gpus
    ]
    shared = sum(need.needed_bytes for need in on_gpus if need.device.shares_ram)
    ram = replace(hardware.ram, free_bytes=max(0, hardware.ram.free_bytes - shared))
    weights = found[ram.name].weights_bytes
    kv = measured.kv_bytes - sum(need.kv_bytes for need in on_gpus)
    return (Need(ram, weights, kv, compute[ram.name], measured.runtime_bytes, weights), *on_gpus)
