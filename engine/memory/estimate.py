"""What a placement takes where llama.cpp cannot be asked: estimates, marked as such. Pure arithmetic."""

from engine.memory.card import ModelCard
from engine.memory.dry_run import Measured
from engine.memory.kv_cache import kv_bytes, pad
from engine.memory.placement import Placement

_CELL_BYTES = 52  # llama.cpp's table entry for one KV cell [measured]
_VOCABULARY_BYTES = 330  # a token's text, attributes and map entries: 63 MiB for Llama 4's 202,048 [measured]
_PROCESS_BYTES = 10 << 20


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
