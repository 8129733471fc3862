"""The tokens, or the embeddings of pictures, that one call of llama_decode takes."""

from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from engine.tokens.encode import Ids


class Batch:
    """A llama_batch whose arrays are written through numpy. n_embd: of embeddings, 0 for tokens."""

    def __init__(self, n_tokens: int, *, n_embd: int = 0) -> None:
        self._batch = llama_cpp.llama_batch_init(n_tokens, n_embd, 1)
        as_array = np.ctypeslib.as_array
        if n_embd:
            self._embd = as_array(self._batch.embd, (n_tokens, n_embd))
        else:
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
        self._token[:n_ids] = ids
        self._token[n_ids : n_ids + n_more] = ids[-1]
        batch = self._place(n_ids + n_more, at)
        self._logits[n_ids - 1] = wants_logits
        return batch

    def fill_rows(self, rows: npt.NDArray[np.float32], at: int, n_more: int = 0) -> Any:
        """The same with embeddings of shape [n, n_embd], and no logits."""
        self._embd[: len(rows)] = rows
        self._embd[len(rows) : len(rows) + n_more] = rows[-1]
        return self._place(len(rows) + n_more, at)

    def _place(self, n_tokens: int, at: int) -> Any:
        self._batch.n_tokens = n_tokens
        self._pos[:n_tokens] = np.arange(at, at + n_tokens)
        self._logits[:n_tokens] = 0
        return self._batch
