"""engine.memory.hardware: what is free, and what cgroups leave of it, from made-up /proc and /sys trees."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.memory import hardware
from engine.memory.hardware import Device, cgroup_limits, ram

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
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(hardware, "cgroup_limits", lambda: groups)
    assert ram() == Device("RAM", "ram", free, total)


def test_this_machine() -> None:
    device = ram()
    assert 0 < device.free_bytes <= device.total_bytes
