"""Plans against processes: the short form of `python -m tests.bench memory`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.memory.budget import Wanted
from engine.memory.dry_run import DryRun
from tests.bench.memory import Row, idle, measure

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read in /proc")
MIB = 1 << 20


@pytest.fixture(scope="module")
def dry_run() -> Iterator[DryRun]:
    one = DryRun()
    yield one
    one.close()


@pytest.fixture(scope="module")
def idle_bytes() -> int:
    return idle()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("llama", Wanted(n_ctx=8_192)),
        ("gemma3", Wanted(n_ctx=4_096, kv_type="q5_1", n_ubatch=256, swa_full=True)),
        ("scout", Wanted(n_ctx=3_072, kv_type="q8_0")),
    ],
)
def test_an_engine_takes_what_was_planned(name: str, wanted: Wanted, dry_run: DryRun, idle_bytes: int) -> None:
    row = measure(name, wanted, dry_run, idle_bytes)
    assert row.holds, str(row)


@pytest.mark.parametrize(
    ("planned", "grown", "holds"),
    [(100, 100, True), (119, 100, True), (120, 100, False), (96, 100, True), (94, 100, False), (985, 1_000, False)],
)
def test_what_holds(planned: int, grown: int, holds: bool) -> None:
    assert Row("x", planned * MIB, grown * MIB).holds is holds
