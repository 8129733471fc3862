"""What KV states belong to, and how much of a prompt they keep, as far as it can be known without loading them."""

import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from engine.local.opened import OpenModel
from engine.memory.budget import Placement
from engine.memory.card import ModelCard
from engine.memory.identity import Identity, file_stamps, stamp_of
from engine.memory.projector import Projector
from engine.prompt.layout import Prompt
from engine.runtime.binding import Binding
from engine.runtime.prefix import Attention, CacheShape, rewind_to
from engine.runtime.state_file import Promise, promise
from engine.tokens.document import Ids


def stamp(projector: Projector | None) -> str:
    """What stands for a projector's file; '' without one."""
    return stamp_of(file_stamps(projector)) if projector is not None else ""


def binding_of(
    opened: OpenModel, placement: Placement, identity: Identity, prompt: Prompt, *, projector: str
) -> Binding:
    """What the KV states of an engine that reads this prompt belong to. projector: what its file holds."""
    card = opened.card
    rope = "" if not card.rope_switch else "long" if placement.n_ctx > card.rope_switch else "short"
    return Binding(
        model=identity.fingerprint,
        content=identity.content,
        llama_cpp=version("llama-cpp-python"),
        kv_k=placement.kv_type,
        kv_v=placement.kv_type,
        swa_full=placement.swa_full,
        projector=projector if prompt.shown else "",
        rope=rope,
        rotation=os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
    )


def promises(paths: Iterable[Path], ids: Ids, binding: Binding, shape: CacheShape) -> tuple[Promise, ...]:
    """What of a prompt each of these state files keeps that can be used, as the engine will have it."""
    found = [promise(path, ids, binding, shape) for path in paths]
    return tuple(each for each in found if isinstance(each, Promise))


def most_kept(promised: Iterable[Promise], *, n_ctx: int) -> int:
    """Tokens that the best of these keeps which a context of so many can load."""
    return max((each.n_tokens for each in promised if len(each.ids) <= n_ctx), default=0)


def shape_of(card: ModelCard, *, swa_full: bool) -> CacheShape:
    """The attention of a model as far as its header tells; the engine asks llama.cpp."""
    if not card.exact:
        return CacheShape(Attention.RECURRENT)  # it may be: nothing is promised but whole states
    if not card.attention_window or swa_full:
        return CacheShape(Attention.FULL)
    return CacheShape(Attention.CHUNKED if card.architecture == "llama4" else Attention.SLIDING, card.attention_window)


def can_go_back(card: ModelCard, *, swa_full: bool) -> bool:
    """Whether a state of this model serves up to an edit within it, or near; else only from its end on."""
    return shape_of(card, swa_full=swa_full).attention in (Attention.FULL, Attention.CHUNKED)


def before_edit(card: ModelCard, n_tokens: int, *, copied: int = 0) -> int:
    """How much of a shared beginning stays where something within it was edited: windows have moved on since.

    copied: where the windowed cells were copied, which serves the chunk that it lies in; 0 where nobody knows.
    """
    shape = shape_of(card, swa_full=False)
    return rewind_to(n_tokens, n_cached=n_tokens + 1, pos_min=-1, shape=shape, copied=copied).n_tokens
