"""Where a model's parts go and how large its context is: all that decides what it takes of each device.

A plan is made for a Placement, and the runtime loads with exactly that one. What it takes is reckoned here by
llama.cpp's own rules; of compute buffers only a dry run knows, and they are estimated here. Pure arithmetic.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import UsageError
from engine.memory.budget import Device, Measured, Placement
from engine.memory.card import Layer, ModelCard
from engine.memory.kv_cache import kv_bytes, layer_kv_bytes, pad

RAM = "RAM"
# what llama.cpp's CPU back end may store in another order (ggml/src/ggml-cpu/repack.cpp): with AVX2, and with NEON
_REPACKED = frozenset(("Q4_0", "Q4_K", "IQ4_NL", "MXFP4"))
if platform.machine().lower() in ("arm64", "aarch64"):
    _REPACKED |= {"Q5_K", "Q6_K", "Q8_0"}
_CELL_BYTES = 52  # llama.cpp's table entry for one KV cell [measured]
_VOCABULARY_BYTES = 330  # a token's text, attributes and map entries: 63 MiB for Llama 4's 202,048 [measured]
_PROCESS_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """What lies on one device as long as the engine runs, in bytes."""

    name: str
    weights_bytes: int
    kv_bytes: int


def held(card: ModelCard, placement: Placement, gpus: Sequence[Device] = ()) -> tuple[Held, ...]:
    """Weights and KV cache on RAM and on each GPU, in this order; gpus as llama.cpp orders them.

    Exact up to the padding of tensors, where card.exact. Source: load_tensors in src/llama-model.cpp, create_tensor in
    src/llama-model-loader.cpp and the constructor in src/llama-kv-cache.cpp.
    """
    weights, kv = {RAM: card.input_bytes}, {RAM: 0}
    for gpu in gpus:
        weights[gpu.name] = kv[gpu.name] = 0
    *layers_on, output_on = _places(len(card.layers), placement, gpus)
    for at, (layer, device) in enumerate(zip(card.layers, layers_on, strict=True)):
        in_ram = layer.expert_bytes if at < placement.expert_layers_in_ram else 0
        weights[RAM] += in_ram
        weights[device] += layer.weights_bytes - in_ram
        kv[device if placement.kv_on_gpu else RAM] += _kv_bytes(card, layer, placement)
    is_copied = output_on != RAM or (placement.repack and card.embedding_type in _REPACKED)
    weights[output_on] += card.output_bytes + (card.tied_bytes if is_copied else 0)
    return tuple(Held(name, weights[name], kv[name]) for name in weights)


def _kv_bytes(card: ModelCard, layer: Layer, placement: Placement) -> int:
    return layer_kv_bytes(
        card,
        layer,
        placement.n_ctx,
        kv_type=placement.kv_type,
        n_ubatch=placement.n_ubatch,
        swa_full=placement.swa_full,
    )


def _places(n_layers: int, placement: Placement, gpus: Sequence[Device]) -> list[str]:
    """The device of each layer and, last, of the output. The input is always in RAM."""
    n_parts = n_layers + 1
    n_offloaded = n_parts if placement.n_gpu_layers < 0 else min(placement.n_gpu_layers, n_parts)
    if not gpus or not placement.use_gpus or not n_offloaded:
        return [RAM] * n_parts
    shares = placement.tensor_split[: len(gpus)]
    if not any(shares):  # llama.cpp's own way; another process may have taken memory since
        shares = tuple(gpu.free_bytes for gpu in gpus)
    single = np.float32  # as there: in doubles a layer on the border would go to the other device
    bounds = np.cumsum([*shares, *[0] * (len(gpus) - len(shares))], dtype=single)
    bounds /= bounds[-1]
    parts = np.arange(n_offloaded, dtype=single) / single(n_offloaded)
    devices = np.minimum(np.searchsorted(bounds, parts, side="right"), len(gpus) - 1)
    return [RAM] * (n_parts - n_offloaded) + [gpus[device].name for device in devices]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Placements from the fastest to the slowest: make(0) to make(n_steps - 1).

    Each step takes no more of the GPUs than the one before, and no less of RAM: the first that the GPUs have room for
    can be searched for by halves, and where RAM has none for it, it has none for any later one.
    """

    n_steps: int
    make: Callable[[int], Placement]


