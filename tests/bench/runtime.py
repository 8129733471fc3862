"""The engine's child against a bare llama_decode loop over the same ids with the same settings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from threading import Event as Flag

import numpy as np
import psutil

from app.models.places import starter_model
from engine.cores import usable_cores
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.events import Finished, Sampling
from engine.runtime.settings import EngineSettings
from tests.bench.table import Row
from tests.models.cache import cached

_TIMES = 7
_LIMIT, _MEMORY_LIMIT = 1.03, 1.05


def rows() -> Iterator[Row]:
    """Prefill, generation and peak memory, for a model that answers and for Scout's shape."""
    yield from _compare("starter", starter_model(), n_prompt=512, n_reply=160)
    yield from _compare("Scout-shaped", cached("scout"), n_prompt=4096, n_reply=128)


def _compare(name: str, model: Path, *, n_prompt: int, n_reply: int) -> Iterator[Row]:
    settings = EngineSettings(model=model, placement=Placement(n_ctx=n_prompt + n_reply))
    bare = _Bare(settings, n_reply)
    engine = EngineProcess(settings)
    pairs = []
    for seed in range(_TIMES + 1):  # the first pair warms up
        ids = np.random.default_rng(seed).integers(1_000, 40_000, n_prompt, dtype=np.int32)
        # in turns, and each first every other time: two noisy cores
        order = (_ours, _theirs) if seed % 2 else (_theirs, _ours)
        measured = {run: run(engine, bare, ids, n_reply) for run in order}
        pairs.append((measured[_ours], measured[_theirs]))
    for key, what in (("prefill_s", f"prefill of {n_prompt:,} tokens"), ("generate_s", f"{n_reply} tokens generated")):
        ours, theirs = (median(pair[side][key] for pair in pairs[1:]) for side in (0, 1))
        yield Row(f"{what}, {name}", ours, theirs, "s", _LIMIT)
    assert engine.pid is not None
    peaks = _peak_mib(engine.pid), _peak_mib(bare.pid)
    yield Row(f"peak memory of the child, {name}", *peaks, "MiB", _MEMORY_LIMIT)
    engine.close()
    bare.close()


def _ours(engine: EngineProcess, bare: "_Bare", ids: np.ndarray, n_reply: int) -> dict[str, float]:
    prompt = Prompt((Segment(Part.SOURCE, ids),))
    end = list(engine.generate(prompt, Sampling(max_tokens=n_reply), cancel=Flag()))[-1]
    assert isinstance(end, Finished) and end.reused_tokens == 0
    per_token = end.generate_s / max(1, len(end.reply_ids) - 1)  # an end token may come first: compare token by token
    return {"prefill_s": end.prefill_s, "generate_s": per_token * (n_reply - 1)}


def _theirs(engine: EngineProcess, bare: "_Bare", ids: np.ndarray, n_reply: int) -> dict[str, float]:
    return bare.measure(ids)


class _Bare:
    """The bare loop in a process of its own."""

    def __init__(self, settings: EngineSettings, n_reply: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        placement = settings.placement
        job = {"model": str(settings.model), "n_ctx": placement.n_ctx, "n_batch": placement.n_ubatch}
        self._send({**job, "n_threads": usable_cores(), "n_reply": n_reply})

    @property
    def pid(self) -> int:
        return self._process.pid

    def measure(self, ids: np.ndarray) -> dict[str, float]:
        self._send(ids.tolist())
        assert self._process.stdout is not None
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def _peak_mib(pid: int) -> float:
    """A living process's peak resident memory, where the system tells."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return psutil.Process(pid).memory_info().rss / 2**20
