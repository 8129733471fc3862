"""Models from config.json and from GGUF headers: the KV cache of each kind of layer, weights, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.errors import LongdeskError, ModelRefused
from engine.memory.card import card_at
from engine.memory.cluster.gguf_model import model_of_gguf
from engine.memory.cluster.hf_config import read_model
from engine.memory.cluster.kinds import parse_fleet
from engine.memory.cluster.llama4 import llama4
from engine.memory.cluster.rules import Engine, Settings, kv_bytes_on
from engine.memory.cluster.served import Sees, ServedModel
from engine.memory.cluster.serving import Asked, plan_serving
from tests.engine.memory.cluster import configs
from tests.engine.memory.cluster.configs import folder_of
from tests.models.cache import cached

K = 1 << 10
KIND = parse_fleet("1xH200-141G").kind  # at which vLLM schedules 8,192 tokens at once
N = 128 * K


def kv(model: ServedModel, n_tokens: int = N, *, tensor: int = 1, hybrid: bool = True, element: int = 2) -> int:
    settings = Settings(engine=Engine.VLLM, tensor=tensor, hybrid=hybrid, kv_element_bytes=element)
    return kv_bytes_on(model, KIND, settings, n_tokens)


@pytest.fixture
def model(request: pytest.FixtureRequest, tmp_path: Path) -> ServedModel:
    return read_model(folder_of(getattr(configs, request.param), tmp_path / request.param.lower()))


@pytest.mark.parametrize("model", ["LLAMA_70B"], indirect=True)
def test_grouped_heads(model: ServedModel) -> None:
    assert kv(model) == N * 80 * 2 * 8 * 128 * 2  # 320 KiB a token
    assert kv(model, tensor=8) == kv(model) // 8
    assert kv(model, tensor=16) == kv(model) // 8  # eight KV heads, each on two GPUs
    assert kv(model, element=1) == kv(model) // 2
    (weights, *_) = model.checkpoints
    assert (weights.precision, weights.is_exact) == ("bf16", False)
    assert weights.n_bytes == pytest.approx(141.1e9, rel=0.001)  # 70,553,706,496 parameters


@pytest.mark.parametrize("model", ["DEEPSEEK_V3"], indirect=True)
def test_a_latent_is_whole_on_every_gpu(model: ServedModel) -> None:
    assert model.is_latent and kv(model) == N * 61 * (512 + 64) * 2
    assert kv(model, tensor=8) == kv(model)
    (weights, *_) = model.checkpoints
    assert weights.precision == "fp8" and weights.n_bytes == pytest.approx(688e9, rel=0.06)
    plan = plan_serving(model, parse_fleet("8xH200-141G"), Asked(engine=Engine.VLLM))
    assert plan.fits and plan.split.tensor == 8
    assert not plan_serving(model, parse_fleet("8xH100-80G"), Asked(engine=Engine.VLLM)).fits


@pytest.mark.parametrize("model", ["GEMMA3_27B"], indirect=True)
def test_sliding_windows_in_groups_of_the_rarest_kind(model: ServedModel) -> None:
    """Ten layers see everything, 52 the last 1,024 tokens: six groups of ten, eight of their layers without use."""
    assert [layer.sees for layer in model.layers[:6]] == [Sees.WINDOW] * 5 + [Sees.ALL]
    token = 2 * 16 * 128 * 2
    assert kv(model) == 10 * N * token + 60 * (1023 + 8192 + 16 + 1) * token  # in blocks of 16
    assert kv(model, hybrid=False) == 62 * N * token
    assert model.sees_images and model.kv_is_exact


@pytest.mark.parametrize("model", ["GPT_OSS_120B"], indirect=True)
def test_layers_as_config_lists_them(model: ServedModel) -> None:
    token = 2 * 8 * 64 * 2
    assert kv(model) == 18 * N * token + 18 * 8336 * token  # 127 + 8,192 in blocks of 16, and one block more
    assert model.n_experts == 128 and model.checkpoints[0].precision == "nvfp4"


@pytest.mark.parametrize("model", ["QWEN3_NEXT_80B"], indirect=True)
def test_layers_that_keep_a_state(model: ServedModel) -> None:
    """Twelve of 48 layers have a KV cache, and a request's state is the same at any length."""
    token, state = 2 * 2 * 256 * 2, 32 * 128 * 128 * 4 + (2 * 16 * 128 + 32 * 128) * 3 * 2
    assert kv(model) == 12 * N * token + 36 * state
    assert kv(model, 1024) == 12 * 1024 * token + 36 * state
    assert kv(model, hybrid=False) == kv(model)


