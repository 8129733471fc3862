"""Choosing the next token: llama.cpp's sampler chain, or the largest logit when greedy, of those that a form allows.

Penalties are taken off here, as llama.cpp's own does it: its sampler goes through all candidates for the few tokens
that a reply had, and the greedy choice does without candidates.
"""

import ctypes
import secrets
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineSpoiled
from engine.runtime.events import Sampling
from engine.runtime.form import Form

Logits = NDArray[np.float32]  # of shape [n_vocab], good until the next decoding


class Sampler:
    """The sampler of one reply. Free it when the reply is done."""

    def __init__(self, sampling: Sampling, n_vocab: int, form: Form | None = None, before: Iterable[int] = ()) -> None:
        """before: the tokens of the reply that it goes on from."""
        self._n_vocab, self._form = n_vocab, form
        self._penalties = Penalties(sampling, before) if sampling.penalizes and sampling.repeat_last_n else None
        self._chain = _chain(sampling, n_vocab) if sampling.temperature > 0 else None

    def sample(self, context: Any) -> int:
        """The next token, from the logits of the last decoded one, which a form and penalties change."""
        values = logits_of(context, self._n_vocab)
        assert values is not None  # whoever samples has asked for them
        if self._penalties is not None:
            self._penalties.hold(values)
        if self._form is not None:
            self._form.hold(values)
        if self._chain is not None:
            token = int(llama_cpp.llama_sampler_sample(self._chain, context, -1))
        else:  # numpy's argmax is several times as quick as llama.cpp's greedy chain over 200,000 candidates
            token = int(values.argmax())
        if self._form is not None:
            self._form.take(token)
        return token

    def take(self, token: int) -> None:
        """What the reply goes on with, whoever chose it."""
        if self._penalties is not None:
            self._penalties.take(token)

    @property
    def is_over(self) -> bool:
        """Whether the form has nothing to follow."""
        return self._form is not None and self._form.is_over

    def free(self) -> None:
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


class Penalties:
    """What speaks against the tokens that a reply had last. See Sampling."""

    def __init__(self, sampling: Sampling, before: Iterable[int] = ()) -> None:
        most = sampling.repeat_last_n if sampling.repeat_last_n >= 0 else None
        self._sampling, self._last, self._most = sampling, deque[int](), most
        self._counts = Counter[int]()
        for token in before:
            self.take(int(token))

    def take(self, token: int) -> None:
        """The next token of the reply."""
        self._last.append(token)
        self._counts[token] += 1
        if self._most is not None and len(self._last) > self._most:
            gone = self._last.popleft()
            self._counts[gone] -= 1
            if not self._counts[gone]:
                del self._counts[gone]

    def hold(self, logits: Logits) -> None:
        """Changes logits in place."""
        if not self._counts:
            return
        said, times = np.array([*self._counts]), np.array([*self._counts.values()], dtype=np.float32)
        values, by = logits[said], np.float32(self._sampling.repeat_penalty)
        values = np.where(values <= 0, values * by, values / by)
        logits[said] = values - times * self._sampling.frequency_penalty - self._sampling.presence_penalty


def logits_of(context: Any, n_vocab: int) -> Logits | None:
    """Those that were computed last; None where none were asked for."""
    logits = llama_cpp.llama_get_logits_ith(context, -1)
    if not logits:
        return None
    floats = (ctypes.c_float * n_vocab).from_address(ctypes.addressof(logits.contents))
    return np.frombuffer(memoryview(floats).cast("B"), dtype=np.float32)


def are_numbers(logits: Logits) -> bool:
    """Whether nothing of it is infinite or NaN, which both of these pass on."""
    return bool(np.isfinite(logits.max()) and np.isfinite(logits.min()))


def spoiled(n_tokens: int, kv_type: str) -> EngineSpoiled:
    """What is raised where something is. n_tokens: behind which it was seen."""
    coarse = "" if kv_type in ("f16", "f32", "bf16") else f", or a KV cache in {kv_type} is too coarse for it"
    return EngineSpoiled(
        f"After {n_tokens:,} tokens, what the model computes is no number (NaN): its file is damaged or badly "
        f"converted{coarse}. Nothing of its KV cache is kept.",
        "Try --kv f16." if coarse else "Take another conversion of the model.",
    )


def _chain(sampling: Sampling, n_vocab: int) -> Any:
    """top-k, top-p, min-p, xtc, temperature, draw: llama.cpp's own order; mirostat in place of them."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    temperature = llama_cpp.llama_sampler_init_temp(sampling.temperature)
    if sampling.mirostat:
        tau, eta = sampling.mirostat_tau, sampling.mirostat_eta
        drawn = (
            llama_cpp.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, 100)
            if sampling.mirostat == 1
            else llama_cpp.llama_sampler_init_mirostat_v2(seed, tau, eta)
        )
        links = [temperature, drawn]
    else:
        links = [
            *([llama_cpp.llama_sampler_init_top_k(sampling.top_k)] if sampling.top_k else ()),
            llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
            llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
            *(
                [llama_cpp.llama_sampler_init_xtc(sampling.xtc_probability, sampling.xtc_threshold, 1, seed)]
                if sampling.xtc_probability
                else ()
            ),
            temperature,
            llama_cpp.llama_sampler_init_dist(seed),
        ]
    for link in links:
        llama_cpp.llama_sampler_chain_add(chain, link)
    return chain
