"""What public guides say of Scout and Maverick, each row reproduced or corrected by the engines' own arithmetic.

The rows: https://apxml.com/posts/llama-4-system-requirements (weights and KV by context), a widely copied "18.8 TB" and
"over 500 GB" for 10M tokens, llama-cookbook's 1.4M tokens on eight H100, and what a picture costs. Sizes are decimal
GB, as there. docs/deploy.md shows the same table.
"""

import pytest

from engine.memory.card import card_at
from engine.memory.catalog.entry import find
from engine.memory.catalog.ghost import ghost_of
from engine.memory.cluster.kinds import parse_fleet
from engine.memory.cluster.llama4 import llama4
from engine.memory.cluster.rules import Engine, Settings, kv_bytes_on
from engine.memory.cluster.serving import Asked, plan_serving
from engine.memory.kv_cache import kv_bytes
from engine.tokens.tiles import TILE_TOKENS, llama_cpp_tiling

K, M, GB = 1 << 10, 1 << 20, 1e9
ONE = parse_fleet("1xH200-141G").kind


def in_gb(name: str, n_tokens: int, *, hybrid: bool) -> float:
    """Weights and the KV cache of one request, on however many GPUs."""
    model = llama4(name)
    assert model is not None
    cache = kv_bytes_on(model, ONE, Settings(engine=Engine.VLLM, hybrid=hybrid), n_tokens)
    return (model.checkpoints[0].n_bytes + cache) / GB


@pytest.mark.parametrize(
    ("name", "n_tokens", "said_gb", "full_gb", "hybrid_gb"),
    [
        ("scout-int4", 4 * K, 99.5, 65.7, 65.7),
        ("scout-int4", 128 * K, 334, 90.6, 73.7),
        ("scout-bf16", 4 * K, 345, 218.1, 218.1),
        ("scout-bf16", 128 * K, 579, 243.1, 226.1),
        ("maverick-int4", 4 * K, 318, 216.7, 216.7),
        ("maverick-int4", 128 * K, 552, 241.7, 224.8),
        ("maverick-bf16", 4 * K, 1220, 804.0, 804.0),
    ],
)
def test_weights_and_kv_are_less_than_the_guide_says(
    name: str, n_tokens: int, said_gb: float, full_gb: float, hybrid_gb: float
) -> None:
    """It counts every head and 32 bits: eight KV heads of forty, and 16 bits, are a tenth of that."""
    assert in_gb(name, n_tokens, hybrid=False) == pytest.approx(full_gb, abs=0.06)
    assert in_gb(name, n_tokens, hybrid=True) == pytest.approx(hybrid_gb, abs=0.06)
    assert full_gb < said_gb


def test_ten_million_tokens_take_half_a_terabyte_not_nineteen() -> None:
    model = llama4("scout")
    assert model is not None
    full = kv_bytes_on(model, ONE, Settings(engine=Engine.VLLM, hybrid=False), 10 * M)
    hybrid = kv_bytes_on(model, ONE, Settings(engine=Engine.VLLM), 10 * M)
    assert full == 10 * M * 192 * K and full / 1e12 == pytest.approx(2.06, abs=0.005)  # the guides: 18.8 TB
    assert hybrid / GB == pytest.approx(517.8, abs=0.1)  # "over 500 GB" is right


def test_llama_cpp_says_the_same_of_ten_million_tokens(tmp_path_factory: pytest.TempPathFactory) -> None:
    entry = find("scout-q4_k_m")
    assert entry is not None
    card = card_at(ghost_of(entry, tmp_path_factory.mktemp("ghosts")))
    assert kv_bytes(card, 10 * M) / GB == pytest.approx(516.7, abs=0.05)
    assert kv_bytes(card, 10 * M, kv_type="q4_0") / (1 << 30) == pytest.approx(135.3, abs=0.1)
    assert (entry.weights_bytes + kv_bytes(card, 4 * K)) / GB == pytest.approx(66.1, abs=0.1)  # the guides: 76 to 100
    assert (entry.weights_bytes + kv_bytes(card, 128 * K)) / GB == pytest.approx(73.1, abs=0.1)  # the guides: 334


def test_eight_h100_hold_about_the_tokens_that_the_cookbook_says() -> None:
    """https://github.com/meta-llama/llama-cookbook: 1.4M tokens on 8xH100 in BF16, every layer in full."""
    model = llama4("scout")
    assert model is not None
    plan = plan_serving(model, parse_fleet("8xH100-80G"), Asked(engine=Engine.VLLM, hybrid=False))
    assert plan.room_tokens == pytest.approx(1_400_000, rel=0.06)


def test_what_a_picture_costs() -> None:
    """The guides: 256 tokens a tile, 1,000 to 1,500 for 1024 x 1024 pixels. llama.cpp: up to nine and an overview."""
    assert TILE_TOKENS == 144
    assert llama_cpp_tiling(1024, 1024).n_tokens(separators=False) == 1_442
