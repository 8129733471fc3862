"""A tiny model of the Llama architecture: full attention everywhere, a small byte-level vocabulary, any template."""

from pathlib import Path
from typing import Literal

from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_llama writes something else, so that cached builds are made anew

Template = Literal["llama3", "chatml", "no_system", "broken", "none"]

LLAMA3 = """{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
"""
CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
NO_SYSTEM = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
TEMPLATES: dict[Template, str] = {
    "llama3": LLAMA3,
    "chatml": CHATML,
    "no_system": NO_SYSTEM,
    "broken": "{%- for message in messages %}{{ message['content'] }",
    "none": "",
}


def build_llama(
    path: Path,
    *,
    n_layer: int = 4,
    n_embd: int = 64,
    n_head: int = 4,
    n_head_kv: int = 2,
    head_dim: int = 32,
    n_ff: int = 128,
    n_ctx_train: int = 8_192,
    seed: int = 0,
    dtype: DType = "F16",
    template: Template = "llama3",
    add_bos: bool = True,
) -> Path:
    """Write a Llama-shaped model with some 2,000 tokens to `path` and return it.

    `template`: Llama 3's ("llama3" writes its own BOS) and ChatML ("chatml" writes none) take any roles; "no_system"
    raises on a system role and on roles that do not alternate, as Gemma's and Mistral's did; "broken" is no valid
    Jinja; "none" leaves the model without one. Queries and keys are scaled so that a token attends to few others.
    """
    vocabulary = llama3_vocabulary(add_bos=add_bos)
    with new_gguf(path, "llama", name="Tiny Llama", dtype=dtype) as writer:
        writer.add_block_count(n_layer)
        writer.add_context_length(n_ctx_train)
        writer.add_embedding_length(n_embd)
        writer.add_feed_forward_length(n_ff)
        writer.add_head_count(n_head)
        writer.add_head_count_kv(n_head_kv)
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
        writer.add_rope_dimension_count(head_dim)
        writer.add_rope_freq_base(500_000.0)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(len(vocabulary.tokens))
        vocabulary.write(writer)
        writer.add_chat_template(TEMPLATES[template])

        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.embedding("token_embd", (len(vocabulary.tokens), n_embd))
        for block in (f"blk.{layer}" for layer in range(n_layer)):
            weights.norm(f"{block}.attn_norm", n_embd)
            weights.matrix(f"{block}.attn_q", (n_head * head_dim, n_embd), gain=2.0)
            weights.matrix(f"{block}.attn_k", (n_head_kv * head_dim, n_embd), gain=2.0)
            weights.matrix(f"{block}.attn_v", (n_head_kv * head_dim, n_embd))
            weights.matrix(f"{block}.attn_output", (n_embd, n_head * head_dim), gain=2.0)
            weights.norm(f"{block}.ffn_norm", n_embd)
            weights.matrix(f"{block}.ffn_gate", (n_ff, n_embd))
            weights.matrix(f"{block}.ffn_up", (n_ff, n_embd))
            weights.matrix(f"{block}.ffn_down", (n_embd, n_ff))
        weights.norm("output_norm", n_embd)
        weights.matrix("output", (len(vocabulary.tokens), n_embd), gain=3.0, rows=vocabulary.output_sizes)
    return path
