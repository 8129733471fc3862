"""Show a model images in a child process, by mtmd's own helper: the reference for whoever does it another way."""

import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.tokens.tiles import Mark, Tile, llama_cpp_tiling
from tests.models.cache import REPO
from tests.models.probe import ENVIRONMENT, keep_log
from tests.patience import PATIENCE_S

Picture = npt.NDArray[np.uint8]  # rows of RGB
_N_BATCH = 512


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one child. Of each prompt: `logits` behind its last token, `cells` that it took of the KV cache,
    `positions` that it reached, `encode_s` and `decode_s` of its images. `status` and `log` as in `Probe`."""

    status: int
    log: str
    logits: npt.NDArray[np.float32] | None
    cells: list[int]
    positions: list[int]
    encode_s: list[float]
    decode_s: list[float]


def look(
    model: Path,
    projector: Path,
    prompts: Sequence[Sequence[Sequence[int] | Picture]],
    *,
    separators: bool = False,
    n_ctx: int = 8_192,
) -> Look:
    """Decode each of `prompts`, ids and pictures in turn and ids last, in an empty cache.

    `separators`: with Llama 4's marks between the tiles, which mtmd leaves out.
    """
    with tempfile.TemporaryDirectory() as folder:
        named: list[list[list[int] | str]] = []
        for prompt in prompts:
            named.append([])
            for part in prompt:
                if isinstance(part, np.ndarray):
                    name = Path(folder) / f"{len(list(Path(folder).iterdir()))}.npy"
                    np.save(name, part)
                    named[-1].append(str(name))
                else:
                    named[-1].append(list(part))
        logits = Path(folder) / "logits.npy"
        request = {
            **{"model": str(model), "projector": str(projector), "prompts": named, "separators": separators},
            **{"n_ctx": n_ctx, "logits": str(logits)},
        }
        child = subprocess.run(
            [sys.executable, "-m", "tests.models.look"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            errors="replace",
            cwd=REPO,
            env=ENVIRONMENT,
            timeout=PATIENCE_S,
        )
        nothing: dict[str, Any] = {"cells": [], "positions": [], "encode_s": [], "decode_s": []}
        answer = json.loads(child.stdout) if child.returncode == 0 else nothing
        rows = np.load(logits) if logits.exists() else None
    return Look(status=child.returncode, log=child.stderr, logits=rows, **answer)


class _Eye:
    """The child's state. Exits with 3 where the model, 4 where the context and 5 where the projector is refused."""

    def __init__(self, request: dict[str, Any]) -> None:
        import llama_cpp
        from llama_cpp import mtmd_cpp

        self.llama, self.mtmd = llama_cpp, mtmd_cpp
        keep_log(llama_cpp, sys.stderr.write)
        mtmd_cpp.mtmd_helper_log_set(sys.modules["tests.models.probe"]._keep_the_callback_alive, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            request["model"].encode(), llama_cpp.llama_model_default_params()
        ) or sys.exit(3)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = request["n_ctx"], _N_BATCH, _N_BATCH
        parameters.swa_full = False
        parameters.n_threads = parameters.n_threads_batch = 1  # tiny models gain little by two
        self.context = llama_cpp.llama_init_from_model(self.model, parameters) or sys.exit(4)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        settings = mtmd_cpp.mtmd_context_params_default()
        settings.use_gpu = settings.warmup = False
        settings.n_threads = 1
        self.sight = mtmd_cpp.mtmd_init_from_file(request["projector"].encode(), self.model, settings) or sys.exit(5)
        self.separators = request["separators"]

    def run(self, prompt: list[list[int] | str]) -> npt.NDArray[np.float32]:
        """The logits behind a prompt, in an empty cache."""
        self.llama.llama_memory_clear(self.memory, True)
        self.at = self.cells = 0
        self.waiting: list[int] = []
        self.encode_s = self.decode_s = 0.0
        for part in prompt:
            if isinstance(part, str):
                self.show(np.load(part))
            else:
                self.decode(part)
        self.flush()
        n_vocab = self.llama.llama_vocab_n_tokens(self.vocab)
        return np.ctypeslib.as_array(self.llama.llama_get_logits_ith(self.context, -1), (n_vocab,)).copy()

    def decode(self, ids: Sequence[int]) -> None:
        """Tokens in a row are decoded together, whoever they come from: the marks around an image with the text."""
        self.waiting += ids
        self.cells += len(ids)

    def flush(self) -> None:
        """Decodes the tokens that wait."""
        for start in range(0, len(self.waiting), _N_BATCH):
            part = self.waiting[start : start + _N_BATCH]
            batch = self.llama.llama_batch_init(len(part), 0, 1)
            batch.n_tokens = len(part)
            for place, token in enumerate(part):
                batch.token[place], batch.pos[place] = token, self.at + place
                batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
                batch.logits[place] = place == len(part) - 1
            assert self.llama.llama_decode(self.context, batch) == 0
            self.llama.llama_batch_free(batch)
            self.at += len(part)
        self.waiting.clear()

    def show(self, picture: Picture) -> None:
        """mtmd's chunks one by one, with the separators between them where they are asked for."""
        height, width = picture.shape[:2]
        behind = self._separators(width, height) if self.separators else {}
        data = np.ascontiguousarray(picture).ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = self.mtmd.mtmd_bitmap_init(width, height, data)
        part = self.mtmd.mtmd_input_part()
        part.bitmap = bitmap
        parts = (ctypes.POINTER(self.mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
        chunks = self.mtmd.mtmd_input_chunks_init()
        assert self.mtmd.mtmd_tokenize_from_parts(self.sight, chunks, parts, 1, False) == 0
        self.mtmd.mtmd_bitmap_free(bitmap)
        for place in range(self.mtmd.mtmd_input_chunks_size(chunks)):
            self._eval(self.mtmd.mtmd_input_chunks_get(chunks, place))
            if place in behind:
                self.decode(behind[place])
        self.mtmd.mtmd_input_chunks_free(chunks)

    def _eval(self, chunk: Any) -> None:
        """What mtmd_helper_eval_chunk_single does, in its two halves, so that each can be timed."""
        n_tokens = self.mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        if self.mtmd.mtmd_input_chunk_get_type(chunk) == self.mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
            ids = self.mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(ctypes.c_size_t()))
            self.decode(ids[:n_tokens])
            return
        self.flush()
        begun = perf_counter()
        assert self.mtmd.mtmd_encode_chunk(self.sight, chunk) == 0
        encoded = perf_counter()
        after = self.llama.llama_pos(self.at)
        embeddings = self.mtmd.mtmd_get_output_embd(self.sight)
        failed = self.mtmd.mtmd_helper_decode_image_chunk(
            *(self.sight, self.context, chunk, embeddings, self.at, 0, _N_BATCH, ctypes.byref(after)),
            *(self.mtmd.mtmd_helper_post_decode_callback(0), None),
        )
        assert failed == 0
        self.encode_s += encoded - begun
        self.decode_s += perf_counter() - encoded
        self.at = after.value
        self.cells += n_tokens

    def _separators(self, width: int, height: int) -> dict[int, list[int]]:
        """The ids to be decoded behind mtmd's chunks, by the chunks' numbers: the first is the mark of the start."""
        behind: dict[int, list[int]] = {}
        chunk = -1
        for piece in llama_cpp_tiling(width, height).pieces(separators=True):
            if isinstance(piece, Tile) or piece in (Mark.START, Mark.END):
                chunk += 1
            else:
                behind.setdefault(chunk, []).append(self._id(piece))
        return behind

    def _id(self, mark: Mark) -> int:
        ids = (self.llama.llama_token * 8)()
        name = mark.encode()
        assert self.llama.llama_tokenize(self.vocab, name, len(name), ids, 8, False, True) == 1
        return int(ids[0])


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    eye = _Eye(request)
    rows, answer = [], {"cells": [], "positions": [], "encode_s": [], "decode_s": []}  # type: ignore[var-annotated]
    for prompt in request["prompts"]:
        rows.append(eye.run(prompt))
        answer["cells"].append(eye.cells)
        answer["positions"].append(eye.llama.llama_memory_seq_pos_max(eye.memory, 0) + 1)
        answer["encode_s"].append(eye.encode_s)
        answer["decode_s"].append(eye.decode_s)
    np.save(request["logits"], np.stack(rows))
    return answer


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
