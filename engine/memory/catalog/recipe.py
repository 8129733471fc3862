"""Which tensor gets which type: llama.cpp's own rule for a quantization, and stand-ins for the dynamic ones.

The rule is llama_tensor_get_type of llama.cpp's src/llama-quant.cpp, as far as it concerns this architecture; a test
holds it against a dry run of llama.cpp's own quantize. What Unsloth's dynamic quantizations give each tensor is their
own and not written down here: a Dynamic recipe has their types, and as many layers at a better one as come to the
published size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from engine.memory.catalog.tensors import Shape, Tensor
from engine.tensor_types import TENSOR_TYPES, TensorType

_TYPES = {type_.name: type_ for type_ in TENSOR_TYPES.values()}
_DEFAULT = {
    "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K", "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K", "Q3_K_L": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_S": "Q3_K", "Q2_K": "Q2_K", "Q2_K_L": "Q2_K",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typed:
    """A tensor and its type."""

    tensor: Tensor
    type: TensorType

    @property
    def n_bytes(self) -> int:
        return self.tensor.n_elements // self.type.n_elements * self.type.n_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """A stand-in for a dynamic quantization.

    gate_up, down: the types of the routed experts' matrices, better: of all three in the first n_better layers that
    have experts. rest: of attention, shared experts and dense layers. Embeddings are Q4_K and the output is Q6_K.
    """

    gate_up: str
    down: str
    better: str
    n_better: int
    rest: str


def typed_tensors(shape: Shape, quantization: str | Dynamic) -> Iterator[Typed]:
    """Every tensor of a shape with the type that a quantization gives it."""
    for tensor in shape.tensors:
        if len(tensor.dims) == 1 or "ffn_gate_inp" in tensor.name:
            name = "F32"
        elif isinstance(quantization, Dynamic):
            name = _dynamic_type(tensor, quantization, shape.moe_step)
        else:
            name = _type(tensor, quantization, shape.n_layers)
        yield Typed(tensor, _TYPES[name])


@lru_cache(maxsize=128)
def weight_bytes(shape: Shape, quantization: str | Dynamic) -> int:
    """Bytes of all tensors: what llama_model_size() counts."""
    return sum(typed.n_bytes for typed in typed_tensors(shape, quantization))


def _type(tensor: Tensor, quantization: str, n_layers: int) -> str:
    """llama.cpp's rule; Q2_K_L is Q2_K with embeddings and output at Q8_0, as it is for other models."""
    default, name, layer = _DEFAULT[quantization], tensor.name, tensor.layer
    if default in ("BF16", "Q8_0"):
        return default
    if quantization == "Q2_K_L" and layer < 0:
        return "Q8_0"
    if name == "output.weight":
        return "Q6_K"
    if ".attn_v." in name:
        return _attention_v(quantization, default, layer, n_layers)
    if ".ffn_down" in name:
        return _feed_forward_down(quantization, default, layer, n_layers)
    if ".attn_output." in name:
        return {"Q2_K": "Q3_K", "Q2_K_L": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(quantization, default)
    return default


def _attention_v(quantization: str, default: str, layer: int, n_layers: int) -> str:
    """Few values are seen by many heads, so they get better types."""
    if quantization in ("Q4_K_M", "Q5_K_M") and _gets_more_bits(layer, n_layers):
        return "Q6_K"
    if quantization == "Q4_K_S":
        return "Q5_K" if layer < 4 else default
    if quantization == "Q3_K_M":
        return "Q5_K" if layer < 2 else "Q4_K"
    return {"Q2_K": "Q4_K", "Q2_K_L": "Q4_K", "Q3_K_L": "Q5_K"}.get(quantization, default)


def _feed_forward_down(quantization: str, default: str, layer: int, n_layers: int) -> str:
    if quantization in ("Q4_K_M", "Q5_K_M") and _gets_more_bits(layer, n_layers):
        return "Q6_K"
    if quantization == "Q4_K_S":
        return "Q5_K" if layer < n_layers // 8 else default
    if quantization == "Q3_K_M":
        return "Q5_K" if layer < n_layers // 16 else "Q4_K"
    return {"Q2_K": "Q3_K", "Q2_K_L": "Q3_K", "Q3_K_L": "Q5_K"}.get(quantization, default)


def _gets_more_bits(layer: int, n_layers: int) -> bool:
    """llama.cpp's use_more_bits: the first and the last eighth, and every third layer between."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _dynamic_type(tensor: Tensor, dynamic: Dynamic, moe_step: int) -> str:
    if tensor.layer < 0:
        return "Q6_K" if tensor.name == "output.weight" else "Q4_K"
    if "_exps." not in tensor.name:
        return dynamic.rest
    if tensor.layer // moe_step < dynamic.n_better:
        return dynamic.better
    return dynamic.down if "_down_" in tensor.name else dynamic.gate_up