@pytest.mark.parametrize("model", ["SCOUT"], indirect=True)
def test_scouts_folder_is_planned_like_scouts_name(model: ServedModel) -> None:
    named = llama4("scout")
    assert named is not None and model.layers == named.layers
    assert (model.window, model.n_heads, model.n_kv_heads, model.n_experts) == (10_485_760, 40, 8, 16)
    assert model.checkpoints[0].n_bytes == pytest.approx(named.checkpoints[0].n_bytes, rel=0.01)


def test_weights_that_are_there_are_counted(tmp_path: Path) -> None:
    folder = folder_of(configs.LLAMA_70B, tmp_path / "m")
    index = {"metadata": {"total_size": 141_107_412_992}, "weight_map": {}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    weights = read_model(folder).checkpoints[0]
    assert (weights.n_bytes, weights.is_exact) == (141_107_412_992, True)
    for number in (1, 2):
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(b"x" * 1000)
    assert read_model(folder).checkpoints[0].n_bytes == 2000


@pytest.mark.parametrize(
    ("packed", "precision"),
    [
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 4}}}}, "int4"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8}}}}, "fp8"),
        ({"quant_method": "fbgemm_fp8"}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        (None, "bf16"),
        ("odd", "bf16"),
    ],
)
def test_the_precision_of_packed_weights(tmp_path: Path, packed: Any, precision: str) -> None:
    config = {**configs.LLAMA_70B, "quantization_config": packed}
    assert read_model(folder_of(config, tmp_path / "m")).checkpoints[0].precision == precision


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"index_topk": 2048}, "sparse index"),  # DeepSeek V3.2
        ({"mamba_d_state": 128}, "Mamba states"),  # Bamba, Falcon H1
        ({"hybrid_override_pattern": "M-M*"}, "Mamba states"),  # Nemotron-H
        ({"linear_attn_config": {"kda_layers": [1]}}, "Kimi Linear"),
        ({"layer_types": ["full_attention", "odd_attention"]}, "odd_attention"),
        ({"num_hidden_layers": None}, "num_hidden_layers is None"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_hidden_layers": 10**9}, "layers"),
        ({"num_attention_heads": -1}, "num_attention_heads is -1"),
        ({"hidden_size": "8192"}, "hidden_size is '8192'"),
        ({"text_config": []}, "text_config"),
        ({"text_config": None}, "text_config"),
    ],
)
def test_what_is_not_known_is_refused_in_a_sentence(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelRefused, match=says):
        read_model(folder_of({**configs.LLAMA_70B, **changes}, tmp_path / "m"))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"a":', "[" * 100_000, "\x00", '{"model_type": 1}'])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelRefused):
        read_model(folder_of(text, tmp_path / "m"))
    with pytest.raises(ModelRefused, match="no config.json"):
        read_model(tmp_path)


def test_no_config_makes_anything_but_a_refusal_escape(tmp_path: Path) -> None:
    draw = random.Random(7)
    odd = [None, 0, -1, 1, True, 2.5, "x", [], {}, [1], 10**30, {"a": 1}, float("inf")]
    bases = [value for name, value in vars(configs).items() if name.isupper() and not name.startswith("_")]
    for _ in range(1500):
        config = json.loads(json.dumps(draw.choice(bases)))
        part = config.get("text_config", config)
        for _ in range(draw.randint(1, 3)):
            part[draw.choice([*part, "layer_types", "sliding_window_pattern", "no_rope_layers"])] = draw.choice(odd)
        try:
            model = read_model(folder_of(config, tmp_path / "m"))
            plan_serving(model, parse_fleet("8xH100-80G"), Asked(engine=draw.choice(list(Engine))))
        except LongdeskError as error:
            assert str(error)


@pytest.mark.parametrize(("name", "options"), [("llama", {}), ("scout", {}), ("gemma3", {}), ("qwen2", {})])
def test_a_gguf_has_the_layers_of_its_card(name: str, options: dict[str, Any]) -> None:
    path = cached(name, **options)
    card, model = card_at(path), model_of_gguf(path)
    assert [layer.n_elements for layer in model.layers] == [each.n_embd_k + each.n_embd_v for each in card.layers]
    windows = [layer.sees is not Sees.ALL for layer in model.layers]
    assert windows == [each.windowed for each in card.layers]
    assert model.checkpoints[0].n_bytes == card.weights_bytes and model.checkpoints[0].is_exact
    assert model.has_chunks == (name == "scout")
    assert kv(model, 1024, hybrid=False) == 1024 * sum(layer.n_elements for layer in model.layers) * 2


@pytest.mark.parametrize("name", ["mamba", "hybrid"])
def test_a_gguf_that_keeps_states_is_refused(name: str) -> None:
    with pytest.raises(ModelRefused, match="cannot say"):
        model_of_gguf(cached(name))
