"""engine.memory.card: what a header says of a model's size."""

import shutil
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from engine.errors import ModelRefused
from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.fingerprint import fingerprint
from tests.models.cache import cached


def card_of(path: Path) -> ModelCard:
    return read_card(read_header(path))


def header_only(path: Path, architecture: str, **fields: int | list[int]) -> Path:
    """A GGUF of metadata alone; fields are named without the architecture, a dot is written __."""
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in fields.items():
        key = f"{architecture}.{name.replace('__', '.')}"
        if isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


BASE = {"block_count": 4, "context_length": 1_000, "embedding_length": 64, "attention__head_count": 4}


def test_the_test_models() -> None:
    scout, llama, gemma = (card_of(cached(name)) for name in ("scout", "llama", "gemma3"))
    assert (scout.architecture, scout.n_vocab, scout.attention_window, scout.exact) == ("llama4", 202_048, 8_192, True)
    assert [layer.windowed for layer in scout.layers] == [True, True, True, False] * 2
    assert {(layer.n_embd_k, layer.n_embd_v) for layer in scout.layers} == {(64, 64)}
    assert (llama.name, llama.window, llama.quantization, llama.n_ff) == ("Tiny Llama", 8_192, "F16", 128)
    assert not any(layer.windowed for layer in llama.layers) and len(llama.layers) == 4 and llama.exact
    assert [layer.windowed for layer in gemma.layers] == [True] * 5 + [False] and gemma.attention_window == 512
    for name, card in (("scout", scout), ("llama", llama), ("gemma3", gemma)):
        assert card.weights_bytes == sum(int(tensor.n_bytes) for tensor in read_header(cached(name)).tensors)


def test_where_the_bytes_are(starter_gguf: Path, tmp_path: Path) -> None:
    """The input, the layers and the output add up to all; a split model's parts count together."""
    scout, starter = card_of(cached("scout")), card_of(starter_gguf)
    for card in (scout, starter, card_of(cached("gemma3")), card_of(cached("llama"))):
        layers = sum(layer.weights_bytes for layer in card.layers)
        assert card.input_bytes + layers + card.output_bytes == card.weights_bytes
    embedding = 202_048 * 64 * 2
    assert (scout.input_bytes, scout.output_bytes, scout.tied_bytes) == (embedding, embedding + 64 * 4, 0)
    assert {layer.expert_bytes for layer in scout.layers} == {4 * 3 * 128 * 64 * 2} and scout.n_experts == 4
    assert scout.layers[0].weights_bytes == scout.layers[3].weights_bytes + 16 * 4  # rope_freqs
    assert starter.tied_bytes == starter.input_bytes > 0 and starter.output_bytes == starter.n_embd * 4
    assert not any(layer.expert_bytes for layer in starter.layers) and starter.n_experts == 0
    assert {(layer.n_embd_k, layer.n_embd_v) for layer in starter.layers} == {(3 * 64, 3 * 64)}


def test_no_vocabulary(tmp_path: Path) -> None:
    """A file that says only how many tokens there are can be planned with."""
    card = card_of(cached("scout", vocab="none"))
    assert card.n_vocab == 202_048 and not card.has_vocabulary


