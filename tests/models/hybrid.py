"""Tiny hybrids: attention in some layers, in the others a state that cannot go back. The Llama-shaped model's
vocabulary."""

from pathlib import Path
from typing import Literal

import numpy as np

from tests.models.llama import CHATML
from tests.models.shape import Shape
from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_hybrid writes something else, so that cached builds are made anew

SHAPE = Shape(n_embd=128)  # LFM2's heads are to be as wide as its embeddings
_N_CONV, _N_STATE, _N_GROUP, _N_HEAD = 4, 16, 2, 4  # of the delta net: groups are its key heads


def build_hybrid(
    path: Path, shape: Shape = SHAPE, *, kind: Literal["lfm2", "qwen35"] = "lfm2", seed: int = 0, dtype: DType = "F16"
) -> Path:
    """Write a hybrid to `path` and return it: every second layer (lfm2) or fourth (qwen35) has attention.

    kind: "lfm2" keeps a short convolution; "qwen35" a gated delta net, and its positions have several dimensions.
    """
    vocabulary = llama3_vocabulary(add_bos=False)
    n_embd, n_vocab = shape.n_embd, len(vocabulary.tokens)
    with new_gguf(path, kind, name="Tiny Hybrid", dtype=dtype) as writer:
        shape.write(writer)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(1_000_000.0)
        writer.add_vocab_size(n_vocab)
        vocabulary.write(writer)
        writer.add_chat_template(CHATML)
        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.embedding("token_embd", (n_vocab, n_embd), size=1.0 if kind == "qwen35" else n_embd**-0.5)
        if kind == "lfm2":
            del writer.kv_data[0]["lfm2.attention.head_count_kv"]
            writer.add_head_count_kv([shape.n_head_kv * (layer % 2) for layer in range(shape.n_layer)])
            writer.add_shortconv_l_cache(_N_CONV)
            _write_lfm2(weights, shape)
        else:
            writer.add_rope_dimension_count(shape.head_dim)
            writer.add_rope_dimension_sections([shape.head_dim // 4, shape.head_dim // 8, shape.head_dim // 8, 0])
            writer.add_ssm_conv_kernel(_N_CONV)
            writer.add_ssm_state_size(_N_STATE)
            writer.add_ssm_group_count(_N_GROUP)
            writer.add_ssm_time_step_rank(_N_HEAD)
            writer.add_ssm_inner_size(_N_HEAD * _N_STATE)
            writer.add_uint32("qwen35.full_attention_interval", 4)
            _write_qwen35(weights, shape)
            weights.matrix("output", (n_vocab, n_embd), gain=3.0, rows=vocabulary.output_sizes)
    return path


def _write_lfm2(weights: Weights, shape: Shape) -> None:
    n_embd = shape.n_embd
    for layer, block in enumerate(shape.blocks):
        if layer % 2:
            weights.attention(block, shape, gain=2.0)
            weights.norm(f"{block}.attn_q_norm", shape.head_dim)
            weights.norm(f"{block}.attn_k_norm", shape.head_dim)
        else:
            weights.norm(f"{block}.attn_norm", n_embd)
            weights.matrix(f"{block}.shortconv.conv", (n_embd, _N_CONV), exact=True)
            weights.matrix(f"{block}.shortconv.in_proj", (3 * n_embd, n_embd))
            weights.matrix(f"{block}.shortconv.out_proj", (n_embd, n_embd))
        weights.norm(f"{block}.ffn_norm", n_embd)
        weights.feed_forward(block, n_embd, shape.n_ff)
    weights.norm("token_embd_norm", n_embd, value=3.0)  # so it is called, and stands before the output


def _write_qwen35(weights: Weights, shape: Shape) -> None:
    n_embd, n_inner = shape.n_embd, _N_HEAD * _N_STATE
    n_conv = n_inner + 2 * _N_GROUP * _N_STATE
    for layer, block in enumerate(shape.blocks):
        weights.norm(f"{block}.attn_norm", n_embd)
        if (layer + 1) % 4:
            weights.matrix(f"{block}.attn_qkv", (n_conv, n_embd))
            weights.matrix(f"{block}.attn_gate", (n_inner, n_embd))
            weights.matrix(f"{block}.ssm_conv1d", (n_conv, _N_CONV), exact=True)
            weights.bias(f"{block}.ssm_dt", _N_HEAD)
            weights.vector(f"{block}.ssm_a", -np.linspace(0.1, 1, _N_HEAD, dtype=np.float32))
            weights.matrix(f"{block}.ssm_beta", (_N_HEAD, n_embd))
            weights.matrix(f"{block}.ssm_alpha", (_N_HEAD, n_embd))
            weights.norm(f"{block}.ssm_norm", _N_STATE)
            weights.matrix(f"{block}.ssm_out", (n_embd, n_inner))
        else:
            n_queries, n_keys = shape.n_head * shape.head_dim, shape.n_head_kv * shape.head_dim
            weights.matrix(f"{block}.attn_q", (2 * n_queries, n_embd), gain=2.0)  # with its gate
            weights.matrix(f"{block}.attn_k", (n_keys, n_embd), gain=2.0)
            weights.matrix(f"{block}.attn_v", (n_keys, n_embd))
            weights.matrix(f"{block}.attn_output", (n_embd, n_queries))
            weights.norm(f"{block}.attn_q_norm", shape.head_dim)
            weights.norm(f"{block}.attn_k_norm", shape.head_dim)
        weights.norm(f"{block}.post_attention_norm", n_embd)
        weights.feed_forward(block, n_embd, shape.n_ff)
    weights.norm("output_norm", n_embd)
