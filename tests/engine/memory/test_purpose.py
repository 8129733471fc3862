"""engine.memory.purpose: what is no language model is refused with what it is, whatever it shows in."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelRefused
from engine.memory.card import card_at
from tests.models.lora import build_lora
from tests.models.other_files import build_other

OTHERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "an adapter by type": ("llama", {"fields": {"general.type": "adapter", "adapter.type": "lora"}}, "a LoRA adapter"),
    "an adapter by fields": ("qwen2", {"fields": {"adapter.lora.alpha": 16.0}}, "a LoRA adapter for a qwen2 model"),
    "an adapter by tensors": ("", {"tensors": ["blk.0.attn_q.weight.lora_a"]}, "a LoRA adapter"),
    "another adapter": ("llama", {"fields": {"general.type": "adapter", "adapter.type": "ia3"}}, "of the kind ia3"),
    "an imatrix by type": ("", {"fields": {"general.type": "imatrix"}}, "an importance matrix"),
    "an imatrix by fields": ("", {"fields": {"imatrix.chunk_count": 8}}, "an importance matrix"),
    "an imatrix by tensors": ("", {"tensors": ["a.in_sum2", "a.counts"]}, "an importance matrix"),
    "a projector by type": ("clip", {"fields": {"general.type": "mmproj"}, "tensors": ["v.blk.0.a"]}, "--mmproj"),
    "a projector by architecture": ("clip", {"tensors": ["v.patch_embd.weight"]}, "a vision projector"),
    "a projector by fields": ("", {"fields": {"clip.has_vision_encoder": True}}, "a vision projector"),
    "a projector by tensors": ("", {"tensors": ["v.patch_embd.weight", "mm.0.weight"]}, "a vision projector"),
    "an audio projector": ("clip", {"fields": {"clip.has_audio_encoder": True}}, "an audio projector"),
    "a control vector": ("controlvector", {"tensors": ["direction.1"]}, "a control vector"),
    "a control vector by tensors": ("llama", {"tensors": ["direction.1", "direction.2"]}, "a control vector"),
    "a vocabulary by type": ("llama", {"fields": {"general.type": "vocab"}, "tensors": []}, "a vocabulary alone"),
    "a vocabulary": ("llama", {"fields": {"tokenizer.ggml.tokens": ["a"]}, "tensors": []}, "a vocabulary alone"),
    "nothing": ("llama", {"tensors": []}, "holds no weights"),
    "bert": ("bert", {}, "an embedding model (bert)"),
    "nomic": ("nomic-bert-moe", {}, "an embedding model"),
    "gemma's embedder": ("gemma-embedding", {}, "an embedding model"),
    "an embedder by its pooling": ("qwen3", {"fields": {"qwen3.pooling_type": 3}}, "last token pooling"),
    "an embedder that reads both ways": ("llama", {"fields": {"llama.attention.causal": False}}, "both directions"),
    "a reranker by its pooling": ("qwen3", {"fields": {"qwen3.pooling_type": 4}}, "a reranker or classifier"),
    "a reranker by tensors": ("bert", {"tensors": ["token_embd.weight", "cls.output.weight"]}, "a reranker"),
    "a classifier": ("bert", {"fields": {"bert.classifier.output_labels": ["no", "yes"]}}, "a reranker or classifier"),
    "t5": ("t5", {}, "an encoder-decoder model (t5)"),
    "an encoder-decoder by tensors": ("new", {"tensors": ["enc.blk.0.q", "dec.blk.0.q"]}, "an encoder-decoder"),
    "t5's encoder": ("t5encoder", {}, "a text encoder"),
    "an encoder by tensors": ("new", {"tensors": ["enc.blk.0.attn_q.weight"]}, "a text encoder"),
    "dream": ("dream", {"fields": {"dream.attention.causal": False}}, "a diffusion language model (dream)"),
    "llada": ("llada-moe", {}, "a diffusion language model"),
    "diffusion by fields": ("new", {"fields": {"diffusion.shift_logits": True}}, "a diffusion language model"),
    "pictures": ("flux", {}, "makes pictures"),
    "pictures by tensors": ("", {"tensors": ["model.diffusion_model.x"]}, "makes pictures"),
    "a vocoder": ("wavtokenizer-dec", {}, "makes sound"),
    "speech": ("whisper", {}, "writes down speech"),
    "a draft": ("eagle3", {}, "a draft model"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_it_says_what_it_is_and_what_to_give(kind: str, tmp_path: Path) -> None:
    architecture, how, said = OTHERS[kind]
    path = build_other(tmp_path / "other.gguf", architecture, **how)
    with pytest.raises(ModelRefused) as refused:
        card_at(path)
    assert said in str(refused.value) and str(path) in refused.value.fact
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("llama", {"general.type": "model"}),
        ("qwen3", {"qwen3.pooling_type": 0}),
        ("llama", {"llama.attention.causal": True}),
        ("brand-new", {}),
        ("qwen2vl", {"general.name": "An embedding of bert"}),
    ],
)
def test_what_writes_text_is_let_through(architecture: str, fields: dict[str, Any], tmp_path: Path) -> None:
    path = build_other(tmp_path / "model.gguf", architecture, fields=fields, tensors=["token_embd.weight", "mm.0.bias"])
    assert card_at(path).architecture == architecture


def test_an_adapter_names_its_model_and_the_option(tmp_path: Path, llama_gguf: Path) -> None:
    path = build_lora(tmp_path / "style.gguf", llama_gguf, base="Llama 3.1 8B")
    with pytest.raises(ModelRefused, match=r"a LoRA adapter for Llama 3\.1 8B.* --lora style\.gguf\."):
        card_at(path)
