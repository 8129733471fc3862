"""A tiny model of Gemma 3's shape: sliding windows, a SentencePiece vocabulary, a template without a system role."""

from pathlib import Path

from tests.models.shape import Shape
from tests.models.vocabulary import gemma3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 2  # raise it when build_gemma3 writes something else, so that cached builds are made anew

PATTERN = 6  # llama.cpp hard-codes it: layers 5, 11, ... see everything, the others their sliding window

# What Google's own template makes of text: the system text opens the first user turn, the assistant is called model.
CHAT_TEMPLATE = """{{- bos_token }}
{%- set opening = '' %}
{%- if messages[0]['role'] == 'system' %}
    {%- set opening = messages[0]['content'] + '\\n\\n' %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<start_of_turn>' + role + '\\n' + (opening if loop.first else '') }}
    {{- message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}
"""


IMAGE_MARKS = ("<start_of_image>", "<end_of_image>")
SHAPE = Shape(n_layer=6, n_ctx_train=32_768)


def build_gemma3(
    path: Path,
    shape: Shape = SHAPE,
    *,
    n_window: int = 512,
    seed: int = 0,
    dtype: DType = "F16",
    vision: bool = False,
) -> Path:
    """Write a Gemma-3-shaped model with some 2,000 pieces to `path` and return it.

    Like Gemma 3: five layers of sliding window to one global, normed queries and keys, norms after attention and
    feed-forward too, tied embeddings. `n_window` is the sliding window in tokens. `vision`: with the marks around
    an image.
    """
    vocabulary = gemma3_vocabulary().with_special(IMAGE_MARKS if vision else ())
    n_embd, head_dim = shape.n_embd, shape.head_dim
    with new_gguf(path, "gemma3", name="Tiny Gemma 3", dtype=dtype) as writer:
        shape.write(writer)
        writer.add_rope_freq_base(1_000_000.0)
        writer.add_sliding_window(n_window)
        writer.add_layer_norm_rms_eps(1e-6)
        vocabulary.write(writer)
        writer.add_chat_template(CHAT_TEMPLATE)

        weights = Weights(writer, seed=seed, dtype=dtype)
        # Gemma multiplies embeddings by sqrt(n_embd); being tied, they are small enough to give healthy logits too.
        weights.embedding("token_embd", (len(vocabulary.tokens), n_embd), size=n_embd**-0.5)
        for block in shape.blocks:
            weights.attention(block, shape)
            weights.norm(f"{block}.attn_q_norm", head_dim, value=2.0)
            weights.norm(f"{block}.attn_k_norm", head_dim, value=2.0)
            weights.norm(f"{block}.post_attention_norm", n_embd)
            weights.norm(f"{block}.ffn_norm", n_embd)
            weights.feed_forward(block, n_embd, shape.n_ff)
            weights.norm(f"{block}.post_ffw_norm", n_embd)
        weights.norm("output_norm", n_embd, value=3.0)
    return path
