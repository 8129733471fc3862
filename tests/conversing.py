"""Whether a next question stands on the cells that a fresh reading would make, turn after turn: behind each question of
a conversation the engine's logits beside those of an engine that has read nothing before.

In a child process of its own: `python -m tests.conversing`, with a job as JSON coming in.
"""

import ctypes
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.errand import sent
from tests.exactness import answered, differ
from tests.models.cache import cached

_CORPUS = (700, 1_100)  # tokens, from and to
_FILE_TYPES = {"Q4_K_M": 15, "Q8_0": 7}  # llama.h's enum llama_ftype


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The largest difference of a logit behind a question, what was reused of the prompt and what it shares with what
    was read and written before, and the tokens of the reply that are the same."""

    n_tokens: int
    shared: int
    reused: int
    ours: float
    same: int
    n_reply: int


def turns(
    model: str | Path,
    *,
    kv_type: str = "f16",
    n_turns: int = 10,
    settles: bool = True,
    saves: bool = False,
    quantized: str = "",
    first_id: int = 300,
    n_ids: int = 1_600,
    n_ctx: int = 4_096,
    longest_reply: int = 90,
    seed: int = 0,
    **shape: Any,
) -> list[Turn]:
    """A conversation with a model of a builder's name, or a file. settles: whether the engine has time to read its
    reply again before the next question. saves: whether each goes on from a file, in an engine that is new."""
    path = model if isinstance(model, Path) else cached(model, **shape)
    job = {
        "model": str(_quantized(path, quantized) if quantized else path),
        **{"kv_type": kv_type, "n_turns": n_turns, "settles": settles, "saves": saves, "n_ctx": n_ctx, "seed": seed},
        **{"first_id": first_id, "n_ids": n_ids, "longest_reply": longest_reply},
    }
    return [Turn(**fields) for fields in sent("tests.conversing", job)]


def _quantized(path: Path, name: str) -> Path:
    """The model by llama.cpp's own quantization, made once."""
    made = path.with_name(f"{path.stem}-{name.lower()}.gguf")
    if not made.exists():
        beside = made.with_suffix(f".{os.getpid()}.part")
        sent("tests.conversing", {"quantize": str(path), "to": str(beside), "as": _FILE_TYPES[name]})
        beside.replace(made)
    return made


def _quantize(source: str, to: str, file_type: int) -> None:
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = file_type, 1
    assert llama_cpp.llama_model_quantize(source.encode(), to.encode(), ctypes.byref(parameters)) == 0


def _measure(job: dict[str, Any]) -> Iterator[Turn]:
    from engine.memory.budget import Placement
    from engine.runtime.binding import Binding
    from engine.runtime.keeping import Keeping
    from engine.runtime.llama import LlamaModel
    from engine.runtime.settings import EngineSettings

    placement = Placement(n_ctx=job["n_ctx"], kv_type=job["kv_type"])
    settings = EngineSettings(model=Path(job["model"]), placement=placement, n_threads=1)
    binding = Binding(model=job["model"], llama_cpp="", kv_k=job["kv_type"], kv_v=job["kv_type"])
    engine, fresh = (LlamaModel(settings, lambda share: None) for _ in range(2))
    random, state = np.random.default_rng(job["seed"]), Path(f"{job['model']}.{os.getpid()}.kv")

    def some(least: int, most: int) -> Any:
        ids = random.integers(job["first_id"], job["first_id"] + job["n_ids"], int(random.integers(least, most)))
        return ids.astype(np.int32)

    said = some(*_CORPUS)
    anchor, shared = len(said), 0
    try:
        for _ in range(job["n_turns"]):
            ids, n_reply = np.concatenate([said, some(5, 60)]), int(random.integers(2, job["longest_reply"]))
            fresh._cache.clear()
            _, theirs, right = answered(fresh, ids, n_reply=n_reply, anchor=anchor)
            keeping = Keeping(binding=binding, states=(state,) if job["saves"] and shared else ())
            reused, reply, rows = answered(engine, ids, n_reply=n_reply, anchor=anchor, keeping=keeping)
            same = next((at for at, (a, b) in enumerate(zip(reply, theirs, strict=False)) if a != b), len(reply))
            yield Turn(
                n_tokens=len(ids),
                shared=shared,
                reused=reused,
                ours=differ(rows[0], right[0]),
                same=same,
                n_reply=len(reply),
            )
            if job["settles"]:
                engine.settle()
            if job["saves"]:
                state.unlink(missing_ok=True)
                engine.save(binding, state)
                engine._cache.clear()
            said = np.concatenate([ids, np.array(reply, dtype=np.int32)])
            shared = len(said) - 1
    finally:
        state.unlink(missing_ok=True)


def main(job: dict[str, Any]) -> None:
    if "quantize" in job:
        _quantize(job["quantize"], job["to"], job["as"])
        json.dump(None, sys.stdout)
    else:
        json.dump([asdict(turn) for turn in _measure(job)], sys.stdout)


if __name__ == "__main__":
    main(json.load(sys.stdin))
