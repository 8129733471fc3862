"""What an engine is started with."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# ggml's numbers of the types that a KV cache can have
KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2, "iq4_nl": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Settings of one llama.cpp context. n_ctx: cells of the KV cache, in tokens; n_batch: tokens a decode call."""

    model: Path
    n_ctx: int
    kv_type: str = "f16"
    n_batch: int = 512
    n_threads: int = 0  # 0: as many as this process may use
    kv_on_gpu: bool = True

    def fields(self) -> dict[str, Any]:
        """As JSON for the child process."""
        return {
            "model": str(self.model),
            "n_ctx": self.n_ctx,
            "kv_type": self.kv_type,
            "n_batch": self.n_batch,
            "n_threads": self.n_threads or usable_cores(),
            "kv_on_gpu": self.kv_on_gpu,
        }


def settings_from(fields: dict[str, Any]) -> EngineSettings:
    """The way back from `EngineSettings.fields`."""
    return EngineSettings(**{**fields, "model": Path(fields["model"])})


def usable_cores() -> int:
    """Physical cores, or fewer where this process is bound to fewer: hyperthreads only slow llama.cpp down."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, psutil.cpu_count(logical=False) or bound))
