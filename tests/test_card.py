"""engine.memory.card: what a header says of a model's size."""

import shutil
import struct
from pathlib import Path

import gguf
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


def test_the_starter(starter_gguf: Path) -> None:
    card = card_of(starter_gguf)
    assert (card.window, card.quantization, card.architecture, len(card.layers)) == (8_192, "Q4_1", "llama", 30)


def test_windows_can_be_off(tmp_path: Path) -> None:
    off = card_of(header_only(tmp_path / "x", "llama4", **BASE, attention__sliding_window=0))
    assert not any(layer.windowed for layer in off.layers) and off.attention_window == 0 and off.exact
    other = card_of(header_only(tmp_path / "y", "phi3", **BASE, attention__sliding_window=512))
    assert not any(layer.windowed for layer in other.layers) and not other.exact  # an upper bound


def test_heads_by_layer(tmp_path: Path) -> None:
    none_said = card_of(header_only(tmp_path / "a", "llama", **BASE))
    assert [layer.n_embd_k for layer in none_said.layers] == [64] * 4
    mixed = {**BASE, "attention__head_count_kv": [0, 2, 0, 4], "shortconv__l_cache": 3}
    some = card_of(header_only(tmp_path / "b", "lfm2", **mixed))
    assert [layer.n_embd_k for layer in some.layers] == [0, 32, 0, 64] and not some.exact
    wide = card_of(header_only(tmp_path / "c", "llama", **BASE, attention__key_length=32, attention__value_length=8))
    assert [(layer.n_embd_k, layer.n_embd_v) for layer in wide.layers] == [(128, 32)] * 4


@pytest.mark.parametrize("other", ["ssm__state_size", "attention__kv_lora_rank", "nextn_predict_layers"])
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
    ],
)
def test_what_is_no_model(architecture: str, changes: dict[str, int], fact: str, tmp_path: Path) -> None:
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
