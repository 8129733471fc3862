"""A tiny model of Llama 4 Scout's shape, with Llama 4's own vocabulary and chat format."""

from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt

from tests.models.vocabulary import BytePairVocabulary, llama4_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 2  # raise it when build_scout writes something else, so that cached builds are made anew

N_VOCAB = 202_048
CHUNK = 8_192  # llama.cpp hard-codes it for this architecture, together with the pattern: every fourth layer is global
PATTERN = 4

# What Meta's own template makes of plain turns: the system text is trimmed, the others are not. Tools are left out.
CHAT_TEMPLATE = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- if messages[0]['content'] is string %}
        {%- set system_message = messages[0]['content'] | trim %}
    {%- else %}
        {%- set system_message = messages[0]['content'][0]['text'] | trim %}
    {%- endif %}
    {%- set messages = messages[1:] %}
    {{- '<|header_start|>system<|header_end|>\\n\\n' + system_message + '<|eot|>' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|header_start|>' + message['role'] + '<|header_end|>\\n\\n' }}
    {%- if message['content'] is string %}
        {{- message['content'] }}
    {%- else %}
        {%- for part in message['content'] %}
            {%- if part['type'] == 'image' %}
                {{- '<|image|>' }}
            {%- elif part['type'] == 'text' %}
                {{- part['text'] }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|header_start|>assistant<|header_end|>\\n\\n' }}
{%- endif %}
"""


def build_scout(
    path: Path,
    *,
    n_layer: int = 8,
    n_embd: int = 64,
    n_head: int = 4,
    n_head_kv: int = 2,
    head_dim: int = 32,
    n_expert: int = 4,
    n_ff: int = 128,
    n_ctx_train: int = 10_485_760,
    seed: int = 0,
    dtype: DType = "F16",
    vocab: Literal["llama4", "none"] = "llama4",
) -> Path:
    """Write a Scout-shaped model to `path` and return it.

    Like Scout: chunks of 8,192 tokens, layers 3, 7, 11, ... global and without RoPE, in every layer one routed and one
    shared expert, normed queries and keys in the windowed layers, input and output embeddings apart. 128 experts would
    make llama.cpp drop those norms, as it does for Maverick.

    With vocab="none" the file can be planned and fed with ids, not with text.
    """
    vocabulary = llama4_vocabulary() if vocab == "llama4" else None
    with new_gguf(path, "llama4", name="Tiny Scout", dtype=dtype) as writer:
        writer.add_block_count(n_layer)
        writer.add_context_length(n_ctx_train)
        writer.add_embedding_length(n_embd)
        writer.add_feed_forward_length(2 * n_ff)  # Scout's 16,384 of the dense layers it does not have, against 8,192
        writer.add_expert_feed_forward_length(n_ff)
        writer.add_head_count(n_head)
        writer.add_head_count_kv(n_head_kv)
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
        writer.add_rope_dimension_count(head_dim)
        writer.add_rope_freq_base(500_000.0)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_expert_count(n_expert)
        writer.add_expert_used_count(1)
        writer.add_interleave_moe_layer_step(1)
        writer.add_vocab_size(N_VOCAB)
        _write_vocabulary(writer, vocabulary)

        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.vector("rope_freqs", _rope_factors(head_dim))
        weights.embedding("token_embd", (N_VOCAB, n_embd))
        for layer in range(n_layer):
            _write_attention(weights, layer, n_embd=n_embd, n_head=n_head, n_head_kv=n_head_kv, head_dim=head_dim)
            _write_experts(weights, layer, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert)
        weights.norm("output_norm", n_embd)
        sizes = vocabulary.output_sizes if vocabulary else None
        weights.matrix("output", (N_VOCAB, n_embd), gain=3.0, rows=sizes)
    return path


def _write_vocabulary(writer: gguf.GGUFWriter, vocabulary: BytePairVocabulary | None) -> None:
    if vocabulary is None:
        writer.add_tokenizer_model("no_vocab")
        return
    vocabulary.write(writer)
    writer.add_chat_template(CHAT_TEMPLATE)


def _write_attention(weights: Weights, layer: int, *, n_embd: int, n_head: int, n_head_kv: int, head_dim: int) -> None:
    """Attention that far context goes through, with rounding kept small against it.

    Global layers norm nothing, so their gains make them pick: scores with a standard deviation of 4, where evenly
    random ones would average thousands of tokens to almost nothing. Measured at 12,300 tokens, as the largest change of
    a logit: a rewind to the chunk 0.07, a rewind into a chunk whose cells are gone 4.1. Batches of 64 tokens and more
    give the same logits to the bit however a prompt is cut; smaller ones take another path in llama.cpp's CPU
    attention, worth up to 0.4. To compare two ways to a state exactly, end both with a batch of at least 64.
    """
    gain = 2.0 if layer % PATTERN == PATTERN - 1 else 1.0
    block = f"blk.{layer}"
    weights.norm(f"{block}.attn_norm", n_embd)
    weights.matrix(f"{block}.attn_q", (n_head * head_dim, n_embd), gain=gain)
    weights.matrix(f"{block}.attn_k", (n_head_kv * head_dim, n_embd), gain=gain)
    weights.matrix(f"{block}.attn_v", (n_head_kv * head_dim, n_embd))
    weights.matrix(f"{block}.attn_output", (n_embd, n_head * head_dim), gain=gain)


def _write_experts(weights: Weights, layer: int, *, n_embd: int, n_ff: int, n_expert: int) -> None:
    """The routed experts count less than the shared one: where two experts tie, rounding decides, and that must stay
    small against what the tests look for."""
    block = f"blk.{layer}"
    weights.norm(f"{block}.ffn_norm", n_embd)
    weights.matrix(f"{block}.ffn_gate_inp", (n_expert, n_embd), exact=True)
    weights.matrix(f"{block}.ffn_gate_exps", (n_expert, n_ff, n_embd))
    weights.matrix(f"{block}.ffn_up_exps", (n_expert, n_ff, n_embd))
    weights.matrix(f"{block}.ffn_down_exps", (n_expert, n_embd, n_ff), gain=0.3)
    weights.matrix(f"{block}.ffn_gate_shexp", (n_ff, n_embd))
    weights.matrix(f"{block}.ffn_up_shexp", (n_ff, n_embd))
    weights.matrix(f"{block}.ffn_down_shexp", (n_embd, n_ff))


def _rope_factors(head_dim: int) -> npt.NDArray[np.float32]:
    """Scout's RoPE scaling ('llama3', factor 16, both frequency bounds 1, trained on 8,192): slow turns get slower."""
    turns = 500_000.0 ** (-np.arange(0, head_dim, 2) / head_dim)
    return np.where(2 * np.pi / turns < 8_192, 1, 16).astype(np.float32)
