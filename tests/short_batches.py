"""Short batches at the end of a prompt, plain and filled up: their time, and what their logits differ by from a batch's
that is long. In a child process of its own: `python -m tests.short_batches`, with a job as JSON coming in.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from tests.errand import sent

_N_UBATCH, _TILE = 512, 64


@dataclass(frozen=True, slots=True)
class Short:
    """A last batch of n_tokens: seconds as it is and filled up, and the largest difference of a logit of each."""

    n_tokens: int
    plain_s: float
    filled_s: float
    plain_differs: float
    filled_differs: float


def short_batches(
    model: Path, *, depth: int, sizes: Sequence[int], kv_type: str = "f16", times: int = 1
) -> list[Short]:
    """Behind so many tokens of a prompt. Raises AssertionError when the child fails."""
    job = {"model": str(model), "depth": depth, "sizes": list(sizes), "kv_type": kv_type, "times": times}
    return [Short(**fields) for fields in sent("tests.short_batches", job)]


def _measured(job: dict[str, Any]) -> Iterator[Short]:
    import llama_cpp

    from engine.cores import usable_cores
    from engine.memory.budget import Placement
    from engine.runtime.llama import LlamaModel
    from engine.runtime.settings import EngineSettings

    depth = job["depth"]
    placement = Placement(n_ctx=depth + 2 * _TILE, kv_type=job["kv_type"])
    settings = EngineSettings(model=Path(job["model"]), placement=placement, n_threads=usable_cores())
    model = LlamaModel(settings, lambda share: None)
    memory = llama_cpp.llama_get_memory(model._context)

    def decode(ids: Any, at: int, n_more: int = 0) -> tuple[float, Any]:
        begun = perf_counter()
        assert model._decoder.decode(ids, at, wants_logits=True, n_more=n_more)
        logits = llama_cpp.llama_get_logits_ith(model._context, -1)  # waits for it
        took = perf_counter() - begun
        return took, np.ctypeslib.as_array(logits, shape=(model._n_vocab,)).copy()

    for n_tokens in job["sizes"]:
        ids = np.random.default_rng(n_tokens).integers(300, 1_900, depth + n_tokens, dtype=np.int32)
        ends = [*range(_N_UBATCH, depth - _TILE, _N_UBATCH), depth - _TILE]
        for at, end in zip([0, *ends], ends, strict=False):
            decode(ids[at:end], at)
        _, right = decode(ids[depth - _TILE :], depth - _TILE)

        def again(n_more: int, ids: Any = ids) -> tuple[float, Any]:
            llama_cpp.llama_memory_seq_rm(memory, 0, depth, -1)
            return decode(ids[depth:], depth, n_more)

        plain = [again(0) for _ in range(job["times"])]
        filled = [again(_TILE - n_tokens) for _ in range(job["times"])]
        yield Short(
            n_tokens=n_tokens,
            plain_s=median(seconds for seconds, _ in plain),
            filled_s=median(seconds for seconds, _ in filled),
            plain_differs=float(np.abs(plain[0][1] - right).max()),
            filled_differs=float(np.abs(filled[0][1] - right).max()),
        )
        llama_cpp.llama_memory_clear(memory, True)


if __name__ == "__main__":
    json.dump([asdict(short) for short in _measured(json.load(sys.stdin))], sys.stdout)
