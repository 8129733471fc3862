"""A tiny model of Llama 4 Scout's shape, with Llama 4's own vocabulary and chat format.

What Scout has in common with Maverick stands here too.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import numpy.typing as npt

from tests.models.shape import Shape
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


SHAPE = Shape(n_layer=8, n_ctx_train=10_485_760)
# what of it to build where neither its size nor its vocabulary's is the point: three layers with chunks, one global
SMALL: dict[str, Any] = {"n_layer": 4, "vocab": "short"}


def build_scout(
    path: Path,
    shape: Shape = SHAPE,
    *,
    n_expert: int = 4,
    seed: int = 0,
    dtype: DType = "F16",
    vocab: Literal["llama4", "short", "none"] = "llama4",
) -> Path:
    """Write a Scout-shaped model to `path` and return it.

    Like Scout: chunks of 8,192 tokens, layers 3, 7, 11, ... global and without RoPE, in every layer one routed and one
    shared expert, normed queries and keys in the windowed layers, input and output embeddings apart. 128 experts would
    make llama.cpp drop those norms, as it does for Maverick.

    With vocab="short" there are Llama 4's special tokens and the 2,000 most frequent others: all that Llama 4 has but
    its size, and a process opens it in a tenth of a second, where the whole vocabulary takes two. With vocab="none"
    the file can be planned and fed with ids, not with text.
    """
    vocabulary = {"llama4": llama4_vocabulary, "short": short_vocabulary, "none": lambda: None}[vocab]()
    with new_gguf(path, "llama4", name="Tiny Scout", dtype=dtype) as writer:
        write_fields(writer, shape, n_expert=n_expert, moe_step=1)
        write_vocabulary(writer, vocabulary, CHAT_TEMPLATE)
        sizes = vocabulary.output_sizes if vocabulary else None
        weights = Weights(writer, seed=seed, dtype=dtype)
        n_vocab = len(vocabulary.tokens) if vocabulary else N_VOCAB
        write_tensors(weights, shape, n_expert=n_expert, moe_step=1, n_vocab=n_vocab, output_sizes=sizes)
    return path


def short_vocabulary() -> BytePairVocabulary:
    """Llama 4's special tokens behind the most frequent of the others."""
    return llama4_vocabulary(n_ranks=2_000)


def write_fields(writer: gguf.GGUFWriter, shape: Shape, *, n_expert: int, moe_step: int) -> None:
    """What a Llama 4 says of itself: one of `n_expert` is asked a token, in every `moe_step`th layer."""
    dense = replace(shape, n_ff=2 * shape.n_ff)  # Llama 4: 16,384 in dense layers (Scout has none), 8,192 an expert
    dense.write(writer)
    writer.add_expert_feed_forward_length(shape.n_ff)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(500_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(n_expert)
    writer.add_expert_used_count(1)
    writer.add_interleave_moe_layer_step(moe_step)


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: BytePairVocabulary | None, template: str) -> None:
    """A vocabulary with its template, or the number of Llama 4's tokens alone."""
    writer.add_vocab_size(len(vocabulary.tokens) if vocabulary else N_VOCAB)
    if vocabulary is None:
        writer.add_tokenizer_model("no_vocab")
        return
    vocabulary.write(writer)
    writer.add_chat_template(template)


def write_tensors(
    weights: Weights,
    shape: Shape,
    *,
    n_expert: int,
    moe_step: int,
    n_vocab: int,
    output_sizes: npt.NDArray[np.float32] | None = None,
) -> None:
    """All tensors of a Llama 4.

    Attention is such that far context goes through it, with rounding kept small against it. Global layers norm nothing,
    so their gains make them pick: scores with a standard deviation of 4, where evenly random ones would average
    thousands of tokens to almost nothing. Measured at 12,300 tokens, as the largest change of a logit: a rewind to the
    chunk 0.07, a rewind into a chunk whose cells are gone 4.1. Batches of 64 tokens and more give the same logits to
    the bit however a prompt is cut; smaller ones take another path in llama.cpp's CPU attention, worth up to 0.4. To
    compare two ways to a state exactly, end both with a batch of at least 64.
    """
    weights.vector("rope_freqs.weight", _rope_factors(shape.head_dim))
    weights.embedding("token_embd", (n_vocab, shape.n_embd))
    for layer, block in enumerate(shape.blocks):
        weights.attention(block, shape, gain=2.0 if layer % PATTERN == PATTERN - 1 else 1.0)
        weights.norm(f"{block}.ffn_norm", shape.n_embd)
        if layer % moe_step == moe_step - 1:
            _write_experts(weights, block, shape.n_embd, shape.n_ff, n_expert)
        else:
            weights.feed_forward(block, shape.n_embd, 2 * shape.n_ff)
    weights.norm("output_norm", shape.n_embd)
    weights.matrix("output", (n_vocab, shape.n_embd), gain=3.0, rows=output_sizes)


def _write_experts(weights: Weights, block: str, n_embd: int, n_ff: int, n_expert: int) -> None:
    """The routed experts count less than the shared one: where two experts tie, rounding decides, and that must stay
    small against what the tests look for."""
    weights.matrix(f"{block}.ffn_gate_inp", (n_expert, n_embd), exact=True)
    weights.matrix(f"{block}.ffn_gate_exps", (n_expert, n_ff, n_embd))
    weights.matrix(f"{block}.ffn_up_exps", (n_expert, n_ff, n_embd))
    weights.matrix(f"{block}.ffn_down_exps", (n_expert, n_embd, n_ff), gain=0.3)
    weights.feed_forward(block, n_embd, n_ff, suffix="_shexp")


def _rope_factors(head_dim: int) -> npt.NDArray[np.float32]:
    """Scout's RoPE scaling ('llama3', factor 16, both frequency bounds 1, trained on 8,192): slow turns get slower."""
    turns = 500_000.0 ** (-np.arange(0, head_dim, 2) / head_dim)
    return np.where(2 * np.pi / turns < 8_192, 1, 16).astype(np.float32)
