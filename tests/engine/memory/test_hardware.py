"""engine.memory.hardware and gpus: what is free, what cgroups leave of it, and which GPUs llama.cpp would use.

From made-up /proc, /sys and device trees, and once in a real cgroup.
"""

import json
import subprocess
import sys as system
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.memory import gpus, hardware
from engine.memory.budget import Device
from engine.memory.hardware import cgroup_limits, ram
from tests.memory_group import memory_group
from tests.models.cache import REPO, cached

GIB = 1 << 30


def v2(root: Path, group: str, limit: int | str, used: int = 0, stat: str | None = "anon 1\ninactive_file 0\n") -> None:
    folder = root / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    if stat is not None:
        (folder / "memory.stat").write_text(stat)


def v1(root: Path, group: str, limit: int, used: int = 0, inactive: int = 0) -> None:
    folder = root / "memory" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"cache 5\ninactive_file 7\ntotal_inactive_file {inactive}\n")


def limits(folder: Path, proc: str) -> list[tuple[int, int]]:
    (folder / "cgroup").write_text(proc)
    return cgroup_limits(folder / "cgroup", folder / "sys")


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    (tmp_path / "sys").mkdir()
    return tmp_path / "sys"


def test_version_2_nested(sys: Path, tmp_path: Path) -> None:
    v2(sys, "a/b", "max")
    v2(sys, "a", 8 * GIB, 3 * GIB, f"inactive_file {GIB}\nactive_file 5\n")
    v2(sys, "", 16 * GIB, 4 * GIB)
    v2(sys, "other", 1)
    assert limits(tmp_path, "0::/a/b\n") == [(8 * GIB, 2 * GIB), (16 * GIB, 4 * GIB)]


def test_version_2_in_a_container(sys: Path, tmp_path: Path) -> None:
    """The path may be one of the host, not visible here; the container's own group is the root."""
    v2(sys, "", 2 * GIB, GIB)
    for proc in ("0::/\n", "0::/system.slice/docker-1234.scope\n", "0::/../../x\n"):
        assert limits(tmp_path, proc) == [(2 * GIB, GIB)]


def test_version_1(sys: Path, tmp_path: Path) -> None:
    v1(sys, "docker/1", 4 * GIB, 2 * GIB, inactive=GIB)
    v1(sys, "docker", 0x7FFF_FFFF_FFFF_F000)
    v1(sys, "", 0x7FFF_FFFF_FFFF_F000)
    proc = "12:cpu,cpuacct:/docker/1\n9:memory:/docker/1\n1:name=systemd:/docker/1\n0::/docker/1\n"
    assert limits(tmp_path, proc) == [(4 * GIB, GIB)]
    assert limits(tmp_path, "9:memory:/not/visible\n") == []
    v1(sys, "", 3 * GIB, 5)
    assert limits(tmp_path, "9:hugetlb,memory:/not/visible\n") == [(3 * GIB, 5)]


@pytest.mark.parametrize("stat", [None, "", "\n\n", "inactive_file\n", "inactive_file many\n", "file 1\n"])
def test_a_limit_counts_whatever_memory_stat_says(stat: str | None, sys: Path, tmp_path: Path) -> None:
    v2(sys, "a", 2 * GIB, GIB, stat)
    assert limits(tmp_path, "0::/a\n") == [(2 * GIB, GIB)]


def test_use_is_never_negative(sys: Path, tmp_path: Path) -> None:
    v2(sys, "a", 2 * GIB, 5, "inactive_file 100\n")
    assert limits(tmp_path, "0::/a\n") == [(2 * GIB, 0)]


def test_without_cgroups(sys: Path, tmp_path: Path) -> None:
    assert cgroup_limits(tmp_path / "nonsuch", sys) == []
    for proc in ("", "\n", "garbage\n", "0::/a\n"):
        assert limits(tmp_path, proc) == []
    v2(sys, "a", "", 5)
    v2(sys, "a/b", 5)
    (sys / "a/b/memory.current").unlink()
    assert limits(tmp_path, "0::/a/b\n") == []


