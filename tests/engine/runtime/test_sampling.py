"""What speaks against tokens of the reply, as llama.cpp has it; and logits that are no numbers."""

import ctypes
from random import Random
from typing import Any

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.runtime.events import Sampling
from engine.runtime.sampling import Penalties, Sampler, are_numbers

N_VOCAB = 500


def by_llama(sampling: Sampling, said: list[int], logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """What llama.cpp's own sampler makes of logits."""
    sampler = llama_cpp.llama_sampler_init_penalties(
        N_VOCAB,
        sampling.repeat_last_n if sampling.repeat_last_n >= 0 else len(said),
        sampling.repeat_penalty,
        sampling.frequency_penalty,
        sampling.presence_penalty,
    )
    for token in said:
        llama_cpp.llama_sampler_accept(sampler, token)
    data = (llama_cpp.llama_token_data * N_VOCAB)(*((at, float(value), 0.0) for at, value in enumerate(logits)))
    candidates = llama_cpp.llama_token_data_array(data, N_VOCAB, -1, False)
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(candidates))
    llama_cpp.llama_sampler_free(sampler)
    changed = np.empty(N_VOCAB, dtype=np.float32)
    for each in data:
        changed[each.id] = each.logit
    return changed


@pytest.mark.parametrize(
    "options",
    [
        {"repeat_penalty": 1.1},
        {"presence_penalty": 0.5},
        {"frequency_penalty": 0.3},
        {"repeat_penalty": 0.8, "presence_penalty": -1.0, "frequency_penalty": 2.0},
        {"repeat_penalty": 1.3, "repeat_last_n": 5},
        {"frequency_penalty": 0.25, "repeat_last_n": -1},
    ],
)
def test_penalties_are_llama_cpps(options: dict[str, Any]) -> None:
    for seed in range(20):
        drawn = Random(seed)
        said = [drawn.randrange(40) for _ in range(drawn.randrange(1, 150))]
        logits = np.random.default_rng(seed).normal(0, 5, N_VOCAB).astype(np.float32)
        expected = by_llama(Sampling(**options), said, logits)
        penalties = Penalties(Sampling(**options), said[:3])
        for token in said[3:]:
            penalties.take(token)
        penalties.hold(logits)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_nothing_speaks_against_a_reply_that_has_not_begun() -> None:
    logits = np.ones(N_VOCAB, dtype=np.float32)
    Penalties(Sampling(repeat_penalty=1.5)).hold(logits)
    assert (logits == 1).all()
    assert not Sampling().penalizes and Sampling(presence_penalty=0.1).penalizes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": 20, "min_p": 0.0},
        {"mirostat": 1},
        {"mirostat": 2, "mirostat_tau": 4.0},
        {"xtc_probability": 0.5, "xtc_threshold": 0.1},
        {"repeat_penalty": 1.1},
    ],
)
def test_every_chain_can_be_made(options: dict[str, Any]) -> None:
    Sampler(Sampling(temperature=0.7, seed=1, **options), N_VOCAB).free()


@pytest.mark.parametrize(("odd", "is_number"), [(np.nan, False), (np.inf, False), (-np.inf, False), (-3e38, True)])
def test_what_is_no_number(odd: float, is_number: bool) -> None:
    logits = np.zeros(N_VOCAB, dtype=np.float32)
    assert are_numbers(logits)
    logits[77] = odd
    assert are_numbers(logits) is is_number
