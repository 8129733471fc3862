"""Choosing the next token: llama.cpp's sampler chain, or the largest logit when greedy."""

import ctypes
import secrets
from typing import Any

import llama_cpp
import numpy as np

from engine.runtime.events import Sampling


class Sampler:
    """The sampler of one reply. Free it when the reply is done."""

    def __init__(self, sampling: Sampling, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self._chain = _chain(sampling) if sampling.temperature > 0 else None

    def sample(self, context: Any) -> int:
        """The next token, from the logits of the last decoded one."""
        if self._chain is not None:
            return int(llama_cpp.llama_sampler_sample(self._chain, context, -1))
        # numpy's argmax is several times as quick as llama.cpp's greedy chain over 200,000 candidates
        logits = llama_cpp.llama_get_logits_ith(context, -1)
        values = (ctypes.c_float * self._n_vocab).from_address(ctypes.addressof(logits.contents))
        return int(np.frombuffer(memoryview(values).cast("B"), dtype=np.float32).argmax())

    def free(self) -> None:
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _chain(sampling: Sampling) -> Any:
    """top-p, min-p, temperature, draw: llama.cpp's own order."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    for link in (
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(seed),
    ):
        llama_cpp.llama_sampler_chain_add(chain, link)
    return chain
