"""The tensors of the Llama 4 models: names and dims by the model's shape, types by the quantization's recipe.

Names and order are llama.cpp's (src/models/llama4.cpp), dims the models' own config.json's. Counted by llama.cpp
itself, Scout has 107.77 B parameters and Maverick 400.71 B without their vision towers, and so they have here.

Which tensor gets which type is the rule of llama_tensor_get_type in llama.cpp's src/llama-quant.cpp, as far as it
concerns this architecture; a test holds it against a dry run of llama.cpp's own quantize. What Unsloth's dynamic
quantizations give each tensor is their own and not written down here: a Dynamic recipe has their types, and as many
layers at a better one as come to the published size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from engine.tensor_types import TENSOR_TYPES, TensorType

N_VOCAB = 202_048  # of every Llama 4 model
_TYPES = {type_.name: type_ for type_ in TENSOR_TYPES.values()}
_DEFAULT = {
    "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K", "Q4_K_M": "Q4_K",
    "Q4_K_S": "Q4_K", "Q3_K_L": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_S": "Q3_K", "Q2_K": "Q2_K", "Q2_K_L": "Q2_K",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: dims in ggml's order, the row length first."""

    name: str
    dims: tuple[int, ...]

    @property
    def n_elements(self) -> int:
        return prod(self.dims)

    @property
    def layer(self) -> int:
        """The layer that it belongs to, -1 for embeddings, output and RoPE factors."""
        return int(self.name.split(".")[1]) if self.name.startswith("blk.") else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama 4 model.

    window: tokens that it was trained for. n_ff: of dense layers, n_ff_expert: of a routed and of the shared expert.
    moe_step: every so many-th layer has experts, the others are dense. rope_factors: whether slow turns are scaled.
    known: whether this is the published shape; if not, it is a plausible one for published parameter counts.
    """

    title: str
    window: int
    n_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: int
    n_ff: int
    n_ff_expert: int
    n_experts: int
    moe_step: int
    head_dim: int = 128
    rope_factors: bool = False
    known: bool = True

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor, in the order of a converted file: embeddings, layer by layer, output."""
        return _tensors(self)

    def layer_by_layer(self) -> Iterator[Tensor]:
        """What `tensors` keeps."""
        if self.rope_factors:
            yield Tensor("rope_freqs.weight", (self.head_dim // 2,))
        yield Tensor("token_embd.weight", (self.n_embd, N_VOCAB))
        for layer in range(self.n_layers):
            yield from self._attention(f"blk.{layer}")
            yield from self._feed_forward(f"blk.{layer}", has_experts=(layer + 1) % self.moe_step == 0)
        yield Tensor("output_norm.weight", (self.n_embd,))
        yield Tensor("output.weight", (self.n_embd, N_VOCAB))

    @property
    def n_parameters(self) -> int:
        return sum(tensor.n_elements for tensor in self.tensors)

    def _attention(self, block: str) -> Iterator[Tensor]:
        n_q, n_kv = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        yield Tensor(f"{block}.attn_norm.weight", (self.n_embd,))
        yield Tensor(f"{block}.attn_q.weight", (self.n_embd, n_q))
        yield Tensor(f"{block}.attn_k.weight", (self.n_embd, n_kv))
        yield Tensor(f"{block}.attn_v.weight", (self.n_embd, n_kv))
        yield Tensor(f"{block}.attn_output.weight", (n_q, self.n_embd))
        yield Tensor(f"{block}.ffn_norm.weight", (self.n_embd,))

    def _feed_forward(self, block: str, *, has_experts: bool) -> Iterator[Tensor]:
        if not has_experts:
            yield from _gate_up_down(f"{block}.ffn", "", self.n_embd, self.n_ff)
            return
        yield Tensor(f"{block}.ffn_gate_inp.weight", (self.n_embd, self.n_experts))
        yield from _gate_up_down(f"{block}.ffn", "_exps", self.n_embd, self.n_ff_expert, self.n_experts)
        yield from _gate_up_down(f"{block}.ffn", "_shexp", self.n_embd, self.n_ff_expert)


@lru_cache
def _tensors(shape: Shape) -> tuple[Tensor, ...]:
    return tuple(shape.layer_by_layer())


def _gate_up_down(prefix: str, suffix: str, n_embd: int, n_ff: int, *n_experts: int) -> Iterator[Tensor]:
    for name, dims in (("gate", (n_embd, n_ff)), ("up", (n_embd, n_ff)), ("down", (n_ff, n_embd))):
        yield Tensor(f"{prefix}_{name}{suffix}.weight", (*dims, *n_experts))


# https://huggingface.co/meta-llama/Llama-4-Scout-17B-16E-Instruct/blob/main/config.json
SCOUT = Shape(
    title="Llama 4 Scout 17B-16E Instruct",
    window=10_485_760,
    n_layers=48,
    n_embd=5_120,
    n_heads=40,
    n_kv_heads=8,
    n_ff=16_384,
    n_ff_expert=8_192,
    n_experts=16,
    moe_step=1,
    rope_factors=True,
)

# https://huggingface.co/meta-llama/Llama-4-Maverick-17B-128E-Instruct/blob/main/config.json
MAVERICK = Shape(
    title="Llama 4 Maverick 17B-128E Instruct",
    window=1_048_576,
    n_layers=48,
    n_embd=5_120,
    n_heads=40,
    n_kv_heads=8,
    n_ff=16_384,
    n_ff_expert=8_192,
    n_experts=128,
    moe_step=2,
)

# Announced with 288 B active parameters, 16 experts and nearly 2 T parameters in all; nothing else was published
# (https://ai.meta.com/blog/llama-4-multimodal-intelligence/). Scout's way of building, at the width and with the heads
# of Llama 3.1 405B, comes to 288.5 B and 1.99 T with these layers and experts. The window is the family's largest.
BEHEMOTH = Shape(
    title="Llama 4 Behemoth 288B-16E",
    window=10_485_760,
    n_layers=96,
    n_embd=16_384,
    n_heads=128,
    n_kv_heads=8,
    n_ff=48_128,
    n_ff_expert=24_064,
    n_experts=16,
    moe_step=1,
    rope_factors=True,
    known=False,
)


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
