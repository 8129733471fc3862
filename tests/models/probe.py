"""Run a model in a child process and say what llama.cpp made of it. A bad GGUF takes the child down, not the tests."""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.cores import usable_cores
from tests.models.cache import REPO
from tests.patience import PATIENCE_S

ENVIRONMENT = os.environ | {"GGML_NO_BACKTRACE": "1"}  # or a failed assertion starts a debugger first


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one child: `status` is its exit status, negative for the signal that ended it; `log` is llama.cpp's
    log; `logits` holds one row per prompt, `replies` the greedy ids per prompt, `tokens` the ids per text."""

    status: int
    log: str
    logits: npt.NDArray[np.float32] | None
    replies: list[list[int]]
    tokens: list[list[int]]
    facts: dict[str, Any]


def probe(
    model: Path,
    *,
    prompts: Sequence[Sequence[int]] = (),
    texts: Sequence[str] = (),
    n_reply: int = 0,
    n_ctx: int = 4_096,
    n_ubatch: int = 512,
    swa_full: bool = False,
    kv_type: int = 1,
    vocab_only: bool = False,
    no_alloc: bool = False,
) -> Probe:
    """Load `model`, tokenize `texts` (special tokens off), decode each of `prompts` in an empty cache.

    A prompt's logits are those of its last token. With `no_alloc` only the context is made and its sizes are logged.
    `kv_type` is a ggml type: 1 is f16, 8 is q8_0.
    """
    with tempfile.TemporaryDirectory() as folder:
        logits = Path(folder) / "logits.npy"
        request = {
            "model": str(model),
            "prompts": [list(prompt) for prompt in prompts],
            "texts": list(texts),
            "n_reply": n_reply,
            "n_ctx": n_ctx,
            "n_ubatch": n_ubatch,
            "swa_full": swa_full,
            "kv_type": kv_type,
            "vocab_only": vocab_only,
            "no_alloc": no_alloc,
            "logits": str(logits),
        }
        child = subprocess.run(
            [sys.executable, "-m", "tests.models.probe"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=REPO,
            env=ENVIRONMENT,
            timeout=PATIENCE_S,
        )
        answer = json.loads(child.stdout) if child.returncode == 0 else {"replies": [], "tokens": [], "facts": {}}
        rows = np.load(logits) if logits.exists() else None
    return Probe(status=child.returncode, log=child.stderr, logits=rows, **answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """The child's work. Exits with 3 where llama.cpp refuses the model and with 4 where it refuses the context."""
    import llama_cpp

    keep_log(llama_cpp, sys.stderr.write)
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = request["vocab_only"]
    params.no_alloc = request["no_alloc"]
    params.n_gpu_layers = 0
    if request["no_alloc"]:
        params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE  # the default mode aborts together with no_alloc
    model = llama_cpp.llama_model_load_from_file(request["model"].encode(), params)
    if not model:
        sys.exit(3)
    vocab = llama_cpp.llama_model_get_vocab(model)
    tokens = [_tokenize(llama_cpp, vocab, text) for text in request["texts"]]
    answer = {"replies": [], "tokens": tokens, "facts": _facts(llama_cpp, model, vocab)}
    if not request["vocab_only"]:
        context = _context(llama_cpp, model, request)
        answer["replies"] = _decode_all(llama_cpp, context, vocab, request)
    return answer


def keep_log(llama_cpp: Any, take: Callable[[str], object]) -> None:
    """Hand llama.cpp's log, piece by piece, to `take`."""

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def write(level: int, text: bytes, data: object) -> None:
        take(text.decode("utf-8", "replace"))

    llama_cpp.llama_log_set(write, ctypes.c_void_p(0))
    globals()["_keep_the_callback_alive"] = write


def _tokenize(llama_cpp: Any, vocab: Any, text: str) -> list[int]:
    data = text.encode()
    room = len(data) + 16
    ids = (llama_cpp.llama_token * room)()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), ids, room, False, False)
    return list(ids[:count])


def _facts(llama_cpp: Any, model: Any, vocab: Any) -> dict[str, Any]:
    template = llama_cpp.llama_model_chat_template(model, None)
    return {
        "n_vocab": llama_cpp.llama_vocab_n_tokens(vocab),
        "n_layer": llama_cpp.llama_model_n_layer(model),
        "n_ctx_train": llama_cpp.llama_model_n_ctx_train(model),
        "bos": llama_cpp.llama_vocab_bos(vocab),
        "eos": llama_cpp.llama_vocab_eos(vocab),
        "eot": llama_cpp.llama_vocab_eot(vocab),
        "add_bos": llama_cpp.llama_vocab_get_add_bos(vocab),
        "template": template.decode() if template else None,
    }


def _context(llama_cpp: Any, model: Any, request: dict[str, Any]) -> Any:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = request["n_ctx"]
    params.n_batch = params.n_ubatch = request["n_ubatch"]
    params.swa_full = request["swa_full"]
    params.type_k = params.type_v = request["kv_type"]
    params.n_threads = params.n_threads_batch = usable_cores()
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        sys.exit(4)
    return context


def _decode_all(llama_cpp: Any, context: Any, vocab: Any, request: dict[str, Any]) -> list[list[int]]:
    n_vocab = llama_cpp.llama_vocab_n_tokens(vocab)
    rows, replies = [], []
    for prompt in request["prompts"]:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        rows.append(_decode(llama_cpp, context, prompt, request["n_ubatch"], n_vocab))
        row, reply = rows[-1], []
        for _ in range(request["n_reply"]):
            reply.append(int(row.argmax()))
            row = _decode(llama_cpp, context, reply[-1:], 1, n_vocab)
        replies.append(reply)
    if rows:
        np.save(request["logits"], np.stack(rows))
    return replies


def _decode(llama_cpp: Any, context: Any, ids: Sequence[int], n_batch: int, n_vocab: int) -> npt.NDArray[np.float32]:
    for start in range(0, len(ids), n_batch):
        part = ids[start : start + n_batch]
        array = (llama_cpp.llama_token * len(part))(*part)
        status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(part)))
        if status != 0:
            sys.exit(5)
    logits = llama_cpp.llama_get_logits_ith(context, -1)
    return np.ctypeslib.as_array(logits, shape=(n_vocab,)).copy()


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
