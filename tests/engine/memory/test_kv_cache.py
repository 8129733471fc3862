"""engine.memory.kv_cache: the bytes that llama.cpp itself allocates, to the byte.

llama.cpp's figure is made of what it says of a context that it lays out (`tests.models.contexts`): cells and layers out
of its log, a row's bytes by ggml_row_size(), and their product held against the MiB that it logs with two decimals.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UsageError
from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.kv_cache import GGML_NUMBERS, kv_bytes, pad, row_bytes
from engine.tensor_types import KV_TYPES
from tests.models import header
from tests.models.cache import cached
from tests.models.contexts import Contexts
from tests.models.header import build_header

MIB = 1 << 20
N_SETTINGS = 100  # a model

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "scout": ("scout", {"vocab": "none"}),
    "maverick": ("maverick", {}),
    "llama": ("llama", {}),
    "llama, wide heads": ("llama", {"n_head": 6, "n_head_kv": 3, "head_dim": 64}),
    "qwen2": ("qwen2", {}),
    "gemma3": ("gemma3", {}),
    "gemma3, 8 layers": ("gemma3", {"n_layer": 8, "n_window": 1_000}),
    "gemma3, a small window": ("gemma3", {"n_layer": 13, "n_window": 48}),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Contexts]:
    """One child for all: a context takes it 2 ms."""
    with Contexts() as contexts:
        yield contexts


def card_of(path: Path) -> ModelCard:
    return read_card(read_header(path))


def engines_bytes(engine: Contexts, path: Path, n_ctx: int, *, kv_type: str = "f16", **options: Any) -> int:
    """llama.cpp's own figure, of one cache or of two."""
    return sum(cache.n_bytes for cache in engine.caches(path, n_ctx, kv_type=GGML_NUMBERS[kv_type], **options))


@pytest.mark.parametrize("model", ["scout", "maverick"])
@pytest.mark.parametrize(
    ("n_ctx", "kv_type", "n_ubatch", "swa_full", "mib"),
    [
        (4_096, "f16", 512, False, 192 + 576),
        (131_072, "f16", 512, False, 6_144 + 1_224),
        (131_072, "f16", 512, True, 6_144 + 18_432),
        (131_072, "q8_0", 512, False, 3_264 + 650.25),
        (131_072, "q4_0", 512, False, 1_728 + 344.25),
        (1_048_576, "f16", 512, False, 49_152 + 1_224),
        (10_485_760, "f16", 512, False, 491_520 + 1_224),
        (10_485_760, "q8_0", 2_048, False, 261_120 + 765),
    ],
)
def test_llama_4_in_true_size(
    engine: Contexts, model: str, n_ctx: int, kv_type: str, n_ubatch: int, swa_full: bool, mib: float
) -> None:
    """Known figures, equal to llama.cpp's for the whole header and to ours."""
    path = cached("ghost", model=model)
    options = {"kv_type": kv_type, "n_ubatch": n_ubatch, "swa_full": swa_full}
    assert kv_bytes(card_of(path), n_ctx, **options) == mib * MIB == engines_bytes(engine, path, n_ctx, **options)


