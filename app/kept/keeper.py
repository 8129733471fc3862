"""Keeping what engines read: what a prompt's engine may start from, and when what it holds goes to the disk.

One engine at a time, and the session whose KV state it holds. Starting engines is left to `engines`, finding states to
`finder`, their index to `states`, room on the disk to `snapshots`.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from app.kept.finder import Finder
from app.kept.promises import can_go_back
from app.kept.snapshots import Tier
from app.kept.states import Found
from app.settings import Settings
from engine.errors import LongdeskError
from engine.memory.budget import Plan
from engine.memory.card import ModelCard
from engine.memory.hardware import ram
from engine.memory.kv_cache import largest_part_bytes, state_bytes
from engine.opened import OpenModel
from engine.prompt.layout import Prompt, common_prefix
from engine.runtime.binding import Binding
from engine.runtime.chain import chain
from engine.runtime.checkpoint import Speeds
from engine.runtime.keeping import Keeping
from engine.runtime.model import Finished
from engine.runtime.worker_model import SavedState, WorkerModel
from engine.tokens.encode import Ids
from storage.store import Store

_DIRTY_BYTES = 32 << 20
_LONG_PREFILL_S = 10.0  # shorter ones are begun again sooner than their checkpoints are worth


@dataclass(frozen=True, slots=True)
class _Holding:
    """Whose KV state an engine holds, and what it belongs to. anchor: tokens up to the corpus's end of its prompt."""

    session_id: str
    card: ModelCard
    binding: Binding
    anchor: int


