"""What a model takes of each GPU by the plan, against the GPU's own free memory before and after it is loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.gguf import read_header
from engine.memory.budget import Placement
from engine.memory.card import read_card
from engine.memory.placement import held, ladders
from tests.devices.loaded import load
from tests.models.cache import cached

_N_CTX = 32_768
_LIMIT, _GRAIN = 0.02, 8 << 20  # a driver rounds each of the five or so buffers up, CUDA to 2 MiB
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One GPU and placement, in bytes: planned, and gone from its free memory once loaded and once it has decoded.

    What the first decode takes on top is a driver's own (cuBLAS, pools) and no plan knows it: shown, not judged.
    """

    name: str
    planned: int
    loaded: int
    decoded: int

    @property
    def holds(self) -> bool:
        return abs(self.planned - self.loaded) <= _LIMIT * self.planned + _GRAIN

    def __str__(self) -> str:
        sizes = f"{self.planned / _MIB:>10.1f} {self.loaded / _MIB:>10.1f} MiB"
        more = f"{(self.decoded - self.loaded) / _MIB:+.1f} MiB at the first decode"
        return f"{self.name:<58} {sizes} ({'holds' if self.holds else 'FAILS'}), {more}"


@dataclass(frozen=True, slots=True)
class NoGpu:
    """In place of readings. Holds, since nothing was found wrong."""

    holds: bool = True

    def __str__(self) -> str:
        return "no GPU here that llama.cpp can use: nothing to compare"


def rows(environment: Mapping[str, str] | None = None) -> Iterator[Reading | NoGpu]:
    """A reading for each GPU and way to place a model."""
    gpus = load(Path(), None, environment=environment).gpus
    if not gpus:
        yield NoGpu()
        return
    model = cached("scout", n_embd=512, n_ff=512, n_expert=8, vocab="none")
    card = read_card(read_header(model))
    first = Placement(n_ctx=_N_CTX)
    experts, layers, _ = ladders(card, first, gpus=gpus)
    kv_in_ram, *_ = ladders(card, first, gpus=gpus, kv_device="ram")
    for name, placement in (
        ("all layers on GPUs", experts.make(0)),
        ("half of the experts in RAM", experts.make(experts.n_steps // 2)),
        ("KV cache in RAM", kv_in_ram.make(0)),
        ("half of the layers on GPUs", layers.make(layers.n_steps // 2)),
    ):
        dry = load(model, placement, dry=True, environment=environment)
        real = load(model, placement, environment=environment)
        for at, (gpu, part) in enumerate(zip(gpus, held(card, placement, gpus)[1:], strict=True)):
            before = real.gpus[at].free_bytes
            yield Reading(
                f"{name}: {gpu.name}",
                planned=part.weights_bytes + part.kv_bytes + dry.size(gpu.name, "compute", "output"),
                loaded=before - real.free_loaded[at],
                decoded=before - real.free_decoded[at],
            )
