"""The dry run's child process: `python -m engine.memory.dry_child IN OUT`. Loads models without their weights.

llama.cpp lays out everything as for a real run and allocates nothing of it (no_alloc), and says in its log how large
it would be. What it does allocate, vocabulary and cell tables, it needs in a real run too: that growth is measured.
"""

import ctypes
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import llama_cpp
import psutil

from engine.child import Channel, Frame, channel_of_child, leave_amx_alone, offer_to_oom_killer
from engine.memory.budget import Placement, placement_from
from engine.memory.llama_parameters import ModelParameters, context_parameters

_MIB = 1 << 20
# "llama_kv_cache: size = 6144.00 MiB (131072 cells, ...", twice with windowed layers; llama_memory_recurrent alike
_CACHE = re.compile(r"^llama_(?:kv_cache|memory)\w*: +size = +([\d.]+) MiB")
# "sched_reserve:        CPU compute buffer size =   235.13 MiB", "llama_context:  CUDA_Host  output buffer size = ..."
_BUFFER = re.compile(r"(\S+) +(?:compute|output) buffer size = +([\d.]+) MiB")
_IDLE_S = 15.0
_WARNING, _ERROR = 3, 4  # GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR


@dataclass(slots=True)
class _Loaded:
    """The model that is loaded without weights, for placements that load alike."""

    key: tuple[Any, ...]
    model: Any
    anonymous_bytes: int  # what loading took of this process


class DryChild:
    """The child's state: its channel, llama.cpp's log, and one loaded model."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._log: list[tuple[int, str]] = []
        self._listener = self._listen()
        llama_cpp.llama_backend_init()
        self._loaded: _Loaded | None = None

    def serve(self) -> None:
        """Answers until the parent closes the pipe, or asks nothing for a while: a model's vocabulary takes memory."""
        while self._channel.has_frame(_IDLE_S) and (call := self._channel.receive()) is not None:
            self._channel.send(self._answer(call))

    def _answer(self, call: Frame) -> dict[str, Any]:
        if call.fields["do"] == "devices":
            from engine.memory.gpus import read_gpus

            return {"gpus": [asdict(gpu) for gpu in read_gpus()]}
        return self._measure(call.fields["model"], placement_from(call.fields["placement"]))

    def _measure(self, path: str, placement: Placement) -> dict[str, Any]:
        loaded = self._load(path, placement)
        if loaded is None:
            return {"refused": "model", "words": self._words()}
        self._log.clear()
        before = anonymous_bytes()
        context = llama_cpp.llama_init_from_model(loaded.model, context_parameters(placement))
        if not context:
            return {"refused": "context", "words": self._words()}
        grown = max(0, anonymous_bytes() - before)
        sizes = self._sizes()
        llama_cpp.llama_free(context)
        give_back()
        return {**sizes, "runtime_bytes": loaded.anonymous_bytes + grown}

    def _load(self, path: str, placement: Placement) -> _Loaded | None:
        """The model without its weights; one is kept, since a placement mostly differs in the context only."""
        found = os.stat(path)
        places = (placement.n_gpu_layers, placement.tensor_split, placement.expert_layers_in_ram, placement.use_gpus)
        key = (path, found.st_mtime_ns, found.st_size, places)
        if self._loaded is None or self._loaded.key != key:
            if self._loaded is not None:
                llama_cpp.llama_model_free(self._loaded.model)
                self._loaded = None
            self._log.clear()
            give_back()
            before = anonymous_bytes()
            parameters = ModelParameters(placement)
            parameters.value.no_alloc = True
            parameters.value.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE  # any other aborts together with no_alloc
            model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters.value)
            if not model:
                return None
            give_back()
            self._loaded = _Loaded(key, model, max(0, anonymous_bytes() - before))
        return self._loaded

    def _sizes(self) -> dict[str, Any]:
        kv_mib, buffers = 0.0, dict[str, float]()
        for _, line in self._log:
            if match := _CACHE.search(line):
                kv_mib += float(match[1])
            elif match := _BUFFER.search(line):
                buffers[match[1]] = buffers.get(match[1], 0.0) + float(match[2])
        return {
            "kv_bytes": round(kv_mib * _MIB),
            "buffers": {name: round(mib * _MIB) for name, mib in buffers.items()},
        }

    def _words(self) -> str:
        return " ".join(text for level, text in self._log if level in (_WARNING, _ERROR))[-400:]

    def _listen(self) -> object:
        @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
        def callback(level: int, text: bytes, _: object) -> None:
            self._log.append((level, text.decode("utf-8", "replace").strip()))

        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
        return callback


def anonymous_bytes() -> int:
    """This process's resident memory without that of files; with it where the system does not tell them apart."""
    with suppress(OSError, ValueError, StopIteration), open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) * 1024
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Returns freed memory to the system, so that what is measured next is new."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    offer_to_oom_killer()
    leave_amx_alone()
    DryChild(channel_of_child()).serve()
