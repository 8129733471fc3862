"""How much of a KV cache can be kept, exactly, when the next prompt shares a prefix with it. Pure arithmetic.

llama_memory_seq_rm says true even when the windowed cells that a rewind needs are gone; decoding on gives wrong logits
without an error. So the rule is computed here and seq_rm's answer is never asked.
"""

from dataclasses import dataclass
from enum import StrEnum


class Attention(StrEnum):
    """What the cells of a model's cache depend on."""

    FULL = "full"  # every cell on all before it
    CHUNKED = "chunked"  # Llama 4: windowed layers see only their own chunk of `window` tokens
    SLIDING = "sliding"  # Gemma and others: windowed layers see the last `window` tokens
    RECURRENT = "recurrent"  # a state that cannot go back


@dataclass(frozen=True, slots=True)
class CacheShape:
    """The attention of a model and its window in tokens (0 where there is none)."""

    attention: Attention
    window: int = 0

    def pos_min_after(self, n_tokens: int) -> int:
        """The lowest position that the windowed layers of a saved state of n_tokens hold: masked cells are left out."""
        match self.attention:
            case Attention.CHUNKED:
                return n_tokens // self.window * self.window
            case Attention.SLIDING:
                return max(0, n_tokens - self.window + 1)
            case _:
                return 0

    def holds(self, n_tokens: int, *, after: int) -> bool:
        """Whether the windowed cells that stay after so many tokens are all that going on behind n_tokens needs."""
        return n_tokens <= after and self.pos_min_after(after) <= self.pos_min_after(n_tokens)


@dataclass(frozen=True, slots=True)
class Rewind:
    """How many tokens may stay. by_window: only after the copied windowed cells are put back."""

    n_tokens: int
    by_window: bool = False


def rewind_to(common: int, *, n_cached: int, pos_min: int, shape: CacheShape, copied: int = 0) -> Rewind:
    """The most that may stay, as keepable has it, or as a copy of the windowed cells allows it.

    copied: how many tokens the cache held when they were copied, 0 without a copy. On chunks it serves every position
    from its chunk's first on.
    """
    kept = keepable(common, n_cached=n_cached, pos_min=pos_min, shape=shape)
    by_window = min(common, copied)
    if kept < by_window and shape.holds(by_window, after=copied):
        return Rewind(by_window, by_window=True)
    return Rewind(kept)


def keepable(common: int, *, n_cached: int, pos_min: int, shape: CacheShape) -> int:
    """Tokens that may stay of a cache that holds n_cached and shares `common` with the prompt.

    pos_min: the lowest position that the windowed layers still hold (llama_memory_seq_pos_min), -1 for none.
    Chunked: a token in a new chunk sees nothing of earlier chunks in the windowed layers, so going back to a chunk's
    first position is exact whatever they hold. (Measured against fresh runs; llama.cpp's src/llama-kv-cache-iswa.cpp.)
    """
    if common >= n_cached:
        return n_cached
    match shape.attention:
        case Attention.FULL:
            return common
        case Attention.CHUNKED:
            chunk_start = common // shape.window * shape.window
            return common if 0 <= pos_min <= chunk_start else chunk_start
        case Attention.SLIDING:
            return common if 0 <= pos_min <= max(0, common - shape.window + 1) else 0
        case Attention.RECURRENT:
            return 0
