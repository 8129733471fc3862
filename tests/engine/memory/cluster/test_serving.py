"""Splits, room, offers and launch lines of plans for vLLM, SGLang and TensorRT-LLM."""

import json
import re
import shlex
from dataclasses import replace

import pytest

from engine.errors import UsageError
from engine.memory.budget import Verdict
from engine.memory.cluster.kinds import parse_fleet
from engine.memory.cluster.launch import launch
from engine.memory.cluster.llama4 import llama4
from engine.memory.cluster.rules import Engine, Settings, kv_bytes_on, sglang_share, swa_ratio
from engine.memory.cluster.served import LayerKv, Sees, ServedModel
from engine.memory.cluster.serving import Asked, ServingPlan, offers, plan_serving
from engine.memory.cluster.splitting import split, tensor_sizes

GIB = 1 << 30


@pytest.fixture(scope="module")
def scout() -> ServedModel:
    model = llama4("scout")
    assert model is not None
    return model


def plan(
    model: ServedModel, gpus: str, n_nodes: int = 1, *, engine: Engine = Engine.VLLM, **asked: object
) -> ServingPlan:
    return plan_serving(model, parse_fleet(gpus, n_nodes=n_nodes), replace(Asked(engine=engine), **asked))  # type: ignore[arg-type]


# --- how it is divided


@pytest.mark.parametrize(
    ("gpus", "n_nodes", "sizes"),
    [
        ("1xH100-80G", 1, (1, 1)),
        ("2xH100-80G", 1, (2, 1)),
        ("3xH100-80G", 1, (1, 3)),
        ("5xH100-80G", 1, (1, 5)),  # forty heads over five GPUs, but eight KV heads
        ("6xH100-80G", 1, (2, 3)),
        ("7xH100-80G", 1, (1, 7)),
        ("8xH100-80G", 1, (8, 1)),
        ("8xH100-80G", 2, (8, 2)),
        ("4xH100-80G", 3, (4, 3)),
        ("16xH100-80G", 1, (8, 2)),
    ],
)
def test_the_usual_split(scout: ServedModel, gpus: str, n_nodes: int, sizes: tuple[int, int]) -> None:
    found = split(scout, parse_fleet(gpus, n_nodes=n_nodes))
    assert (found.tensor, found.pipeline) == sizes


def test_tensor_sizes_divide_heads_and_kv_heads_or_repeat_them(scout: ServedModel) -> None:
    assert tensor_sizes(scout, 40) == (1, 2, 4, 8, 40)
    layer = scout.layers[0]
    assert [layer.elements_on(size) for size in (1, 2, 8, 40)] == [2048, 1024, 256, 256]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"tensor": 3}, "40 attention heads .* 3 GPUs. With 8 GPUs --tp may be 1, 2, 4, 8"),
        ({"tensor": 5}, "8 KV heads"),
        ({"tensor": 40}, "no multiple of 40"),
        ({"tensor": 4, "pipeline": 4}, "takes 16 GPUs, and there are 8"),
        ({"pipeline": 3}, "cannot be divided into 3 stages"),
        ({"tensor": 1, "pipeline": 8, "experts": True}, ""),
    ],
)
def test_sizes_that_cannot_be_are_refused(scout: ServedModel, wanted: dict[str, int], says: str) -> None:
    fleet = parse_fleet("8xH100-80G")
    if not says:
        assert split(scout, fleet, **wanted).experts  # type: ignore[arg-type]
        return
    with pytest.raises(UsageError, match=says):
        split(scout, fleet, **wanted)  # type: ignore[arg-type]


def test_experts_go_to_gpus_in_whole_numbers(scout: ServedModel) -> None:
    fleet = parse_fleet("8xH100-80G")
    assert split(scout, fleet, experts=True).experts
    with pytest.raises(UsageError, match="has no experts"):
        split(replace(scout, n_experts=0), fleet, experts=True)
    with pytest.raises(UsageError, match="12 experts"):
        split(replace(scout, n_experts=12), fleet, experts=True)
    with pytest.raises(UsageError, match="48 layers, too few for 64"):
        split(scout, parse_fleet("64xH100-80G"), tensor=1)


