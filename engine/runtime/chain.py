"""A prompt's prefixes as a chain of hashes: two prompts share a block exactly where their chains are equal there.

That way the longest common prefix with any of many KV states is found by looking digests up, without reading ids.
"""

from itertools import chain as joined

import numpy as np
from xxhash import xxh3_128_digest

from engine.tokens.document import Ids

BLOCK = 256  # tokens: llama.cpp's own unit of cells
_FIRST, _N_FIRST = 32, 8  # the first 256 tokens are told apart finer: short prompts are worth finding too


def chain(ids: Ids) -> tuple[bytes, ...]:
    """The digest of ids[: tokens_in(k + 1)] at place k, 16 bytes each; ids after the last whole block are left out."""
    data = np.ascontiguousarray(ids, dtype="<i4").tobytes()
    digests, begun = [b""], 0
    for end in joined(range(_FIRST, BLOCK + 1, _FIRST), range(2 * BLOCK, len(ids) + 1, BLOCK)):
        if end > len(ids):
            break
        digests.append(xxh3_128_digest(digests[-1] + data[4 * begun : 4 * end]))
        begun = end
    return tuple(digests[1:])


def tokens_in(n_blocks: int) -> int:
    """Tokens that so many blocks hold."""
    return _FIRST * n_blocks if n_blocks <= _N_FIRST else BLOCK * (n_blocks - _N_FIRST + 1)


def blocks_in(n_tokens: int) -> int:
    """Whole blocks of so many tokens."""
    return n_tokens // _FIRST if n_tokens < BLOCK else n_tokens // BLOCK + _N_FIRST - 1