@pytest.mark.parametrize(
    ("groups", "free", "total"),
    [
        ([], 10 * GIB, 16 * GIB),
        ([(12 * GIB, GIB)], 10 * GIB, 12 * GIB),
        ([(12 * GIB, 4 * GIB)], 8 * GIB, 12 * GIB),
        ([(64 * GIB, 60 * GIB)], 4 * GIB, 16 * GIB),
        ([(12 * GIB, 4 * GIB), (6 * GIB, 5 * GIB)], GIB, 6 * GIB),
        ([(2 * GIB, 3 * GIB)], 0, 2 * GIB),
    ],
)
def test_the_lesser_counts(
    groups: list[tuple[int, int]], free: int, total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(available=10 * GIB, total=16 * GIB)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    monkeypatch.setattr(hardware, "cgroup_limits", lambda: groups)
    assert ram() == Device("RAM", "ram", free, total)


def test_this_machine() -> None:
    device = ram()
    assert 0 < device.free_bytes <= device.total_bytes


def in_group(limit: int, *command: str) -> subprocess.CompletedProcess[str]:
    with memory_group(limit) as prefix:
        return subprocess.run([*prefix, system.executable, *command], capture_output=True, text=True, cwd=REPO)


def test_a_real_cgroup_of_2_gib() -> None:
    """A child that holds 300 MiB in it sees 2 GiB in all, and what is left of them."""
    script = """
import json
from engine.memory.hardware import ram
before = ram()
held = bytearray(b"x" * (300 << 20))
after = ram()
print(json.dumps([before.total_bytes, before.free_bytes, after.free_bytes]))
"""
    child = in_group(2 * GIB, "-c", script)
    assert child.returncode == 0, child.stderr
    total, before, after = json.loads(child.stdout)
    assert total == 2 * GIB
    assert 0 < after < before < 2 * GIB
    assert before - after == pytest.approx(300 << 20, rel=0.1)


@pytest.mark.slow  # 4.4 s
def test_the_verdict_in_a_real_cgroup_of_2_gib(tmp_path: Path) -> None:
    """2 GiB of KV cache: the machine may have them, the container has not."""
    command = ("plan", "--model", str(cached("scout")), "--ctx", "4000000", "--json")
    child = in_group(2 * GIB, "-c", f"import os; os.environ['LONGDESK_HOME'] = {str(tmp_path)!r}; {RUN}", *command)
    assert child.returncode == 3, child.stderr
    plan = json.loads(child.stdout)
    assert plan["verdict"] == "over_memory" and not plan["fits"]
    (main, *_) = plan["devices"]
    assert main["kind"] == "ram" and main["total_bytes"] == 2 * GIB
    assert main["free_bytes"] < 2 * GIB < main["needed_bytes"]


RUN = "from app.command import main; main()"


@dataclass(frozen=True)
class Chip:
    """A device as a back end enters it into ggml's registry."""

    name: str
    registry: str = "CUDA"
    kind: int = 1
    id: bytes | None = None
    buffer: str = ""


def registry(chips: Sequence[Chip], monkeypatch: pytest.MonkeyPatch) -> tuple[Device, ...]:
    """What read_gpus makes of a registry with these devices, each with 7 of 8 GiB free."""

    def props(index: int, reference: object) -> None:
        value = reference._obj  # type: ignore[attr-defined] - what ctypes.byref points to
        value.name, value.device_id = chips[index].name.encode(), chips[index].id
        value.memory_free, value.memory_total = 7 * GIB, 8 * GIB

    answers = {
        "ggml_backend_dev_count": lambda: len(chips),
        "ggml_backend_dev_get": lambda index: index,
        "ggml_backend_dev_type": lambda index: chips[index].kind,
        "ggml_backend_dev_get_props": props,
        "ggml_backend_dev_backend_reg": lambda index: index,
        "ggml_backend_reg_name": lambda index: chips[index].registry.encode(),
        "ggml_backend_dev_buffer_type": lambda index: index,
        "ggml_backend_buft_name": lambda index: (chips[index].buffer or chips[index].name).encode(),
    }
    monkeypatch.setattr(gpus, "_call", lambda name, *arguments: answers[name](*arguments))
    return gpus.read_gpus()


CPU = Chip("CPU", "CPU", 0)
BLAS = Chip("BLAS", "BLAS", 3)


def test_gpus_in_llama_cpps_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote ones first, and no GPU twice that two back ends see; what computes on the CPU is none."""
    chips = (
        *(Chip("CUDA0", id=b"0000:01:00.0"), Chip("CUDA1", id=b"0000:02:00.0")),
        *(Chip("Vulkan0", "Vulkan", id=b"0000:01:00.0"), Chip("Vulkan1", "Vulkan", id=b"0000:03:00.0")),
        *(Chip("Vulkan2", "Vulkan", kind=2), BLAS, CPU, Chip("RPC0", "RPC", buffer="RPC0[10.0.0.2:1]")),
    )
    found = registry(chips, monkeypatch)
    assert [device.name for device in found] == ["RPC0", "CUDA0", "CUDA1", "Vulkan1"]
    assert found[0] == Device("RPC0", "gpu", 7 * GIB, 8 * GIB, buffer="RPC0[10.0.0.2:1]")


def test_gpus_that_share_ram(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integrated ones count where there is no other, and only one back end's; Apple's are called GPUs."""
    one, two = Chip("Vulkan0", "Vulkan", kind=2), Chip("SYCL0", "SYCL", kind=2)
    found = registry((one, two, CPU), monkeypatch)
    assert [(device.name, device.kind, device.shares_ram) for device in found] == [("Vulkan0", "gpu", True)]
    remote = Chip("RPC0", "RPC")
    assert [device.name for device in registry((one, remote, CPU), monkeypatch)] == ["RPC0", "Vulkan0"]
    assert [device.shares_ram for device in registry((Chip("CUDA0"), one), monkeypatch)] == [False]
    for machine, shares in (("arm64", True), ("x86_64", False)):
        monkeypatch.setattr(gpus.platform, "machine", lambda machine=machine: machine)
        assert [device.shares_ram for device in registry((Chip("MTL0", "MTL"), CPU), monkeypatch)] == [shares]
    assert registry((CPU, BLAS), monkeypatch) == ()


def test_the_registry_of_this_machine() -> None:
    """ggml's own answers, through real prototypes: a pointer cut to 32 bits would crash the child."""
    script = (
        "from engine.memory.gpus import *; print(ram_buffer_type() > 1 << 32, all(g.total_bytes for g in read_gpus()))"
    )
    child = subprocess.run([system.executable, "-c", script], capture_output=True, text=True, cwd=REPO)
    assert child.stdout.split() == ["True", "True"], child.stderr