# --- room


def test_more_gpus_and_smaller_types_hold_more(scout: ServedModel) -> None:
    by_gpus = [plan(scout, gpus).room_tokens for gpus in ("4xH100-80G", "8xH100-80G", "8xH200", "8xB200")]
    assert by_gpus == sorted(by_gpus) and by_gpus[0] > 0
    assert plan(scout, "8xH100-80G", kv_type="fp8").room_tokens > 1.9 * plan(scout, "8xH100-80G").room_tokens
    assert plan(scout, "8xH100-80G", precision="fp8").room_tokens > plan(scout, "8xH100-80G").room_tokens
    assert plan(scout, "8xH100-80G", utilization=0.95).room_tokens > plan(scout, "8xH100-80G").room_tokens
    assert plan(scout, "8xH100-80G", max_seqs=8).room_tokens > plan(scout, "8xH100-80G").room_tokens
    assert plan(scout, "8xH100-80G", text_only=True).room_tokens > plan(scout, "8xH100-80G").room_tokens
    assert plan(scout, "8xH100-80G", 2).room_tokens > 2 * plan(scout, "8xH100-80G").room_tokens


@pytest.mark.parametrize("engine", list(Engine))
@pytest.mark.parametrize("hybrid", [True, False])
def test_the_largest_context_fits_and_a_little_more_does_not(scout: ServedModel, engine: Engine, hybrid: bool) -> None:
    found = plan(scout, "8xH100-80G", engine=engine, hybrid=hybrid)
    assert 0 < found.room_tokens < scout.window
    assert plan(scout, "8xH100-80G", engine=engine, hybrid=hybrid, n_ctx=found.room_tokens).fits
    more = int(found.room_tokens * 1.02)
    assert plan(scout, "8xH100-80G", engine=engine, hybrid=hybrid, n_ctx=more).verdict is Verdict.OVER_MEMORY


def test_what_is_in_each_gpu_adds_up(scout: ServedModel) -> None:
    found = plan(scout, "8xH100-80G", n_ctx=1_000_000, hybrid=False)
    room = found.room
    assert room.usable_bytes == round(0.9 * 79.18 * GIB)
    assert room.weights_bytes == 217_283_587_072 // 8
    assert found.kv_bytes == 1_000_000 * 24 * 1024
    assert room.kv_bytes == room.usable_bytes - room.weights_bytes - room.reserve_bytes >= found.kv_bytes
    assert found.fits and not found.short_bytes


def test_the_hybrid_layout_keeps_a_chunk_and_what_is_scheduled(scout: ServedModel) -> None:
    kind = parse_fleet("H100-80G").kind
    settings = Settings(engine=Engine.VLLM, tensor=8)
    layer = 2 * 128 * 2  # bytes of one KV head's token
    n = 1 << 20
    assert kv_bytes_on(scout, kind, settings, n) == 12 * n * layer + 36 * (8192 + 8192) * layer
    assert kv_bytes_on(scout, kind, replace(settings, hybrid=False), n) == 48 * n * layer
    assert kv_bytes_on(scout, kind, settings, 4096) == 48 * 4096 * layer
    assert kv_bytes_on(scout, kind, replace(settings, engine=Engine.TRTLLM), n) == 48 * n * layer
    two_stages = kv_bytes_on(scout, kind, replace(settings, pipeline=2), n)
    assert two_stages == 6 * n * layer + 18 * 16_384 * layer


def test_sglangs_shares(scout: ServedModel) -> None:
    """mem_fraction_static as its server_args.py makes it: 81,080 MiB less 10 GiB and what prefill and graphs take."""
    h100, text = parse_fleet("H100-80G").kind, replace(scout, sees_images=False)
    settings = Settings(engine=Engine.SGLANG, tensor=8)
    reserved = 512 + 8192 * 1.5 + 512 * 2 + 8 / 8 * 1024
    assert sglang_share(text, h100, settings) == pytest.approx((81_080 - reserved) / 81_080, abs=1e-4)
    assert sglang_share(scout, h100, settings) < 0.82 * sglang_share(text, h100, settings)
    chunk = LayerKv(2048, 8, Sees.CHUNK, 8192)
    assert swa_ratio(chunk, 1 << 20) == 0.03 and swa_ratio(chunk, 100) == 1.0 and swa_ratio(chunk, 10 << 20) == 0.01


