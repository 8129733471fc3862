"""Batches that llama.cpp computes another way on a CPU because they are short, and what fills them up. Pure arithmetic.

Over f16 or f32, flash attention takes 64 queries at once; the queries of a shorter batch go one by one, in half
precision (ggml-cpu/ops.cpp, use_tiled), and a small model's logits change by up to 0.4. Over other types it is a
single token whose keys and values are sometimes rounded otherwise than among several. Filled up, a short batch gives
the logits of a long one to the bit, so that how a prompt was cut does not show. Its time (`python -m tests.bench
short`): a tenth to a quarter of a plain one's of 32 to 63 tokens at a head dim of 32, up to 0.13 s more at 64 and 128.
"""

from engine.memory.budget import Placement

_TILE = 64  # queries; GGML_FA_TILE_Q
_TILED_TYPES = ("f16", "f32")
_PAIR = 2
_MOST_PARAMETERS = 300_000_000  # 64 tokens of larger models take too long for that
_FOUR = 4  # rows of weights that are stored in another order, GEMM of ggml-cpu/repack.cpp
_ANY_OF_FOUR = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ", "MXFP4")  # mixtures hold Q4_K, most of them


def computed_together(description: str, placement: Placement) -> int:
    """Tokens that are computed together: what is left at a batch's end goes through another kernel, where weights were
    stored in another order, and logits change by up to 0.25. A batch that ends at a multiple of them leaves none.

    description: llama.cpp's of the model, with the name of its quantization. Q4_0 and Q8_0 are the same in both.
    """
    on_cpu = placement.repack and placement.n_gpu_layers == 0
    return _FOUR if on_cpu and any(name in description for name in _ANY_OF_FOUR) else 1


def least_alike(placement: Placement) -> int:
    """Tokens that a batch has at least whose cells are as any longer one's."""
    if placement.n_gpu_layers and placement.kv_on_gpu:
        return 1
    return _TILE if placement.kv_type in _TILED_TYPES else _PAIR


def filling(n_tokens: int, placement: Placement, *, n_parameters: int) -> int:
    """How many tokens a batch of n_tokens should be filled up with; they are dropped after it was decoded.

    n_parameters: the model's. 0 where the batch is long enough, where filling gains nothing, or would cost more.
    """
    least = least_alike(placement)
    takes_long = least == _TILE and n_parameters > _MOST_PARAMETERS
    return 0 if takes_long or placement.n_ubatch < least else max(0, least - n_tokens)
