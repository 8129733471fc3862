"""How long llama.cpp takes to read a prompt on this machine's cores, reckoned before it has read a token.

The products that a prompt takes, over those that one core makes in a moment of trying. GPUs, and weights that are read
from disk again and again, are not reckoned with. What was measured is always better, and app.first_read asks for that.

How good it is, guess over measured, where the constants below come from too: prefills on one core of a Xeon with
AVX-512, f16 KV cache, in processor time. SmolLM2 135M, 512 tokens: F16 1.11, BF16 1.03, Q8_0 0.96, Q6_K mix 1.01,
Q4_K_M mix 0.95, Q4_0 1.03, Q4_1 1.15; Q4_1 at 1,024 tokens 0.97, at 2,048 0.96. A Scout-shaped model of 15 M active
parameters, where looking back is nearly all, 0.76 at 1,024 tokens and 1.09 at 4,096. Models of 1 MiB 0.4, which is some
tenths of a second. A machine that is busy takes longer. Not measured: other processors, other types (IQ types are
slower), how well many cores share the work.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from engine.gguf import Header, read_header
from engine.memory.card import EXPERTS, ModelCard

_SIDE, _BATCH = 64, 16  # matrices so small that a BLAS keeps to one core
_TRY_S = 0.03
# Of the products a second that the try makes, those that llama.cpp reaches: with weights by their type, looking back
_REACHED, _REACHED_ELSE, _REACHED_LOOKING_BACK = {"Q4_0": 0.5, "Q4_1": 0.2}, 0.4, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingWork:
    """The products that reading takes, in those of `products_per_s`: one that takes the processor longer counts more.

    per_token: a token's with the weights that it passes. per_look: a token's with one that it looks back at, in the
    layers that see all; per_windowed_look: in those that see `window` tokens.
    """

    per_token: float
    per_look: float
    per_windowed_look: float = 0.0
    window: int = 0

    def between(self, n_held: int, n_tokens: int) -> float:
        """Of a prompt's tokens from n_held up to n_tokens, those before them being held."""

        def looks(most: int) -> float:
            """How often tokens up to n_tokens look back, each at so many of them at most."""
            return sum(sign * _looks(n, most) for n, sign in ((n_tokens, 1), (n_held, -1)))

        work = (n_tokens - n_held) * self.per_token + looks(n_tokens) * self.per_look
        return work + looks(self.window or n_tokens) * self.per_windowed_look


def _looks(n_tokens: int, most: int) -> float:
    """How often the first n_tokens look back, each at `most` of those before it at most."""
    near = min(n_tokens, most)
    return near * near / 2 + (n_tokens - near) * near


@lru_cache(maxsize=8)
def reading_work(card: ModelCard) -> ReadingWork | None:
    """What a token of this model takes, from its headers; None where no rule is known that would tell.

    Raises ModelRefused as read_header does.
    """
    headers = [read_header(file.path) for file in card.files]
    if not card.exact or not headers:
        return None
    header, arch = headers[0], card.architecture
    n_used = header.integer(f"{arch}.expert_used_count")
    if card.n_experts and not n_used:
        return None
    n_weights = sum(_passed(each, n_used / max(1, card.n_experts)) for each in headers)
    n_heads = header.integers(f"{arch}.attention.head_count") or (1,)
    n_heads = n_heads if len(n_heads) == len(card.layers) else n_heads[:1] * len(card.layers)
    head_dim = card.n_embd // max(1, *n_heads)
    of_head = sum(header.integer(f"{arch}.attention.{name}_length", head_dim) for name in ("key", "value"))
    looks = [(n * of_head / _REACHED_LOOKING_BACK, each) for n, each in zip(n_heads, card.layers, strict=True)]
    return ReadingWork(
        per_token=n_weights / _REACHED.get(card.quantization, _REACHED_ELSE),
        per_look=sum(n for n, layer in looks if layer.n_embd_k and not layer.windowed),
        per_windowed_look=sum(n for n, layer in looks if layer.n_embd_k and layer.windowed),
        window=card.attention_window,
    )


def _passed(header: Header, share_of_experts: float) -> float:
    """Weights of this file that every token passes. The output's only the last one does, the input's none."""
    matrices = [tensor for tensor in header.tensors if tensor.name.startswith("blk.") and len(tensor.dims) > 1]
    return sum(
        prod(tensor.dims) * (share_of_experts if re.search(EXPERTS, tensor.name) else 1.0) for tensor in matrices
    )


@lru_cache(maxsize=1)
def products_per_s(clock: Callable[[], float] = time.thread_time) -> float:
    """Products that one core of this machine makes and adds up in a second, in 32 bits; tried once, for a moment.

    clock: in seconds, of this thread's own time: what else the machine does is not counted.
    """
    matrices = np.full((_BATCH, _SIDE, _SIDE), 0.5, np.float32)
    out = np.matmul(matrices, matrices)  # once for nothing: a first call takes longer
    n_runs, begun = 0, clock()
    while (spent_s := clock() - begun) < _TRY_S:
        np.matmul(matrices, matrices, out=out)
        n_runs += 1
    return n_runs * _BATCH * _SIDE**3 / spent_s
