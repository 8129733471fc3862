"""A tiny model of Qwen 3 VL's shape: positions in three dimensions, interleaved, and images that reach several layers.

Of an image's embedding the first part stands in for a token's; each of the others is added behind one of the first
layers (deepstack). Otherwise Qwen 3's: norms of queries and keys, tied embeddings, full attention everywhere.
"""

from pathlib import Path

from tests.models.llama import CHATML
from tests.models.qwen2 import IMAGE_MARKS
from tests.models.shape import Shape
from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_qwen3vl writes something else, so that cached builds are made anew

SHAPE = Shape(n_embd=128, n_ctx_train=32_768)
N_DEEP = 2  # layers that an image's embedding reaches besides the first; so many of the projector's layers give to them


def build_qwen3vl(
    path: Path, shape: Shape = SHAPE, *, seed: int = 0, dtype: DType = "F16", architecture: str = "qwen3vl"
) -> Path:
    """Write a Qwen-3-VL-shaped model to `path` and return it. Its vocabulary is the Llama-shaped model's.

    `architecture`: also hunyuan_vl, of the same tensors, whose positions have dimensions where a field says so, as in
    GLM's that see; an image reaches its first layer alone.
    """
    vocabulary = llama3_vocabulary(add_bos=False).with_special(IMAGE_MARKS)
    n_embd, n_vocab = shape.n_embd, len(vocabulary.tokens)
    with new_gguf(path, architecture, name="Tiny Qwen 3 VL", dtype=dtype) as writer:
        shape.write(writer)
        third = shape.head_dim // 6
        writer.add_rope_dimension_sections([shape.head_dim // 2 - 2 * third, third, third, 0])  # time, row, column
        writer.add_num_deepstack_layers(N_DEEP)
        writer.add_rope_freq_base(5_000_000.0)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_vocab_size(n_vocab)
        vocabulary.write(writer)
        writer.add_chat_template(CHATML)

        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.embedding("token_embd", (n_vocab, n_embd), size=n_embd**-0.5)  # tied: the logits are made of it too
        for block in shape.blocks:
            weights.attention(block, shape, gain=2.0)
            weights.norm(f"{block}.attn_q_norm", shape.head_dim)
            weights.norm(f"{block}.attn_k_norm", shape.head_dim)
            weights.norm(f"{block}.ffn_norm", n_embd)
            weights.feed_forward(block, n_embd, shape.n_ff)
        weights.norm("output_norm", n_embd, value=3.0)
    return path
