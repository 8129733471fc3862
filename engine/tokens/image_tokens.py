"""What an image costs any model that sees: mtmd's own count, from width and height alone, in a child process.

mtmd is llama.cpp's library for images. It counts an image without pixels as it will cut the real one, and needs the
projector and the model's vocabulary for it, not its weights. Run as `python -m engine.tokens.image_tokens IN OUT`, it
serves frames; imported, it is the parent's side. For the projector 'llama4' engine.tokens.tiles gives the same without
a child. What a projector is, and whether it belongs to a model, is left to engine.memory.projector.

The child reads the whole projector, one to two GB for large ones: it leaves when nobody asks for a while, and answers
are kept here.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.child import Channel, Child, Frame, channel_of_child, leave_amx_alone, offer_to_oom_killer
from engine.errors import EngineDied, EngineKilled, InputRefused, ModelRefused
from engine.gguf import read_header
from engine.tokens.document import Grid

RULE = "mtmd's count"
_IDLE_S = 15.0
_MOST_PIXELS = (1 << 31) - 1  # width times height is an int32 in mtmd
_WARNING, _ERROR = 3, 4  # GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR
_SECTIONS = ".rope.dimension_sections"  # the field of models that may have M-RoPE


@dataclass(frozen=True, slots=True)
class ImageCount:
    """What an image takes, with the marks that mtmd puts around it and between its tiles.

    n_tokens: cells of the KV cache. n_positions: how far the next token stands behind it; fewer than the cells in
    models whose positions have more than one dimension (Qwen VL's M-RoPE), else as many.
    n_encoded: pieces of it that the encoder takes one after another.
    pieces: what is decoded, in order: ids of marks, or how many embeddings the encoder gives there.
    non_causal: whether all embeddings of a piece see each other, so that they have to be decoded at once.
    grids: columns and rows of each piece that is encoded, in models whose positions have several dimensions; empty
    in the others, and None where mtmd places a piece otherwise than a Grid.
    """

    n_tokens: int
    n_positions: int
    n_encoded: int
    pieces: tuple[tuple[int, ...] | int, ...] = field(default=(), compare=False)
    non_causal: bool = field(default=False, compare=False)
    grids: tuple[tuple[int, int], ...] | None = field(default=(), compare=False)


class ImageCounter:
    """The parent's side: one child with a model's vocabulary and a projector, started at the first call."""

    def __init__(self, model: Path, projector: Path) -> None:
        self._model, self._projector = model, projector
        self._child: Child | None = None
        self._lock = Lock()
        self._known: dict[tuple[int, int], ImageCount] = {}

    def count(self, sizes: Sequence[tuple[int, int]]) -> list[ImageCount]:
        """The cost of an image of each width and height in pixels, upright.

        Raises InputRefused for a size that mtmd does not take, and ModelRefused when it does not accept the projector
        or ends over it.
        """
        with self._lock:
            missing = [size for size in dict.fromkeys(sizes) if size not in self._known]
            for width, height in missing:
                if width < 1 or height < 1 or width * height > _MOST_PIXELS:
                    raise _uncountable(width, height)
            if missing:
                for size, counts in zip(missing, self._ask(missing), strict=True):
                    if counts is None:
                        raise _uncountable(*size)
                    self._known[size] = _image_count(counts)
            return [self._known[size] for size in sizes]

    def close(self) -> None:
        """Ends the child, once nobody waits for it; it starts again when it is needed."""
        with self._lock:
            self._end()

    def _ask(self, sizes: list[tuple[int, int]]) -> list[dict[str, Any] | None]:
        child = self._child
        if child is None or not child.alive:
            self._end()
            child = None
        is_new = child is None
        self._child = child = child or self._open()
        try:
            child.send({"do": "count", "sizes": sizes})
            frame = child.receive()
        except EngineDied as error:
            self._end()
            if child.has_left and not is_new:  # nobody had asked for a while, and it left just now
                return self._ask(sizes)
            if isinstance(error, EngineKilled):  # that says nothing of the projector
                raise
            raise self._refused(error.fact) from None
        assert frame is not None  # without a timeout
        return list(frame.fields["counts"])

    def _open(self) -> Child:
        child = Child("engine.tokens.image_tokens")
        try:
            child.send({"do": "open", "model": str(self._model), "projector": str(self._projector), **self._shape()})
            frame = child.receive()
        except EngineDied as error:
            child.close()
            if isinstance(error, EngineKilled):
                raise
            raise self._refused(error.fact) from None
        assert frame is not None  # without a timeout
        if not frame.fields["opened"]:
            child.close()
            raise self._refused(frame.fields["words"] or "It does not say why.")
        return child

    def _shape(self) -> dict[str, bool]:
        """Whether more of the model than its vocabulary decides: some architectures have M-RoPE if a field says so."""
        return {"has_sections": any(key.endswith(_SECTIONS) for key in read_header(self._model).metadata)}

    def _refused(self, reason: str) -> ModelRefused:
        return ModelRefused(
            f"llama.cpp cannot use the projector {self._projector} with {self._model.name}: {reason}",
            "Name the mmproj file that was made for this model, or download it again.",
        )

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _image_count(fields: dict[str, Any]) -> ImageCount:
    pieces = tuple(piece if isinstance(piece, int) else tuple(piece) for piece in fields.pop("pieces"))
    grids = fields.pop("grids")
    return ImageCount(**fields, pieces=pieces, grids=None if grids is None else tuple(map(tuple, grids)))


def _uncountable(width: int, height: int) -> InputRefused:
    return InputRefused(f"An image of {width:,} x {height:,} pixels cannot be read.", "Scale it down first.")


class _Mtmd:
    """The child's state: a model without its weights, and mtmd's context of the projector."""

    def __init__(self) -> None:
        import llama_cpp
        from llama_cpp import mtmd_cpp

        self._words: list[str] = []
        self._context: Any = None

        @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
        def listen(level: int, text: bytes, _: object) -> None:
            if level in (_WARNING, _ERROR):
                self._words.append(text.decode("utf-8", "replace").strip())

        self._keep = listen
        llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
        mtmd_cpp.mtmd_helper_log_set(listen, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()

    def open(self, model: str, projector: str, *, has_sections: bool) -> dict[str, object]:
        """Loads both. With the vocabulary alone a model has no width, and mtmd does not compare it.

        has_sections: everything but the weights is read, since llama.cpp asks for it before it says M-RoPE.
        """
        import llama_cpp
        from llama_cpp import mtmd_cpp

        parameters = llama_cpp.llama_model_default_params()
        if has_sections:
            parameters.no_alloc, parameters.n_gpu_layers = True, 0
            parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE  # any other aborts together with no_alloc
        else:
            parameters.vocab_only = True
        loaded = llama_cpp.llama_model_load_from_file(os.fsencode(model), parameters)
        if loaded:
            self._words.clear()
            settings = mtmd_cpp.mtmd_context_params_default()
            settings.use_gpu = settings.warmup = settings.print_timings = False
            settings.n_threads = 1
            self._context = mtmd_cpp.mtmd_init_from_file(os.fsencode(projector), loaded, settings)
        sees = bool(self._context) and mtmd_cpp.mtmd_support_vision(self._context)
        words = "It sees no images." if self._context else " ".join(self._words)[:400]
        return {"opened": sees, "words": words}

    def count(self, width: int, height: int) -> dict[str, Any] | None:
        """The fields of an ImageCount; None where mtmd refuses the size."""
        from llama_cpp import mtmd_cpp

        with _chunks(self._context, width, height) as chunks:
            if chunks is None:
                return None
            n_chunks = mtmd_cpp.mtmd_input_chunks_size(chunks)
            each = [mtmd_cpp.mtmd_input_chunks_get(chunks, at) for at in range(n_chunks)]
            pieces = [_piece(chunk) for chunk in each]
            return {
                "n_tokens": mtmd_cpp.mtmd_helper_get_n_tokens(chunks),
                "n_positions": mtmd_cpp.mtmd_helper_get_n_pos(chunks),
                "n_encoded": sum(isinstance(piece, int) for piece in pieces),
                "pieces": pieces,
                "non_causal": any(mtmd_cpp.mtmd_decode_use_non_causal(self._context, chunk) for chunk in each),
                "grids": self._grids(each),
            }

    def _grids(self, chunks: list[Any]) -> list[tuple[int, int]] | None:
        """See ImageCount."""
        from llama_cpp import mtmd_cpp

        if not mtmd_cpp.mtmd_decode_use_mrope(self._context):
            return []
        cells = [chunk for chunk in chunks if not isinstance(_piece(chunk), list)]
        grids = [_grid(chunk) for chunk in cells]
        found = [grid for grid in grids if grid is not None]
        return found if len(found) == len(grids) else None


def _piece(chunk: Any) -> list[int] | int:
    """A chunk's ids, or the number of its embeddings."""
    from llama_cpp import mtmd_cpp

    if mtmd_cpp.mtmd_input_chunk_get_type(chunk) != mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
        return int(mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk))
    n_ids = ctypes.c_size_t()
    ids = mtmd_cpp.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(n_ids))
    return list(ids[: n_ids.value])


