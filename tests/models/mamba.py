"""A tiny Mamba: no attention at all, a state of one size however much was read. The Llama-shaped model's vocabulary."""

from pathlib import Path

import numpy as np

from tests.models.llama import CHATML
from tests.models.shape import Shape
from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_mamba writes something else, so that cached builds are made anew

SHAPE = Shape()
_N_CONV, _N_STATE, _N_TIME = 4, 16, 8  # entries of the convolution, of the state of a channel, of what steps it


def build_mamba(path: Path, shape: Shape = SHAPE, *, seed: int = 0, dtype: DType = "F16") -> Path:
    """Write a Mamba to `path` and return it. Of the shape, heads and rows of feed-forward blocks mean nothing."""
    vocabulary = llama3_vocabulary(add_bos=False)
    n_embd, n_vocab, n_inner = shape.n_embd, len(vocabulary.tokens), 2 * shape.n_embd
    with new_gguf(path, "mamba", name="Tiny Mamba", dtype=dtype) as writer:
        writer.add_block_count(shape.n_layer)
        writer.add_context_length(shape.n_ctx_train)
        writer.add_embedding_length(n_embd)
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
        writer.add_ssm_conv_kernel(_N_CONV)
        writer.add_ssm_inner_size(n_inner)
        writer.add_ssm_state_size(_N_STATE)
        writer.add_ssm_time_step_rank(_N_TIME)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(n_vocab)
        vocabulary.write(writer)
        writer.add_chat_template(CHATML)

        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.embedding("token_embd", (n_vocab, n_embd))
        for block in shape.blocks:
            weights.norm(f"{block}.attn_norm", n_embd)
            weights.matrix(f"{block}.ssm_in", (2 * n_inner, n_embd))
            weights.matrix(f"{block}.ssm_conv1d", (n_inner, _N_CONV), exact=True)
            weights.bias(f"{block}.ssm_conv1d", n_inner, size=0.1)
            weights.matrix(f"{block}.ssm_x", (_N_TIME + 2 * _N_STATE, n_inner))
            weights.matrix(f"{block}.ssm_dt", (n_inner, _N_TIME))
            weights.bias(f"{block}.ssm_dt", n_inner)
            decay = -np.arange(1, _N_STATE + 1, dtype=np.float32) / _N_STATE
            weights.vector(f"{block}.ssm_a", np.tile(decay, (n_inner, 1)))
            weights.vector(f"{block}.ssm_d", np.ones(n_inner, dtype=np.float32))
            weights.matrix(f"{block}.ssm_out", (n_embd, n_inner))
        weights.norm("output_norm", n_embd)
        weights.matrix("output", (n_vocab, n_embd), gain=3.0, rows=vocabulary.output_sizes)
    return path
