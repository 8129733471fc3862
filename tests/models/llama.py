"""A tiny model of the Llama architecture: full attention everywhere, a small byte-level vocabulary, any template."""

from pathlib import Path
from typing import Literal

from tests.models.shape import Shape
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

IMAGE_MARKS = (
    "<fake_token_around_image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)

SHAPE = Shape()


def build_llama(
    path: Path,
    shape: Shape = SHAPE,
    *,
    seed: int = 0,
    dtype: DType = "F16",
    template: Template = "llama3",
    add_bos: bool = True,
    vision: bool = False,
) -> Path:
    """Write a Llama-shaped model with some 2,000 tokens to `path` and return it.

    `template`: Llama 3's ("llama3" writes its own BOS) and ChatML ("chatml" writes none) take any roles; "no_system"
    raises on a system role and on roles that do not alternate, as Gemma's and Mistral's did; "broken" is no valid
    Jinja; "none" leaves the model without one. `vision`: with SmolVLM's
    marks around the tiles of an image. Queries and keys are scaled so that a token attends to few others.
    """
    vocabulary = llama3_vocabulary(add_bos=add_bos).with_special(IMAGE_MARKS if vision else ())
    n_vocab = len(vocabulary.tokens)
    with new_gguf(path, "llama", name="Tiny Llama", dtype=dtype) as writer:
        shape.write(writer)
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_rope_freq_base(500_000.0)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(n_vocab)
        vocabulary.write(writer)
        writer.add_chat_template(TEMPLATES[template])

        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.embedding("token_embd", (n_vocab, shape.n_embd))
        for block in shape.blocks:
            weights.attention(block, shape, gain=2.0)
            weights.norm(f"{block}.ffn_norm", shape.n_embd)
            weights.feed_forward(block, shape.n_embd, shape.n_ff)
        weights.norm("output_norm", shape.n_embd)
        weights.matrix("output", (n_vocab, shape.n_embd), gain=3.0, rows=vocabulary.output_sizes)
    return path