def _grid(chunk: Any) -> tuple[int, int] | None:
    """Columns and rows of an image's embeddings, if mtmd places every one of them as a Grid does."""
    from llama_cpp import mtmd_cpp

    image = mtmd_cpp.mtmd_input_chunk_get_tokens_image(chunk)
    if not image:
        return None
    grids = set()
    for time in (0, 1_000):
        told = (mtmd_cpp.mtmd_decoder_pos * mtmd_cpp.mtmd_image_tokens_get_n_tokens(image))()
        mtmd_cpp.mtmd_helper_image_get_decoder_pos(image, time, told)
        grids.add(grid_at(np.frombuffer(told, dtype=np.uint32).reshape(-1, 4).astype(np.int64), time))
    grid = grids.pop()
    if grids or grid is None or mtmd_cpp.mtmd_input_chunk_get_n_pos(chunk) != grid.n_positions:
        return None
    return grid.columns, grid.rows


def grid_at(places: npt.NDArray[np.int64], time: int) -> Grid | None:
    """The grid of cells that stand at these places when the first stands at `time`; None where they follow no grid's
    rule.

    places: of shape [n_cells, 4]: time, column, row and another dimension, which grids leave at 0; n_cells at least 1.
    """
    n_cells, n_first = len(places), int((places[:, 2] == time).sum())
    if not n_first or n_cells % n_first:
        return None
    row, column = np.divmod(np.arange(n_cells), n_first)
    expected = np.stack([np.full(n_cells, time), time + column, time + row, np.zeros(n_cells)], axis=1)
    return Grid(0, n_first, n_cells // n_first) if np.array_equal(places, expected) else None


@contextmanager
def _chunks(context: Any, width: int, height: int) -> Iterator[Any]:
    """mtmd's chunks of an image without pixels, and of nothing else: no marker is looked for in a text."""
    from llama_cpp import mtmd_cpp

    bitmap = mtmd_cpp.mtmd_bitmap_init(width, height, None)
    part = mtmd_cpp.mtmd_input_part()
    part.bitmap = bitmap
    parts = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
    chunks = mtmd_cpp.mtmd_input_chunks_init()
    try:
        failed = mtmd_cpp.mtmd_tokenize_from_parts(context, chunks, parts, 1, False)
        yield None if failed else chunks
    finally:
        mtmd_cpp.mtmd_input_chunks_free(chunks)
        mtmd_cpp.mtmd_bitmap_free(bitmap)


def serve(channel: Channel) -> None:
    """The child's loop: opens one model and projector, and counts until the parent is gone or asks nothing more."""
    mtmd = _Mtmd()
    while channel.has_frame(_IDLE_S) and (frame := channel.receive()) is not None:
        channel.send(_answer(mtmd, frame))


def _answer(mtmd: _Mtmd, frame: Frame) -> dict[str, object]:
    if frame.fields["do"] == "open":
        fields = frame.fields
        return mtmd.open(fields["model"], fields["projector"], has_sections=fields["has_sections"])
    return {"counts": [mtmd.count(width, height) for width, height in frame.fields["sizes"]]}


if __name__ == "__main__":
    offer_to_oom_killer()
    leave_amx_alone()
    serve(channel_of_child())
