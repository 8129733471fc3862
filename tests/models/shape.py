"""The dimensions that all builders share."""

from dataclasses import dataclass

import gguf

# Attention takes nearly all the time of a long prompt; where only cells are the point, one head shows as much as four
ONE_HEAD = {"n_head": 1, "n_head_kv": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a model is. llama.cpp quantizes no KV cache whose head dim is below 32.

    n_ff: rows of a feed-forward block, of one expert in a mixture. n_ctx_train: the window that the model claims.
    """

    n_layer: int = 4
    n_embd: int = 64
    n_head: int = 4
    n_head_kv: int = 2
    head_dim: int = 32
    n_ff: int = 128
    n_ctx_train: int = 8_192

    @property
    def blocks(self) -> tuple[str, ...]:
        """The prefix of each layer's tensors."""
        return tuple(f"blk.{layer}" for layer in range(self.n_layer))

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Add the fields that every architecture has."""
        writer.add_block_count(self.n_layer)
        writer.add_context_length(self.n_ctx_train)
        writer.add_embedding_length(self.n_embd)
        writer.add_feed_forward_length(self.n_ff)
        writer.add_head_count(self.n_head)
        writer.add_head_count_kv(self.n_head_kv)
        writer.add_key_length(self.head_dim)
        writer.add_value_length(self.head_dim)
