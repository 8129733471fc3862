"""Keeping what engines read: which KV states a prompt starts from, and when what an engine holds goes to the disk.

One engine at a time, and the session whose KV state it holds. Starting engines is left to `engines`, what states belong
to `kept`, their index to `states`, room on the disk to `snapshots`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from app.kept.promises import before_edit, binding_of, can_go_back, most_kept, promises, shape_of
from app.kept.snapshots import Tier
from app.kept.states import Found, States
from app.settings import Settings
from engine.errors import LongdeskError
from engine.memory.budget import Plan
from engine.memory.card import ModelCard
from engine.memory.content import Contents, Identity, is_read
from engine.memory.hardware import ram
from engine.memory.kv_cache import largest_part_bytes, pad, state_bytes
from engine.memory.placement import Placement
from engine.opened import OpenModel
from engine.prompt.layout import Prompt, common_prefix
from engine.runtime.binding import Binding
from engine.runtime.chain import chain
from engine.runtime.keeping import Keeping
from engine.runtime.model import Finished
from engine.runtime.state_file import is_loss
from engine.runtime.worker_model import SavedState, WorkerModel
from engine.tokens.encode import Ids
from storage.store import Store

_DIRTY_BYTES = 32 << 20
_SMALL_MODEL_BYTES = 2 << 30  # read in half a second from the page cache; off a disk, for its loading too
_READ_BYTES_PER_S = 1 << 30  # of a model file
_LONG_PREFILL_S = 10.0  # shorter ones are begun again sooner than their checkpoints are worth


@dataclass(frozen=True, slots=True)
class Rereading:
    """About how many tokens of a prompt are kept somewhere, and how many a second are read."""

    kept_tokens: int
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class _Holding:
    """Whose KV state an engine holds, and what it belongs to. anchor: tokens up to the corpus's end of its prompt."""

    session_id: str
    card: ModelCard
    binding: Binding
    anchor: int


class Keeper:
    """Not thread-safe but where it is said: its owner takes turns."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._contents = Contents(settings.cache)
        self._states = States(store, self._contents)
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

    def identify(self, card: ModelCard) -> Identity:
        """Which model it is; see Contents.identify. May be called from any thread."""
        return self._contents.identify(card)

    def prove(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> Iterator[float]:
        """Reads the model's or the projector's files where nobody has and a kept state may be theirs that saves more
        than that takes.

        Yields the share read, see Contents.read. `begin` uses no state that was not proved to be the model's.
        """
        if not self._settings.snapshot:
            return
        if not is_read(self.identify(opened.card).content):
            n_bytes = sum(file.n_bytes for file in opened.card.files)
            if n_bytes <= _SMALL_MODEL_BYTES or self._is_worth_reading(n_bytes, opened, plan, prompt):
                yield from self._contents.read(opened.card)
        seen = opened.projector if prompt.shown else None
        if seen is None or is_read(self._contents.content_of(seen)):
            return
        if self._is_worth_reading(seen.n_bytes, opened, plan, prompt):
            yield from self._contents.read(seen)

    def _is_worth_reading(self, n_bytes: int, opened: OpenModel, plan: Plan, prompt: Prompt) -> bool:
        """Whether a kept state may be this model's and projector's that saves more than reading so much takes."""
        found = self.find(opened, plan.placement, prompt)
        gain = found.unproved_tokens - found.n_tokens
        return gain / self._states.tokens_per_s > n_bytes / _READ_BYTES_PER_S

    def learn(self, card: ModelCard) -> Iterator[float]:
        """Reads the model's files where kept states are bound to these very files, so that a copy may use them too.

        Yields the share read. May be called from any thread and given up at any time: nothing waits for it.
        """
        content = self.identify(card).content
        if not is_read(content) and any(
            kept.binding.get("content") == content for kept in self._store.snapshots.list()
        ):
            yield from self._contents.read(card)

    def find(self, opened: OpenModel, placement: Placement, prompt: Prompt) -> Found:
        """What of a prompt is on disk for an engine of this placement. May be called from any thread."""
        if not self._settings.snapshot:
            return Found()
        return self._states.find(prompt.ids(), self._binding_of(opened, placement, prompt))

    def room_for(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> int:
        """Tokens of a context that can load a kept state which saves notably more reading than this plan's context can
        load; the plan's own where there is none."""
        found, binding = self.find(opened, plan.placement, prompt), self._binding_of(opened, plan.placement, prompt)
        shape = shape_of(opened.card, swa_full=plan.placement.swa_full)
        promised = promises(found.paths, prompt.ids(), binding, shape)
        best = max(promised, key=lambda each: each.n_tokens, default=None)
        kept = most_kept(promised, n_ctx=plan.context_tokens)
        if best is None or not is_loss(best.n_tokens - kept, n_prompt=prompt.n_tokens):
            return plan.context_tokens
        larger = replace(plan.placement, n_ctx=pad(len(best.ids)))
        usable = self._binding_of(opened, larger, prompt) == binding  # which some models' context changes
        return larger.n_ctx if usable else plan.context_tokens

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
        found = self.find(opened, placement, prompt)
        binding = self._binding_of(opened, placement, prompt)
        n_new = prompt.n_tokens - found.n_tokens
        largest = self._largest_checkpoint(card, plan, n_new, found, spare_bytes=spare_bytes)
        self._has_room = largest > 0
        stem = self._tier.new_path(os.getpid()).with_suffix("") if largest else None
        keeping = Keeping(binding=binding, states=found.paths, checkpoint=stem, checkpoint_bytes=largest)
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

    def rereads(
        self, opened: OpenModel, plan: Plan, prompt: Prompt, *, held: Ids | None, held_ctx: int = 0
    ) -> Rereading:
        """What of a prompt would be read, and how fast, if it were asked now. May be called from any thread.

        held: what a running engine of this model holds, None without one; held_ctx: tokens of its context.
        """
        card, ids = opened.card, prompt.ids()
        live = common_prefix(held, ids) if held is not None else 0
        anchor = self._holding.anchor if self._holding is not None else 0
        if held is not None and live < len(held) and live < anchor:
            live = before_edit(card, live, copied=anchor)
        found = self.find(opened, plan.placement, prompt)
        binding = self._binding_of(opened, plan.placement, prompt)
        shape = shape_of(card, swa_full=plan.placement.swa_full)
        promised = promises(found.paths, ids, binding, shape)
        kept = most_kept(promised, n_ctx=max(plan.context_tokens, held_ctx))
        kept = max(kept, before_edit(card, found.unproved_tokens))  # proved when it is asked, and seldom another's
        return Rereading(min(max(live, kept), len(ids)), self._states.tokens_per_s)

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

    def _binding_of(self, opened: OpenModel, placement: Placement, prompt: Prompt) -> Binding:
        projector = self._contents.content_of(opened.projector) if opened.projector is not None else ""
        return binding_of(opened, placement, self.identify(opened.card), prompt, projector=projector)

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
