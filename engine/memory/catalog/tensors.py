"""The shapes of the Llama 4 models: every tensor's name and dims, as llama.cpp names and orders them.

Sources: src/models/llama4.cpp in llama.cpp and the models' own config.json. Counted by llama.cpp itself, Scout has
107.77 B parameters and Maverick 400.71 B without their vision towers, and so they have here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

N_VOCAB = 202_048  # of every Llama 4 model


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

    @property
    def n_active_parameters(self) -> int:
        """Parameters that one token meets: of the routed experts it meets one a layer."""
        return sum(tensor.n_elements // (self.n_experts if "_exps." in tensor.name else 1) for tensor in self.tensors)

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
