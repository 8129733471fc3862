"""llama.cpp through its low-level calls: one model, one context, one sequence. Lives in a child process (`worker`).

The high-level Llama class reuses prefixes wrongly on Llama 4's windowed cache and allocates a score for every token;
none of that is used here. Positions are always explicit. Talking to the parent is left to `worker`.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import llama_cpp
import numpy as np

from engine.errors import EngineFailed
from engine.memory.parameters import ModelParameters, context_parameters
from engine.prompt.layout import common_prefix
from engine.runtime.batch import Batch
from engine.runtime.log import kv_places, listen
from engine.runtime.model import Finished, Gauge, Prefill, Sampling, Stop, Text
from engine.runtime.prefix import Attention, CacheShape, keepable
from engine.runtime.reply import Reply
from engine.runtime.sampling import Sampler
from engine.runtime.settings import EngineSettings
from engine.runtime.snapshot import load_state, read_state_ids, save_state
from engine.tokens.encode import Ids

_ABORTED = 2  # llama_decode's answer when the abort callback said so
_NO_SLOT = 1
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
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._shape = self._cache_shape()
        self._batch = Batch(settings.placement.n_ubatch)
        self._cached: Ids = np.empty(0, dtype=np.int32)
        llama_cpp.llama_set_abort_callback(self._context, _FLAG_IS_SET, ctypes.addressof(self._flag))

    @property
    def n_ctx(self) -> int:
        """Cells of the KV cache, in tokens; llama.cpp rounds up what was asked for."""
        return int(llama_cpp.llama_n_ctx(self._context))

    @property
    def cached_ids(self) -> Ids:
        """The ids whose keys and values the cache holds, from position 0 on."""
        return self._cached

    def cancel(self) -> None:
        """Stops the decoding that is under way at the next graph node, from any thread."""
        self._flag[0] = b"\x01"

    def uncancel(self) -> None:
        """Makes decoding possible again; called when the next generation is asked for, not when it begins."""
        self._flag[0] = b"\x00"

    @property
    def _cancelled(self) -> bool:
        return self._flag[0] == b"\x01"

    def save(self, path: Path) -> int:
        """Writes the KV state; bytes written, 0 when the cache is empty. Raises OSError."""
        return save_state(self._context, self._cached, path) if len(self._cached) else 0

    def generate(
        self, ids: Ids, sampling: Sampling, *, state: Path | None = None
    ) -> Iterator[Prefill | Text | Finished]:
        """Decodes what the cache does not hold of the prompt, then samples.

        state: a file to restore from where that keeps more. Cancelling keeps what was decoded. Raises EngineFailed when
        llama.cpp fails.
        """
        begun = perf_counter()
        self._restore(ids, state)
        reused = self._rewind(ids)
        restored = perf_counter()
        for done in self._prefill(ids, reused):
            yield Prefill(done, len(ids), reused, perf_counter() - restored, self._gauge(done))
        read = perf_counter()
        reply = Reply(begun)
        if len(self._cached) == len(ids) and not self._cancelled:
            yield from self._sample(sampling, reply)
        ended = perf_counter()
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
            gauge=self._gauge(len(self._cached)),
        )

    def _restore(self, ids: Ids, state: Path | None) -> None:
        """Loads the state file when it shares more with the prompt than the live cache does."""
        saved = read_state_ids(state) if state else None
        if saved is None or state is None or len(saved) > self.n_ctx:
            return
        if common_prefix(saved, ids) > common_prefix(self._cached, ids):
            loaded = False
            with suppress(OSError):  # it went away since: evicted, or its session was deleted
                loaded = load_state(self._context, state, len(saved))
            self._cached = saved if loaded else saved[:0]

    def _rewind(self, ids: Ids) -> int:
        """Drops from the cache what the prompt does not share; the number of tokens kept, at most all but one."""
        common = min(common_prefix(self._cached, ids), len(ids) - 1)
        pos_min = llama_cpp.llama_memory_seq_pos_min(self._memory, 0)
        kept = keepable(common, n_cached=len(self._cached), pos_min=pos_min, shape=self._shape)
        if kept == 0:
            llama_cpp.llama_memory_clear(self._memory, True)
        elif kept < len(self._cached):
            llama_cpp.llama_memory_seq_rm(self._memory, 0, kept, -1)
        self._cached = self._cached[:kept]
        return kept

    def _prefill(self, ids: Ids, start: int) -> Iterator[int]:
        """Decodes ids[start:] batch by batch; yields how many tokens of the prompt are done."""
        self._cached = ids[:start]
        yield start
        while len(self._cached) < len(ids) and not self._cancelled:
            at = len(self._cached)
            n_tokens = min(self.settings.placement.n_ubatch, len(ids) - at)
            if not self._decode(ids[at : at + n_tokens], at, wants_logits=at + n_tokens == len(ids)):
                return
            self._cached = ids[: at + n_tokens]
            yield len(self._cached)

    def _sample(self, sampling: Sampling, reply: Reply) -> Iterator[Text]:
        sampler = Sampler(sampling, self._n_vocab)
        cached = [self._cached]
        n_cached = len(self._cached)
        try:
            while True:
                token = sampler.sample(self._context)
                if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                    reply.stop = Stop.END
                    break
                reply.add(token, self._piece(token))
                if text := reply.due():
                    yield Text(text, len(reply.ids), self._gauge(n_cached))
                if len(reply.ids) >= sampling.max_tokens or n_cached >= self.n_ctx:
                    reply.stop = Stop.LENGTH
                    break
                one = np.array([token], dtype=np.int32)
                if not self._decode(one, n_cached, wants_logits=True):
                    break
                cached.append(one)
                n_cached += 1
                if self._cancelled:
                    break
        finally:
            self._cached = np.concatenate(cached) if len(self._cached) else self._cached
            sampler.free()
        if text := reply.due(last=True):
            yield Text(text, len(reply.ids), self._gauge(len(self._cached)))

    def _decode(self, ids: Ids, at: int, *, wants_logits: bool) -> bool:
        """Decodes one batch at explicit positions; False when it was aborted, and the cache then ends at `at`.

        llama.cpp takes an aborted batch back itself, and the cells it dropped to make room are masked there.
        """
        answer = llama_cpp.llama_decode(self._context, self._batch.fill(ids, at, wants_logits))
        if answer == 0:
            return True
        if answer == _ABORTED:
            if self._shape.attention is Attention.RECURRENT:  # its state has moved on and cannot go back
                llama_cpp.llama_memory_clear(self._memory, True)
                self._cached = self._cached[:0]
            return False
        llama_cpp.llama_memory_clear(self._memory, True)  # what a failed decode left behind is not to be trusted
        self._cached = self._cached[:0]
        if answer == _NO_SLOT:
            raise EngineFailed(
                f"The KV cache of {self.n_ctx:,} cells is full at token {at:,}.", "Ask with a larger --ctx."
            )
        raise EngineFailed(f"llama.cpp could not decode at token {at:,} (code {answer}){self._words()}.", "Ask again.")

    def _piece(self, token: int) -> bytes:
        room = 256
        buffer = ctypes.create_string_buffer(room)
        n_bytes = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        return buffer.raw[: max(0, n_bytes)]

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
        return context, kv_places(self._sizes)

    def _gauge(self, used: int) -> Gauge:
        return Gauge(used, self.n_ctx, self._places)

    def _cache_shape(self) -> CacheShape:
        window = int(llama_cpp.llama_model_n_swa(self._model))
        if llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model):
            return CacheShape(Attention.RECURRENT)
        if window <= 0:
            return CacheShape(Attention.FULL)
        buffer = ctypes.create_string_buffer(64)
        llama_cpp.llama_model_meta_val_str(self._model, b"general.architecture", buffer, len(buffer))
        return CacheShape(Attention.CHUNKED if buffer.value == b"llama4" else Attention.SLIDING, window)

    def _words(self) -> str:
        return f": {' '.join(self._log)[-300:]}" if self._log else ""
