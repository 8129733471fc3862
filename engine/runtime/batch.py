"""The tokens, or the embeddings of pictures, that one call of llama_decode takes."""

import ctypes
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from engine.runtime.positions import Places
from engine.tokens.document import Ids


class Batch:
    """A llama_batch whose arrays are written through numpy."""

    def __init__(self, n_tokens: int, *, n_embd: int = 0, n_dims: int = 1) -> None:
        """n_embd: of embeddings, 0 for tokens. n_dims: of the embeddings' positions; llama.cpp takes a token's once."""
        self._batch = llama_cpp.llama_batch_init(n_tokens, n_embd, 1)
        as_array = np.ctypeslib.as_array
        if n_embd:
            self._embd = as_array(self._batch.embd, (n_tokens, n_embd))
        else:
            self._token = as_array(self._batch.token, (n_tokens,))
        self._pos = np.zeros(n_dims * n_tokens, dtype=np.int32)  # llama_batch_init has room for one dimension
        self._batch.pos = self._pos.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos))
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
        batch = self._place(np.arange(at, at + n_ids + n_more, dtype=np.int32)[np.newaxis])
        self._logits[n_ids - 1] = wants_logits
        return batch

    def fill_rows(self, rows: npt.NDArray[np.float32], places: Places) -> Any:
        """The llama_batch of embeddings, of shape [n, n_embd], at these places, and no logits.

        Where there are more places than rows, the last row fills them up.
        """
        n_places = places.shape[1]
        self._embd[: len(rows)] = rows
        self._embd[len(rows) : n_places] = rows[-1]
        return self._place(places)

    def _place(self, places: Places) -> Any:
        """places: dimension by dimension, as llama.cpp wants them too."""
        n_tokens = self._batch.n_tokens = places.shape[1]
        self._pos[: places.size] = places.ravel()
        self._logits[:n_tokens] = 0
        return self._batch
