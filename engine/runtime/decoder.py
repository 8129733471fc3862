"""Decoding a prompt batch by batch: its tokens, and the pictures between them. Positions are always explicit.

Indices are of the prompt's ids, a cell of the KV cache each; where they stand is the cache's `positions`. What of
a prompt has to be decoded is left to `cache`, what comes of it to `llama`.
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import llama_cpp
import numpy as np

from engine.errors import EngineFailed
from engine.runtime.batch import Batch
from engine.runtime.cache import KvCache
from engine.runtime.embeddings import Embeddings
from engine.runtime.filling import filling, least_alike
from engine.runtime.pictures import Picture, positions_of
from engine.runtime.positions import N_DIMS
from engine.runtime.prefix import Attention, CacheShape
from engine.runtime.sampling import are_numbers, logits_of
from engine.runtime.settings import EngineSettings
from engine.runtime.vision import Fetch, Vision
from engine.tokens.document import Ids

_ABORTED = 2  # llama_decode's answer when the abort callback said so
_NO_SLOT = 1


class Decoder:
    """Decodes into sequence 0 of a context, whose cells `cache` knows."""

    def __init__(
        self, model: Any, context: Any, cache: KvCache, settings: EngineSettings, words: Callable[[], str]
    ) -> None:
        """words: what llama.cpp said last, as the end of a sentence."""
        self._model, self._context, self._cache, self._words = model, context, cache, words
        self._placement = settings.placement
        self._has_logits = False  # of the last token that was decoded
        self._batch = Batch(self._placement.n_ubatch)
        self._vision = _vision(model, settings)
        self._pictures: Sequence[Picture] = ()
        self._fetch: Fetch | None = None
        self._cancelled: Callable[[], bool] = lambda: False
        self._encoded_before = 0
        self._n_ctx = int(llama_cpp.llama_n_ctx(context))
        self._has_dims = has_dims(model)
        self._n_vocab = int(llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model)))
        self._n_parameters = int(llama_cpp.llama_model_n_params(model))
        self._least = least_alike(self._placement)

    @property
    def n_encoded(self) -> int:
        """Runs of the vision encoder for the pictures of this prompt."""
        return self._vision.n_encoded - self._encoded_before if self._vision is not None else 0

    def look_at(self, pictures: Sequence[Picture], fetch: Fetch | None, cancelled: Callable[[], bool]) -> None:
        """The pictures of the next prompt, who gives the files that they are drawn from, and who says whether it was
        cancelled."""
        self._encoded_before += self.n_encoded
        self._pictures, self._fetch, self._cancelled = pictures, fetch, cancelled
        self._cache.positions = positions_of(pictures)

    def read_on(self, ids: Ids, at: int, anchor: int) -> int:
        """Decodes a prompt's next batch, tokens or cells of a picture; where it ended, `at` when it was cancelled.

        anchor: a position where a batch ends, unless the windowed cells may be copied later for it.
        """
        if ids[at] < 0:
            return self._read_picture(ids, at)
        end = min(at + self._placement.n_ubatch, len(ids))
        cells = np.flatnonzero(ids[at:end] < 0)
        end = at + int(cells[0]) if len(cells) else end
        end = self._not_before_few(at, end, len(ids))
        if at < anchor < end and not self._cache.can_copy_later(anchor, after=end):
            end = anchor
        is_within = any(picture.start <= at and end <= picture.end for picture in self._pictures)
        n_more = 0 if is_within else self._filling(end - at, at)  # marks between tiles are always read alike
        # of every batch, so that one that is no number is found before all is read: of a million operations it adds one
        return end if self.decode(ids[at:end], at, n_more=n_more) else at

    def alike_to(self, at: int, end: int) -> int:
        """Up to where the cells of a batch from `at` to `end`, filled up where that is done, are as a fresh reading
        would make them, however that cuts it; `at` where it was too short for any."""
        n_tokens = end - at + self._filling(end - at, at)
        together = self._cache.n_together
        return end - end % together if n_tokens >= min(self._least, self._placement.n_ubatch) else at

    def read_again(self, cancelled: Callable[[], bool]) -> None:
        """Reads the reply that was sampled last again, in batches: its cells are then those that a fresh reading of the
        next prompt would have made, and nothing of it need be read for that. A recurrent model's stay as they are."""
        ids, cache = self._cache.ids, self._cache
        if cache.n_read >= len(ids) - len(ids) % cache.n_together:
            return
        start = self._again_from(cache.n_read, len(ids))
        if (ids[start:] < 0).any():  # pictures are not looked at again
            start = cache.n_read
        if not cache.drop_reply(behind=start):
            return
        while len(cache) < len(ids) and not cancelled():
            at = len(cache)
            end = self.read_on(ids, at, 0)
            if end == at:
                return
            cache.ids, cache.n_read = ids[:end], self.alike_to(at, end)

    def _again_from(self, n_read: int, end: int) -> int:
        """From where tokens up to `end` are read again so that their batch is not too short; n_read are alike."""
        start = n_read if self.alike_to(n_read, end) > n_read else min(n_read, max(0, end - self._least))
        return start - start % self._cache.n_together

    def decode(self, ids: Ids, at: int, *, n_more: int = 0) -> bool:
        """Decodes tokens, the first of them the id `at`, with logits behind the last; see _run. n_more: that fill the
        batch up."""
        position = self._cache.positions.of(at)
        drop = position + len(ids) if n_more else None
        self._has_logits = False
        self._has_logits = self._run(self._batch.fill(ids, position, True, n_more), at, drop)
        return self._has_logits

    @property
    def computes_numbers(self) -> bool:
        """Whether the logits that were computed last are numbers, if there are any: weights that are none, or overflow,
        make NaN of them, and of all keys and values that follow."""
        logits = logits_of(self._context, self._n_vocab) if self._has_logits else None
        return logits is None or are_numbers(logits)

    def _read_picture(self, ids: Ids, at: int) -> int:
        """The next cells of the picture there, as many as are encoded by then."""
        picture = next((each for each in self._pictures if each.start <= at < each.end), None)
        if picture is None or self._vision is None or self._fetch is None:
            raise EngineFailed("This engine was started without a vision projector.", "Ask again.")
        rows = self._vision.rows(picture, int((ids[picture.start : at] < 0).sum()), self._fetch, self._cancelled)
        if rows is None:
            return at
        rows, n_ubatch = rows[: self._run_length(picture, ids, at)], self._placement.n_ubatch
        if picture.non_causal and len(rows) > n_ubatch:
            raise EngineFailed(
                f"{picture.name} takes {len(rows):,} cells at once, and {n_ubatch:,} are computed at once.",
                "Leave it out.",
            )
        rows, self._has_logits = rows[:n_ubatch], False
        n_more = 0 if picture.non_causal else self._filling(len(rows), at)
        places = self._cache.positions.places(at, len(rows), n_more)
        drop = int(places[0, len(rows)]) if n_more else None
        llama_cpp.llama_set_causal_attn(self._context, not picture.non_causal)
        try:
            decoded = self._run(self._rows_batch.fill_rows(rows, places), at, drop)
        finally:
            llama_cpp.llama_set_causal_attn(self._context, True)
        return at + len(rows) if decoded else at

    def _run_length(self, picture: Picture, ids: Ids, at: int) -> int:
        """Cells from there on that stand in a row, and in one grid. Raises EngineFailed where the model places them
        otherwise than was counted."""
        grid = self._cache.positions.grid_at(at)
        if (grid is not None) != self._has_dims:
            raise EngineFailed(
                f"It is not known where this model wants the cells of {picture.name}: their positions have "
                f"{'several dimensions (M-RoPE)' if self._has_dims else 'one dimension'}, and were counted otherwise.",
                "Leave it out.",
            )
        tokens = np.flatnonzero(ids[at : picture.end] >= 0)
        run = int(tokens[0]) if len(tokens) else picture.end - at
        return min(run, grid.end - at) if grid is not None else run

    @cached_property
    def _rows_batch(self) -> Batch:
        """For the embeddings of pictures; most models never have any."""
        n_embd = int(llama_cpp.llama_model_n_embd_inp(self._model))
        return Batch(self._placement.n_ubatch, n_embd=n_embd, n_dims=N_DIMS if self._has_dims else 1)

    def _not_before_few(self, at: int, end: int, n_ids: int) -> int:
        """Where a batch ends so that the prompt's last one is not too short to be computed as others are, and so that
        what is computed together ends with it."""
        together, least = self._cache.n_together, self._least
        if end == n_ids:
            return end
        if n_ids - end < least and (n_ids - least) // least * least > at:
            end = (n_ids - least) // least * least
        return end - end % together if end - end % together > at else end

    def _filling(self, n_tokens: int, at: int) -> int:
        """Tokens to fill a batch of the prompt up with."""
        n_more = filling(n_tokens, self._placement, n_parameters=self._n_parameters)
        fits = at + n_tokens + n_more <= self._n_ctx and self._cache.shape.attention is not Attention.RECURRENT
        return n_more if fits else 0

    def _run(self, batch: Any, at: int, drop: int | None) -> bool:
        """Decodes one batch; False when it was aborted: the cache then ends at `at`, or where the grid there begins.

        drop: the position of the first that fills it up, None for none; they are dropped again: nothing before them
        sees them. llama.cpp takes an aborted batch back itself, with all cells of its positions, and the cells it
        dropped to make room are masked there. Raises EngineFailed.
        """
        answer = llama_cpp.llama_decode(self._context, batch)
        if answer == 0:
            if drop is not None:
                self._cache.drop_from(drop)
            return True
        if answer == _ABORTED:
            if self._cache.shape.attention is Attention.RECURRENT:  # its state has moved on and cannot go back
                self._cache.clear()
            else:
                self._cache.take_back(at, after=at + int(batch.n_tokens))
            return False
        self._cache.clear()  # what a failed decode left behind is not to be trusted
        if answer == _NO_SLOT:
            raise EngineFailed(
                f"The KV cache of {self._n_ctx:,} cells is full at token {at:,}.", "Ask with a larger --ctx."
            )
        raise EngineFailed(f"llama.cpp could not decode at token {at:,} (code {answer}){self._words()}.", "Ask again.")


