"""engine.memory.kv_cache: the bytes that llama.cpp itself allocates."""

import re
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.gguf import read_header
from engine.memory.card import Layer, ModelCard, read_card
from engine.memory.kv_cache import GGML_NUMBERS, KV_TYPES, kv_bytes, pad, row_bytes
from tests.models.cache import cached
from tests.models.probe import probe

MIB = 1 << 20
SCOUT = ModelCard(
    path=Path("scout.gguf"),
    name="Scout",
    architecture="llama4",
    quantization="Q4_K",
    window=10_485_760,
    n_vocab=202_048,
    n_embd=5_120,
    n_ff=16_384,
    layers=tuple(Layer(8 * 128, 8 * 128, at % 4 != 3) for at in range(48)),
    attention_window=8_192,
    exact=True,
    weights_bytes=57 << 30,
)


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
def test_scouts_true_shape(n_ctx: int, kv_type: str, n_ubatch: int, swa_full: bool, mib: float) -> None:
    """As read off llama.cpp for a header of Scout's shape."""
    assert kv_bytes(SCOUT, n_ctx, kv_type=kv_type, n_ubatch=n_ubatch, swa_full=swa_full) == mib * MIB


@pytest.mark.parametrize(
    ("model", "n_ctx", "kv_type", "n_ubatch", "swa_full"),
    [
        ("scout", 1, "f16", 512, False),
        ("scout", 20_480, "q8_0", 512, False),
        ("scout", 131_072, "f16", 2_048, False),
        ("scout", 131_072, "q4_0", 512, True),
        ("llama", 1_000, "f16", 512, False),
        ("llama", 8_192, "q5_1", 256, False),
        ("gemma3", 600, "f32", 128, False),
        ("gemma3", 8_192, "f16", 512, False),
        ("gemma3", 8_000, "iq4_nl", 64, False),
        ("gemma3", 8_192, "bf16", 512, True),
        ("gemma3 of 8 layers", 3_000, "q5_0", 300, False),
    ],
)
def test_bytes_equal_the_engines_own(model: str, n_ctx: int, kv_type: str, n_ubatch: int, swa_full: bool) -> None:
    path = {
        "scout": lambda: cached("scout", vocab="none"),
        "llama": lambda: cached("llama"),
        "gemma3": lambda: cached("gemma3"),
        "gemma3 of 8 layers": lambda: cached("gemma3", n_layer=8, n_window=1_000),
    }[model]()
    result = probe(
        path, n_ctx=n_ctx, kv_type=GGML_NUMBERS[kv_type], n_ubatch=n_ubatch, swa_full=swa_full, no_alloc=True
    )
    assert result.status == 0, result.log
    logged = [float(size) for size in re.findall(r"llama_kv_cache: size = +([\d.]+) MiB", result.log)]
    assert len(logged) == (1 if model == "llama" else 2)
    ours = kv_bytes(read_card(read_header(path)), n_ctx, kv_type=kv_type, n_ubatch=n_ubatch, swa_full=swa_full)
    assert ours / MIB == pytest.approx(sum(logged), abs=0.011)  # two numbers, rounded to 0.01


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
