"""engine.gguf and engine.memory.card on files spoilt at random: each is read or refused, with little work and memory.

Seeds are fixed. What each fault is called stands in test_gguf and test_card.
"""

import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.gguf import read_header
from tests.engine.test_gguf import WHOLE, pair, small_gguf, tensor, text
from tests.header_cost import calls_and_bytes, read
from tests.models.cache import build
from tests.models.header import TENSORS, build_header
from tests.work import calls

MOST_CALLS, MOST_BYTES = 100_000, 200 << 20


def mutations(seed: int) -> Callable[[bytes], bytes]:
    """A seeded way to spoil a file: bytes flipped, numbers made extreme, parts cut out, doubled, replaced, cut off."""
    source = random.Random(seed)

    def spoil(data: bytes) -> bytes:
        spoilt = bytearray(data)
        for _ in range(source.choice((1, 1, 2, 8))):
            at, size = source.randrange(4, len(spoilt)), source.randrange(1, 40)
            match source.randrange(6):
                case 0:
                    spoilt[at] ^= 1 << source.randrange(8)
                case 1:
                    extreme = source.choice((0, 1, 1 << 20, 1 << 31, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1))
                    spoilt[at : at + 8] = struct.pack("<Q", extreme)
                case 2:
                    del spoilt[at : at + size]
                case 3:
                    spoilt[at:at] = spoilt[at : at + size]
                case 4:
                    spoilt[at : at + size] = source.randbytes(size)
                case 5 if source.random() < 0.2:
                    del spoilt[at:]
            if len(spoilt) < 5:
                break
        return bytes(spoilt)

    return spoil


def seed_files(folder: Path) -> list[tuple[bytes, int]]:
    """Headers with the length of the whole file: by hand, and of models large and small."""
    paths = [build_header(folder / f"{name}.gguf", name, window=512) for name in TENSORS]
    paths += [build("ghost", folder / "ghost.gguf", n_layer=4), build("llama", folder / "whole.gguf", n_layer=1)]
    headers = [(read_header(path).data_start, path) for path in paths]
    return (
        [(WHOLE, len(WHOLE))] * 4
        + [(path.read_bytes()[:start], path.stat().st_size) for start, path in headers[:-2]]
        + [_head_of(path, start) for start, path in headers[-2:]]
    )


def _head_of(path: Path, start: int) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return file.read(start), path.stat().st_size


@pytest.mark.slow  # 6.5 s
def test_no_mutation_does_more_than_refuse(tmp_path: Path) -> None:
    seeds, spoil, path = seed_files(tmp_path), mutations(0), tmp_path / "x.gguf"
    results: list[object] = []
    n_files = 2_000
    tracemalloc.start()
    for n in range(n_files):
        if n == 150:  # watching memory takes most of the time
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        data, n_bytes = seeds[n % len(seeds)]
        path.write_bytes(spoil(data))
        os.truncate(path, n_bytes)
        assert calls(lambda: results.append(read(path))) < MOST_CALLS
    assert 50 < results.count(None) < n_files - 50  # both ends are met
    assert peak < 32 << 20


def scalar(kind: int, layout: str, *values: float) -> list[tuple[int, bytes]]:
    return [(kind, struct.pack(f"<{layout}", value)) for value in values]


def array(kind: int, layout: str, *values: float) -> tuple[int, bytes]:
    return 9, struct.pack(f"<IQ{len(values)}{layout}", kind, len(values), *values)


