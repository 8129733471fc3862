"""Pictures to embeddings, by mtmd, llama.cpp's library for images. Lives in the engine's child process.

One encoder run at a time, so that progress is seen and a cancel is heard within an image. What was encoded is kept
on disk (`embeddings`); where the rows go in the cache is left to `llama`, what a picture costs to engine.tokens.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt
from llama_cpp import mtmd_cpp

from engine.corpus.page import open_pages
from engine.corpus.pixels import Pixels, read_pixels
from engine.corpus.source import PDF, Skipped
from engine.errors import EngineFailed
from engine.runtime.embeddings import Embeddings
from engine.runtime.pictures import Picture

Rows = npt.NDArray[np.float32]
Fetch = Callable[[Picture], bytes | None]
"""Gives the file that a picture is drawn from; None when nobody waits for it any more."""


@dataclass(slots=True)
class _Seen:
    """A picture on its way: the rows encoded so far, of shape [n, n_embd], and what encodes the next ones."""

    picture: Picture
    rows: list[Rows] = field(default_factory=list)
    more: Iterator[Rows] | None = None

    @property
    def n_rows(self) -> int:
        return sum(map(len, self.rows))


class Vision:
    """A projector beside a loaded model. The projector is read when the first picture has to be encoded."""

    def __init__(self, model: Any, projector: Path, *, use_gpu: bool, n_threads: int, kept: Embeddings | None) -> None:
        """model: llama.cpp's. kept: where embeddings are kept between questions, None for nowhere."""
        self._model, self._projector, self._kept = model, projector, kept
        self._use_gpu, self._n_threads = use_gpu, n_threads
        self._n_embd = int(llama_cpp.llama_model_n_embd_inp(model))
        self._context: Any = None
        self._seen: _Seen | None = None
        self.n_encoded = 0  # runs of the encoder since this model was loaded

    def rows(self, picture: Picture, first: int, fetch: Fetch) -> Rows | None:
        """Embeddings of a picture from its row `first` on, at least one: as many as are there without encoding more.

        None when `fetch` gives none. Raises EngineFailed when it cannot be drawn or encoded.
        """
        if self._seen is None or self._seen.picture.key != picture.key:
            self._seen = self._begin(picture, fetch)
        if self._seen is None:
            return None
        seen = self._seen
        while seen.n_rows <= first:
            rows = next(seen.more, None) if seen.more is not None else None
            if rows is None:
                raise _unexpected(picture, seen.n_rows)
            seen.rows.append(rows)
            if seen.n_rows == picture.n_cells and self._kept is not None:
                self._kept.put(picture.key, np.concatenate(seen.rows))
        return np.concatenate(seen.rows)[first:]

    def _begin(self, picture: Picture, fetch: Fetch) -> _Seen | None:
        rows = self._kept.get(picture.key, (picture.n_cells, self._n_embd)) if self._kept is not None else None
        if rows is not None:
            return _Seen(picture, [rows])
        data = fetch(picture)
        return None if data is None else _Seen(picture, more=self._encode(picture, _draw(picture, data)))

    def _encode(self, picture: Picture, pixels: Pixels) -> Iterator[Rows]:
        """The rows of each of mtmd's chunks in turn."""
        context = self._open()
        with _chunks(context, pixels) as chunks:
            if chunks is None:
                raise EngineFailed(f"llama.cpp cannot read {picture.name}.", "Leave it out.")
            for at in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
                chunk = mtmd_cpp.mtmd_input_chunks_get(chunks, at)
                if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    continue
                if mtmd_cpp.mtmd_encode_chunk(context, chunk):
                    raise EngineFailed(f"llama.cpp could not encode {picture.name}.", "Leave it out, or ask again.")
                self.n_encoded += 1
                shape = (mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk), self._n_embd)
                yield np.ctypeslib.as_array(mtmd_cpp.mtmd_get_output_embd(context), shape=shape).copy()

    def _open(self) -> Any:
        """mtmd's context of the projector. Raises EngineFailed where it does not take it."""
        if self._context is None:
            settings = mtmd_cpp.mtmd_context_params_default()
            settings.use_gpu, settings.n_threads = self._use_gpu, self._n_threads
            settings.warmup = settings.print_timings = False
            self._context = mtmd_cpp.mtmd_init_from_file(os.fsencode(self._projector), self._model, settings)
            if not self._context:
                raise EngineFailed(
                    f"llama.cpp cannot use the projector {self._projector} with this model.",
                    "Name the mmproj file that was made for it.",
                )
        return self._context


def _draw(picture: Picture, data: bytes) -> Pixels:
    """The picture's pixels at the size that was counted. Raises EngineFailed."""
    if picture.format == PDF:
        pages = open_pages(picture.name, data)
        if isinstance(pages, Skipped):
            raise _undrawn(pages)
        with pages:
            drawn = pages.draw(picture.number, picture.width, picture.height)
    else:
        width, height = picture.width, picture.height
        drawn = read_pixels(picture.name, data, picture.format, width=width, height=height, frame=picture.number - 1)
    if isinstance(drawn, Skipped):
        raise _undrawn(drawn)
    return drawn


def _undrawn(skipped: Skipped) -> EngineFailed:
    return EngineFailed(f"{skipped.path} cannot be shown: {skipped.reason}.", "Leave it out and ask again.")


def _unexpected(picture: Picture, n_rows: int) -> EngineFailed:
    return EngineFailed(
        f"{picture.name} became {n_rows:,} embeddings where {picture.n_cells:,} were counted.",
        "This is a fault of ours: leave the image out, and tell us its size.",
    )


@contextmanager
def _chunks(context: Any, pixels: Pixels) -> Iterator[Any]:
    """mtmd's chunks of one image and of nothing else; None where it refuses the image."""
    data = (ctypes.c_uint8 * len(pixels.data)).from_buffer_copy(pixels.data)
    bitmap = mtmd_cpp.mtmd_bitmap_init(pixels.width, pixels.height, data)
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
