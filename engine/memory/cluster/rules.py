"""Each engine's own arithmetic of a GPU's memory: what it may use, what it keeps back, how it lays out the KV cache.

vLLM: gpu_memory_utilization of the memory is its own; a profiling run shows what activations take, and the rest is KV
(vllm/v1/worker/gpu_worker.py). The KV cache is as in vllm/v1/kv_cache_interface.py: every layer keeps every token, or,
with the hybrid manager, layers with a window or chunk keep that and what is scheduled at once, in groups of as many
layers as the rarest kind has (vllm/v1/core/kv_cache_utils.py).

SGLang: mem_fraction_static is what a constant, the prefill chunk, the CUDA graphs and the parallel size leave
(python/sglang/srt/server_args.py), less for models that see; weights and KV share it. Layers with a window have a pool
of swa_full_tokens_ratio of the tokens.

TensorRT-LLM: 0.9 of what weights and activations leave is KV; every window has a pool of its own, whose share it
decides itself, so that every layer is taken to keep every token (docs: features/kvcache).

What a profiling run finds is not published; it is reckoned here from what it runs, with constants chosen so that the
published capacities come out: see docs/deploy.md and tests/engine/memory/cluster/test_published.py. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.memory.cluster.kinds import GpuKind
from engine.memory.cluster.served import LayerKv, Sees, ServedModel

_MIB, _GIB = 1 << 20, 1 << 30
_LARGE, _LARGEST = 70 * _GIB, 160 * _GIB  # from here on vLLM schedules more at once (vllm/engine/arg_utils.py)
_BLOCK = 16  # tokens
_CONTEXT_BYTES, _LINK_BYTES = 768 * _MIB, _GIB  # driver and kernels; NCCL and its buffers between GPUs
_VISION_BYTES = 17 * _GIB // 4  # the profiling run of an image encoder, up to the token budget
_LOGIT_COPIES = 4  # logits, sorted, probabilities, cumulated: in 32 bits
_PADDED = 1.5  # see kv_cache_utils


class Engine(StrEnum):
    """Of a cluster; llama.cpp has a module of its own, llama_rpc."""

    VLLM = "vllm"
    SGLANG = "sglang"
    TRTLLM = "trtllm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an engine is to run.

    kv_element_bytes: 2, or 1 for fp8. utilization: the share of a GPU's memory that it may use; None is its default.
    hybrid: layers with a window keep that alone. max_seqs: requests at once, None for its default. text_only: images
    are switched off.
    """

    engine: Engine
    tensor: int = 1
    pipeline: int = 1
    kv_element_bytes: int = 2
    utilization: float | None = None
    hybrid: bool = True
    max_seqs: int | None = None
    text_only: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """One GPU, in bytes. usable: what the engine divides. reserve: what of it is neither weights nor KV cache."""

    usable_bytes: int
    weights_bytes: int
    reserve_bytes: int

    @property
    def kv_bytes(self) -> int:
        """What is left for the KV cache; negative where weights and reserve alone are too much."""
        return self.usable_bytes - self.weights_bytes - self.reserve_bytes