NAN, INFINITE = float("nan"), float("inf")
ODD_VALUES = [
    *scalar(4, "I", 0, 1, 1 << 31, (1 << 32) - 1),
    *scalar(5, "i", 0, -1, -(1 << 31)),
    *scalar(10, "Q", 0, 1 << 63, (1 << 64) - 1),
    *scalar(11, "q", -1, -(1 << 63)),
    *scalar(6, "f", NAN, INFINITE, -INFINITE, 4.0),
    *scalar(12, "d", NAN, 1e308),
    *scalar(7, "?", True, False),
    *((8, text(value)) for value in ("", "llama4", "x" * 300, "\x00\n\x1b[31m")),
    (8, struct.pack("<Q", 2) + b"\xff\xfe"),
    array(4, "I"),
    array(4, "I", *[0] * 8),
    array(4, "I", *[(1 << 32) - 1] * 8),
    array(5, "i", *[-4] * 8),
    array(5, "i", *[4] * 5_000),
    array(10, "Q", *[1 << 63] * 8),
    array(6, "f", *[NAN] * 8),
    array(7, "?", *[True] * 8),
    (9, struct.pack("<IQ", 8, 2) + text("a") + text("b")),
    (9, struct.pack("<IQ", 9, 1) + struct.pack("<IQI", 4, 1, 7)),  # an array of arrays
    (9, struct.pack("<IQ", 9, 1 << 40)),
    (13, b""),
]
ARCHITECTURES = ("llama", "llama4", "gemma2", "gemma3", "gemma3n", "lfm2", "deepseek2", "qwen2", "clip", "", "\x00")
FIELDS = (
    *("block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size", "expert_count"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
    *("attention.sliding_window", "attention.sliding_window_pattern", "attention.key_length_swa"),
    *("attention.shared_kv_layers", "expert_used_count", "interleave_moe_layer_step", "ssm.state_size"),
)
GENERAL = ("general.name", "general.architecture", "general.alignment", "tokenizer.ggml.tokens", "split.count")


def odd_model(source: random.Random) -> bytes:
    """A file whose fields are those of a model, but for some that are odd, missing or there twice."""
    name = source.choice(ARCHITECTURES)
    usual = {"block_count": 8, "context_length": 1_024, "embedding_length": 64, "attention.head_count": 4}
    pairs = {"general.architecture": (8, text(name))}
    pairs |= {f"{name}.{key}": (4, struct.pack("<I", value)) for key, value in usual.items()}
    for _ in range(source.randrange(1, 6)):
        key = source.choice(GENERAL) if source.random() < 0.2 else f"{name}.{source.choice(FIELDS)}"
        pairs[key] = source.choice(ODD_VALUES)
    if source.random() < 0.2:
        pairs.pop(source.choice(list(pairs)))
    rows = [pair(key, kind, value) for key, (kind, value) in pairs.items()]
    if source.random() < 0.05:
        rows.append(source.choice(rows))
    return small_gguf(tuple(rows), (tensor("token_embd.weight", (64, 4)),), n_data=1_024)


@pytest.mark.slow  # 2.0 s
def test_no_field_does_more_than_refuse(tmp_path: Path) -> None:
    path, source = tmp_path / "x.gguf", random.Random(0)
    results: list[object] = []
    for _ in range(3_000):
        path.write_bytes(odd_model(source))
        assert calls(lambda: results.append(read(path))) < MOST_CALLS
    assert 300 < results.count(None) < 2_700


def head(n_tensors: int, n_pairs: int, body: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_pairs) + body


def filled(n_arrays: int, kind: int, n_items: int, item: bytes) -> bytes:
    """Arrays that are really there."""
    return b"".join(pair(f"k{n}", 9, struct.pack("<IQ", kind, n_items) + item * n_items) for n in range(n_arrays))


A_TEXT = struct.pack("<Q", 1 << 20) + bytes(1 << 20)

# name -> a header, as large as it gets
HOSTILE: dict[str, Callable[[], bytes]] = {
    "strings that are claimed": lambda: small_gguf((pair("k", 9, struct.pack("<IQ", 8, 1 << 30)),)),
    "numbers that are claimed": lambda: small_gguf((pair("k", 9, struct.pack("<IQ", 4, 1 << 30)),)),
    "a string that is claimed": lambda: small_gguf((pair("k", 8, struct.pack("<Q", 40 << 30)),)),
    "a key that is claimed": lambda: head(0, 1, struct.pack("<Q", 40 << 20)),
    "a tensor's name that is claimed": lambda: head(1, 0, struct.pack("<Q", 40 << 20)),
    "empty strings": lambda: head(0, 1, filled(1, 8, 1 << 21, bytes(8))),
    "long strings": lambda: head(0, 1, filled(1, 8, 44, struct.pack("<Q", (1 << 20) - 8) + b"\xff" * ((1 << 20) - 8))),
    "texts that are no UTF-8": lambda: head(
        0, 44, b"".join(pair(f"k{n}", 8, struct.pack("<Q", 1 << 20) + b"\xff" * (1 << 20)) for n in range(44))
    ),
    "large numbers": lambda: head(0, 2, filled(2, 10, 1 << 20, b"\xfe" * 8)),
    "numbers and texts": lambda: head(
        0, 2, filled(1, 10, (1 << 21) - 28, b"\xfe" * 8) + pair("j", 9, struct.pack("<IQ", 8, 28) + A_TEXT * 28)
    ),
    "many fields": lambda: head(
        0, 1 << 16, b"".join(pair(f"{n}", 9, struct.pack("<IQ", 4, 0)) for n in range(1 << 16))
    ),
    "many tensors": lambda: head(1 << 15, 0, b"".join(tensor(f"{n}", (8,), 0, 32 * n) for n in range(1 << 15))),
    "too many tensors": lambda: head(1 << 20, 0, tensor("", (1,), 0, 0) * (1 << 20)),
}


def hostile(folder: Path, name: str) -> Path:
    """In a sparse file of 60 GiB, so that nothing is refused for its length alone."""
    path = folder / "x.gguf"
    path.write_bytes(HOSTILE[name]())
    os.truncate(path, 60 << 30)
    return path


@pytest.mark.slow  # 5.5 s
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_costs_little(name: str, tmp_path: Path) -> None:
    """Two calls for each of two million empty strings are most."""
    n_calls, peak = calls_and_bytes(hostile(tmp_path, name))
    assert n_calls < 50 * MOST_CALLS and peak < MOST_BYTES, (n_calls, peak >> 20)


def many_parts(folder: Path) -> Path:
    """A file that claims to be the first of many, with thousands of layers."""
    fields = {"block_count": 4_096, "context_length": 10, "embedding_length": 64}
    pairs = (pair("general.architecture", 8, text("llama")),)
    pairs += tuple(pair(f"llama.{key}", 4, struct.pack("<I", value)) for key, value in fields.items())
    path = folder / "x-00001-of-99999.gguf"
    path.write_bytes(small_gguf(pairs))
    return path


def test_a_model_of_many_parts_and_layers_costs_little(tmp_path: Path) -> None:
    n_calls, peak = calls_and_bytes(many_parts(tmp_path))
    assert n_calls < MOST_CALLS and peak < MOST_BYTES