def test_nothing_but_headers_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 60 GB, most of it a hole, costs a few blocks."""
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in BASE.items():
        writer.add_uint32(f"llama.{name.replace('__', '.')}", value)
    shape = (60_000_000, 1_000)
    writer.add_tensor_info("blk.0.ffn_up.weight", shape, np.dtype(np.uint8), 60 * 10**9, gguf.GGMLQuantizationType.I8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 64 + 60 * 10**9)
    io = Path("/proc/self/io")
    if not io.exists():
        pytest.skip("this system does not count the bytes that a process reads")
    before = int(io.read_text().split()[1])
    assert card_of(path).weights_bytes == 60 * 10**9
    assert int(io.read_text().split()[1]) - before < 128 << 10


def test_the_starter(starter_gguf: Path) -> None:
    card = card_of(starter_gguf)
    assert (card.window, card.quantization, card.architecture, len(card.layers)) == (8_192, "Q4_1", "llama", 30)


def test_windows_can_be_off(tmp_path: Path) -> None:
    off = card_of(header_only(tmp_path / "x", "llama4", **BASE, attention__sliding_window=0))
    assert not any(layer.windowed for layer in off.layers) and off.attention_window == 0 and off.exact
    never = card_of(header_only(tmp_path / "z", "llama", **BASE, attention__sliding_window=512))
    assert not any(layer.windowed for layer in never.layers) and never.attention_window == 0 and never.exact
    other = card_of(header_only(tmp_path / "y", "starcoder2", **BASE, attention__sliding_window=512))
    assert not any(layer.windowed for layer in other.layers) and not other.exact  # an upper bound


def test_heads_by_layer(tmp_path: Path) -> None:
    none_said = card_of(header_only(tmp_path / "a", "llama", **BASE))
    assert [layer.n_embd_k for layer in none_said.layers] == [64] * 4
    mixed = {**BASE, "attention__head_count_kv": [0, 2, 0, 4], "shortconv__l_cache": 3}
    some = card_of(header_only(tmp_path / "b", "lfm2", **mixed))
    assert [layer.n_embd_k for layer in some.layers] == [0, 32, 0, 64] and not some.exact
    wide = card_of(header_only(tmp_path / "c", "llama", **BASE, attention__key_length=32, attention__value_length=8))
    assert [(layer.n_embd_k, layer.n_embd_v) for layer in wide.layers] == [(128, 32)] * 4


@pytest.mark.parametrize(
    "other",
    [
        "ssm__state_size",
        "attention__kv_lora_rank",
        "nextn_predict_layers",
        "full_attention_interval",
        "attention__indexer__head_count",
    ],
)
def test_other_caches_are_no_exact_figure(other: str, tmp_path: Path) -> None:
    fields = {**BASE, other: 1}
    assert not card_of(header_only(tmp_path / "x", "any", **fields)).exact


@pytest.mark.parametrize(
    ("architecture", "changes", "fact"),
    [
        ("clip", {"block_count": 0}, "is a vision projector"),
        ("llama", {"block_count": 99_999}, "it has 99999 layers"),
        ("llama", {"context_length": 0}, "a window of 0 tokens"),
        ("llama", {"embedding_length": 0}, "0 dimensions"),
        ("", {}, "does not say what architecture it is"),
        ("llama", {"attention__head_count_kv": [2, 2, -4, 2]}, "a layer has -4 KV heads"),
    ],
)
def test_what_is_no_model(architecture: str, changes: dict[str, int | list[int]], fact: str, tmp_path: Path) -> None:
    path = header_only(tmp_path / "x.gguf", architecture, **{**BASE, **changes})
    with pytest.raises(ModelRefused, match=fact):
        card_of(path)


def test_split_models(tmp_path: Path) -> None:
    first, second = (tmp_path / f"m-0000{n}-of-00002.gguf" for n in (1, 2))
    shutil.copyfile(cached("llama"), first)
    with pytest.raises(ModelRefused, match=r"1 of them are missing \(m-00002-of-00002.gguf\)"):
        card_of(first)
    shutil.copyfile(cached("llama", seed=1), second)
    card = card_of(first)
    assert card.weights_bytes == 2 * card_of(cached("llama")).weights_bytes
    whole = fingerprint(card)
    with pytest.raises(ModelRefused, match="is part 2 of a split model") as caught:
        card_of(second)
    assert "m-00001-of-00002.gguf" in caught.value.remedy
    shutil.copyfile(cached("llama", seed=2), second)
    assert fingerprint(card_of(first)) != whole  # the other part's weights count too
    odd = tmp_path / "x-00001-of-99999.gguf"
    shutil.copyfile(first, odd)
    with pytest.raises(ModelRefused, match="one of 99,999 files"):
        card_of(odd)
    second.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(ModelRefused, match="is cut short"):
        card_of(first)


def test_fingerprints_tell_models_of_one_shape_apart(tmp_path: Path) -> None:
    first, second = cached("llama"), cached("llama", seed=1)
    assert fingerprint(card_of(first)) != fingerprint(card_of(second))
    copy = tmp_path / "copy.gguf"
    shutil.copyfile(first, copy)
    assert fingerprint(card_of(copy)) == fingerprint(card_of(first))
    start = read_header(copy).data_start
    for place in (start, copy.stat().st_size - 4):  # the first and the last weight
        with copy.open("r+b") as file:
            file.seek(place)
            file.write(struct.pack("<f", 1.5))
        assert fingerprint(card_of(copy)) != fingerprint(card_of(first))
        shutil.copyfile(first, copy)
