"""Tiny vision projectors (mmproj), each for one of the tiny models, with different rules for what an image costs.

    projector  model                  an image becomes
    llama4     scout                  tiles of 336 pixels, 144 tokens each, and an overview: width and height decide
    gemma3     gemma3, vision=True    always as many tokens, whatever its size
    qwen2vl    qwen2, vision=True     a grid of its own size, two patches by two a token; positions in three dimensions
    qwen3vl    qwen3vl                the same of larger patches, and rows for several layers of the model
    hunyuanvl  qwen3vl, hunyuan_vl    a grid with an end to each row, whose positions follow a rule of their own
    idefics3   llama, vision=True     up to dozens of tiles with names of rows and columns between them, and an overview

Weights are random and small enough that the embeddings are of about the size of the models' own tokens.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import gguf
import numpy as np

from tests.models.qwen3vl import N_DEEP
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_mmproj writes something else, so that cached builds are made anew

Projector = Literal["llama4", "gemma3", "qwen2vl", "qwen3vl", "hunyuanvl", "idefics3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionShape:
    """How large an encoder is. n_embd_text: the width of the model that the embeddings are for.

    image_size, patch_size: pixels; merge: patches a side that become one token. 0 takes what the projector's real
    models have.
    """

    n_layer: int = 2
    n_embd: int = 64
    n_head: int = 2
    n_ff: int = 128
    n_embd_text: int = 0
    image_size: int = 0
    patch_size: int = 0
    merge: int = 0

    @property
    def n_patches(self) -> int:
        """Patches of a square image."""
        return (self.image_size // self.patch_size) ** 2


# what their real models have, but for the width of the tiny model that each goes with
_REAL: dict[Projector, VisionShape] = {
    "llama4": VisionShape(n_embd_text=64, image_size=336, patch_size=14, merge=2),
    "gemma3": VisionShape(n_embd_text=64, image_size=896, patch_size=14, merge=4),
    "qwen2vl": VisionShape(n_embd_text=128, image_size=560, patch_size=14, merge=2),
    "qwen3vl": VisionShape(n_embd_text=128, image_size=768, patch_size=16, merge=2),
    "hunyuanvl": VisionShape(n_embd_text=128, image_size=512, patch_size=16, merge=2),
    "idefics3": VisionShape(n_embd_text=64, image_size=512, patch_size=16, merge=4),
}
_NAMES = {"qwen2vl": "qwen2vl_merger", "qwen3vl": "qwen3vl_merger"}  # in the file, where it differs
_QWEN = ("qwen2vl", "qwen3vl")
_LONGEST_EDGE = 2_048  # SmolVLM's: an image is scaled to it before it is cut
_MEAN_AND_DEVIATION = [0.5, 0.5, 0.5]

SHAPE = VisionShape()


def build_mmproj(
    path: Path, shape: VisionShape = SHAPE, *, projector: Projector = "llama4", seed: int = 0, dtype: DType = "F16"
) -> Path:
    """Write a vision projector to `path` and return it."""
    real = _REAL[projector]
    given = {name: getattr(shape, name) or getattr(real, name) for name in VisionShape.__slots__}
    shape = replace(shape, **given)
    with new_gguf(path, "clip", name=f"Tiny {projector}", dtype=dtype, kind=gguf.GGUFType.MMPROJ) as writer:
        write_fields(writer, shape, projector)
        weights = Weights(writer, seed=seed, dtype=dtype)
        _write_patches(weights, shape, projector)
        for layer in range(shape.n_layer):
            _write_layer(weights, f"v.blk.{layer}", shape, is_fused=projector == "qwen3vl")
            if projector == "qwen3vl" and layer < N_DEEP:
                _write_deep(weights, f"v.deepstack.{layer}", shape)
        _write_projection(weights, shape, projector)
    return path


def write_fields(writer: gguf.GGUFWriter, shape: VisionShape, projector: str) -> None:
    """What a projector says of itself."""
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(_NAMES.get(projector, projector))
    writer.add_vision_projection_dim(shape.n_embd_text)
    writer.add_vision_image_size(shape.image_size)
    writer.add_vision_patch_size(shape.patch_size)
    writer.add_vision_embedding_length(shape.n_embd)
    writer.add_vision_feed_forward_length(shape.n_ff)
    writer.add_vision_block_count(shape.n_layer)
    writer.add_vision_head_count(shape.n_head)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean(_MEAN_AND_DEVIATION)
    writer.add_vision_image_std(_MEAN_AND_DEVIATION)
    writer.add_vision_use_gelu(True)
    if projector in (*_QWEN, "hunyuanvl"):
        writer.add_vision_spatial_merge_size(shape.merge)
    else:
        writer.add_vision_projector_scale_factor(shape.merge)
    if projector == "idefics3":
        writer.add_vision_preproc_image_size(_LONGEST_EDGE)


def _write_patches(weights: Weights, shape: VisionShape, projector: Projector) -> None:
    """What makes vectors of patches, and tells where they lie."""
    n_embd, side = shape.n_embd, shape.patch_size
    if projector == "llama4":
        weights.matrix("v.patch_embd", (n_embd, 3 * side * side), exact=True)
        weights.vector("v.class_embd", np.ones(n_embd, dtype=np.float32))
        weights.matrix("v.position_embd", (shape.n_patches + 1, n_embd), exact=True)
        weights.layer_norm("v.pre_ln", n_embd)
    else:
        weights.kernel("v.patch_embd.weight", (n_embd, 3, side, side))
    if projector in _QWEN:  # a second kernel, for the second of two frames; a still image goes through both
        weights.kernel("v.patch_embd.weight.1", (n_embd, 3, side, side))
    if projector not in ("llama4", "qwen2vl"):
        weights.bias("v.patch_embd", n_embd)
        weights.matrix("v.position_embd", (shape.n_patches, n_embd), exact=True)
    weights.layer_norm("v.post_ln", n_embd)


def _write_layer(weights: Weights, block: str, shape: VisionShape, *, is_fused: bool) -> None:
    weights.layer_norm(f"{block}.ln1", shape.n_embd)
    for name in ("attn_qkv", "attn_out") if is_fused else ("attn_q", "attn_k", "attn_v", "attn_out"):
        n_rows = 3 * shape.n_embd if name == "attn_qkv" else shape.n_embd
        weights.matrix(f"{block}.{name}", (n_rows, shape.n_embd))
        weights.bias(f"{block}.{name}", n_rows, size=0.1)
    weights.layer_norm(f"{block}.ln2", shape.n_embd)
    weights.matrix(f"{block}.ffn_up", (shape.n_ff, shape.n_embd))
    weights.bias(f"{block}.ffn_up", shape.n_ff, size=0.1)
    weights.matrix(f"{block}.ffn_down", (shape.n_embd, shape.n_ff))
    weights.bias(f"{block}.ffn_down", shape.n_embd, size=0.1)


def _write_deep(weights: Weights, block: str, shape: VisionShape) -> None:
    """What one layer of the encoder gives to one of the model's."""
    n_merged = shape.n_embd * shape.merge**2
    weights.layer_norm(f"{block}.norm", n_merged)
    weights.matrix(f"{block}.fc1", (n_merged, n_merged))
    weights.bias(f"{block}.fc1", n_merged, size=0.1)
    weights.matrix(f"{block}.fc2", (shape.n_embd_text, n_merged))
    weights.bias(f"{block}.fc2", shape.n_embd_text, size=0.1)


