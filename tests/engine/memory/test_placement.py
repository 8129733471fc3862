"""engine.memory.placement: what lies where, against llama.cpp's own log, and the ways to place a model."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.gguf import read_header
from engine.memory.budget import Device, Hardware, Placement, devices_from, owner, placement_from
from engine.memory.card import Layer, ModelCard, read_card
from engine.memory.kv_cache import kv_bytes
from engine.memory.placement import Held, Ladder, held, ladders
from tests.bench.devices import rows
from tests.devices.loaded import load
from tests.devices.remote import available, remote_gpus
from tests.models.cache import cached

GIB = 1 << 30
ROUNDED = 2 * 0.005 * (1 << 20)  # llama.cpp's log gives hundredths of MiB, a line for each kind of layer


def gpu(name: str = "CUDA0", free: int = 8 * GIB) -> Device:
    return Device(name, "gpu", free, 80 * GIB)


def card_of(path: Path) -> ModelCard:
    return read_card(read_header(path))


def moe(n_layers: int = 8, *, every: int = 1, experts: int = GIB) -> ModelCard:
    """A model with a gigabyte of experts in every so-manieth layer, and a tenth of it besides in each."""
    card = card_of(cached("scout", vocab="none"))
    sizes = [experts if at % every == every - 1 else 0 for at in range(n_layers)]
    layers = tuple(Layer(1024, 1024, at % 4 != 3, GIB // 10 + size, size) for at, size in enumerate(sizes))
    total = sum(layer.weights_bytes for layer in layers) + GIB
    return replace(card, layers=layers, input_bytes=GIB // 2, output_bytes=GIB // 2, weights_bytes=total)


def total(parts: tuple[Held, ...]) -> tuple[int, int]:
    return sum(part.weights_bytes for part in parts), sum(part.kv_bytes for part in parts)


def test_everything_lies_somewhere_once() -> None:
    card, gpus = moe(), (gpu("CUDA0"), gpu("CUDA1", 4 * GIB))
    kv = kv_bytes(card, 20_000)
    for n_gpu_layers in (0, 1, 3, 8, 9, 99, -1):
        for experts in (0, 2, 8):
            for kv_on_gpu in (True, False):
                placement = Placement(
                    n_ctx=20_000, n_gpu_layers=n_gpu_layers, expert_layers_in_ram=experts, kv_on_gpu=kv_on_gpu
                )
                parts = held(card, placement, gpus)
                assert [part.name for part in parts] == ["RAM", "CUDA0", "CUDA1"]
                assert total(parts) == (card.weights_bytes, kv)
                assert parts[0].kv_bytes == kv or (kv_on_gpu and n_gpu_layers not in (0, 1))


def test_the_parts_in_llama_cpps_order() -> None:
    """The output is the last layer, the input stays in RAM; layers are counted from the last."""
    card, one = moe(), (gpu(),)
    layer = card.layers[0].weights_bytes
    placement = Placement(n_ctx=4_096, n_gpu_layers=1)
    assert held(card, placement, one)[1].weights_bytes == card.output_bytes
    assert held(card, replace(placement, n_gpu_layers=3), one)[1].weights_bytes == card.output_bytes + 2 * layer
    everything = held(card, replace(placement, n_gpu_layers=9), one)
    assert everything == held(card, replace(placement, n_gpu_layers=-1), one)
    assert everything[0] == Held("RAM", card.input_bytes, 0)
    assert held(card, replace(placement, n_gpu_layers=9)) == (Held("RAM", card.weights_bytes, kv_bytes(card, 4_096)),)
    assert held(card, replace(placement, n_gpu_layers=9, use_gpus=False), one)[1] == Held("CUDA0", 0, 0)


def test_shares_count_out_layers() -> None:
    card, gpus = moe(), (gpu("A", 3 * GIB), gpu("B", 1 * GIB))
    layer = card.layers[0].weights_bytes

    def on(*shares: float) -> list[int]:
        placement = Placement(n_ctx=256, n_gpu_layers=9, tensor_split=shares)
        _, a, b = held(card, placement, gpus)
        return [a.weights_bytes, b.weights_bytes]

    assert on(1, 8) == [layer, 7 * layer + card.output_bytes]
    assert on(9, 0) == on(1, 0) == [8 * layer + card.output_bytes, 0] == on(9)
    assert on(0, 2) == [0, 8 * layer + card.output_bytes]
    assert on() == on(0, 0) == on(3, 1) == [7 * layer, layer + card.output_bytes]  # 0, 1/9, ..., 6/9 are below 3/4
    for n_first in range(10):  # whole numbers are exact, whatever single precision makes of the quotients
        first = n_first * layer if n_first < 9 else 8 * layer + card.output_bytes
        assert on(n_first, 9 - n_first)[0] == first


def test_experts_and_embeddings() -> None:
    card = moe(every=2)
    placement = Placement(n_ctx=256, n_gpu_layers=9, expert_layers_in_ram=4)
    ram, one = held(card, placement, (gpu(),))
    assert ram.weights_bytes == card.input_bytes + 2 * GIB
    tied = replace(card, tied_bytes=GIB // 2, embedding_type="F16")
    assert held(tied, placement, (gpu(),)) == (ram, replace(one, weights_bytes=one.weights_bytes + GIB // 2))
    in_ram = Placement(n_ctx=256)
    assert held(tied, in_ram)[0].weights_bytes == card.weights_bytes
    repacked = replace(tied, embedding_type="Q4_0")
    assert held(repacked, in_ram)[0].weights_bytes == card.weights_bytes + GIB // 2
    assert held(repacked, replace(in_ram, repack=False))[0].weights_bytes == card.weights_bytes


def steps(ladder: Ladder) -> Iterator[Placement]:
    return (ladder.make(step) for step in range(ladder.n_steps))


@pytest.mark.parametrize("kv_device", ["auto", "ram", "gpu"])
@pytest.mark.parametrize("rooms", [(24,), (24, 24), (80, 12, 24), (24, 0)])
@pytest.mark.parametrize("every", [1, 2, 99])
def test_every_step_asks_less_of_gpus_and_more_of_ram(kv_device: str, rooms: tuple[int, ...], every: int) -> None:
    card = moe(48, every=every)
    gpus = tuple(gpu(f"CUDA{at}", room * GIB) for at, room in enumerate(rooms))
    first = Placement(n_ctx=100_000, kv_type="q8_0", n_ubatch=256)
    for ladder in ladders(card, first, gpus=gpus, kv_device=kv_device):
        parts = [held(card, placement, gpus) for placement in steps(ladder)]
        for before, after in pairwise(parts):
            assert total(after[:1])[0] >= total(before[:1])[0] and total(after[:1])[1] >= total(before[:1])[1]
            fullest = [
                max(
                    (part.weights_bytes + part.kv_bytes) / max(1, one.free_bytes)
                    for part, one in zip(of[1:], gpus, strict=True)
                )
                for of in (before, after)
            ]
            assert fullest[1] <= fullest[0] * 1.002  # the split is searched for to a thousandth
        for placement in steps(ladder):
            assert (placement.n_ctx, placement.kv_type, placement.n_ubatch) == (100_000, "q8_0", 256)
            assert placement.kv_on_gpu == (kv_device != "ram")
            assert placement_from(json.loads(json.dumps(asdict(placement)))) == placement


def test_the_ways_in_order() -> None:
    card, first = moe(8, every=2), Placement(n_ctx=4_096)
    experts, layers, none = ladders(card, first, gpus=(gpu(),))
    assert [step.expert_layers_in_ram for step in steps(experts)] == [0, 2, 4, 6, 8]
    assert {step.n_gpu_layers for step in steps(experts)} == {9} and {step.tensor_split for step in steps(experts)} == {
        ()
    }
    assert [step.n_gpu_layers for step in steps(layers)] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert {step.expert_layers_in_ram for step in steps(layers)} == {8}
    assert [(step.n_gpu_layers, step.use_gpus) for step in steps(none)] == [(0, True), (0, False)]
    dense, *_ = ladders(moe(8, every=99), first, gpus=(gpu(),))
    assert dense.n_steps == 1
    (only,) = ladders(card, first, gpus=(gpu(),), kv_device="gpu")
    assert all(held(card, step, (gpu(),))[0].kv_bytes == 0 for step in steps(only))
    (cpu,) = ladders(card, first)
    assert list(steps(cpu)) == [first]
    assert [step.kv_on_gpu for step in steps(ladders(card, first, kv_device="ram")[0])] == [False]
    with pytest.raises(UsageError, match="no GPU here") as caught:
        ladders(card, first, kv_device="gpu")
    assert "--kv-device auto" in caught.value.remedy


def test_uneven_gpus_are_filled_evenly() -> None:
    card = moe(48)
    gpus = (gpu("A", 60 * GIB), gpu("B", 20 * GIB))
    experts, *_ = ladders(card, Placement(n_ctx=4_096), gpus=gpus)
    for step in (0, 24, 40):
        placement = experts.make(step)
        assert sum(placement.tensor_split) == 49
        _, a, b = held(card, placement, gpus)
        shares = [(part.weights_bytes + part.kv_bytes) / one.free_bytes for part, one in zip((a, b), gpus, strict=True)]
        assert max(shares) < sum(shares) / 2 + 0.03


def test_names_in_the_log() -> None:
    gpus = (gpu("CUDA0"), gpu("CUDA1"), replace(gpu("RPC1"), buffer="RPC0[10.0.0.2:50052]"), gpu("MTL0"))
    for buffer, name in (
        *(("CUDA0", "CUDA0"), ("CUDA1", "CUDA1"), ("CUDA10", "RAM"), ("CUDA_Host", "RAM"), ("CPU", "RAM")),
        *(("CPU_Mapped", "RAM"), ("CPU_REPACK", "RAM"), ("RPC0[10.0.0.2:50052]", "RPC1"), ("RPC1", "RAM")),
        *(("MTL0_Mapped", "MTL0"), ("MTL0_Private", "MTL0"), ("CUDA0_Host", "RAM")),
    ):
        assert owner(buffer, gpus) == name
    machine = Hardware(Device("RAM", "ram", 1, 2), gpus, 5)
    assert devices_from(json.loads(json.dumps([asdict(device) for device in gpus]))) == gpus
    assert [device.name for device in machine.devices] == ["RAM", "CUDA0", "CUDA1", "RPC1", "MTL0"]


def compare(model: Path, placement: Placement, environment: Mapping[str, str] | None = None) -> None:
    """A real load against `held`, device by device, and against a dry run's compute buffers."""
    real, dry = (load(model, placement, dry=dry, environment=environment) for dry in (False, True))
    card = card_of(model)
    for part in held(card, placement, real.gpus):
        assert real.size(part.name, "model") == pytest.approx(part.weights_bytes, abs=ROUNDED), part.name
        assert real.size(part.name, "KV") == pytest.approx(part.kv_bytes, abs=ROUNDED), part.name
        # with several GPUs one may copy what another hands on, which a dry run does not show
        handed_on = 4 * card.n_embd * placement.n_ubatch if len(real.gpus) > 1 and part.name != "RAM" else 0
        compute = dry.size(part.name, "compute", "output")
        assert real.size(part.name, "compute", "output") <= compute + handed_on + ROUNDED, part.name


