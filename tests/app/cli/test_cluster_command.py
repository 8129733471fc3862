"""`longdesk plan --engine` as a user meets it: figures, refusals, corpora, and documents that scripts read."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.cli.output.cluster import Cost
from engine.errors import LongdeskError
from tests.command_line import CommandLine
from tests.engine.memory.cluster import configs
from tests.engine.memory.cluster.configs import folder_of
from tests.known import settled, starter
from tests.models.cache import cached

GIB = 1 << 30


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("HOME", "LONGDESK_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("LONGDESK_MODEL", raising=False)
    return tmp_path / "home"


def plan(*words: object) -> Result:
    """In this process."""
    return CliRunner().invoke(cli, ["plan", *map(str, words)], standalone_mode=False)


def document(*words: object, code: int = 0) -> dict[str, Any]:
    result = plan(*words, "--json")
    assert result.exception is None and result.return_value == code, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refusal(*words: object) -> str:
    result = plan(*words)
    assert isinstance(result.exception, LongdeskError), (result.exception, result.output)
    return str(result.exception)


VLLM = ("--engine", "vllm", "--gpus", "8xH100-80G")


def test_the_document_of_a_plan() -> None:
    found = document(*VLLM, "--model", "scout", "--ctx", "1M", "--price-per-hour", "2.5", "--offload-ram", "512G")
    assert (found["model"], found["engine"]) == ("Llama 4 Scout 17B-16E Instruct", "vllm")
    assert (found["gpus"], found["gpus_per_node"], found["nodes"]) == ("H100-80G", 8, 1)
    assert (found["tensor_parallel"], found["pipeline_parallel"], found["expert_parallel"]) == (8, 1, False)
    assert found["context_tokens"] == 1 << 20 and found["fits"] and found["verdict"] == "fits"
    assert found["weights_bytes"] == 217_283_587_072 and "weights_bytes" not in found["estimated"]
    (gpu,) = found["devices"]
    assert gpu["needed_bytes"] == sum(gpu[part] for part in ("weights_bytes", "kv_bytes", "compute_bytes"))
    assert (gpu["count"], gpu["nominal_gb"], gpu["total_bytes"]) == (8, 80, round(79.18 * GIB))
    assert found["total_bytes"] == 8 * gpu["needed_bytes"] and gpu["source"].startswith("https://")
    assert found["full_room_tokens"] < found["room_tokens"] and found["largest_corpus_tokens"] == (1 << 20) - 2048
    assert found["cost_per_hour"] == 20.0 and found["offload_disk_tokens"] == 0
    assert found["offload_ram_tokens"] == 512 * GIB // (192 << 10)  # every layer in full
    assert found["url"] == "http://localhost:8000" and "vllm serve" in found["commands"][0]["command"]
    assert all(option["why"] for option in found["options"]) and found["warnings"]


def test_scout_is_planned_where_no_model_is_named() -> None:
    assert document(*VLLM)["model"] == "Llama 4 Scout 17B-16E Instruct"
    assert document("--engine", "llamacpp", "--gpus", "H200", "--ctx", "64K")["model"] == "scout-q4_k_m"


def test_what_does_not_fit_is_printed_and_exits_with_3() -> None:
    found = document("--engine", "vllm", "--gpus", "H100-80G", "--model", "scout", code=3)
    assert not found["fits"] and found["verdict"] == "over_memory" and found["devices"][0]["short_bytes"] > 100 * GIB
    assert found["largest_context_tokens"] == 0 and "--gpus 4xH100-80G" in found["advice"][0]["change"]
    text = plan("--engine", "vllm", "--gpus", "H100-80G", "--model", "scout").output
    assert "It does not fit" in text and "No context fits" in text and "To start it" not in text


@pytest.mark.slow
def test_a_corpus_is_counted_with_what_vocabulary_there_is(tmp_path: Path, home: Path) -> None:
    settled(home, starter())
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("one two three " * 400)
    guessed = document(*VLLM, "--model", "scout", tmp_path / "corpus")
    assert guessed["prompt_tokens"] > 1000 and "prompt_tokens" in guessed["estimated"]
    assert any("another model's vocabulary" in note for note in guessed["notes"])
    own = cached("scout")
    exact = document(*VLLM, "--model", own, tmp_path / "corpus")
    assert exact["prompt_tokens"] > 400 and "prompt_tokens" not in exact["estimated"]
    counted = CliRunner().invoke(
        cli, ["count", str(tmp_path / "corpus"), "--model", str(own), "--json"], standalone_mode=False
    )
    assert json.loads(counted.stdout)["total_tokens"] == exact["prompt_tokens"]
    assert exact["largest_corpus_tokens"] < exact["largest_context_tokens"] - exact["reply_tokens"]


@pytest.mark.slow  # 3 s
def test_a_corpus_over_the_window_says_how_much_and_what_to_do(tmp_path: Path) -> None:
    small = cached("llama", n_ctx_train=2048)
    (tmp_path / "a.txt").write_text("one two three " * 2000)
    result = plan(*VLLM, "--model", small, tmp_path / "a.txt", "--reply", "100")
    assert result.return_value == 3 and "tokens over" in result.output and "--pass-tokens auto" in result.output
    found = document(*VLLM, "--model", small, tmp_path / "a.txt", "--reply", "100", code=3)
    assert found["over_tokens"] == found["prompt_tokens"] + 100 - 2048 > 0


def test_a_corpus_that_cannot_be_read_is_refused(tmp_path: Path, home: Path) -> None:
    settled(home, starter())
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 40)
    assert "x.bin was skipped: not text" in refusal(*VLLM, tmp_path / "x.bin")
    assert "no file or folder" in refusal(*VLLM, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["LLAMA_70B", "DEEPSEEK_V3", "GEMMA3_27B", "GPT_OSS_120B", "QWEN3_NEXT_80B", "SCOUT"])
@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_folders_of_models_are_planned(tmp_path: Path, name: str, engine: str) -> None:
    folder = folder_of(getattr(configs, name), tmp_path / name.lower())
    result = plan("--engine", engine, "--gpus", "8xB200", "--model", folder)
    assert result.exception is None and result.return_value == 0, result.output
    assert str(folder) in result.output and "It fits." in result.output


def test_llama_cpp_is_planned_like_the_other_engines() -> None:
    words = ("--engine", "llamacpp", "--gpus", "RTX-4090", "--model", "scout-q4_k_m", "--ctx", "128K")
    found = document(*words, "--nodes", "3", "--kv", "q8_0", "--price-per-hour", "0.4")
    assert found["placement"]["kv_type"] == "q8_0" and [each["name"] for each in found["devices"]][:2] == [
        "RAM",
        "RPC0",
    ]
    assert found["nodes"] == 3 and found["cost_per_hour"] == pytest.approx(1.2) and "insecure" in found["warnings"][0]
    small = plan(*words, "--ram", "8G")
    assert small.return_value == 0 and "slowly" in small.output and "No context fits" in small.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--gpus", "8xH200"), "--engine vllm, sglang, trtllm or llamacpp"),
        (("--price-per-hour", "0"), "--engine"),
        (("--engine", "vllm"), "--gpus 8xH100-80G"),
        (("--engine", "vllm", "--gpus", ""), "--gpus 8xH100-80G"),
        (("--engine", "vllm", "--gpus", "8xA100"), "A100-80G or A100-40G"),
        (("--engine", "vllm", "--gpus", "0xH200"), "0 GPUs"),
        (("--engine", "vllm", "--gpus", "8xH200", "--nodes", "0"), "0 nodes"),
        (("--engine", "vllm", "--gpus", "4xH200,4xH100-80G"), "several kinds"),
        ((*VLLM, "--tp", "3"), "40 attention heads"),
        ((*VLLM, "--tp", "4", "--pp", "4"), "16 GPUs, and there are 8"),
        ((*VLLM, "--kv", "q8_0"), "--kv-type"),
        ((*VLLM, "--kv-device", "ram"), "--kv-device is no option"),
        ((*VLLM, "--swa-full"), "--swa-full is no option"),
        ((*VLLM, "--ubatch", "64"), "--ubatch is no option"),
        ((*VLLM, "--ram", "64G"), "--offload-ram"),
        ((*VLLM, "--model", "skout"), "Did you mean scout"),
        ((*VLLM, "--model", "scout-q4_k_m"), "--weights int4"),
        ((*VLLM, "--model", "behemoth-q4_k_m"), "--engine llamacpp"),
        ((*VLLM, "--model", "http://localhost:8000"), "plan --model http://localhost:8000"),
        ((*VLLM, "--model", "/nowhere/model.gguf"), "/nowhere/model.gguf"),
        (("--engine", "trtllm", "--gpus", "8xMI300X"), "NVIDIA"),
        (("--engine", "llamacpp", "--gpus", "8xH200", "--tp", "8"), "--tp is no option"),
        (("--engine", "llamacpp", "--gpus", "8xH200", "--text-only"), "--text-only is no option"),
        (("--engine", "llamacpp", "--gpus", "8xH200", "--model", "skout"), "Did you mean scout"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(words: tuple[str, ...], says: str) -> None:
    assert says in refusal(*words)


def test_a_folder_without_a_config_and_a_gguf_with_states_are_refused(tmp_path: Path) -> None:
    assert "no config.json" in refusal(*VLLM, "--model", f"{tmp_path}/")
    assert "cannot say" in refusal(*VLLM, "--model", cached("mamba"))


@pytest.mark.parametrize("option", ["--price-per-hour", "--gpu-memory-utilization"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "x"])
def test_a_figure_that_is_none_is_a_wrong_call(option: str, value: str) -> None:
    result = plan(*VLLM, "--model", "scout", f"{option}={value}")
    assert isinstance(result.exception, click.UsageError)


def test_the_cost_is_of_all_gpus() -> None:
    assert Cost(2.5, 16).per_hour == 40.0 and Cost(0.0, 16).per_hour == 0.0 and Cost(None, 16).per_hour is None


@pytest.mark.slow  # 3 s
def test_exit_codes_and_streams_of_the_command(tmp_path: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", "starter")
    fine = longdesk("plan", "--engine", "vllm", "--gpus", "8xH200", "--model", "maverick")
    assert (fine.code, fine.err) == (0, "") and fine.out.startswith("Llama 4 Maverick")
    odd = longdesk("plan", "--engine", "vllm", "--gpus", "8xH101")
    assert odd.code == 2 and not odd.out and odd.err.startswith("longdesk: The table has no GPU H101.")
    assert longdesk("plan", "--engine", "vllm", "--gpus", "H200", "--model", "maverick").code == 3
    assert not (tmp_path / "home").exists()  # nothing is kept of it
