"""engine.memory.adapter: LoRA adapters as they are named, and held against the model before anything is loaded."""

import os
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from engine.errors import ModelRefused, UsageError
from engine.memory.adapter import with_adapters
from engine.memory.card import ModelCard, card_at
from engine.memory.fingerprint import fingerprint, variant
from engine.memory.lora import Lora, lora_named
from tests.models.lora import build_lora
from tests.models.other_files import build_other


@pytest.fixture
def card(llama_gguf: Path) -> ModelCard:
    return card_at(llama_gguf)


@pytest.mark.parametrize(
    ("value", "name", "scale"),
    [
        ("a.gguf", "a.gguf", 1.0),
        ("a.gguf:0.5", "a.gguf", 0.5),
        ("a.gguf:-1", "a.gguf", -1.0),
        ("b/a:b/c.gguf", "c.gguf", 1.0),
        ("with:colon.gguf", "with:colon.gguf", 1.0),
        ("with:colon.gguf:2", "with:colon.gguf", 2.0),
    ],
)
def test_how_it_is_named(value: str, name: str, scale: float) -> None:
    lora = lora_named(value)
    assert (lora.path.name, lora.scale) == (name, scale) and lora.path.is_absolute()


def test_a_file_whose_name_ends_like_a_scale(tmp_path: Path) -> None:
    (tmp_path / "a:0.5").touch()
    assert lora_named(str(tmp_path / "a:0.5")) == Lora(tmp_path / "a:0.5")


@pytest.mark.parametrize("value", ["", "  ", "a.gguf:", "a.gguf:half", "a.gguf:nan", "a.gguf:inf", "a.gguf:1e9"])
def test_what_is_no_adapter_and_no_scale(value: str) -> None:
    with pytest.raises(UsageError):
        lora_named(value)


def test_its_bytes_count(tmp_path: Path, llama_gguf: Path, card: ModelCard) -> None:
    path = build_lora(tmp_path / "a.gguf", llama_gguf, parts=("attn_q", "output"))
    changed = with_adapters(card, [Lora(path, 0.5)])
    (adapter,) = changed.adapters
    assert adapter.rank == 4 and adapter.n_bytes == sum(int(each.n_bytes) for each in gguf.GGUFReader(path).tensors)
    assert changed.weights_bytes - card.weights_bytes == adapter.n_bytes
    layers = sum(layer.weights_bytes for layer in changed.layers)
    assert changed.input_bytes + layers + changed.output_bytes == changed.weights_bytes
    assert "compute_bytes" in changed.estimated and "a.gguf at 0.5" in changed.notes[-1]


def test_what_was_changed_is_told_apart(tmp_path: Path, llama_gguf: Path, card: ModelCard) -> None:
    one, other = (build_lora(tmp_path / f"{seed}.gguf", llama_gguf, seed=seed) for seed in (1, 2))
    copy = Path(shutil.copy(one, tmp_path / "copy.gguf"))
    variants = [
        variant(with_adapters(card, loras))
        for loras in ([], [Lora(one)], [Lora(other)], [Lora(one, 0.5)], [Lora(one), Lora(other)])
    ]
    assert len(set(variants)) == len(variants)
    assert variant(with_adapters(card, [Lora(copy)])) == variants[1]
    assert with_adapters(card, [Lora(one, 0.0)]) == card  # which llama.cpp leaves out too
    assert fingerprint(card) == variants[0]


def said(card: ModelCard, path: Path) -> str:
    with pytest.raises(ModelRefused) as refused:
        with_adapters(card, [Lora(path)])
    assert refused.value.remedy
    return refused.value.fact


def test_another_models_adapter(tmp_path: Path, llama_gguf: Path, gemma3_gguf: Path, card: ModelCard) -> None:
    assert "for gemma3 models" in said(card, build_lora(tmp_path / "a.gguf", gemma3_gguf))
    wide = build_lora(tmp_path / "b.gguf", gemma3_gguf, architecture="llama", parts=("ffn_down",))
    assert "another size" in said(card, wide) or "does not have" in said(card, wide)


def test_what_is_no_adapter(tmp_path: Path, llama_gguf: Path, card: ModelCard) -> None:
    assert "There is no LoRA adapter at" in said(card, tmp_path / "gone.gguf")
    assert "is a model, no adapter" in said(card, llama_gguf)
    (tmp_path / "text.gguf").write_text("Once upon a time")
    assert "is not a GGUF file" in said(card, tmp_path / "text.gguf")
    short = tmp_path / "short.gguf"
    short.write_bytes(build_lora(tmp_path / "a.gguf", llama_gguf).read_bytes()[:-100])
    assert "cut short" in said(card, short)


@pytest.mark.parametrize(
    ("fields", "tensors", "what"),
    [
        ({"adapter.type": "ia3"}, [], "of the kind ia3"),
        ({}, [], "of the kind that it does not say"),
        ({"adapter.type": "lora"}, [], "without a single tensor"),
        ({"adapter.type": "lora"}, ["blk.0.attn_q.weight.lora_a"], "one half of the pair"),
        ({"adapter.type": "lora"}, ["blk.0.attn_q.weight"], "no part of a LoRA"),
        ({"adapter.type": "lora"}, ["blk.9.attn_q.weight.lora_a", "blk.9.attn_q.weight.lora_b"], "does not have"),
        ({"adapter.type": "lora"}, ["blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"], "another size"),
        ({"adapter.type": "lora", "adapter.alora.invocation_tokens": 5}, [], "an activated LoRA"),
    ],
)
def test_odd_adapters(fields: dict[str, Any], tensors: list[str], what: str, tmp_path: Path, card: ModelCard) -> None:
    path = build_other(tmp_path / "a.gguf", "llama", fields={"general.type": "adapter", **fields}, tensors=tensors)
    assert what in said(card, path)


def test_an_adapter_of_the_embeddings_has_its_halves_the_other_way(
    tmp_path: Path, llama_gguf: Path, card: ModelCard
) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("token_embd.weight.lora_a", np.ones((card.n_vocab, 2), dtype=np.float32))
    writer.add_tensor("token_embd.weight.lora_b", np.ones((card.n_embd, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert with_adapters(card, [Lora(tmp_path / "a.gguf")]).adapters[0].rank == 2


def test_what_is_no_gguf_is_called_an_adapter_with_the_way_without_one(tmp_path: Path, card: ModelCard) -> None:
    """As where a session that was imported names it."""
    (tmp_path / "text.gguf").write_text("no adapter")
    os.mkfifo(tmp_path / "pipe.gguf")
    for name in ("text.gguf", "pipe.gguf"):
        with pytest.raises(ModelRefused, match=r"LoRA adapter cannot be used: .*--lora none"):
            with_adapters(card, [Lora(tmp_path / name)])
