"""What a model's makers say of sampling: in its GGUF, or in a generation_config.json beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.gguf import Header, StringArray
from engine.prompt.makers import Makers, makers_of
from tests.models.families import CHATML, FAMILIES, GEMMA3, LLAMA4, LLAMA31, PHI3, QWEN2, SMOLLM3

THINKING = "{{ messages }}{% if enable_thinking %}{{ '<think>' }}{% endif %}"


def header(folder: Path, tokens: tuple[str, ...] = (), **said: Any) -> Header:
    """Of a file that says so; there is none."""
    raw = [each.encode() for each in tokens]
    data = b"".join(len(each).to_bytes(8, "little") + each for each in raw)
    heads = np.cumsum([0, *(8 + len(each) for each in raw)][:-1] if raw else [], dtype=np.int64)
    metadata: dict[str, Any] = {"tokenizer.ggml.tokens": StringArray(data, heads)}
    metadata |= {f"general.sampling.{name}": value for name, value in said.items()}
    return Header(folder / "model.gguf", metadata, (), 0, 0, "")


def test_what_a_gguf_says(tmp_path: Path) -> None:
    at = header(
        tmp_path, temp=np.float32(0.6).item(), top_k=20, top_p=np.float32(0.95).item(), min_p=0.0,
        penalty_last_n=128, penalty_repeat=np.float32(1.05).item(), mirostat=2, mirostat_tau=5.0, mirostat_eta=0.1,
        xtc_probability=0.5, xtc_threshold=0.1,
    )  # fmt: skip
    makers = makers_of(at, THINKING)
    assert makers.said == {
        "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "repeat_penalty": 1.05, "repeat_last_n": 128,
        "mirostat": 2, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "xtc_probability": 0.5, "xtc_threshold": 0.1,
    }  # fmt: skip
    assert makers.used == makers.said and makers.said_in == "gguf" and not makers.unread
    assert makers.words.startswith("temperature 0.6, top-k 20, top-p 0.95, min-p 0, repeat penalty 1.05")
    assert makers.sentence.startswith("Sampled as the model's makers say where nothing else is set: temperature 0.6")


def test_without_anything_said(tmp_path: Path) -> None:
    makers = makers_of(header(tmp_path), THINKING)
    assert makers == Makers(thinks=True) and makers.to_json() is None and makers.sentence == "" and not makers.used


@pytest.mark.parametrize("cuts", [{"top_k": 64}, {"top_p": 0.95}, {"min_p": 0.1}, {"top_k": 64, "top_p": 0.95}])
def test_cutting_off_without_a_temperature_is_at_one(tmp_path: Path, cuts: dict[str, float]) -> None:
    assert makers_of(header(tmp_path, **cuts), THINKING).used == {"temperature": 1.0, **cuts}
    assert "temperature" not in makers_of(header(tmp_path, penalty_repeat=1.1), THINKING).used


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temp", -1.0), ("temp", float("nan")), ("temp", float("inf")), ("temp", "hot"), ("temp", True), ("temp", 99.0),
        ("top_k", 2.5), ("top_k", -7), ("top_p", 1.5), ("penalty_repeat", 0.0), ("mirostat", 3), ("min_p", [0.1]),
        ("sequence", "kfypmt"), ("dry_multiplier", 0.8),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named_and_not_used(tmp_path: Path, name: str, value: Any) -> None:
    makers = makers_of(header(tmp_path, **{name: value}), THINKING)
    assert makers.unread == (name,) and not makers.used
    assert makers.to_json() == {"said_in": "", "used": False, "unread": [name]}


def test_another_way_to_cut_off_nothing(tmp_path: Path) -> None:
    assert makers_of(header(tmp_path, top_k=-1, temp=0.7), THINKING).used == {"temperature": 0.7, "top_k": 0}


def test_a_generation_config_beside_the_file(tmp_path: Path) -> None:
    config = {"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.05, "eos_token_id": [1, 2], "do_sample": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    makers = makers_of(header(tmp_path), THINKING)
    assert makers.used == {"temperature": 0.6, "top_k": 20, "repeat_penalty": 1.05} and not makers.unread
    assert makers.said_in == "generation_config.json" and "(generation_config.json)" in makers.sentence
    assert makers_of(header(tmp_path, temp=0.9), THINKING).used == {"temperature": 0.9}, "the file's own counts more"
    for beside in ("model-00002-of-00002.gguf", "mmproj-model.gguf"):
        (tmp_path / beside).touch()
    assert makers_of(header(tmp_path), THINKING).used
    (tmp_path / "other.gguf").touch()
    assert not makers_of(header(tmp_path), THINKING).said, "whose it is nobody knows"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"temperature": "x"}', '{"temperature": null}', "\xff", "[" * 9_999]
)
def test_a_generation_config_that_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "generation_config.json").write_bytes(text.encode("latin-1"))
    assert not makers_of(header(tmp_path), THINKING).said


def test_makers_who_do_not_sample(tmp_path: Path) -> None:
    config = {"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.1, "do_sample": False}
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    assert makers_of(header(tmp_path), THINKING).used == {"temperature": 0.0, "repeat_penalty": 1.1}


@pytest.mark.parametrize("template", [CHATML, GEMMA3, LLAMA31, LLAMA4, PHI3, QWEN2, ""])
def test_models_that_do_not_think_are_asked_without_chance(tmp_path: Path, template: str) -> None:
    makers = makers_of(header(tmp_path, ("a", "thinking", "<s>"), temp=0.7), template)
    assert makers.said == {"temperature": 0.7} and not makers.used
    assert "does not think" in makers.sentence and "temperature 0.7" in makers.sentence


@pytest.mark.parametrize("family", [name for name in FAMILIES if "think" in FAMILIES[name]])
def test_families_that_think_by_their_template(tmp_path: Path, family: str) -> None:
    assert makers_of(header(tmp_path, temp=0.6), FAMILIES[family]).used == {"temperature": 0.6}


@pytest.mark.parametrize("mark", ["<think>", "</think>", "[THINK]", "<|channel|>", "<|think|>", "<thought>"])
def test_models_that_think_by_their_vocabulary(tmp_path: Path, mark: str) -> None:
    assert makers_of(header(tmp_path, ("a", mark), temp=0.6), CHATML).thinks
    assert makers_of(header(tmp_path), SMOLLM3).thinks and not makers_of(header(tmp_path, ("a",)), CHATML).thinks
