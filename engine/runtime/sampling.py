"""Choosing the next token: llama.cpp's sampler chain, or the largest logit when greedy, of those that a form allows."""

import ctypes
import secrets
from typing import Any

import llama_cpp
import numpy as np

from engine.runtime.events import Sampling
from engine.runtime.form import Form


class Sampler:
    """The sampler of one reply. Free it when the reply is done."""

    def __init__(self, sampling: Sampling, n_vocab: int, form: Form | None = None) -> None:
        self._n_vocab, self._form = n_vocab, form
        self._chain = _chain(sampling) if sampling.temperature > 0 else None

    def sample(self, context: Any) -> int:
        """The next token, from the logits of the last decoded one, which a form changes."""
        logits = llama_cpp.llama_get_logits_ith(context, -1)
        floats = (ctypes.c_float * self._n_vocab).from_address(ctypes.addressof(logits.contents))
        values = np.frombuffer(memoryview(floats).cast("B"), dtype=np.float32)
        if self._form is not None:
            self._form.hold(values)
        if self._chain is not None:
            token = int(llama_cpp.llama_sampler_sample(self._chain, context, -1))
        else:  # numpy's argmax is several times as quick as llama.cpp's greedy chain over 200,000 candidates
            token = int(values.argmax())
        if self._form is not None:
            self._form.take(token)
        return token

    @property
    def is_over(self) -> bool:
        """Whether the form has nothing to follow."""
        return self._form is not None and self._form.is_over

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
