"""llama.cpp through its low-level calls: one model, one context, one sequence. Lives in a child process (`worker`).

The high-level Llama class reuses prefixes wrongly on Llama 4's windowed cache and allocates a score for every token;
none of that is used here. Positions are always explicit. Talking to the parent is left to `worker`.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import llama_cpp
import numpy as np

from engine.errors import EngineFailed
from engine.memory.llama_parameters import ModelParameters, apply_adapters, context_parameters
from engine.runtime.binding import Binding
from engine.runtime.cache import KvCache
from engine.runtime.checkpoint import Checkpoints
from engine.runtime.circles import EVERY, cycle_of, in_circles
from engine.runtime.decoder import Decoder, cache_shape
from engine.runtime.events import (
    Checkpoint,
    Evidence,
    Finished,
    Gauge,
    Prefill,
    Remark,
    Sampling,
    Stop,
    Text,
    Thinking,
)
from engine.runtime.filling import computed_together
from engine.runtime.form import Form, Vocabulary
from engine.runtime.keeping import Keeping
from engine.runtime.log import kv_places, listen, windowed_cells
from engine.runtime.manner import Manner
from engine.runtime.pen import Pen, begun_pen, said
from engine.runtime.pictures import Picture
from engine.runtime.quotes.index import QuoteIndex
from engine.runtime.quotes.tags import Tags
from engine.runtime.quotes.writing import Asked, Quoting
from engine.runtime.sampling import Sampler, spoiled
from engine.runtime.settings import EngineSettings
from engine.runtime.vision import Fetch
from engine.tokens.document import Ids

# libc's strlen over a two-byte buffer is a ready-made "is the flag set?" in C: a Python callback would take the GIL at
# every graph node, which costs 1 to 2.7 % of generation
_FLAG_IS_SET = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)


class LlamaModel:
    """A loaded model and the KV cache of its one sequence. Not thread-safe, but for `cancel` and `uncancel`."""

    def __init__(self, settings: EngineSettings, on_load: Callable[[float], None]) -> None:
        """Loads the model and allocates the cache. Raises EngineFailed with llama.cpp's own words."""
        self.settings = settings
        self._log: deque[str] = deque(maxlen=20)
        self._sizes: deque[str] = deque(maxlen=500)
        self._keep = listen(self._log, self._sizes)
        self._flag = ctypes.create_string_buffer(2)
        llama_cpp.llama_backend_init()
        self._model = self._load(on_load)
        self._context, self._places = self._new_context()
        apply_adapters(self._model, self._context, settings.lora, self._words)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._vocabulary: Vocabulary | None = None  # once a form asks for it
        n_slots, swa_full = windowed_cells(self._sizes), settings.placement.swa_full
        shape, has_state = cache_shape(self._model), self._moves_on and llama_cpp.llama_model_n_swa(self._model) <= 0
        together = computed_together(self._description, settings.placement)
        self._cache = KvCache(
            self._context, shape, n_slots=n_slots, swa_full=swa_full, has_state=has_state, n_together=together
        )
        self._decoder = Decoder(self._model, self._context, self._cache, settings, self._words)
        self._quoting = Quoting(
            self._model, self._context, self._cache, settings.placement, cancelled=lambda: self.cancelled
        )
        llama_cpp.llama_set_abort_callback(self._context, _FLAG_IS_SET, ctypes.addressof(self._flag))

    @property
    def n_ctx(self) -> int:
        """Cells of the KV cache, in tokens; llama.cpp rounds up what was asked for."""
        return int(llama_cpp.llama_n_ctx(self._context))

    @property
    def cached_ids(self) -> Ids:
        """The ids whose keys and values the cache holds, from position 0 on."""
        return self._cache.ids

    def cancel(self) -> None:
        """Stops the decoding that is under way at the next graph node, from any thread."""
        self._flag[0] = b"\x01"

    def uncancel(self) -> None:
        """Makes decoding possible again; called when the next generation is asked for, not when it begins."""
        self._flag[0] = b"\x00"

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._flag[0] == b"\x01"

    def save(self, binding: Binding, path: Path) -> int:
        """Writes the KV state; bytes written, 0 when the cache is empty. Raises OSError."""
        return self._cache.save(binding, path)

    def generate(
        self,
        ids: Ids,
        sampling: Sampling,
        *,
        anchor: int = 0,
        keeping: Keeping | None = None,
        pictures: Sequence[Picture] = (),
        fetch: Fetch | None = None,
        n_begun: int = 0,
        form: str | None = None,
        quotes: bool = False,
        held_to: Callable[[], QuoteIndex | None] | None = None,
        manner: Manner | None = None,
    ) -> Iterator[Remark | Prefill | Checkpoint | Thinking | Text | Finished]:
        """Decodes what the cache does not hold of the prompt, then samples.

        anchor: tokens up to the corpus's end, where the windowed cells are copied, since other questions begin alike.
        keeping: files to restore from where they keep more, and where checkpoints go. pictures: what the negative ids
        are cells of; fetch: gives the files that they are drawn from. n_begun: ids at the end that the reply goes on
        from; the events have what is new. form: the grammar that the reply is held to. quotes: evidence will be looked
        for behind its statements. held_to: waits for what quotes are held to that the model opens itself; None where it
        was not told to, or it was cancelled. manner: where thoughts stand, and what ends it. Cancelling keeps what was
        decoded. Raises EngineFailed when llama.cpp fails, EngineSpoiled where what it computes is no number: the cache
        is empty then.
        """
        begun, anchor = perf_counter(), anchor - anchor % self._cache.n_together
        self._decoder.look_at(pictures, fetch, lambda: self.cancelled)
        if keeping is not None:
            yield from self._cache.restore(keeping.states, ids, keeping.binding, n_ctx=self.n_ctx)
        reused = self._cache.rewind(ids)
        restored = perf_counter()
        yield Prefill(reused, len(ids), reused, 0.0, self._gauge(reused))
        for event in self._prefill(ids, anchor, keeping):
            yield event if isinstance(event, Checkpoint) else self._progress(event, len(ids), reused, restored)
        read = perf_counter()
        begun_with, piece, tags = ids[len(ids) - n_begun :].tolist(), self._quoting.piece, None
        pen = begun_pen(begun, begun_with, piece, sampling, manner or Manner(), room=self.n_ctx - len(ids))
        if len(self._cache) == len(ids) and not self.cancelled:
            if held_to is not None and (index := held_to()) is not None:
                tags = self._quoting.tags(index, b"".join(map(piece, begun_with)))
            sampler = Sampler(sampling, self._n_vocab, self._form(form) if form else None, ids[len(ids) - n_begun :])
            yield from self._sample(sampler, pen, quotes, tags)
        reply, ended = pen.reply, perf_counter()
        yield Finished(
            stop=reply.stop,
            reply_ids=tuple(reply.ids),
            prompt_tokens=len(ids),
            reused_tokens=reused,
            load_s=0.0,
            restore_s=restored - begun,
            prefill_s=read - restored,
            ttft_s=(reply.first_text_at or ended) - begun,
            generate_s=ended - read,
            error=in_circles(reply.ids, sampling) if reply.stop is Stop.ERROR else None,
            encoded=self._decoder.n_encoded,
            gauge=self._gauge(len(self._cache)),
            held=tuple(tags.quotes) if tags is not None else (),
            **reply.thought_fields,
        )

    def settle(self) -> None:
        """See Decoder.read_again. Cancelling keeps what was read by then. Raises as generate does."""
        self._decoder.read_again(lambda: self.cancelled)
        self._refuse_spoiled()

    def _progress(self, done: int, total: int, reused: int, since: float) -> Prefill:
        return Prefill(done, total, reused, perf_counter() - since, self._gauge(done), self._decoder.n_encoded)

    def evidence(self, asked: Asked, index: QuoteIndex) -> Iterator[Evidence | Remark]:
        """Looks for words that show the statements of the last answer; the cache stays that of the answer. See
        Quoting.evidence."""
        return self._quoting.evidence(asked, index)

    def _prefill(self, ids: Ids, anchor: int, keeping: Keeping | None) -> Iterator[int | Checkpoint]:
        """Decodes what is missing of ids, batch by batch; yields how many tokens of the prompt are done."""
        begun = perf_counter()
        checkpoints = None
        if keeping is not None and keeping.checkpoint is not None:
            checkpoints = Checkpoints(
                keeping.checkpoint, keeping.checkpoint_bytes, n_held=len(self._cache), speeds=keeping.speeds
            )
        n_batches, look_at = 0, 1
        while len(self._cache) < len(ids) and not self.cancelled:
            at = len(self._cache)
            end = self._decoder.read_on(ids, at, anchor)
            if end == at:
                return
            self._cache.ids, self._cache.n_read = ids[:end], self._decoder.alike_to(at, end)
            # looking waits for a GPU, which has work for several batches: after 1, 2, 4, ... of them, and at ends
            n_batches += 1
            if n_batches == look_at or end == len(ids) or self.cancelled:
                self._refuse_spoiled()
                look_at = 2 * n_batches
            if at < anchor <= end:
                self._cache.copy_window()
            yield end
            if checkpoints is not None and keeping is not None and end < len(ids):
                yield from self._check(checkpoints, keeping.binding, perf_counter() - begun)

    def _check(self, checkpoints: Checkpoints, binding: Binding, elapsed_s: float) -> Iterator[Checkpoint]:
        """Writes a checkpoint where one is due; a disk that refuses it ends no answer."""
        n_tokens, gauge = len(self._cache), self._gauge(len(self._cache))
        if not checkpoints.is_due(n_tokens, gauge.n_bytes * gauge.used // gauge.cells, elapsed_s):
            return
        self._refuse_spoiled()
        begun, path = perf_counter(), checkpoints.next_path()
        try:
            n_bytes = self._cache.save(binding, path)
        except OSError:
            checkpoints.max_bytes = 0
            return
        checkpoints.saved(n_tokens, n_bytes, perf_counter() - begun)
        yield Checkpoint(path, n_tokens, n_bytes)

    def _sample(
        self, sampler: Sampler, pen: Pen, quotes: bool, tags: Tags | None
    ) -> Iterator[Remark | Thinking | Text]:
        reply, cached = pen.reply, [self._cache.ids]
        n_cached = len(self._cache)
        try:
            while is_sound := self._decoder.computes_numbers:
                quoting = None if reply.is_thinking else tags  # a thought is shown by nothing
                token = pen.forced()
                if token is None:
                    token = self._next(sampler, quoting)
                    if pen.ends(token, is_end=bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))):
                        reply.stop = Stop.END
                        break
                    if quoting is not None:
                        quoting.add(token)
                sampler.take(token)
                reply.add(token, self._quoting.piece(token))
                if reply.stopped:
                    break
                yield from said(reply, self._gauge(n_cached))
                if sampler.is_over:
                    reply.stop = Stop.END
                    break
                if pen.is_full or n_cached >= self.n_ctx:
                    reply.stop = Stop.LENGTH
                    if overrun := pen.overrun:
                        yield Remark(overrun)
                    break
                if len(reply.ids) % EVERY == 0 and cycle_of(reply.ids):
                    reply.stop = Stop.ERROR
                    break
                if remark := pen.limit_thoughts():
                    yield Remark(remark)
                if len(reply.ids) == 1:  # not before its text was on its way
                    self._cache.copy_start(pen.most, quotes=quotes)
                one = np.array([token], dtype=np.int32)
                if not self._decoder.decode(one, n_cached):
                    break
                cached.append(one)
                n_cached += 1
                if self.cancelled:
                    break
        finally:
            if len(self._cache):  # a decode that failed has cleared it
                self._cache.ids = np.concatenate(cached)
            sampler.free()
        yield from said(reply, self._gauge(len(self._cache)), last=True)
        if not is_sound:
            self._refuse_spoiled()

    def _next(self, sampler: Sampler, tags: Tags | None) -> int:
        """The token that the reply goes on with, or ends with."""
        if tags is not None and tags.chooses:
            return tags.choose(self._quoting.logits())
        token = sampler.sample(self._context)
        return tags.instead_of(token) if tags is not None else token

    def _refuse_spoiled(self) -> None:
        """Raises EngineSpoiled, with nothing left in the cache, where what was computed last is no number."""
        if not self._decoder.computes_numbers:
            n_tokens = len(self._cache)
            self._cache.clear()
            raise spoiled(n_tokens, self.settings.placement.kv_type)

    def _form(self, grammar: str) -> Form:
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self._vocab)
        return Form(self._vocabulary, grammar)

    def _load(self, on_load: Callable[[float], None]) -> Any:
        parameters = ModelParameters(self.settings.placement)

        @llama_cpp.llama_progress_callback  # type: ignore[untyped-decorator]
        def progress(share: float, _: object) -> bool:
            on_load(share)
            return True

        parameters.value.progress_callback = progress
        model = llama_cpp.llama_model_load_from_file(os.fsencode(self.settings.model), parameters.value)
        if not model:
            raise EngineFailed(
                f"llama.cpp cannot load {self.settings.model}{self._words()}.", "Use another conversion of the model."
            )
        return model

    def _new_context(self) -> tuple[Any, tuple[tuple[str, int], ...]]:
        settings, placement = self.settings, self.settings.placement
        parameters = context_parameters(placement, n_threads=settings.n_threads)
        self._sizes.clear()
        context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not context:
            raise EngineFailed(
                f"llama.cpp cannot make a context of {placement.n_ctx:,} tokens with {placement.kv_type} KV"
                f"{self._words()}.",
                "Try a smaller --ctx or --kv f16.",
            )
        return context, kv_places(self._sizes, settings.kv_places)

    def _gauge(self, used: int) -> Gauge:
        return Gauge(used, self.n_ctx, self._places)

    @property
    def _moves_on(self) -> bool:
        """Whether layers have a state in place of keys and values."""
        return bool(llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model))

    @property
    def _description(self) -> str:
        """llama.cpp's of the model: architecture, size, quantization."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, buffer, len(buffer))
        return buffer.value.decode(errors="replace")

    def _words(self) -> str:
        return f": {' '.join(self._log)[-300:]}" if self._log else ""
