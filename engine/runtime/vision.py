"""Pictures to embeddings, by mtmd, llama.cpp's library for images. Lives in the engine's child process.

One encoder run at a time, so that progress is seen and a cancel is heard within an image. What each run gave is kept
on disk (`embeddings`); where the rows go in the cache is left to `decoder`, what a picture costs to engine.tokens.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt
from llama_cpp import mtmd_cpp

from engine.corpus.formats import reader
from engine.corpus.source import KeptFile, Pixels, Skipped
from engine.errors import Cancelled, EngineFailed
from engine.runtime.embeddings import Embeddings
from engine.runtime.pictures import Picture

Rows = npt.NDArray[np.float32]
Fetch = Callable[[Picture], bytes | None]
"""Gives the file that a picture is drawn from; None when nobody waits for it any more. Asked before every run of the
encoder, so that whoever gives it knows what is looked at."""


_VERSION = 2  # raise it when pictures are drawn otherwise


@dataclass(slots=True)
class _Seen:
    """A picture on its way: what each run of the encoder gave so far, each of shape [n, n_embd], and its pieces where
    one had to be encoded."""

    picture: Picture
    runs: list[Rows] = field(default_factory=list)
    pieces: "_Pieces | None" = None

    @property
    def n_rows(self) -> int:
        return sum(map(len, self.runs))

    def behind(self, first: int) -> Rows:
        """What is there from row `first` on; of a picture whose cells see each other, of the run that holds it."""
        if not self.picture.non_causal:
            return np.concatenate(self.runs)[first:]
        ends = np.cumsum([len(rows) for rows in self.runs])
        run = int(np.searchsorted(ends, first, side="right"))
        return self.runs[run][first - int(ends[run]) :]


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

    def rows(
        self, picture: Picture, first: int, fetch: Fetch, cancelled: Callable[[], bool] = lambda: False
    ) -> Rows | None:
        """Embeddings of a picture from its row `first` on, at least one: as many as are there without encoding more.

        None when `fetch` gives none, or it was cancelled meanwhile. Raises EngineFailed when it cannot be drawn
        or encoded.
        """
        if self._seen is None or self._seen.picture.key != picture.key:
            self._seen = _Seen(picture)
        seen = self._seen
        while seen.n_rows <= first:
            if seen.n_rows >= picture.n_cells:
                raise _unexpected(picture, seen.n_rows)
            rows = self._run(seen, fetch, cancelled)
            if rows is None:
                return None
            seen.runs.append(rows)
        if seen.n_rows >= picture.n_cells:
            seen.pieces = None  # its pixels are done with
        return seen.behind(first)

    def _run(self, seen: _Seen, fetch: Fetch, cancelled: Callable[[], bool]) -> Rows | None:
        """What the picture's next run of the encoder gives, or gave once."""
        at = len(seen.runs)
        made_with = self._kept.made_with(self._projector) if self._kept is not None else ""
        key = f"{_VERSION} {made_with} {seen.picture.key} {at}"
        rows = self._kept.get(key, self._n_embd) if self._kept is not None else None
        if rows is not None and seen.n_rows + len(rows) <= seen.picture.n_cells:
            return rows
        data = fetch(seen.picture)
        if data is None:
            return None
        if seen.pieces is None:
            try:
                pixels = _draw(seen.picture, data, cancelled)
            except Cancelled:
                return None
            seen.pieces = _Pieces(self._open(), seen.picture, pixels)
        if at >= len(seen.pieces):
            raise _unexpected(seen.picture, seen.n_rows)
        rows = seen.pieces.encode(at, self._n_embd)
        self.n_encoded += 1
        if self._kept is not None:
            self._kept.put(key, rows)
        return rows

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


class _Pieces:
    """What mtmd cuts one picture into, ready to be encoded one by one; the marks between them left out."""

    def __init__(self, context: Any, picture: Picture, pixels: Pixels) -> None:
        """Raises EngineFailed where mtmd refuses the picture."""
        self._context, self._picture = context, picture
        data = ctypes.cast(ctypes.c_char_p(pixels.data), ctypes.POINTER(ctypes.c_uint8))  # mtmd makes its own copy
        bitmap = mtmd_cpp.mtmd_bitmap_init(pixels.width, pixels.height, data)
        part = mtmd_cpp.mtmd_input_part()
        part.bitmap = bitmap
        parts = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
        self._chunks = mtmd_cpp.mtmd_input_chunks_init()
        failed = mtmd_cpp.mtmd_tokenize_from_parts(context, self._chunks, parts, 1, False)
        mtmd_cpp.mtmd_bitmap_free(bitmap)
        if failed:
            raise EngineFailed(f"llama.cpp cannot read {picture.name}.", "Leave it out.")
        text = mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT
        chunks = [mtmd_cpp.mtmd_input_chunks_get(self._chunks, at) for at in range(self._n_chunks())]
        self._pieces = [chunk for chunk in chunks if mtmd_cpp.mtmd_input_chunk_get_type(chunk) != text]

    def __len__(self) -> int:
        return len(self._pieces)

    def __del__(self) -> None:
        if hasattr(self, "_chunks"):
            mtmd_cpp.mtmd_input_chunks_free(self._chunks)

    def encode(self, at: int, n_embd: int) -> Rows:
        """One run of the encoder: a piece's embeddings. Raises EngineFailed."""
        if mtmd_cpp.mtmd_encode_chunk(self._context, self._pieces[at]):
            raise EngineFailed(f"llama.cpp could not encode {self._picture.name}.", "Leave it out, or ask again.")
        shape = (mtmd_cpp.mtmd_input_chunk_get_n_tokens(self._pieces[at]), n_embd)
        return np.ctypeslib.as_array(mtmd_cpp.mtmd_get_output_embd(self._context), shape=shape).copy()

    def _n_chunks(self) -> int:
        return int(mtmd_cpp.mtmd_input_chunks_size(self._chunks))


def _draw(picture: Picture, data: bytes, cancelled: Callable[[], bool]) -> Pixels:
    """The picture's pixels at the size that was counted. Raises EngineFailed, Cancelled."""

    def wait(at: str) -> None:
        if cancelled():
            raise Cancelled("Drawing was stopped.")

    number, width, height = picture.number, picture.width, picture.height
    file = KeptFile(picture.format, data)
    drawn = reader.draw(picture.name, file, number=number, width=width, height=height, waiting=wait)
    if isinstance(drawn, Skipped):
        raise EngineFailed(f"{drawn.path} cannot be shown: {drawn.reason}.", "Leave it out and ask again.")
    return drawn


def _unexpected(picture: Picture, n_rows: int) -> EngineFailed:
    return EngineFailed(
        f"{picture.name} became {n_rows:,} embeddings where {picture.n_cells:,} were counted.",
        "This is a fault of ours: leave the image out, and tell us its size.",
    )