@pytest.mark.parametrize(("n_prompt", "n_ctx", "verdict", "over"), [
    (1_000, None, Verdict.FITS, 0),
    (12_000_000, None, Verdict.OVER_WINDOW, 12_002_048 - 10_485_760),
    (9_000_000, None, Verdict.OVER_MEMORY, 0),
    (200_000, 131_072, Verdict.OVER_WINDOW, 202_048 - 131_072),
    (1_000, 131_072, Verdict.FITS, 0),
    (0, 20_000_000, Verdict.OVER_WINDOW, 0),
    (1 << 40, None, Verdict.OVER_WINDOW, (1 << 40) + 2048 - 10_485_760),
])  # fmt: skip
def test_a_corpus_against_window_and_memory(
    scout: ServedModel, n_prompt: int, n_ctx: int | None, verdict: Verdict, over: int
) -> None:
    found = plan(scout, "8xH100-80G", prompt_tokens=n_prompt, n_ctx=n_ctx)
    assert (found.verdict, found.over_tokens) == (verdict, over)
    assert found.largest_corpus == min(found.largest_context, n_ctx or found.largest_context) - 2048
    if verdict is Verdict.FITS and n_ctx is None:
        assert n_prompt + 2048 <= found.context_tokens <= 0.8 * found.room_tokens


def test_a_corpus_that_fills_most_gets_the_context_that_it_needs(scout: ServedModel) -> None:
    room = plan(scout, "8xH100-80G").room_tokens
    found = plan(scout, "8xH100-80G", prompt_tokens=int(room * 0.95))
    assert found.fits and found.context_tokens == int(room * 0.95) + 2048


# --- what would make it fit


@pytest.mark.parametrize(("gpus", "asked"), [
    ("1xH100-80G", {}),
    ("1xH100-80G", {"precision": "int4"}),
    ("2xH100-80G", {"precision": "fp8", "n_ctx": 1_000_000}),
    ("8xH100-80G", {"hybrid": False, "n_ctx": 3_000_000}),
    ("8xH100-80G", {"n_ctx": 10_000_000}),
    ("8xL4-24G", {}),
    ("1xMINE=100G", {}),
    ("2xH200", {"engine": Engine.SGLANG, "kv_type": "fp8", "n_ctx": 256_000}),
])  # fmt: skip
def test_each_offer_fits_when_it_is_taken(scout: ServedModel, gpus: str, asked: dict[str, object]) -> None:
    found = plan(scout, gpus, **asked)
    offered = offers(found)
    assert not found.fits and offered
    for offer in offered:
        then = plan_serving(scout, offer.fleet, offer.asked)
        assert then.fits and then.largest_context == offer.largest_context
    assert not offers(plan(scout, "8xH200"))


def test_an_int4_scout_on_one_h100_needs_fewer_requests_or_no_images(scout: ServedModel) -> None:
    """Meta's "fits a single H100": by vLLM's defaults it does not, and without images it does."""
    offered = offers(plan(scout, "1xH100-80G", precision="int4"))
    tried = [(offer.asked.utilization, offer.asked.text_only, offer.asked.max_seqs) for offer in offered[:4]]
    assert tried == [(None, False, 16), (0.95, False, None), (None, True, None), (None, True, 16)]


def test_a_precision_that_is_not_published_is_refused(scout: ServedModel) -> None:
    with pytest.raises(UsageError, match="Known are bf16, fp8, int4, nvfp4"):
        plan(scout, "8xH100-80G", precision="int2")


# --- the lines that start it


