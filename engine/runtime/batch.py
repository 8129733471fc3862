"""The tokens that one call of llama_decode takes."""

from typing import Any

import llama_cpp
import numpy as np

from engine.tokens.encode import Ids


class Batch:
    """A llama_batch whose arrays are written through numpy."""

    def __init__(self, n_tokens: int) -> None:
        self._batch = llama_cpp.llama_batch_init(n_tokens, 0, 1)
        as_array = np.ctypeslib.as_array
        self._token = as_array(self._batch.token, (n_tokens,))
        self._pos = as_array(self._batch.pos, (n_tokens,))
        self._logits = as_array(self._batch.logits, (n_tokens,))
        as_array(self._batch.n_seq_id, (n_tokens,))[:] = 1
        for token in range(n_tokens):
            self._batch.seq_id[token][0] = 0

    def fill(self, ids: Ids, at: int, wants_logits: bool, n_more: int = 0) -> Any:
        """The llama_batch of these ids from position `at` on, logits behind the last one, and n_more tokens of any kind
        behind it."""
        n_ids = len(ids)
        n_tokens = self._batch.n_tokens = n_ids + n_more
        self._token[:n_ids] = ids
        self._token[n_ids:n_tokens] = ids[-1]
        self._pos[:n_tokens] = np.arange(at, at + n_tokens)
        self._logits[:n_tokens] = 0
        self._logits[n_ids - 1] = wants_logits
        return self._batch
