"""Batches that are too short for llama.cpp's tiled attention on a CPU, and what fills them up. Pure arithmetic.

There, flash attention over f16 or f32 takes 64 queries at once; the queries of a shorter batch go one by one, in half
precision (ggml-cpu/ops.cpp, use_tiled), and a small model's logits change by up to 0.4. Filled up, a short batch gives
the logits of a long one to the bit, so that how a prompt was cut does not show. Its time (`python -m tests.bench
short`): a tenth to a quarter of a plain one's of 32 to 63 tokens at a head dim of 32, up to 0.13 s more at 64 and 128.
"""

from engine.memory.placement import Placement

_TILE = 64  # queries; GGML_FA_TILE_Q
_TILED_TYPES = ("f16", "f32")
_MOST_PARAMETERS = 300_000_000  # 64 tokens of larger models take too long for that


def filling(n_tokens: int, placement: Placement, *, n_parameters: int) -> int:
    """How many tokens a batch of n_tokens should be filled up with; they are dropped after it was decoded.

    n_parameters: the model's. 0 where the batch is long enough, where filling gains nothing, or would cost more.
    """
    tiled = placement.kv_type in _TILED_TYPES and (placement.n_gpu_layers == 0 or not placement.kv_on_gpu)
    if not tiled or n_tokens >= _TILE or placement.n_ubatch < _TILE or n_parameters > _MOST_PARAMETERS:
        return 0
    return _TILE - n_tokens