def _write_projection(weights: Weights, shape: VisionShape, projector: Projector) -> None:
    """From the encoder's width, times the patches of a token, to the model's."""
    n_embd, n_text, n_merged = shape.n_embd, shape.n_embd_text, shape.n_embd * shape.merge**2
    if projector == "llama4":
        weights.matrix("mm.model.mlp.1", (n_merged, n_merged))
        weights.matrix("mm.model.mlp.2", (n_merged, n_merged), gain=2.0)
        weights.matrix("mm.model.fc", (n_text, n_merged), gain=2.0)
    elif projector == "gemma3":
        weights.norm("mm.soft_emb_norm", n_embd)
        weights.matrix("mm.input_projection", (n_embd, n_text))
    elif projector in _QWEN:
        weights.matrix("mm.0", (n_merged, n_merged))
        weights.bias("mm.0", n_merged, size=0.1)
        weights.matrix("mm.2", (n_text, n_merged))
        weights.bias("mm.2", n_text, size=0.1)
    elif projector == "hunyuanvl":
        _write_convolutions(weights, n_embd, n_text)
    else:
        weights.matrix("mm.model.fc", (n_text, n_merged))


def _write_convolutions(weights: Weights, n_embd: int, n_text: int) -> None:
    """Hunyuan VL's way from the encoder to the model, and what stands around an image and at the end of its rows."""
    weights.norm("mm.pre_norm", n_embd)
    for name, n_out, n_in, side in (("mm.0", 2 * n_embd, n_embd, 2), ("mm.2", 4 * n_embd, 2 * n_embd, 1)):
        weights.kernel(f"{name}.weight", (n_out, n_in, side, side))
        weights.bias(name, n_out, size=0.1)
    weights.matrix("mm.model.fc", (n_text, 4 * n_embd))
    weights.bias("mm.model.fc", n_text, size=0.1)
    weights.norm("mm.post_norm", n_text)
    for name, length in (("mm.image_begin", n_text), ("mm.image_end", n_text), ("v.image_newline", 4 * n_embd)):
        weights.vector(name, np.ones(length, dtype=np.float32))
