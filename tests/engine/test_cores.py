"""engine.cores: how many threads are worth it, from made-up control groups, and once in a real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cores import bound_cores
from engine.runtime.settings import EngineSettings
from tests.memory_group import cpu_group
from tests.models.cache import REPO


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def bound(folder: Path, proc: str, **files: str) -> int:
    """files: of the control groups, with __ for / and - for a dot."""
    (folder / "proc").write_text(proc)
    for name, text in files.items():
        file = folder / "sys" / name.replace("__", "/").replace("-", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return bound_cores(folder / "proc", folder / "sys")


@pytest.mark.parametrize(
    ("quota", "n_cores"),
    [(50_000, 1), (100_000, 1), (150_000, 1), (200_000, 2), (250_000, 2), (799_999, 7), (1_600_000, 8), (1_000, 1)],
)
def test_whole_cores_of_a_quota(tmp_path: Path, quota: int, n_cores: int) -> None:
    assert bound(tmp_path / "two", "0::/a\n", **{"a__cpu-max": f"{quota} 100000"}) == n_cores
    v1 = {"cpu__docker__1__cpu-cfs_quota_us": str(quota), "cpu__docker__1__cpu-cfs_period_us": "100000"}
    assert bound(tmp_path / "one", "4:cpu,cpuacct:/docker/1\n9:memory:/x\n", **v1) == n_cores


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / name / "sys").mkdir(parents=True)
    (tmp_path / "sys").mkdir()
    return tmp_path


def test_the_tightest_of_nested_groups(tmp_path: Path) -> None:
    files = {"a__b__cpu-max": "max 100000", "a__cpu-max": "300000 100000", "cpu-max": "600000 100000"}
    assert bound(tmp_path, "0::/a/b\n", **files) == 3
    assert bound(tmp_path, "0::/system.slice/docker-12.scope\n") == 6  # not visible here: the root is its own
    assert bound(tmp_path, "0::/../../x\n") == 6


def test_other_periods_and_no_limit(tmp_path: Path) -> None:
    assert bound(tmp_path, "0::/\n", **{"cpu-max": "50000 25000"}) == 2
    assert bound(tmp_path, "0::/\n", **{"cpu-max": "max 100000"}) == 8
    for nonsense in ("", "max", "many 100000", "100000 0", "0 100000"):
        assert bound(tmp_path, "0::/\n", **{"cpu-max": nonsense}) == 8
    none = {"cpu__cpu-cfs_quota_us": "-1", "cpu__cpu-cfs_period_us": "100000"}
    assert bound(tmp_path / "one", "1:cpu:/\n", **none) == 8


def test_a_tree_under_the_name_of_all_its_controllers(tmp_path: Path) -> None:
    files = {"cpu,cpuacct__cpu-cfs_quota_us": "200000", "cpu,cpuacct__cpu-cfs_period_us": "100000"}
    assert bound(tmp_path, "4:cpu,cpuacct:/\n", **files) == 2


@pytest.mark.parametrize(("cpus", "n_cores"), [("0", 1), ("0-2", 3), ("0-1,6,7", 4), ("", 8), ("x", 8), ("0-15", 8)])
def test_cpusets(tmp_path: Path, cpus: str, n_cores: int) -> None:
    assert bound(tmp_path / "two", "0::/\n", **{"cpuset-cpus-effective": cpus}) == n_cores
    assert bound(tmp_path / "one", "3:cpuset:/\n", **{"cpuset__cpuset-cpus": cpus}) == n_cores


def test_affinity_and_no_control_groups_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bound_cores(tmp_path / "nonsuch", tmp_path) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3})
    assert bound(tmp_path, "0::/\n", **{"cpu-max": "600000 100000"}) == 2
    assert bound(tmp_path, "nonsense\n") == 2


@pytest.mark.parametrize("n_cores", [0.5, 1, 1.5])
def test_an_engine_in_a_real_group(n_cores: float) -> None:
    told = "from engine.cores import usable_cores; print(usable_cores())"
    with cpu_group(n_cores) as prefix:
        said = subprocess.run([*prefix, sys.executable, "-c", told], capture_output=True, text=True, cwd=REPO)
    assert (said.stdout.strip(), said.returncode) == ("1", 0), said.stderr


def test_what_the_user_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.memory.budget import Placement

    settings = EngineSettings(model=Path("m.gguf"), placement=Placement(n_ctx=8, kv_type="f16"), n_threads=6)
    assert settings.fields()["n_threads"] == 6
