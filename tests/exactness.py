"""Whether what is kept of a KV cache gives the logits that a fresh run gives. In a child process of its own.

At every point of a walk the engine's logits behind the prompt stand beside those of two fresh runs, with 512 and with
256 tokens at once: what these two differ by is the floor. The first fresh run's context also goes back the naive way,
as llama.cpp lets it: with llama_memory_seq_rm alone, after its state was given out and taken in again where the engine
goes on from a file. `python -m tests.exactness`, with a job as JSON coming in.
"""

import ctypes
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.errand import sent
from tests.models.cache import cached
from tests.walks import GROUNDS, UBATCHES, Ground, Step, walk

Logits = npt.NDArray[np.float32]

TIMES_FLOOR, _SHARE_OF_NAIVE = 3, 1 / 20
LEAST_FLOOR = 1e-4  # two runs may agree to the bit
_FEW, _SOME = 1 / 4, 64  # of a window may lack, or for fewer tokens, without its being seen in the logits
_N_REPLY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step's largest differences of a logit from a fresh run's: the engine's, the floor, the naive way's.

    gone: the share of the window that the naive way would have needed and llama.cpp no longer held; missed_by: how many
    tokens would have seen it. windowed: whether the model has windows at all. same: greedy tokens that the engine and
    the fresh run agree on; sure: how many come before one that rounding may decide.
    """

    what: str
    n_tokens: int
    common: int
    reused: int
    ours: float
    floor: float
    naive: float
    gone: float
    missed_by: int
    windowed: bool
    same: int
    sure: int

    @property
    def limit(self) -> float:
        """What may differ."""
        return TIMES_FLOOR * max(self.floor, LEAST_FLOOR)

    @property
    def naive_is_wrong(self) -> bool:
        """Whether the naive way must be seen to fail here; just before a chunk ends hardly a token misses anything."""
        return self.gone >= _FEW and self.missed_by >= _SOME

    @property
    def exact(self) -> bool:
        """Within the limit, and far from what the naive way does wherever that is wrong."""
        far = self.ours <= _SHARE_OF_NAIVE * self.naive or not self.naive_is_wrong
        return self.ours <= self.limit and far and self.same >= self.sure


def points(name: str, *, kv_type: str, n_steps: int, seed: int = 0, floors: bool = True) -> list[Point]:
    """Walks on one of GROUNDS. Raises AssertionError when the child fails.

    floors: whether the second fresh run is made. Without it the floor counts as none, and less is allowed.
    """
    ground = GROUNDS[name]
    model = cached(ground.model, **ground.shape)
    job = {"name": name, "model": str(model), "kv_type": kv_type, "n_steps": n_steps, "seed": seed, "floors": floors}
    return [Point(**fields) for fields in sent("tests.exactness", job)]


class _Engine:
    """The engine, by the calls that the product makes, and the logits that it samples from."""

    def __init__(self, settings: Any, binding: Any, folder: Path) -> None:
        from engine.runtime.llama import LlamaModel

        self._settings, self._binding, self._folder = settings, binding, folder
        self._open = lambda: LlamaModel(settings, lambda share: None)
        self.model = self._open()
        self._n_saved = 0

    def answer(self, step: Step) -> tuple[int, tuple[int, ...], list[Logits]]:
        """Tokens reused, the reply, and the logits of each of its tokens."""
        from engine.runtime.keeping import Keeping

        states = (self._save(),) if step.kept else ()
        if states:
            self._reopen()
        keeping = Keeping(binding=self._binding, states=states)
        return answered(self.model, step.ids, n_reply=_N_REPLY, anchor=step.anchor, keeping=keeping)

    def _save(self) -> Path:
        self._n_saved += 1
        path = self._folder / f"{self._n_saved}.kv"
        assert self.model.save(self._binding, path)
        return path

    def _reopen(self) -> None:
        import llama_cpp

        llama_cpp.llama_free(self.model._context)
        llama_cpp.llama_model_free(self.model._model)
        self.model = self._open()


class Fresh:
    """A context of its own that decodes prompts from an empty cache, or the naive way."""

    def __init__(self, model: Path, placement: Any) -> None:
        import llama_cpp

        from engine.memory.llama_parameters import ModelParameters, context_parameters
        from engine.runtime.batch import Batch

        self._lib, self._n_ubatch = llama_cpp, placement.n_ubatch
        self._model = llama_cpp.llama_model_load_from_file(str(model).encode(), ModelParameters(placement).value)
        self._context = llama_cpp.llama_init_from_model(self._model, context_parameters(placement, n_threads=1))
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = Batch(placement.n_ubatch)

    def decode(self, ids: npt.NDArray[np.int32]) -> Logits:
        """From an empty cache; the logits behind the last token."""
        self._lib.llama_memory_clear(self._memory, True)
        return self._go_on(ids, 0)

    def through_a_file(self) -> None:
        """Gives its state out and takes it in again, as a file would have it."""
        size = self._lib.llama_state_seq_get_size_ext(self._context, 0, 0)
        data = (ctypes.c_uint8 * size)()
        assert self._lib.llama_state_seq_get_data_ext(self._context, data, size, 0, 0) == size
        self._lib.llama_memory_clear(self._memory, True)
        assert self._lib.llama_state_seq_set_data_ext(self._context, data, size, 0, 0) == size

    def naive(self, ids: npt.NDArray[np.int32], common: int) -> Logits:
        """Goes back with seq_rm alone, whatever is still there."""
        self._lib.llama_memory_seq_rm(self._memory, 0, common, -1)
        return self._go_on(ids, common)

    def reply(self, first: Logits, n_tokens: int) -> tuple[list[int], list[Logits]]:
        """Greedy tokens behind what was decoded last, and the logits of each."""
        tokens, rows = [], [first]
        for _ in range(n_tokens):
            tokens.append(int(rows[-1].argmax()))
            at = self._lib.llama_memory_seq_pos_max(self._memory, 0) + 1
            rows.append(self._go_on(np.array([tokens[-1]], dtype=np.int32), at, behind=at))
        return tokens, rows

    def gone(self, ground: Ground, common: int) -> float:
        """The share of a window that a prompt needs to go on behind so many tokens, and that no cell holds."""
        pos_min = self._lib.llama_memory_seq_pos_min(self._memory, 0)
        return max(0, min(pos_min, common) - ground.needs(common)) / max(1, ground.window)

    def _go_on(self, ids: npt.NDArray[np.int32], start: int, *, behind: int = 0) -> Logits:
        for at in range(start - behind, len(ids), self._n_ubatch):
            part = ids[at : at + self._n_ubatch]
            last = at + len(part) == len(ids)
            assert self._lib.llama_decode(self._context, self._batch.fill(part, at + behind, last)) == 0
        return _logits(self._context, self._n_vocab)


def _logits(context: Any, n_vocab: int) -> Logits:
    import llama_cpp

    return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), shape=(n_vocab,)).copy()


def answered(
    model: Any, ids: npt.NDArray[np.int32], *, n_reply: int, anchor: int, keeping: Any = None, quotes: bool = False
) -> tuple[int, tuple[int, ...], list[Logits]]:
    """What a LlamaModel reused of a prompt, its reply, and the logits that each token of it was sampled from."""
    from engine.runtime import llama
    from engine.runtime.events import Finished, Sampling

    seen: list[Logits] = []

    class Recorder(llama.Sampler):
        def sample(self, context: Any) -> int:
            seen.append(_logits(context, self._n_vocab))
            return super().sample(context)

    plain, llama.Sampler = llama.Sampler, Recorder  # type: ignore[misc]
    try:
        *_, end = model.generate(ids, Sampling(max_tokens=n_reply), anchor=anchor, keeping=keeping, quotes=quotes)
    finally:
        llama.Sampler = plain  # type: ignore[misc]
    assert isinstance(end, Finished)
    return end.reused_tokens, end.reply_ids, seen


def _measure(job: dict[str, Any], folder: Path) -> Iterator[Point]:
    from engine.memory.budget import Placement
    from engine.runtime.binding import Binding
    from engine.runtime.settings import EngineSettings

    ground = GROUNDS[job["name"]]
    placement = Placement(n_ctx=ground.longest + 2 * _N_REPLY, kv_type=job["kv_type"])
    settings = EngineSettings(model=Path(job["model"]), placement=placement, n_threads=1)
    binding = Binding(model=job["model"], llama_cpp="", kv_k=job["kv_type"], kv_v=job["kv_type"])
    engine = _Engine(settings, binding, folder)
    fresh, other = (Fresh(settings.model, replace(placement, n_ubatch=n_ubatch)) for n_ubatch in UBATCHES)
    for at, step in enumerate(walk(ground, n_steps=job["n_steps"], seed=job["seed"])):
        reused, reply, rows = engine.answer(step)
        if step.kept:
            fresh.through_a_file()
        gone = fresh.gone(ground, step.common) if at else 0.0
        naive = fresh.naive(step.ids, step.common) if at else rows[0]
        right = fresh.decode(step.ids)
        floor = differ(other.decode(step.ids), right) if at and job["floors"] else 0.0
        tokens, theirs = fresh.reply(right, _N_REPLY)
        if at:
            same, sure = agree(tokens, reply, theirs, TIMES_FLOOR * max(floor, LEAST_FLOOR))
            yield Point(
                what=f"{step.what}, {'from a file' if step.kept else 'live'}",
                n_tokens=len(step.ids),
                common=step.common,
                reused=reused,
                ours=differ(rows[0], right),
                floor=floor,
                naive=differ(naive, right),
                gone=gone,
                missed_by=ground.n_behind(step.common, len(step.ids)),
                windowed=bool(ground.window),
                same=same,
                sure=sure,
            )


def agree(right: list[int], reply: tuple[int, ...], rows: list[Logits], close: float) -> tuple[int, int]:
    """Tokens that are the same from the first on, and those before the first that two close logits compete for."""
    same = next(
        (at for at, (a, b) in enumerate(zip(right, reply, strict=False)) if a != b), min(len(right), len(reply))
    )
    gaps = [float(np.diff(np.partition(row, -2)[-2:])[0]) for row in rows[: len(reply)]]
    return same, next((at for at, gap in enumerate(gaps) if gap < close), len(gaps))


def differ(a: Logits, b: Logits) -> float:
    """The largest difference of a logit."""
    return float(np.abs(a - b).max())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        json.dump([asdict(point) for point in _measure(json.load(sys.stdin), Path(made))], sys.stdout)