@pytest.mark.parametrize("name", ["scout", "llama", "gemma3"])
def test_llama_cpp_agrees_on_ram(name: str) -> None:
    model = cached(name, vocab="none") if name == "scout" else cached(name)
    compare(model, Placement(n_ctx=9_000, kv_type="q8_0", use_gpus=False))


PLACEMENTS = (
    Placement(n_ctx=4_096),
    Placement(n_ctx=4_096, use_gpus=False),
    Placement(n_ctx=4_096, n_gpu_layers=99, tensor_split=(2, 1)),
    Placement(n_ctx=9_000, n_gpu_layers=4, tensor_split=(1, 1)),
    Placement(n_ctx=4_096, n_gpu_layers=99, tensor_split=(1, 2), expert_layers_in_ram=3),
    Placement(n_ctx=9_000, n_gpu_layers=99, tensor_split=(1, 1), kv_on_gpu=False, kv_type="q8_0"),
    Placement(n_ctx=9_000, n_gpu_layers=5, tensor_split=(1, 0), expert_layers_in_ram=6),
)


@pytest.mark.slow
@pytest.mark.skipif(bool(available()), reason=f"no remote GPUs: {available()}")
def test_llama_cpp_agrees_on_gpus(tmp_path: Path, starter_gguf: Path) -> None:
    """Two GPUs in processes of their own. The reading of their memory is what a user's tool would show."""
    with remote_gpus([4 * GIB, GIB], folder=tmp_path) as environment:
        for model in (cached("scout", vocab="none"), cached("gemma3"), starter_gguf):
            for placement in PLACEMENTS:
                compare(model, placement, environment)
        assert [str(row) for row in rows(environment) if not row.holds] == []


@pytest.mark.slow
def test_this_machines_gpus_hold_what_was_planned() -> None:
    readings = list(rows())
    assert [str(row) for row in readings if not row.holds] == []
    if not hasattr(readings[0], "planned"):
        pytest.skip(str(readings[0]))
