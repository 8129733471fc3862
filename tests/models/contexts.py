"""Ask llama.cpp what KV caches it would make: one child process, context after context, nothing allocated."""

import ctypes
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.models.cache import REPO
from tests.models.probe import ENVIRONMENT, keep_log

# "llama_kv_cache: size = 6144.00 MiB (131072 cells, 12 layers, 1/1 seqs), K (f16): 3072.00 MiB, V (f16): 3072.00 MiB"
_CACHE = re.compile(
    r"^llama_kv_cache: size = +[\d.]+ MiB \( *(\d+) cells, +(\d+) layers.*"
    r" K \(\w+\): +([\d.]+) MiB, V \(\w+\): +([\d.]+) MiB"
)
# "n_embd_k_gqa          = 1024", or [64, 128, ...] where layers differ
_WIDTHS = re.compile(r"n_embd_([kv])_gqa += (\d+)$")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class KVCache:
    """One KV cache: the cells and layers that llama.cpp logs, and its bytes.

    The log has MiB with two decimals. n_bytes is whole: cells x layers x ggml_row_size() of K's and V's elements in a
    layer, and the child refuses to answer where that is not what was logged, as far as it was logged.
    """

    n_cells: int
    n_layers: int
    n_bytes: int


class Contexts:
    """A child process that loads models without their weights; the last one stays loaded."""

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.models.contexts"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=REPO,
            env=ENVIRONMENT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.communicate()

    def caches(
        self, model: Path, n_ctx: int, *, kv_type: int = 1, n_ubatch: int = 512, swa_full: bool = False
    ) -> list[KVCache]:
        """The KV caches of one context: one, or with windowed layers the whole and the windowed. `kv_type` is ggml's.

        Raises ValueError with llama.cpp's last words where it makes no context, EOFError where it crashed.
        """
        request = {"model": str(model), "n_ctx": n_ctx, "kv_type": kv_type, "n_ubatch": n_ubatch, "swa_full": swa_full}
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise EOFError(f"llama.cpp ended the process on {request}")
        answer = json.loads(line)
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return [KVCache(*cache) for cache in answer["caches"]]


class _Child:
    """The child's state: the log since the last request, and the model that is loaded."""

    def __init__(self) -> None:
        import llama_cpp

        self._llama = llama_cpp
        self._log: list[str] = []
        keep_log(llama_cpp, self._log.append)
        llama_cpp.llama_backend_init()
        base = ctypes.CDLL(str(next((Path(llama_cpp.__file__).parent / "lib").glob("*ggml-base.*"))))
        base.ggml_row_size.restype, base.ggml_row_size.argtypes = ctypes.c_size_t, [ctypes.c_int, ctypes.c_int64]
        self._row_size = base.ggml_row_size
        self._path, self._model = "", None
        self._widths: dict[str, int] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        llama = self._llama
        self._log.clear()
        if request["model"] != self._path and not self._load(request["model"]):
            return {"refused": "".join(self._log)[-500:]}
        params = llama.llama_context_default_params()
        params.n_ctx = request["n_ctx"]
        params.n_batch = params.n_ubatch = request["n_ubatch"]
        params.swa_full = request["swa_full"]
        params.type_k = params.type_v = request["kv_type"]
        params.n_outputs_max = 1
        self._log.clear()
        context = llama.llama_init_from_model(self._model, params)
        if not context:
            return {"refused": "".join(self._log)[-500:]}
        llama.llama_free(context)
        return {
            "caches": [self._cache(match, request["kv_type"]) for match in map(_CACHE.match, self._lines()) if match]
        }

    def _load(self, path: str) -> bool:
        llama = self._llama
        if self._model:
            llama.llama_model_free(self._model)
        params = llama.llama_model_default_params()
        params.n_gpu_layers = 0
        params.no_alloc = True
        params.load_mode = llama.LLAMA_LOAD_MODE_NONE
        self._model = llama.llama_model_load_from_file(path.encode(), params)
        self._path = path if self._model else ""
        self._widths = {match[1]: int(match[2]) for match in map(_WIDTHS.search, self._lines()) if match}
        return bool(self._model)

    def _cache(self, match: re.Match[str], kv_type: int) -> tuple[int, int, int]:
        n_cells, n_layers = int(match[1]), int(match[2])
        total = 0
        for part, logged_mib in (("k", float(match[3])), ("v", float(match[4]))):
            n_bytes = n_cells * n_layers * self._row_size(kv_type, self._widths[part])
            # two decimals, of a float32: 0.005, and a 2^24th of the whole
            if abs(n_bytes / _MIB - logged_mib) > 0.00501 + logged_mib / (1 << 23):
                raise ValueError(f"{n_bytes} bytes are not the {logged_mib} MiB that were logged")
            total += n_bytes
        return n_cells, n_layers, total

    def _lines(self) -> list[str]:
        return "".join(self._log).splitlines()


if __name__ == "__main__":
    child = _Child()
    for line in sys.stdin:
        print(json.dumps(child.answer(json.loads(line))), flush=True)
