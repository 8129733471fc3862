"""A prompt's prefixes as a chain of hashes: two prompts share a block exactly where their chains are equal there.

That way the longest common prefix with any of many KV states is found by looking digests up, without reading ids.
"""

from itertools import pairwise

import numpy as np
from xxhash import xxh3_128_digest

from engine.tokens.encode import Ids

BLOCK = 256  # tokens: llama.cpp's own unit of cells


def chain(ids: Ids) -> tuple[bytes, ...]:
    """The digest of ids[: BLOCK * (k + 1)] at place k, 16 bytes each; ids after the last whole block are left out."""
    data = np.ascontiguousarray(ids, dtype="<i4").tobytes()
    digests = [b""]
    for begun, end in pairwise(range(0, len(data) + 1, 4 * BLOCK)):
        digests.append(xxh3_128_digest(digests[-1] + data[begun:end]))
    return tuple(digests[1:])
