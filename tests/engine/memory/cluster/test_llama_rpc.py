"""llama.cpp on GPUs that are not this machine's: one node with experts in main memory, several over RPC."""

from pathlib import Path

import pytest

from engine.memory.budget import Verdict, Wanted
from engine.memory.card import ModelCard
from engine.memory.catalog.entry import find
from engine.memory.catalog.ghost import planned_card
from engine.memory.cluster.kinds import parse_fleet
from engine.memory.cluster.llama_rpc import hardware_of, launch_llama, plan_llama
from engine.memory.kv_cache import kv_bytes

GIB = 1 << 30


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    entry = find("scout-q4_k_m")
    assert entry is not None
    return planned_card(entry, tmp_path_factory.mktemp("ghosts"))


def test_one_gpu_of_24_gb_with_the_experts_in_main_memory(card: ModelCard) -> None:
    fleet = parse_fleet("RTX-4090")
    found = plan_llama(card, hardware_of(fleet, 64 * GIB), Wanted(n_ctx=131_072))
    plan = found.plan
    assert plan.verdict is Verdict.FITS and plan.placed.expert_layers_in_ram and plan.placed.n_gpu_layers == 49
    assert plan.kv_bytes == kv_bytes(card, 131_072)
    assert found.largest_context > 131_072 and "compute_bytes" in plan.estimated
    line = launch_llama(plan, fleet, "-m scout.gguf").commands[-1].line
    assert f"-c 131072 -np 1 -ngl 49 --n-cpu-moe {plan.placed.expert_layers_in_ram}" in line


def test_the_largest_context_fits_and_more_reads_from_disk_or_does_not(card: ModelCard) -> None:
    hardware = hardware_of(parse_fleet("RTX-4090"), 64 * GIB)
    largest = plan_llama(card, hardware, Wanted()).largest_context
    assert plan_llama(card, hardware, Wanted(n_ctx=largest)).plan.verdict is Verdict.FITS
    assert plan_llama(card, hardware, Wanted(n_ctx=largest + 4096)).plan.verdict is not Verdict.FITS


def test_without_memory_for_the_weights_it_is_slow_and_no_context_fits(card: ModelCard) -> None:
    found = plan_llama(card, hardware_of(parse_fleet("RTX-4090"), 16 * GIB), Wanted(n_ctx=8192))
    assert found.plan.verdict is Verdict.SLOW and found.largest_context == 0
    assert plan_llama(card, hardware_of(parse_fleet("RTX-4090"), 0), Wanted(n_ctx=8192)).largest_context == 0


def test_several_nodes_share_layers_and_are_warned_of(card: ModelCard) -> None:
    fleet = parse_fleet("RTX-4090", n_nodes=3)
    hardware = hardware_of(fleet, 64 * GIB)
    assert [gpu.name for gpu in hardware.gpus] == ["RPC0", "RPC1", "CUDA0"]
    found = plan_llama(card, hardware, Wanted(n_ctx=131_072, kv_type="q8_0"))
    assert found.plan.verdict is Verdict.FITS and not found.plan.placed.expert_layers_in_ram
    started = launch_llama(found.plan, fleet, "-m scout.gguf")
    server, head = (command.line for command in started.commands)
    assert server == "rpc-server -H 0.0.0.0 -p 50052 -c"
    assert "--rpc NODE2:50052,NODE3:50052" in head and "-ctk q8_0 -ctv q8_0" in head and "-ts " in head
    assert started.url == "http://HEAD:8080" and "insecure" in started.warnings[0]
    assert not launch_llama(found.plan, parse_fleet("RTX-4090"), "-m x").warnings


def test_amds_gpus_are_called_rocm(tmp_path: Path) -> None:
    assert [gpu.name for gpu in hardware_of(parse_fleet("2xMI300X"), GIB).gpus] == ["ROCm0", "ROCm1"]
