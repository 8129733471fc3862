"""A chain of hashes says how far two prompts are alike, and a binding what a KV state was made with."""

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.runtime.binding import Binding, binding_from
from engine.runtime.chain import BLOCK, blocks_in, chain, tokens_in

IDS = np.random.default_rng(0).integers(0, 200_000, 10 * BLOCK + 17, dtype=np.int32)


@pytest.mark.parametrize("at", [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 3, 10 * BLOCK - 1])
def test_chains_are_equal_up_to_the_block_that_differs(at: int) -> None:
    other = IDS.copy()
    other[at] += 1
    equal = [one == two for one, two in zip(chain(IDS), chain(other), strict=True)]
    assert equal == [True] * blocks_in(at) + [False] * (17 - blocks_in(at))


def test_whole_blocks_only() -> None:
    assert len(chain(IDS)) == 17 and chain(IDS) == chain(IDS[: 10 * BLOCK])  # 8 of 32 tokens, 9 of 256
    assert chain(IDS[:31]) == () and chain(IDS[:0]) == ()
    assert chain(IDS)[:11] == chain(IDS[: 4 * BLOCK])


def test_tokens_and_blocks() -> None:
    assert [tokens_in(n) for n in (0, 1, 7, 8, 9, 10)] == [0, 32, 224, 256, 512, 768]
    for n_tokens in range(3_000):
        n_blocks = blocks_in(n_tokens)
        assert tokens_in(n_blocks) <= n_tokens < tokens_in(n_blocks + 1)
        assert len(chain(IDS[:n_tokens])) == min(n_blocks, 17)


def test_the_same_block_elsewhere_is_another() -> None:
    twice = np.concatenate([IDS[:BLOCK], IDS[:BLOCK]])
    assert len(set(chain(twice))) == len(chain(twice)) == 9


BINDING = Binding(model="m", llama_cpp="1", kv_k="f16", kv_v="f16", projector="0" * 32, lora=("a",))


def test_a_binding_goes_through_json() -> None:
    assert binding_from(json.loads(json.dumps(BINDING.fields()))) == BINDING
    assert BINDING.mismatch(BINDING) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "n"}, "another model file"),
        ({"kv_v": "q8_0"}, "another KV type"),
        ({"projector": "1" * 32}, "another vision projector"),
        ({"llama_cpp": "2"}, "another version of llama.cpp"),
        ({"swa_full": True}, "another layout of windowed layers"),
        ({"rope": "long"}, "other RoPE settings"),
        ({"lora": ()}, "other LoRA adapters"),
    ],
)
def test_what_differs_is_said(change: dict[str, object], words: str) -> None:
    assert BINDING.mismatch(replace(BINDING, **change)) == words  # type: ignore[arg-type]


def test_a_projector_counts_where_both_have_read_pictures() -> None:
    """What a text alone and a prompt with pictures share is text."""
    text = replace(BINDING, projector="")
    assert BINDING.mismatch(text) is None and text.mismatch(BINDING) is None
