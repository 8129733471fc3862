"""A bare llama_decode loop, the yardstick for the engine: `python -m tests.bench.bare`, with JSON lines coming in.

Nothing but llama.cpp's own calls: one batch after the other, then the largest logit again and again. The first line is
the job, every further one a prompt's ids; each is answered by the seconds of prefill and of generation.
"""

import ctypes
import json
import os
import sys
from time import perf_counter
from typing import Any

import llama_cpp
import numpy as np


def main() -> None:
    """Loads the model that the first line names, then answers each further line with one measured repetition."""
    job = json.loads(sys.stdin.readline())
    context, vocab = _load(job)
    n_vocab = llama_cpp.llama_vocab_n_tokens(vocab)
    for line in sys.stdin:
        _say(_measure(context, n_vocab, np.array(json.loads(line), dtype=np.int32), job["n_batch"], job["n_reply"]))


def _load(job: dict[str, Any]) -> tuple[Any, Any]:
    llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(os.fsencode(job["model"]), llama_cpp.llama_model_default_params())
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = job["n_ctx"]
    parameters.n_batch = parameters.n_ubatch = job["n_batch"]
    parameters.n_seq_max = parameters.n_outputs_max = 1
    parameters.n_threads = parameters.n_threads_batch = job["n_threads"]
    parameters.swa_full = False
    return llama_cpp.llama_init_from_model(model, parameters), llama_cpp.llama_model_get_vocab(model)


def _measure(context: Any, n_vocab: int, ids: np.ndarray, n_batch: int, n_reply: int) -> dict[str, float]:
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    begun = perf_counter()
    for at in range(0, len(ids), n_batch):
        part = np.ascontiguousarray(ids[at : at + n_batch])
        batch = llama_cpp.llama_batch_get_one(part.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), len(part))
        assert llama_cpp.llama_decode(context, batch) == 0
    read = perf_counter()
    one = np.empty(1, dtype=np.int32)
    for _ in range(n_reply - 1):
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (n_vocab,))
        one[0] = logits.argmax()
        batch = llama_cpp.llama_batch_get_one(one.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), 1)
        assert llama_cpp.llama_decode(context, batch) == 0
    ended = perf_counter()
    return {"prefill_s": read - begun, "generate_s": ended - read}


def _say(answer: dict[str, float]) -> None:
    print(json.dumps(answer), flush=True)


@llama_cpp.llama_log_callback
def _QUIET(level: int, text: bytes, _: object) -> None:
    pass


if __name__ == "__main__":
    main()