def room_on(model: ServedModel, kind: GpuKind, settings: Settings, weights_bytes: int, n_tokens: int) -> Room:
    """What a GPU of the fullest stage has room for, with weights_bytes of weights in all and n_tokens of context."""
    n_stage = -(-len(model.layers) // settings.pipeline)
    weights = weights_bytes * n_stage // len(model.layers) // settings.tensor
    total = kind.reported_bytes
    if settings.engine is Engine.SGLANG:
        share = settings.utilization if settings.utilization is not None else sglang_share(model, kind, settings)
        tables = (settings.max_seqs or SGLANG_SEQS) * n_tokens * 4  # req_to_token: a table as long as the context
        return Room(round(total * share), weights, _CONTEXT_BYTES + _link_bytes(settings) + tables)
    reserve = _reserve_bytes(model, kind, settings)
    if settings.engine is Engine.TRTLLM:
        left = max(0, total - weights - reserve)
        share = settings.utilization if settings.utilization is not None else 0.9
        return Room(total - round(left * (1 - share)), weights, reserve)
    share = settings.utilization if settings.utilization is not None else VLLM_SHARE
    return Room(round(total * share), weights, reserve)


VLLM_SHARE = 0.9  # the launch line says so: its own default is 0.9 in older versions, 0.92 in 0.32
SGLANG_SEQS = 16  # the launch line says so: its own default are thousands, each with a table as long as the context


def sglang_share(model: ServedModel, kind: GpuKind, settings: Settings) -> float:
    """mem_fraction_static as SGLang chooses it for this GPU."""
    total_mib = kind.reported_bytes / _MIB
    chunk, few, many = next(row[1:] for row in _SGLANG_CHUNKS if total_mib < row[0] * 1024)
    graphs = many if settings.tensor >= 4 else few
    reserved = 512 + max(chunk, 2048) * 1.5 + graphs * 2 + settings.tensor * settings.pipeline / 8 * 1024
    if total_mib > 60 * 1024:
        reserved = max(reserved, 10 * 1024)
    share = (total_mib - reserved) / total_mib
    return share * 0.95 * _VLM_SHARE if model.sees_images and not settings.text_only else share


# below so many GiB: tokens of a chunk of prefill, the largest batch of its CUDA graphs on fewer than four GPUs, on more
_SGLANG_CHUNKS = (
    (20, 2048, 8, 8),
    (35, 2048, 24, 80),
    (60, 4096, 32, 160),
    (160, 8192, 256, 512),
    (1 << 20, 16384, 512, 512),
)
_VLM_SHARE = 0.832  # Llama 4's encoder is 2.68 times the reference one, and a tenth of what is above goes off


def _reserve_bytes(model: ServedModel, kind: GpuKind, settings: Settings) -> int:
    """What vLLM's profiling run would find beside the weights."""
    n_tokens, n_seqs = scheduled(kind)
    logits = _LOGIT_COPIES * 4 * model.n_vocab * min(settings.max_seqs or n_seqs, n_seqs)
    activations = n_tokens * 2 * (10 * model.n_embd + 3 * model.n_ff // settings.tensor)
    angles = model.window * model.rope_elements * 2  # cosines and sines for every position of the window
    vision = _VISION_BYTES if model.sees_images and not settings.text_only else 0
    return _CONTEXT_BYTES + _link_bytes(settings) + logits + activations + angles + vision


def _link_bytes(settings: Settings) -> int:
    return _LINK_BYTES if settings.tensor * settings.pipeline > 1 else 0


def scheduled(kind: GpuKind) -> tuple[int, int]:
    """vLLM's defaults for its server on this GPU: tokens at once, requests at once."""
    if kind.reported_bytes >= _LARGEST:
        return 16384, 1024
    is_large = kind.reported_bytes >= _LARGE and not kind.name.startswith("A100")
    return (8192, 1024) if is_large else (2048, 256)


def kv_bytes_on(model: ServedModel, kind: GpuKind, settings: Settings, n_tokens: int) -> int:
    """Of one request of n_tokens tokens, on a GPU of the fullest stage."""
    layers = _stage(model, settings)
    if settings.engine is Engine.SGLANG:
        return sum(_sglang_bytes(layer, settings, n_tokens) for layer in layers)
    hybrid = settings.hybrid and settings.engine is Engine.VLLM
    at_once, _ = scheduled(kind)
    total = 0
    for each, n_padded in _groups(layers, hybrid=hybrid):
        total += n_padded * _layer_bytes(each, settings, _kept(each, n_tokens, at_once, hybrid=hybrid))
    return total


def _stage(model: ServedModel, settings: Settings) -> tuple[LayerKv, ...]:
    """The layers of the stage whose KV cache takes most."""
    n = -(-len(model.layers) // settings.pipeline)
    stages = [model.layers[at : at + n] for at in range(0, len(model.layers), n)]
    return max(stages, key=lambda layers: sum(layer.n_elements for layer in layers if layer.sees is Sees.ALL))


def _groups(layers: tuple[LayerKv, ...], *, hybrid: bool) -> list[tuple[LayerKv, int]]:
    """The kinds of layers, each with how many of it the engine has memory for: with the hybrid manager, whole groups of
    as many layers as the rarest kind has."""
    counts: dict[LayerKv, int] = {}
    for layer in layers:
        if layer.n_elements or layer.state_bytes:
            counts[layer] = counts.get(layer, 0) + 1
    if not hybrid or len(counts) < 2:
        return list(counts.items())
    fewest, most = min(counts.values()), max(counts.values())
    size = most if most < fewest * _PADDED else fewest
    return [(layer, -(-n // size) * size) for layer, n in counts.items()]


def _kept(layer: LayerKv, n_tokens: int, at_once: int, *, hybrid: bool) -> int:
    """Tokens that a layer keeps of one request, in whole blocks."""
    if hybrid and layer.sees is Sees.CHUNK:
        n_tokens = min(n_tokens, layer.window + at_once)
    elif hybrid and layer.sees is Sees.WINDOW:
        n_tokens = min(n_tokens, layer.window - 1 + at_once) + _BLOCK
    return -(-n_tokens // _BLOCK) * _BLOCK


def _layer_bytes(layer: LayerKv, settings: Settings, n_tokens: int) -> int:
    if layer.sees is Sees.STATE:
        return layer.state_bytes // settings.tensor
    return n_tokens * layer.elements_on(settings.tensor) * settings.kv_element_bytes


def _sglang_bytes(layer: LayerKv, settings: Settings, n_tokens: int) -> int:
    if settings.hybrid and layer.sees in (Sees.WINDOW, Sees.CHUNK):
        n_tokens = round(n_tokens * swa_ratio(layer, n_tokens))
    return _layer_bytes(layer, settings, n_tokens)


def swa_ratio(layer: LayerKv, n_tokens: int) -> float:
    """swa_full_tokens_ratio that keeps a window and two chunks of prefill, in hundredths; the least is 0.01."""
    needed = min(1.0, (layer.window + 2 * 8192) / max(1, n_tokens))
    return max(0.01, -(-needed * 100 // 1) / 100)


def largest_context(model: ServedModel, kind: GpuKind, settings: Settings, weights_bytes: int, most: int) -> int:
    """The largest context of one request that fits, up to most tokens; 0 where none does."""

    def fits(n_tokens: int) -> bool:
        room = room_on(model, kind, settings, weights_bytes, n_tokens)
        return kv_bytes_on(model, kind, settings, n_tokens) <= room.kv_bytes

    low, high = 0, most
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
