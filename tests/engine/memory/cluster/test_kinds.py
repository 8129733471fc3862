"""GPUs by name: the table, what is near a name, one's own, and what is no fleet."""

import pytest

from engine.errors import UsageError
from engine.memory.cluster.kinds import KINDS, find_kind, parse_fleet

GIB = 1 << 30


def test_every_gpu_has_memory_and_a_source() -> None:
    assert len(KINDS) == len({kind.name for kind in KINDS}) > 20
    for kind in KINDS:
        assert kind.source.startswith("https://"), kind.name
        # what is sold as 80 GB is 80 GB or 80 GiB before the driver takes its part, which is a tenth at most
        assert 0.88 * kind.nominal_gb < kind.reported_bytes / GIB <= kind.nominal_gb, kind.name
    assert {kind.name for kind in KINDS if kind.is_amd} >= {"MI300X-192G", "MI325X-256G"}


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("8xH100-80G", "H100-80G", 8),
        ("8 x h100-80gb", "H100-80G", 8),
        ("2*H200", "H200-141G", 2),
        ("NVIDIA H100 80GB HBM3", "H100-80G", 1),
        ("MI300X", "MI300X-192G", 1),
        ("4090", "RTX-4090", 1),
        ("2x3090", "RTX-3090", 2),
        ("L4", "L4-24G", 1),
        ("L40S", "L40S-48G", 1),
        ("h100_nvl", "H100-NVL", 1),
        ("AMD Instinct MI325X", "MI325X-256G", 1),
        ("H100", "H100-80G", 1),
        ("8xH100", "H100-80G", 8),
        ("8 x H100 80GB", "H100-80G", 8),
        ("8×H100", "H100-80G", 8),
        ("8 H100", "H100-80G", 8),
        ("H100x8", "H100-80G", 8),
        ("H100 x 8", "H100-80G", 8),
        ("H100:8", "H100-80G", 8),
        ("8x H100 (80GB) SXM5", "H100-80G", 8),
        ("8x NVIDIA H100 80GB HBM3", "H100-80G", 8),
        ("DGX H100", "H100-80G", 1),
        ("4 H100-94G", "H100-NVL", 4),
        ("8xA100-SXM4-40GB", "A100-40G", 8),
        ("A100 80GB PCIe", "A100-80G", 1),
        ("2x4090", "RTX-4090", 2),
        ("2x RTX 4090 24GB", "RTX-4090", 2),
        ("NVIDIA GeForce RTX 5090", "RTX-5090", 1),
        ("8xMI300X 192GB", "MI300X-192G", 8),
        ("8xMI300", "MI300X-192G", 8),
        ("L40s 48GB", "L40S-48G", 1),
        ("RTX 6000 Ada", "RTX-6000-ADA", 1),
        ("DGX Spark", "DGX-SPARK-128G", 1),
        ("A10", "A10-24G", 1),
        ("4xA10G", "A10G-24G", 4),
    ],
)
def test_a_gpu_is_found_as_people_write_it(text: str, name: str, count: int) -> None:
    fleet = parse_fleet(text)
    assert (fleet.kind.name, fleet.per_node, fleet.n_gpus) == (name, count, count)


def test_a_gpu_of_ones_own() -> None:
    fleet = parse_fleet("4xMINE=48G", n_nodes=2)
    assert (fleet.kind.name, fleet.kind.reported_bytes, fleet.n_gpus) == ("MINE", 48 * GIB, 8)
    assert parse_fleet("My Card=23.5GiB").kind.reported_bytes == int(23.5 * GIB)
    assert find_kind("A=16").reported_bytes == 16 * GIB


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8xA100", "A100-80G or A100-40G"),
        ("6000", "RTX-A6000 or RTX-6000-ADA or RTX-PRO-6000"),
        ("8xH101-80G", "Did you mean H100-80G"),
        ("8xFOO", "NAME=48G"),
        ("", "names no GPUs"),
        ("0xH200", "0 GPUs"),
        ("-1xH200", "-1 GPUs"),
        ("1.5xH200", "1.5 GPUs"),
        ("H100:0", "0 GPUs"),
        ("H100-40G", "no GPU H100-40G. Did you mean H100-80G"),
        ("2x24GB", "24GB names no GPU"),
        ("8xH1000", "no GPU H1000"),
        ("xxx", "no GPU xxx"),
        ("(80GB)", "names no GPU"),
        ("9999xH200", "9999 GPUs"),
        ("4xH100-80G,4xA100-80G", "several kinds"),
        ("4xH100-80G+4xA100-80G", "several kinds"),
        ("X=0G", "0 GiB"),
        ("X=99999G", "99999 GiB"),
        ("\x1b[31m", r"\\x1b"),
    ],
)
def test_what_is_no_fleet_is_refused_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_fleet(text)


@pytest.mark.parametrize("n_nodes", [0, -1, 257])
def test_nodes_are_counted(n_nodes: int) -> None:
    with pytest.raises(UsageError, match="nodes"):
        parse_fleet("H200", n_nodes=n_nodes)