def settings(card: ModelCard, seed: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Endless random contexts: any size, about a window, about a block's end; each KV type in turn."""
    source = random.Random(seed)
    window = card.attention_window or 1_000
    sizes = (
        lambda: int(2 ** source.uniform(0, 18)),
        lambda: max(1, window + source.randrange(-300, 300)),
        lambda: window + source.randrange(4_200),
        lambda: 256 * source.randrange(1, 600) + source.randrange(-1, 2),
    )
    while True:
        for kv_type in KV_TYPES:
            n_ubatch = source.choice((1, 17, 32, 100, 256, 300, 512, 512, 512, 1_000, 2_048, 4_096))
            options = {"kv_type": kv_type, "n_ubatch": n_ubatch, "swa_full": source.random() < 0.2}
            yield source.choice(sizes)(), options


@pytest.mark.parametrize("name", MODELS)
def test_bytes_equal_the_engines_own(name: str, engine: Contexts) -> None:
    builder, parameters = MODELS[name]
    path = cached(builder, **parameters)
    card = card_of(path)
    assert card.exact
    differences = []
    for n_ctx, options in islice(settings(card, name), N_SETTINGS):
        ours, theirs = kv_bytes(card, n_ctx, **options), engines_bytes(engine, path, n_ctx, **options)
        if ours != theirs:
            differences.append((n_ctx, options, ours, theirs))
    assert differences == []
    assert len(engine.caches(path, 256)) == (2 if card.attention_window else 1)


@pytest.mark.parametrize(
    ("n_ctx", "n_ubatch", "n_cells"),
    [
        (8_191, 1, 8_192),
        (8_192, 512, 8_192),  # not more than there are tokens
        (8_193, 512, 8_448),
        (8_704, 512, 8_704),
        (8_705, 512, 8_704),  # a window and a batch
        (8_705, 513, 8_960),
        (20_000, 1, 8_448),
        (20_000, 4_096, 12_288),
        (300, 4_096, 512),  # llama.cpp cuts a batch to the context
    ],
)
def test_where_a_window_ends(n_ctx: int, n_ubatch: int, n_cells: int, engine: Contexts) -> None:
    path = cached("scout", vocab="none")
    whole, windowed = engine.caches(path, n_ctx, n_ubatch=n_ubatch)
    assert (whole.n_cells, windowed.n_cells) == (pad(n_ctx), n_cells)
    assert kv_bytes(card_of(path), n_ctx, n_ubatch=n_ubatch) == whole.n_bytes + windowed.n_bytes


NEED_A_WINDOW = ("cohere2", "gpt-oss")
THIRD = [layer % 3 > 0 for layer in range(header.SHAPE.n_layer)]


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        *((architecture, {"window": 512}) for architecture in header.TENSORS),
        *((architecture, {"window": None}) for architecture in header.TENSORS if architecture not in NEED_A_WINDOW),
        *((architecture, {"window": 0}) for architecture in header.TENSORS),
        *((architecture, {"window": 512, "pattern": 3}) for architecture in header.TENSORS),
        *((architecture, {"window": 512, "pattern": THIRD}) for architecture in header.TENSORS),
        ("exaone4", {"window": 512, "n_layer": 64}),
        ("exaone4", {"window": None, "n_layer": 64}),
        ("gemma3", {"window": 512, "pattern": 0}),
    ],
    ids=str,
)
def test_what_is_not_known_is_an_upper_bound(
    architecture: str, options: dict[str, Any], engine: Contexts, tmp_path: Path
) -> None:
    """Other architectures: a card that says it is exact is, any other says too much and never too little."""
    shape = replace(header.SHAPE, n_layer=options.get("n_layer", header.SHAPE.n_layer))
    path = build_header(
        tmp_path / "x.gguf", architecture, shape, window=options["window"], pattern=options.get("pattern")
    )
    card = card_of(path)
    for n_ctx in (256, 5_000, 40_000):
        ours, theirs = kv_bytes(card, n_ctx), engines_bytes(engine, path, n_ctx)
        assert ours == theirs or (ours > theirs and not card.exact)


def test_types_are_those_of_the_engine() -> None:
    assert set(GGML_NUMBERS) == set(KV_TYPES)
    rows = {kv_type: row_bytes(32, kv_type) for kv_type in KV_TYPES}
    assert rows == {
        **{"f32": 128, "f16": 64, "bf16": 64},
        **{"q8_0": 34, "q5_1": 24, "q5_0": 22, "q4_1": 20, "q4_0": 18, "iq4_nl": 18},
    }
    for unknown in ("q4_K", "F16", ""):
        with pytest.raises(UsageError, match="There is no KV cache type"):
            row_bytes(32, unknown)


def test_cells_come_in_blocks() -> None:
    assert [pad(n) for n in (0, 1, 256, 257, 10_485_760)] == [0, 256, 256, 512, 10_485_760]


def test_a_context_that_llama_cpp_refuses_is_no_figure(engine: Contexts, tmp_path: Path) -> None:
    narrow = cached("llama", head_dim=16)
    assert engines_bytes(engine, narrow, 512) > 0
    with pytest.raises(ValueError, match="16"):  # a head dim below 32 cannot be quantized
        engine.caches(narrow, 512, kv_type=GGML_NUMBERS["q8_0"])
    with pytest.raises(ValueError, match="failed to load model"):
        engine.caches(tmp_path / "nonsuch.gguf", 512)
