"""A tiny model of Qwen 2's shape: biases in its attention, tied embeddings, ChatML. Full attention everywhere."""

from pathlib import Path

from tests.models.llama import CHATML
from tests.models.shape import Shape
from tests.models.vocabulary import llama3_vocabulary
from tests.models.writer import DType, Weights, new_gguf

VERSION = 1  # raise it when build_qwen2 writes something else, so that cached builds are made anew

SHAPE = Shape(n_embd=128, n_ctx_train=32_768)  # llama.cpp wants n_head x head_dim = n_embd here


IMAGE_MARKS = ("<|vision_start|>", "<|vision_end|>")


def build_qwen2(path: Path, shape: Shape = SHAPE, *, seed: int = 0, dtype: DType = "F16", vision: bool = False) -> Path:
    """Write a Qwen-2-shaped model to `path` and return it. Its vocabulary is the Llama-shaped model's.

    `vision`: of Qwen 2 VL's kind, whose positions have three dimensions, with the marks around an image.
    """
    vocabulary = llama3_vocabulary(add_bos=False).with_special(IMAGE_MARKS if vision else ())
    n_embd, n_vocab = shape.n_embd, len(vocabulary.tokens)
    with new_gguf(path, "qwen2vl" if vision else "qwen2", name="Tiny Qwen 2", dtype=dtype) as writer:
        shape.write(writer)
        if vision:
            eighth = shape.head_dim // 8
            writer.add_rope_dimension_sections([2 * eighth, eighth, eighth, 0])  # time, row, column
        writer.add_rope_freq_base(1_000_000.0)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_vocab_size(n_vocab)
        vocabulary.write(writer)
        writer.add_chat_template(CHATML)

        weights = Weights(writer, seed=seed, dtype=dtype)
        weights.embedding("token_embd", (n_vocab, n_embd), size=n_embd**-0.5)  # tied: the logits are made of it too
        for block in shape.blocks:
            weights.attention(block, shape, gain=2.0)
            weights.bias(f"{block}.attn_q", shape.n_head * shape.head_dim)
            weights.bias(f"{block}.attn_k", shape.n_head_kv * shape.head_dim)
            weights.bias(f"{block}.attn_v", shape.n_head_kv * shape.head_dim)
            weights.norm(f"{block}.ffn_norm", n_embd)
            weights.feed_forward(block, n_embd, shape.n_ff)
        weights.norm("output_norm", n_embd, value=3.0)
    return path
