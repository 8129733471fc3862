"""A tiny model that says what it is told: its weights walk a chain of tokens, whatever was read before.

Attention and feed-forward give nothing, so a token's own embedding alone decides what comes next: each token of the
script leads to the one behind it, any other token to the first. The vocabulary is the 256 bytes and the tokens that are
named, so that how a family chats (its marks, its channels, how it ends) can be had without its weights.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np

from tests.models.vocabulary import gpt2_text
from tests.models.writer import new_gguf

_N_EMBD, _N_HEAD, _HEAD_DIM, _N_FF = 512, 2, 32, 32
_FIRST, _NEXT = 2.5, 30.0  # how much a token speaks for the first of the script, and for the one behind it


def build_scripted(
    path: Path,
    script: Sequence[str],
    *,
    template: str = "",
    templates: Mapping[str, str] | None = None,
    control: Sequence[str] = ("<|im_start|>", "<|im_end|>"),
    user: Sequence[str] = (),
    end: str = "<|im_end|>",
    eos: str = "",
    n_ctx: int = 8_192,
) -> Path:
    """Write the model to `path` and return it.

    script: what it says, a token each, none twice; one of `control` is that token, one of `user` (user-defined) too.
    end: the token that it ends with; eos: what the file calls EOS, that one without. template, templates: the chat
    template, and such as have names alone.
    """
    tokens = [gpt2_text(bytes([byte])) for byte in range(256)]
    named = {*control, *user}
    words = [gpt2_text(text.encode()) for text in script if text not in named and len(text.encode()) > 1]
    tokens += [*words, *control, *user]
    ids = {token: number for number, token in enumerate(tokens)}
    chain = [ids[text] if text in named else ids[gpt2_text(text.encode())] for text in (*script, end)]
    assert len(set(chain)) == len(chain) and len(ids) == len(tokens), "a token stands in a script once"
    kinds = [gguf.TokenType.NORMAL] * (256 + len(words)) + [gguf.TokenType.CONTROL] * len(control)
    kinds += [gguf.TokenType.USER_DEFINED] * len(user)
    with new_gguf(path, "llama", name="Scripted", dtype="F32") as writer:
        _write_shape(writer, n_ctx, len(tokens))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        writer.add_token_merges(["a b"])
        writer.add_eos_token_id(ids[eos or end])
        writer.add_add_bos_token(False)
        if template:
            writer.add_chat_template(template)
        if templates:
            writer.add_chat_template([{"name": name, "template": text} for name, text in templates.items()])
        _write_weights(writer, chain, len(tokens))
    return path


def _write_shape(writer: gguf.GGUFWriter, n_ctx: int, n_vocab: int) -> None:
    writer.add_block_count(1)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(_N_EMBD)
    writer.add_feed_forward_length(_N_FF)
    writer.add_head_count(_N_HEAD)
    writer.add_head_count_kv(_N_HEAD)
    writer.add_key_length(_HEAD_DIM)
    writer.add_value_length(_HEAD_DIM)
    writer.add_rope_dimension_count(_HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(n_vocab)


def _write_weights(writer: gguf.GGUFWriter, chain: Sequence[int], n_vocab: int) -> None:
    drawn = np.random.default_rng(0)
    embedding = drawn.standard_normal((n_vocab, _N_EMBD), dtype=np.float32)
    embedding[:, 0] = 4.0  # the same of every token: what speaks for the first
    output = np.zeros((n_vocab, _N_EMBD), np.float32)
    output[chain[0], 0] = _FIRST
    for here, there in zip(chain, chain[1:], strict=False):
        output[there, 1:] += embedding[here, 1:] * np.float32(_NEXT / _N_EMBD)
    width = _N_HEAD * _HEAD_DIM
    nothing = {
        "attn_q": (width, _N_EMBD),
        "attn_k": (width, _N_EMBD),
        "attn_v": (width, _N_EMBD),
        "attn_output": (_N_EMBD, width),
        "ffn_gate": (_N_FF, _N_EMBD),
        "ffn_up": (_N_FF, _N_EMBD),
        "ffn_down": (_N_EMBD, _N_FF),
    }
    writer.add_tensor("token_embd.weight", embedding)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(_N_EMBD, np.float32))
    for name, shape in nothing.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(_N_EMBD, np.float32))
    writer.add_tensor("output.weight", output)
