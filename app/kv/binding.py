"""What a saved KV cache belongs to, and the shape of a model's cache as far as its header tells."""

import os
from importlib.metadata import version

from engine.memory.budget import Placement
from engine.memory.card import ModelCard
from engine.runtime.binding import Binding
from engine.runtime.prefix import Attention, CacheShape, rewind_to


def binding_of(card: ModelCard, placement: Placement, *, model: str, content: str, projector: str) -> Binding:
    """What the KV caches of an engine of this placement belong to.

    model, content: the fingerprint of its files, and what they hold. projector: what its file holds, '' where the
    prompt has no pictures.
    """
    rope = "" if not card.rope_switch else "long" if placement.n_ctx > card.rope_switch else "short"
    if placement.rope is not None:
        rope = f"{rope} {placement.rope.stamp}".strip()
    return Binding(
        model=model,
        content=content,
        llama_cpp=version("llama-cpp-python"),
        kv_k=placement.kv_type,
        kv_v=placement.kv_type,
        swa_full=placement.swa_full,
        projector=projector,
        rope=rope,
        rotation=os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
        lora=tuple(adapter.stamp for adapter in card.adapters),
    )


def shape_of(card: ModelCard, *, swa_full: bool) -> CacheShape:
    """The attention of a model as far as its header tells; the engine asks llama.cpp."""
    if not card.exact:
        return CacheShape(Attention.RECURRENT)  # it may be: nothing is promised but whole states
    if not card.attention_window or swa_full:
        return CacheShape(Attention.FULL)
    return CacheShape(Attention.CHUNKED if card.architecture == "llama4" else Attention.SLIDING, card.attention_window)


def can_go_back(card: ModelCard, *, swa_full: bool) -> bool:
    """Whether a saved cache of this model serves up to an edit within it, or near; else only from its end on."""
    return shape_of(card, swa_full=swa_full).attention in (Attention.FULL, Attention.CHUNKED)


def goes_back(card: ModelCard) -> bool:
    """Whether a running engine can come back to the end of a corpus that it has read: no layer has a state in place of
    keys and values."""
    return shape_of(card, swa_full=False).attention is not Attention.RECURRENT


def before_edit(card: ModelCard, n_tokens: int, *, copied: int = 0) -> int:
    """How much of a shared beginning stays where something within it was edited: windows have moved on since.

    copied: where the windowed cells were copied, which serves the chunk that it lies in; 0 where nobody knows.
    """
    shape = shape_of(card, swa_full=False)
    return rewind_to(n_tokens, n_cached=n_tokens + 1, pos_min=-1, shape=shape, copied=copied).n_tokens