def has_dims(model: Any) -> bool:
    """Whether a loaded model's positions have several dimensions."""
    kinds = (llama_cpp.LLAMA_ROPE_TYPE_MROPE, llama_cpp.LLAMA_ROPE_TYPE_IMROPE)
    return int(llama_cpp.llama_model_rope_type(model)) in kinds


def cache_shape(model: Any) -> CacheShape:
    """How a loaded model's cache can go back."""
    window = int(llama_cpp.llama_model_n_swa(model))
    if llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model):
        return CacheShape(Attention.RECURRENT)
    if window <= 0:
        return CacheShape(Attention.FULL)
    if has_dims(model):  # windows are of positions, what is kept of cells: it only goes on (none has both yet)
        return CacheShape(Attention.RECURRENT)
    buffer = ctypes.create_string_buffer(64)
    llama_cpp.llama_model_meta_val_str(model, b"general.architecture", buffer, len(buffer))
    return CacheShape(Attention.CHUNKED if buffer.value == b"llama4" else Attention.SLIDING, window)


def _vision(model: Any, settings: EngineSettings) -> Vision | None:
    if settings.projector is None:
        return None
    kept = Embeddings(settings.embeddings, settings.embeddings_bytes) if settings.embeddings else None
    use_gpu, n_threads = settings.placement.use_gpus, settings.n_threads
    return Vision(model, settings.projector, use_gpu=use_gpu, n_threads=n_threads, kept=kept)