@pytest.mark.parametrize("engine", list(Engine))
@pytest.mark.parametrize("n_nodes", [1, 2, 3])
def test_launch_lines_can_be_copied_and_each_option_is_explained(
    scout: ServedModel, engine: Engine, n_nodes: int
) -> None:
    found = plan(
        scout, "8xH200", n_nodes, engine=engine, kv_type="fp8", experts=True, ram_bytes=256 * GIB,
        disk_bytes=1024 * GIB, max_seqs=4, utilization=0.85,
    )  # fmt: skip
    started = launch(found)
    explained = (
        " ".join(option.text for option in started.options) + " --model-path --node-rank --port --address --head"
    )
    for command in started.commands:
        words = shlex.split(command.line)
        assert words and "\n" not in command.line
        for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert flag in explained, flag
    assert all(option.why for option in started.options)
    assert (
        started.url == f"http://{'localhost' if n_nodes == 1 else 'HEAD'}:{30000 if engine is Engine.SGLANG else 8000}"
    )
    last = started.commands[-1].line
    assert str(found.context_tokens) in last and "meta-llama/Llama-4-Scout-17B-16E-Instruct" in last
    assert any("makes no context larger" in warning for warning in started.warnings)
    assert any("key" in warning for warning in started.warnings)


def test_what_leaves_the_gpus_is_for_each_node(scout: ServedModel) -> None:
    """RAM over all GPUs for vLLM, for each GPU for SGLang; the disk comes after the RAM."""
    line = launch(plan(scout, "8xH100-80G", 2, ram_bytes=256 * GIB)).commands[-1].line
    assert "--kv-offloading-size 512 --kv-offloading-backend native" in line
    on_disk = plan(scout, "8xH100-80G", ram_bytes=256 * GIB, disk_bytes=1024 * GIB)
    line = launch(on_disk).commands[0].line
    words = shlex.split(line)
    extra = json.loads(words[words.index("--kv-transfer-config") + 1])["kv_connector_extra_config"]
    assert extra["cpu_bytes_to_use"] == 256 * GIB and extra["secondary_tiers"][0]["type"] == "fs"
    assert "--kv-offloading-size" not in line and "--disable-hybrid-kv-cache-manager" not in line
    assert on_disk.room_tokens == plan(scout, "8xH100-80G").room_tokens
    assert any("deletes no file" in warning for warning in launch(on_disk).warnings)
    line = launch(plan(scout, "8xH100-80G", engine=Engine.SGLANG, ram_bytes=256 * GIB)).commands[0].line
    assert f"--hicache-size {round(256 * GIB / 1e9 / 8)} " in line
    assert on_disk.kept_tokens(192 << 10) == 1 and on_disk.kept_tokens(0) == 0


def test_several_nodes_of_vllm_meet_through_ray(scout: ServedModel) -> None:
    lines = [command.line for command in launch(plan(scout, "8xH100-80G", 2)).commands]
    assert lines[0] == "ray start --head --port=6379" and lines[1] == "ray start --address=HEAD:6379"
    assert "--tensor-parallel-size 8 --pipeline-parallel-size 2 --distributed-executor-backend ray" in lines[2]


def test_several_nodes_of_sglang_know_their_rank(scout: ServedModel) -> None:
    lines = [command.line for command in launch(plan(scout, "8xH100-80G", 2, engine=Engine.SGLANG)).commands]
    assert [re.findall(r"--node-rank (\d)", line) for line in lines] == [["0"], ["1"]]
    assert all("--nnodes 2 --dist-init-addr HEAD:20000" in line for line in lines)


def test_tensorrt_llm_gets_its_settings_in_a_file(scout: ServedModel) -> None:
    started = launch(plan(scout, "8xH200", engine=Engine.TRTLLM, kv_type="fp8", ram_bytes=GIB))
    ((name, text),) = started.files
    assert name == "longdesk.yaml" and "  dtype: fp8\n" in text and f"  host_cache_size: {GIB}\n" in text


def test_chunks_are_kept_alone_by_a_word_in_vllms_environment(scout: ServedModel) -> None:
    word = "VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE=1 vllm serve"
    assert launch(plan(scout, "8xH100-80G")).commands[0].line.startswith(word)
    full = launch(plan(scout, "8xH100-80G", hybrid=False)).commands[0].line
    assert full.startswith("vllm serve") and "--disable-hybrid-kv-cache-manager" in full