class Keeper:
    """Not thread-safe but where it is said: its owner takes turns. speeds: see States."""

    def __init__(self, settings: Settings, store: Store, speeds: Speeds | None = None) -> None:
        self._settings, self._store, self._speeds = settings, store, speeds
        self.finder = Finder(settings, store, speeds)
        self._states = self.finder.states
        self._tier = Tier(settings, store)
        self._holding: _Holding | None = None
        self._unsaved = False
        self._has_room = False  # for checkpoints of the question under way
        self._is_tight = False  # and only for one at a time
        self._tier.sweep()

    @property
    def session_id(self) -> str | None:
        """Whose KV state the engine holds. May be called from any thread."""
        return self._holding.session_id if self._holding is not None else None

    @property
    def anchor(self) -> int:
        """Tokens up to the corpus's end of the prompt that the engine read last. May be called from any thread."""
        return self._holding.anchor if self._holding is not None else 0

    def loses(self, engine: WorkerModel, ids: Ids) -> bool:
        """Whether a prompt throws away more of what the engine holds than saving it costs."""
        thrown_away = len(engine.held) - common_prefix(engine.held, ids)
        return self._states.is_worth(thrown_away, self._state_bytes(engine))

    def begin(
        self, engine: WorkerModel, opened: OpenModel, plan: Plan, session_id: str, prompt: Prompt, *, spare_bytes: int
    ) -> tuple[str, ...]:
        """Tells the engine what this prompt may start from and where checkpoints go; why a kept state cannot be used.

        spare_bytes: of memory, once the engine has what it was planned to take.
        """
        card, placement = opened.card, engine.settings.placement
        found = self.finder.find(opened, placement, prompt)
        binding = self.finder.binding_of(opened, placement, prompt)
        n_new = prompt.n_tokens - found.n_tokens
        largest = self._largest_checkpoint(card, plan, n_new, found, spare_bytes=spare_bytes)
        self._has_room = largest > 0
        stem = self._tier.new_path(os.getpid()).with_suffix("") if largest else None
        keeping = Keeping(
            binding=binding, states=found.paths, checkpoint=stem, checkpoint_bytes=largest, speeds=self._speeds
        )
        engine.keep(keeping, self._keep_checkpoint)
        if 2 * found.n_tokens >= prompt.n_tokens:  # less, a shared instruction say, makes it no state of this session's
            self._states.used(found.paths, session_id)
        self._holding, self._unsaved = _Holding(session_id, card, binding, prompt.corpus_end), True
        return (found.remark,) if found.remark else ()

    def answered(self, event: Finished) -> None:
        """How long reading took, for what is worth keeping. No checkpoint comes any more: their room is given back."""
        if self._has_room:
            self._has_room = self._is_tight = False
            self._tier.release()
        self._states.measured(n_tokens=event.prompt_tokens - event.reused_tokens, seconds=event.prefill_s)

    def save(self, engine: WorkerModel, *, protected: tuple[Path, ...] = ()) -> str | None:
        """Keeps the KV state that the engine holds, where that is worth it; a sentence where it was not possible.

        protected: states that are not to go for it.
        """
        holding = self._holding
        if holding is None or not self._unsaved or not self._settings.snapshot:
            return None
        self._unsaved = False
        holding = self._holding = replace(holding, binding=self._states.known(holding.binding))
        n_bytes = self._state_bytes(engine)
        if not self._states.is_worth(self._states.gain(engine.held, holding.binding), n_bytes):
            return None
        if (takes := _saving_bytes(engine, holding.card)) > (free := ram().free_bytes):
            return f"The KV cache was not kept: writing it takes {takes:,} bytes of memory, and {free:,} are free."
        path = self._tier.new_path(os.getpid())
        try:
            if refusal := self._tier.keep(n_bytes, protected=protected, blocks=chain(engine.held)).refusal:
                return refusal
            self._write(engine, path, holding, n_bytes)
        except (LongdeskError, OSError) as error:
            remove((path,))
            return f"The KV cache was not kept: {error}"
        finally:
            self._tier.release()
        return None

    def discard(self, state: Path) -> None:
        """A state's file is broken: it is forgotten, so that a good one takes its place."""
        self._store.snapshots.forget(state)
        remove((state,))

    def forget(self, session_id: str) -> None:
        """The session was deleted: its state is not to be saved any more."""
        if self.session_id == session_id:
            self._unsaved = False

    def drop_state(self, session_id: str) -> None:
        """Forgets a session's KV state on disk, and that the engine's own was to be saved."""
        self.forget(session_id)
        remove(self._store.snapshots.remove(session_id))

    def _write(self, engine: WorkerModel, path: Path, holding: _Holding, n_bytes: int) -> None:
        """Writes the state, enters it, and deletes those that it makes needless. Raises LongdeskError, OSError."""
        begun = perf_counter()
        saved = engine.save(holding.binding, path)
        if saved is not None and saved.n_bytes:
            self._record(saved, holding, perf_counter() - begun)
            if saved.n_bytes > n_bytes:  # a model that keeps something else too
                self._tier.keep(0, protected=(path,))

    def _keep_checkpoint(self, saved: SavedState) -> None:
        """Enters a checkpoint of a running prefill, and deletes the one before."""
        if self._holding is not None:
            try:
                self._record(saved, self._holding)
            except LongdeskError:  # the session was deleted meanwhile
                remove((saved.path,))

    def _record(self, saved: SavedState, holding: _Holding, seconds: float = 0.0) -> None:
        card, binding = holding.card, holding.binding
        needless = self._states.record(
            saved,
            binding,
            holding.session_id,
            model_name=card.name,
            seconds=seconds,
            can_go_back=self._is_tight or can_go_back(card, swa_full=binding.swa_full),
        )
        remove(needless)

    def _state_bytes(self, engine: WorkerModel) -> int:
        """The most that the file of what an engine holds takes; 0 where it has not told what it holds."""
        if engine.gauge is None or self._holding is None:
            return 0
        placement = engine.settings.placement
        used, card = engine.gauge.used, self._holding.card
        return state_bytes(card, used, kv_type=placement.kv_type, swa_full=placement.swa_full)

    def _largest_checkpoint(self, card: ModelCard, plan: Plan, n_new: int, found: Found, *, spare_bytes: int) -> int:
        """Bytes that a checkpoint of this prefill may take; 0 where it is short, or none is kept."""
        self._is_tight = False
        if not self._settings.snapshot or n_new / self._states.tokens_per_s < _LONG_PREFILL_S:
            return 0
        if largest_part_bytes(card, plan.context_tokens, kv_type=plan.kv_type) > spare_bytes:
            return 0
        placement = plan.placement
        n_bytes = state_bytes(card, plan.prompt_tokens, kv_type=placement.kv_type, swa_full=placement.swa_full)
        if not can_go_back(card, swa_full=placement.swa_full):  # some of its beginnings stay: see States.record
            self._is_tight = self._tier.keep(4 * n_bytes, protected=found.paths).refusal is not None
            if not self._is_tight:
                return n_bytes
        # two lie there for a moment
        return 0 if self._tier.keep(2 * n_bytes, protected=found.paths).refusal else n_bytes


def _saving_bytes(engine: WorkerModel, card: ModelCard) -> int:
    """What writing a state takes: llama.cpp copies one layer's K or V, and dirty pages wait for the disk."""
    placement = engine.settings.placement
    used = engine.gauge.used / engine.gauge.cells if engine.gauge else 1.0
    return int(largest_part_bytes(card, placement.n_ctx, kv_type=placement.kv_type) * used) + _DIRTY_BYTES


def remove(paths: tuple[Path, ...]) -> None:
    """Deletes KV state files that no session needs."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
