"""How fast images become embeddings: the engine's way, against mtmd's own helper on the same files.

Both read the PNG, cut it and run the encoder, in turns and in one process, `python -m tests.bench.vision`; nothing is
kept. The projector is Llama 4's, small, but large enough that the encoder decides.
"""

import ctypes
import io
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image as Pillow

from engine.corpus.source import KeptFile, digest_bytes
from engine.corpus.source import Picture as Page
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.pictures import pictures_of
from engine.tokens.document import Shown
from tests.bench.table import Row, interleave, seconds
from tests.errand import sent
from tests.models.cache import cached
from tests.sighted import sight_of

_SHAPE = {"n_layer": 4, "n_embd": 256, "n_head": 4, "n_ff": 1024}
_SIZES, _N_RUNS = ((672, 672), (1008, 336)), 9  # five and four runs of the encoder
_TIMES, _N_THREADS = 5, 2
_LIMIT = 1.05


def rows() -> Iterator[Row]:
    """Medians of encoding two images."""
    cached("scout"), cached("mmproj", **_SHAPE)  # built outside of what is measured
    ours, theirs = sent("tests.bench.vision", {})
    yield Row("two images encoded, against mtmd's own helper", ours, theirs, "s", _LIMIT)


def measure() -> tuple[float, float]:
    """Seconds of ours and of theirs."""
    import llama_cpp

    from engine.runtime.vision import Vision

    llama_cpp.llama_backend_init()
    parameters = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(str(cached("scout")).encode(), parameters)
    files = [_png(*size, seed) for seed, size in enumerate(_SIZES)]
    mmproj = cached("mmproj", **_SHAPE)
    sight = sight_of(cached("scout"), mmproj, separators=False)
    shown = []
    for data, (width, height) in zip(files, _SIZES, strict=True):
        file, picture = KeptFile("PNG", data), Page(1, width, height)
        view = sight.view(file, digest_bytes(data), picture)
        shown.append(Segment(Part.SOURCE, view.ids, shown=(Shown(0, view, picture, file),)))
    pictures = pictures_of(Prompt(tuple(shown)))
    vision = Vision(model, mmproj, use_gpu=False, n_threads=_N_THREADS, kept=None)

    def ours() -> None:
        for picture in pictures.pictures:
            n_rows = 0
            while n_rows < picture.n_cells:
                rows = vision.rows(picture, n_rows, lambda each: pictures.files[each.file])
                assert rows is not None
                n_rows += len(rows)

    theirs = _helper(model, str(mmproj), files)
    measured = interleave(lambda: seconds(ours), lambda: seconds(theirs), times=_TIMES)
    assert vision.n_encoded == _N_RUNS * (_TIMES + 1)
    return measured


def _helper(model: Any, mmproj: str, files: list[bytes]) -> Callable[[], None]:
    """mtmd's own way from files to embeddings."""
    from llama_cpp import mtmd_cpp

    settings = mtmd_cpp.mtmd_context_params_default()
    settings.use_gpu = settings.warmup = settings.print_timings = False
    settings.n_threads = _N_THREADS
    context = mtmd_cpp.mtmd_init_from_file(mmproj.encode(), model, settings)

    def encode() -> None:
        for data in files:
            buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
            part = mtmd_cpp.mtmd_input_part()
            part.bitmap = mtmd_cpp.mtmd_helper_bitmap_init_from_buf(context, buffer, len(data), False)
            parts = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
            chunks = mtmd_cpp.mtmd_input_chunks_init()
            assert mtmd_cpp.mtmd_tokenize_from_parts(context, chunks, parts, 1, False) == 0
            for at in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
                chunk = mtmd_cpp.mtmd_input_chunks_get(chunks, at)
                if mtmd_cpp.mtmd_input_chunk_get_type(chunk) != mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    assert mtmd_cpp.mtmd_encode_chunk(context, chunk) == 0
            mtmd_cpp.mtmd_input_chunks_free(chunks)
            mtmd_cpp.mtmd_bitmap_free(part.bitmap)

    return encode


def _png(width: int, height: int, seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
