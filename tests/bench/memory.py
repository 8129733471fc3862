"""What a plan says that an engine takes, against what the engine's child took once its whole context was filled.

Full batches through the whole context, since pages of a buffer that nothing was written to are not resident.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag

import numpy as np

from app.models.places import starter_model
from engine.child import Child
from engine.gguf import read_header
from engine.local.process import EngineProcess
from engine.memory.budget import Hardware, Plan, Wanted
from engine.memory.card import read_card
from engine.memory.dry_run import DryRun
from engine.memory.hardware import ram
from engine.memory.planner import make_plan
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Finished, Sampling, Stop
from engine.runtime.settings import EngineSettings
from tests.models.cache import cached

SETTINGS = (
    ("llama", Wanted(n_ctx=8_192)),
    ("llama", Wanted(n_ctx=4_000, kv_type="q8_0", n_ubatch=128)),
    ("qwen2", Wanted(n_ctx=16_384)),
    ("qwen2", Wanted(n_ctx=8_192, kv_type="q4_0", n_ubatch=1_024)),
    ("gemma3", Wanted(n_ctx=16_384, kv_type="bf16")),
    ("gemma3", Wanted(n_ctx=8_192, kv_type="q5_1", n_ubatch=256, swa_full=True)),
    ("scout", Wanted(n_ctx=20_480)),
    ("scout", Wanted(n_ctx=10_000, kv_type="q8_0", n_ubatch=2_048)),
    ("maverick", Wanted(n_ctx=12_288, n_ubatch=256)),
    ("starter", Wanted(n_ctx=2_048)),
    ("starter", Wanted(n_ctx=1_024, kv_type="q8_0", n_ubatch=1_024)),
)
_MIB = 1 << 20
_OFF_SHARE, _OFF_BYTES = 0.03, 16 * _MIB  # a plan may be off by that
_UNDER_SHARE, _UNDER_BYTES = 0.01, 4 * _MIB  # and say too little by no more than that


@dataclass(frozen=True, slots=True)
class Row:
    """One engine: bytes that the plan said, and bytes by which the child grew."""

    name: str
    planned_bytes: int
    grown_bytes: int

    @property
    def holds(self) -> bool:
        over = self.planned_bytes - self.grown_bytes
        within = abs(over) <= _OFF_SHARE * self.grown_bytes + _OFF_BYTES
        return within and -over <= _UNDER_SHARE * self.grown_bytes + _UNDER_BYTES

    def __str__(self) -> str:
        planned, grown = self.planned_bytes / _MIB, self.grown_bytes / _MIB
        return (
            f"{self.name:<58} {planned:>10.3f} {grown:>10.3f} MiB  {planned / grown:>6.3f}"
            f" ({planned - grown:+.1f} MiB: {'holds' if self.holds else 'FAILS'})"
        )


def rows() -> Iterator[Row]:
    """One row a setting; "ours" is the plan, "theirs" the process."""
    dry_run, idle_bytes = DryRun(), idle()
    try:
        for name, wanted in SETTINGS:
            yield measure(name, wanted, dry_run, idle_bytes)
    finally:
        dry_run.close()


def measure(name: str, wanted: Wanted, dry_run: DryRun, idle_bytes: int) -> Row:
    """Plans a model as Longdesk does, and runs an engine as planned until its context is full."""
    path = starter_model() if name == "starter" else cached(name)
    plan = make_plan(
        read_card(read_header(path)),
        prompt_tokens=0,
        wanted=wanted,
        hardware=Hardware(ram()),
        measure=dry_run.measure,
    )
    grown = filled_bytes(path, plan) - idle_bytes
    place = plan.placement
    what = f"{name}, {place.n_ctx:,} of {place.kv_type}{' everywhere' if place.swa_full else ''}"
    return Row(f"memory of {what}, {place.n_ubatch:,} at once", plan.total_bytes, grown)


def filled_bytes(path: Path, plan: Plan) -> int:
    """Resident memory of the engine's child, when its context is full."""
    engine = EngineProcess(EngineSettings(model=path, placement=plan.placement))
    ids = np.random.default_rng(0).integers(300, 1_500, plan.context_tokens - 1, dtype=np.int32)
    try:
        *_, end = engine.generate(Prompt((Segment(Part.SOURCE, ids),)), Sampling(max_tokens=1), cancel=Flag())
        assert isinstance(end, Finished) and end.stop is not Stop.ERROR and engine.pid is not None
        return resident(engine.pid)
    finally:
        engine.close()


def idle() -> int:
    """Resident memory of an engine's child that has loaded llama.cpp, and no model yet."""
    child = Child("engine.runtime.worker")
    try:
        sizes = [0]
        while len(sizes) < 20 or len(set(sizes[-10:])) > 1:  # it says nothing when it is ready
            time.sleep(0.05)
            sizes.append(resident(child.pid))
        return sizes[-1]
    finally:
        child.close()


def resident(pid: int, figure: str = "VmRSS") -> int:
    """A process's resident memory in bytes; the most that it ever was with VmHWM. Needs /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{figure}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no memory")
