"""Bytes of a KV cache by llama.cpp's own arithmetic (src/llama-kv-cache.cpp, llama-kv-cache-iswa.cpp). Pure."""

from engine.errors import UsageError
from engine.gguf import TENSOR_TYPES
from engine.memory.card import ModelCard

_PAD = 256  # cells are allocated in blocks of this many
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
_BLOCKS = {type_.name.lower(): type_ for type_ in TENSOR_TYPES.values() if type_.name.lower() in KV_TYPES}
GGML_NUMBERS = {type_.name.lower(): number for number, type_ in TENSOR_TYPES.items() if type_.name.lower() in KV_TYPES}


def kv_bytes(card: ModelCard, n_ctx: int, *, kv_type: str = "f16", n_ubatch: int = 512, swa_full: bool = False) -> int:
    """Bytes of K and V over all layers for one sequence of n_ctx tokens. Raises UsageError for an unknown KV type."""
    wide = pad(n_ctx)
    narrow = wide if swa_full else min(wide, pad(min(n_ctx, card.attention_window + n_ubatch)))
    return sum(
        (narrow if layer.windowed else wide) * (row_bytes(layer.n_embd_k, kv_type) + row_bytes(layer.n_embd_v, kv_type))
        for layer in card.layers
    )


def row_bytes(n_elements: int, kv_type: str) -> int:
    """Bytes of one cell's K or V in one layer. Raises UsageError for a type that no KV cache has."""
    if kv_type not in _BLOCKS:
        raise UsageError(f"There is no KV cache type {kv_type}.", f"Choose one of {', '.join(KV_TYPES)}.")
    block = _BLOCKS[kv_type]
    return -(-n_elements // block.n_elements) * block.n_bytes


def pad(n_ctx: int) -> int:
    """Cells that llama.cpp allocates for n_ctx tokens."""
    return -(-n_ctx // _PAD) * _PAD
