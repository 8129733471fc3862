"""Llama 4 as engines on GPUs load it: Scout and Maverick in the precisions that are published. Pure.

Parameters are the published ones (the safetensors totals of the repositories on Hugging Face), vision tower included:
108,641,793,536 for Scout and 401,583,781,376 for Maverick; without the tower they are the catalogue's own count. What a
precision leaves in 16 bits is its publisher's recipe: Meta's FP8 of Maverick has its routed experts alone in 8 bits
(quantization_config.modules_to_not_convert); Red Hat's FP8 and w4a16 leave out attention, router, vision and output
(llm-compressor's Llama 4 example); NVIDIA's NVFP4 likewise. Groups of 128 (w4a16) and of 16 (NVFP4) have a scale each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.memory.catalog.tensors import MAVERICK, N_VOCAB, SCOUT, Shape, Tensor
from engine.memory.cluster.served import Checkpoint, LayerKv, Sees, ServedModel

_CHUNK = 8192  # attention_chunk_size of both
_SOURCE = "https://huggingface.co/"
_W4A16_BITS, _NVFP4_BITS = 4 + 16 / 128, 4 + 8 / 16


@dataclass(frozen=True, slots=True)
class _Published:
    """One repository: bits of what it packs, and which tensors that is; the rest has 16."""

    precision: str
    repository: str
    bits: float
    packs: Callable[[Tensor], bool]


def _experts(tensor: Tensor) -> bool:
    return "_exps." in tensor.name


def _feed_forward(tensor: Tensor) -> bool:
    return ".ffn_" in tensor.name and len(tensor.dims) > 1 and "ffn_gate_inp" not in tensor.name


def _none(_: Tensor) -> bool:
    return False


_SCOUT = (
    _Published("bf16", "meta-llama/Llama-4-Scout-17B-16E-Instruct", 16, _none),
    _Published("fp8", "RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic", 8, _feed_forward),
    _Published("int4", "RedHatAI/Llama-4-Scout-17B-16E-Instruct-quantized.w4a16", _W4A16_BITS, _feed_forward),
    _Published("nvfp4", "nvidia/Llama-4-Scout-17B-16E-Instruct-NVFP4", _NVFP4_BITS, _feed_forward),
)
_MAVERICK = (
    _Published("fp8", "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", 8, _experts),
    _Published("bf16", "meta-llama/Llama-4-Maverick-17B-128E-Instruct", 16, _none),
    _Published("int4", "RedHatAI/Llama-4-Maverick-17B-128E-Instruct-quantized.w4a16", _W4A16_BITS, _feed_forward),
    _Published("nvfp4", "nvidia/Llama-4-Maverick-17B-128E-Instruct-NVFP4", _NVFP4_BITS, _feed_forward),
)
_MODELS = {
    "scout": (SCOUT, 108_641_793_536, _SCOUT),
    "maverick": (MAVERICK, 401_583_781_376, _MAVERICK),
}


def llama4(name: str) -> ServedModel | None:
    """Scout or Maverick by name, alone or with a precision behind it (scout-fp8), which then is the usual one."""
    title, _, precision = name.strip().lower().partition("-")
    if title not in _MODELS:
        return None
    shape, n_parameters, published = _MODELS[title]
    if precision and precision not in {each.precision for each in published}:
        return None
    first = [each for each in published if each.precision == precision]
    ordered = (*first, *(each for each in published if each not in first))
    return ServedModel(
        name=shape.title,
        architecture="llama4",
        window=shape.window,
        n_vocab=N_VOCAB,
        n_embd=shape.n_embd,
        n_ff=shape.n_ff,
        n_heads=shape.n_heads,
        n_kv_heads=shape.n_kv_heads,
        layers=tuple(_layers(shape)),
        checkpoints=tuple(_checkpoint(shape, n_parameters, each) for each in ordered),
        n_experts=shape.n_experts,
        sees_images=True,
        rope_elements=shape.head_dim,
    )


def _layers(shape: Shape) -> Iterator[LayerKv]:
    """Every fourth layer sees everything, the others their chunk (no_rope_layers in config.json)."""
    n_elements = 2 * shape.n_kv_heads * shape.head_dim
    for at in range(shape.n_layers):
        if at % 4 == 3:
            yield LayerKv(n_elements, shape.n_kv_heads)
        else:
            yield LayerKv(n_elements, shape.n_kv_heads, Sees.CHUNK, _CHUNK)


def _checkpoint(shape: Shape, n_parameters: int, published: _Published) -> Checkpoint:
    packed = sum(tensor.n_elements for tensor in shape.tensors if published.packs(tensor))
    return Checkpoint(
        precision=published.precision,
        name=published.repository,
        n_bytes=round(packed * published.bits / 8) + (n_parameters - packed) * 2,
        is_exact=published.precision == "bf16",
        source=_SOURCE + published.repository,
    )
