"""Loads a model in a child process: what llama.cpp's log says of its buffers, and what the devices have free.

`python -m tests.devices.loaded` reads the job from standard input and answers on standard output.
"""

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.memory.budget import Device, Placement, devices_from, owner, placement_from
from tests.models.cache import REPO

_MIB = 1 << 20
_LINE = re.compile(r"(\S+) +(model|KV|compute|output) buffer size = +([\d.]+) MiB")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The GPUs before; buffers in bytes by device and kind (model, KV, compute, output; rounded to 0.01 MiB); each
    GPU's free bytes with the model loaded, and after a batch was decoded."""

    gpus: tuple[Device, ...]
    buffers: dict[str, dict[str, int]]
    free_loaded: tuple[int, ...]
    free_decoded: tuple[int, ...]

    def size(self, device: str, *kinds: str) -> int:
        return sum(self.buffers.get(device, {}).get(kind, 0) for kind in kinds)


def load(
    model: Path, placement: Placement | None, *, dry: bool = False, environment: Mapping[str, str] | None = None
) -> Loaded:
    """Loads with a placement and without a map of the file, and decodes one batch. None: looks at the GPUs only."""
    job = {"model": str(model), "placement": asdict(placement) if placement else None, "dry": dry}
    child = subprocess.run(
        [sys.executable, "-m", "tests.devices.loaded"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=REPO,
        env=environment,
    )
    if child.returncode != 0:
        raise RuntimeError(child.stderr[-2_000:])
    answer = json.loads(child.stdout)
    return Loaded(
        devices_from(answer["gpus"]), answer["buffers"], tuple(answer["free_loaded"]), tuple(answer["free_decoded"])
    )


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    import llama_cpp

    from engine.memory.gpus import read_gpus
    from engine.memory.llama_parameters import ModelParameters, context_parameters

    lines: list[str] = []

    @llama_cpp.llama_log_callback
    def listen(level: int, text: bytes, _: object) -> None:
        lines.append(text.decode("utf-8", "replace"))

    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    gpus = read_gpus()
    answer: dict[str, Any] = {"gpus": [asdict(gpu) for gpu in gpus], "free_loaded": [], "free_decoded": []}
    if job["placement"] is not None:
        placement = placement_from(job["placement"])
        parameters = ModelParameters(placement)
        parameters.value.load_mode, parameters.value.no_alloc = llama_cpp.LLAMA_LOAD_MODE_NONE, job["dry"]
        model = llama_cpp.llama_model_load_from_file(os.fsencode(job["model"]), parameters.value)
        context = llama_cpp.llama_init_from_model(model, context_parameters(placement))
        if not context:
            raise SystemExit("".join(lines[-20:]))
        answer["free_loaded"] = [gpu.free_bytes for gpu in read_gpus()]
        if not job["dry"]:
            _decode(llama_cpp, context, min(placement.n_ubatch, placement.n_ctx))
            answer["free_decoded"] = [gpu.free_bytes for gpu in read_gpus()]
    return {**answer, "buffers": _buffers(lines, gpus)}


def _buffers(lines: list[str], gpus: tuple[Device, ...]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line in lines:
        if match := _LINE.search(line):
            kinds = found.setdefault(owner(match[1], gpus), {})
            kinds[match[2]] = kinds.get(match[2], 0) + round(float(match[3]) * _MIB)
    return found


def _decode(llama_cpp: Any, context: Any, n_tokens: int) -> None:
    ids = np.full(n_tokens, 5, dtype=np.int32)
    batch = llama_cpp.llama_batch_get_one(ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), n_tokens)
    assert llama_cpp.llama_decode(context, batch) == 0


if __name__ == "__main__":
    print(json.dumps(_answer(json.load(sys.stdin))))
