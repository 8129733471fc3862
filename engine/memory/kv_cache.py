"""Bytes of a KV cache by llama.cpp's own arithmetic (src/llama-kv-cache.cpp, llama-kv-cache-iswa.cpp). Pure."""

from engine.errors import UsageError
from engine.memory.card import Layer, ModelCard
from engine.tensor_types import KV_TYPES, TENSOR_TYPES

_PAD = 256  # cells are allocated in blocks of this many
# of a KV state's file beside K and V: a token, a cell's position and sequence, a layer's types and sizes, the manifest
_ID_BYTES, _CELL_BYTES, _LAYER_BYTES, _MANIFEST_BYTES = 4, 24, 64, 8192
_BLOCKS = {type_.name.lower(): type_ for type_ in TENSOR_TYPES.values() if type_.name.lower() in KV_TYPES}
GGML_NUMBERS = {type_.name.lower(): number for number, type_ in TENSOR_TYPES.items() if type_.name.lower() in KV_TYPES}


def kv_bytes(card: ModelCard, n_ctx: int, *, kv_type: str = "f16", n_ubatch: int = 512, swa_full: bool = False) -> int:
    """Bytes of K and V over all layers for one sequence of n_ctx tokens. Raises UsageError for an unknown KV type."""
    return sum(
        layer_kv_bytes(card, layer, n_ctx, kv_type=kv_type, n_ubatch=n_ubatch, swa_full=swa_full)
        for layer in card.layers
    )


def layer_kv_bytes(
    card: ModelCard, layer: Layer, n_ctx: int, *, kv_type: str = "f16", n_ubatch: int = 512, swa_full: bool = False
) -> int:
    """Bytes of K and V in one of the card's layers. Raises UsageError for an unknown KV type."""
    n_cells = pad(n_ctx)
    if layer.windowed and not swa_full:
        n_cells = min(n_cells, pad(min(n_ctx, card.attention_window + n_ubatch)))
    return n_cells * (row_bytes(layer.n_embd_k, kv_type) + row_bytes(layer.n_embd_v, kv_type))


def largest_part_bytes(card: ModelCard, n_ctx: int, *, kv_type: str) -> int:
    """Bytes of the largest layer's K or V: what llama.cpp copies at once while it writes a KV state."""
    return pad(n_ctx) * max(
        (row_bytes(n, kv_type) for layer in card.layers for n in (layer.n_embd_k, layer.n_embd_v)), default=0
    )


def window_copy_bytes(card: ModelCard, n_ctx: int, *, kv_type: str, swa_full: bool) -> int:
    """Bytes of the windowed cells' copy that the engine keeps to come back to the corpus's end: one window at most."""
    if swa_full:
        return 0
    n_cells = min(pad(n_ctx), card.attention_window)
    return sum(
        n_cells * (row_bytes(layer.n_embd_k, kv_type) + row_bytes(layer.n_embd_v, kv_type))
        for layer in card.layers
        if layer.windowed
    )


def state_bytes(card: ModelCard, n_tokens: int, *, kv_type: str, swa_full: bool) -> int:
    """The most bytes that the file of a KV state of n_tokens tokens takes (engine.runtime.snapshot).

    It holds every token in the layers that see everything, a window of them in the others, and that window once more as
    it was at the corpus's end. Measured on the tests' Gemma and Llama: 1 to 3 % above the files.
    """
    n_seen = n_tokens if swa_full else min(n_tokens, card.attention_window)
    n_copies = 1 if swa_full or not card.attention_window else 2
    total = n_tokens * (_ID_BYTES + _CELL_BYTES) + n_copies * n_seen * _CELL_BYTES
    for layer in card.layers:
        row = row_bytes(layer.n_embd_k, kv_type) + row_bytes(layer.n_embd_v, kv_type)
        total += _LAYER_BYTES * n_copies + row * (n_copies * n_seen if layer.windowed else n_tokens)
    return total + _MANIFEST_BYTES


def row_bytes(n_elements: int, kv_type: str) -> int:
    """Bytes of one cell's K or V in one layer. Raises UsageError for a type that no KV cache has."""
    if kv_type not in _BLOCKS:
        raise UsageError(f"There is no KV cache type {kv_type}.", f"Choose one of {', '.join(KV_TYPES)}.")
    block = _BLOCKS[kv_type]
    return -(-n_elements // block.n_elements) * block.n_bytes


def pad(n_ctx: int) -> int:
    """Cells that llama.cpp allocates for n_ctx tokens."""
    return -(-n_ctx // _PAD) * _PAD
