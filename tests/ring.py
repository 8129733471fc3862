"""Prompts of any length, one after the other in one engine, beside the same prompts in an empty one: reply by reply the
largest difference of a logit. In a child process of its own: `python -m tests.ring`, with a job as JSON coming in.

Batches are as short as they come, and prompts end anywhere on the ring of the windowed cells; some prefills are stopped
in the middle of a batch, and some states are written and read back. Batches of less than 64 tokens are filled up, so
that both engines compute all of them alike.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from tests.errand import sent
from tests.exactness import Logits, answered, differ

_N_REPLY = 4


@dataclass(frozen=True, slots=True)
class Step:
    """A prompt of n_tokens that shares the first `common` with the one before; anchor: its corpus's end.

    what: "live", "from a file", "from another's file", of a context with a ring of another length, or "after a stop" of
    the same prompt.
    """

    what: str
    n_tokens: int
    common: int
    anchor: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A step, what was reused, and the largest difference of any logit that its reply was sampled from."""

    step: Step
    reused: int
    differs: float


def any_steps(n_steps: int, *, longest: int, seed: int = 0) -> list[Step]:
    """Prompts of up to so many tokens."""
    random = np.random.default_rng(seed)
    steps: list[Step] = []
    common = 0
    for at in range(n_steps):
        n_tokens = int(random.integers(common + 1, longest))
        anchor = int(random.integers(n_tokens // 2, n_tokens))
        steps.append(Step(("live", "from a file", "after a stop")[at % 3], n_tokens, common, anchor))
        common = int(random.integers(max(1, n_tokens - 700), n_tokens))
    return steps


def turns(model: Path, steps: Sequence[Step], *, kv_type: str = "f16") -> list[Turn]:
    """Takes them one after the other. Raises AssertionError when the child fails."""
    job = {"model": str(model), "steps": [asdict(step) for step in steps], "kv_type": kv_type}
    return [Turn(Step(**fields.pop("step")), **fields) for fields in sent("tests.ring", job)]


def _taken(job: dict[str, Any], folder: Path) -> Iterator[Turn]:
    from engine.memory.budget import Placement
    from engine.runtime.binding import Binding
    from engine.runtime.keeping import Keeping
    from engine.runtime.llama import LlamaModel
    from engine.runtime.settings import EngineSettings

    steps = [Step(**fields) for fields in job["steps"]]
    placement = Placement(n_ctx=max(step.n_tokens for step in steps) + 64, kv_type=job["kv_type"])
    settings = EngineSettings(model=Path(job["model"]), placement=placement, n_threads=1)
    binding = Binding(model=job["model"], llama_cpp="", kv_k=job["kv_type"], kv_v=job["kv_type"])
    others = replace(settings, placement=replace(placement, n_ubatch=256))
    engine, fresh, other = (LlamaModel(each, lambda share: None) for each in (settings, settings, others))
    random = np.random.default_rng(len(steps))

    def asked(model: Any, ids: Any, anchor: int, keeping: Any = None) -> tuple[int, list[Logits]]:
        reused, _, rows = answered(model, ids, n_reply=_N_REPLY, anchor=anchor, keeping=keeping)
        return reused, rows

    ids = np.empty(0, dtype=np.int32)
    for at, step in enumerate(steps):
        new = random.integers(300, 1_900, step.n_tokens - step.common, dtype=np.int32)
        before, ids, keeping = ids, np.concatenate([ids[: step.common], new]), None
        if step.what in ("from a file", "from another's file"):
            path = folder / f"{at}.kv"
            if step.what == "from another's file":
                asked(other, before, steps[at - 1].anchor)
            assert (engine if step.what == "from a file" else other).save(binding, path)
            engine._cache.clear()
            keeping = Keeping(binding=binding, states=(path,))
        elif step.what == "after a stop":
            began = time.perf_counter()
            asked(engine, ids, step.anchor)
            engine._cache.rewind(ids[: step.common])
            timer = Timer(float(random.uniform(0.1, 0.9)) * (time.perf_counter() - began), engine.cancel)
            timer.start()
            asked(engine, ids, step.anchor)
            timer.cancel()
            engine.uncancel()
        reused, rows = asked(engine, ids, step.anchor, keeping)
        fresh._cache.clear()
        _, right = asked(fresh, ids, step.anchor)
        yield Turn(step, reused, max(differ(a, b) for a, b in zip(rows, right, strict=True)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        json.dump([asdict(turn) for turn in _taken(json.load(sys.stdin), Path(made))], sys.stdout)