def ladders(
    card: ModelCard, first: Placement, *, gpus: Sequence[Device] = (), kv_device: str = "auto"
) -> tuple[Ladder, ...]:
    """The ways to place a model, the fastest first; `first` says everything but the places.

    What is in RAM is read from there for each token, so what is read least goes there first: experts, of which a token
    uses a few; then whole layers with their KV cache; at last everything. The KV cache alone goes to RAM only for those
    who ask for it ('ram'): as many bytes of layers with their cache fill the same GPU, and then the CPU computes the
    attention of the other layers only, not of all. kv_device 'gpu': no part of the KV cache in RAM.

    Raises UsageError for 'gpu' without a GPU.
    """
    if kv_device == "gpu" and not gpus:
        raise UsageError(
            "There is no GPU here that llama.cpp can use for the KV cache.",
            "Use --kv-device auto, or install llama-cpp-python built for this machine's GPU.",
        )
    n_layers = len(card.layers)
    on_gpu = replace(first, kv_on_gpu=kv_device != "ram", n_gpu_layers=n_layers + 1, tensor_split=())
    rungs = [0, *(at + 1 for at, layer in enumerate(card.layers) if layer.expert_bytes)]

    def experts(step: int) -> Placement:
        return _spread(card, replace(on_gpu, expert_layers_in_ram=rungs[step]), gpus)

    def layers(step: int) -> Placement:
        return _spread(card, replace(on_gpu, expert_layers_in_ram=rungs[-1], n_gpu_layers=n_layers - step), gpus)

    def none(step: int) -> Placement:
        return replace(on_gpu, n_gpu_layers=0, expert_layers_in_ram=0, use_gpus=step == 0)

    if not gpus:
        return (Ladder(1, none),)
    if kv_device == "gpu":
        return (Ladder(len(rungs), experts),)
    return Ladder(len(rungs), experts), Ladder(n_layers, layers), Ladder(2, none)


def _spread(card: ModelCard, placement: Placement, gpus: Sequence[Device]) -> Placement:
    """The placement with layers counted out to several GPUs, so that the fullest is as empty as can be.

    llama.cpp splits by the number of layers, which differ once experts stay in RAM; whole numbers as shares give each
    GPU exactly so many.
    """
    if len(gpus) < 2:
        return placement
    sizes = [
        layer.weights_bytes
        - (layer.expert_bytes if at < placement.expert_layers_in_ram else 0)
        + (_kv_bytes(card, layer, placement) if placement.kv_on_gpu else 0)
        for at, layer in enumerate(card.layers)
    ]
    sizes = [*sizes, card.output_bytes + card.tied_bytes][-placement.n_gpu_layers :]
    rooms = [max(1, gpu.free_bytes) for gpu in gpus]
    low, high = 0.0, sum(sizes) / min(rooms) + 1
    while high - low > high / 1024:  # the share of its room that the fullest needs
        middle = (low + high) / 2
        low, high = (low, middle) if sum(_filled(sizes, rooms, middle)) == len(sizes) else (middle, high)
    return replace(placement, tensor_split=tuple(float(count) for count in _filled(sizes, rooms, high)))


def _filled(sizes: Sequence[int], rooms: Sequence[int], share: float) -> list[int]:
    """How many of the sizes go into that share of each room, one room after the other."""
    counts, at = [], 0
    for room in rooms:
        begun, left = at, room * share
        while at < len(sizes) and sizes[at] <= left:
            left -= sizes[at]
            at += 1
        counts.append(at - begun)
    return counts


def estimate(card: ModelCard, placement: Placement) -> Measured:
    """KV bytes by the formula, compute and runtime by rules of thumb; all of it in RAM."""
    kv = kv_bytes(
        card,
        placement.n_ctx,
        kv_type=placement.kv_type,
        n_ubatch=placement.n_ubatch,
        swa_full=placement.swa_full,
    )
    names = ("compute_bytes", "runtime_bytes") if card.exact else ("kv_bytes", "compute_bytes", "runtime_bytes")
    return Measured(kv, (("CPU", _compute_bytes(card, placement)),), _runtime_bytes(card, placement.n_ctx), names)


def _compute_bytes(card: ModelCard, placement: Placement) -> int:
    """Attention masks, a row of logits and a layer's activations."""
    n_ctx, n_ubatch = placement.n_ctx, min(placement.n_ubatch, pad(placement.n_ctx))
    mask = pad(n_ctx) * n_ubatch * 2
    narrow = pad(min(n_ctx, card.attention_window + n_ubatch)) * n_ubatch * 2 if card.attention_window else 0
    return mask + narrow + 4 * card.n_vocab + 4 * n_ubatch * (3 * card.n_embd + 2 * card.n_ff)


def vocabulary_bytes(card: ModelCard) -> int:
    """What llama.cpp's own table of the vocabulary takes; a file that stands for a model has none to measure."""
    return _VOCABULARY_BYTES * card.n_vocab


def _runtime_bytes(card: ModelCard, n_ctx: int) -> int:
    return _PROCESS_BYTES + vocabulary_bytes(card) + _CELL_BYTES * pad(n_ctx)
