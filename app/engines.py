"""The running engine of this process: starting it with room enough, lending it to sessions, keeping KV states.

A context cannot grow, so a question that needs more room than there is gets a new engine; the session's KV state is
carried over on disk. How prompts are made is left to `desk`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import psutil

from app.kept import before_edit, binding_of, can_go_back, kept_of, shape_of, stamp
from app.settings import Settings
from app.snapshots import Tier
from app.states import Found, States
from engine.errors import LongdeskError
from engine.memory.budget import Need, Plan
from engine.memory.card import ModelCard
from engine.memory.content import Contents, Identity, is_read
from engine.memory.dry_run import DryRun, Measured
from engine.memory.hardware import Device, Hardware, ram
from engine.memory.kv_cache import largest_part_bytes, state_bytes
from engine.memory.placement import Placement
from engine.opened import OpenModel
from engine.prompt.layout import Prompt, common_prefix
from engine.runtime.binding import Binding
from engine.runtime.chain import chain
from engine.runtime.keeping import Keeping
from engine.runtime.model import Finished, Gauge
from engine.runtime.settings import EngineSettings
from engine.runtime.worker_model import SavedState, WorkerModel
from engine.tokens.encode import Ids
from storage.store import Store

_DIRTY_BYTES = 32 << 20
_SMALL_MODEL_BYTES = 2 << 30  # read in half a second from the page cache; off a disk, for its loading too
_READ_BYTES_PER_S = 1 << 30  # of a model file
_LONG_PREFILL_S = 10.0  # shorter ones are begun again sooner than their checkpoints are worth


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that has its model loaded, or loads it: its context in tokens, and whose KV state it holds.

    gauge: what the KV cache holds and where it lies; None until the engine has told.
    """

    n_ctx: int
    session_id: str | None
    gauge: Gauge | None = None


@dataclass(frozen=True, slots=True)
class Rereading:
    """About how many tokens of a prompt are kept somewhere, and how many a second are read."""

    kept_tokens: int
    tokens_per_s: float


class Engines:
    """At most one running engine, and the session whose KV state it holds. Not thread-safe: its owner takes turns."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._engine: WorkerModel | None = None
        self._identity: tuple[Identity, str] | None = None  # of the engine's model, and of its projector
        self._card: ModelCard | None = None  # of the engine's model
        self._session: str | None = None
        self._unsaved = False
        self._binding: Binding | None = None
        self._needs: tuple[Need, ...] = ()  # what the running engine was planned to take
        self._layer_bytes = 0  # of the largest layer's K or V
        self._dry_run = DryRun(settings.cache)
        self._contents = Contents(settings.cache)
        self._states = States(store, self._contents)
        self._tier = Tier(settings, store)
        self._checkpoints = False  # whether room was made for some, of the question under way
        self._is_tight = False  # and whether it is for one at a time
        self._anchor = 0  # tokens up to the corpus's end of the prompt that the engine read last
        self.remarks: tuple[str, ...] = ()
        self._tier.sweep()

    @property
    def running(self) -> WorkerModel | None:
        engine = self._engine
        return engine if engine is not None and engine.pid is not None else None

    def status(self) -> Running | None:
        """What runs now. May be called from any thread."""
        engine = self.running
        return None if engine is None else Running(engine.settings.placement.n_ctx, self._session, engine.gauge)

    def free_ram(self) -> Device:
        """Free memory as the next engine sees it: what the running one holds for itself comes back when it ends.

        May be called from any thread.
        """
        device = ram()
        engine = self._engine
        own = sum(map(_own_bytes, (engine.pid if engine is not None else None, self._dry_run.pid)))
        return replace(device, free_bytes=min(device.total_bytes, device.free_bytes + own))

    def hardware(self) -> Hardware:
        """This machine as the next engine sees it. May be called from any thread."""
        gpus = self._dry_run.gpus()
        if self.running is not None:
            held = {need.device.name: need.needed_bytes for need in self._needs}
            gpus = tuple(
                replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + held.get(gpu.name, 0))) for gpu in gpus
            )
        return Hardware(self.free_ram(), gpus, shutil.disk_usage(self._settings.home).free)

    def wake(self) -> None:
        """Starts the dry run's process: a plan will ask it soon."""
        with suppress(LongdeskError):  # whoever asks it hears of it
            self._dry_run.start()

    def measure(self, card: ModelCard, placement: Placement) -> Measured:
        """What llama.cpp says that a placement takes; see DryRun.measure. May be called from any thread."""
        return self._dry_run.measure(card, placement)

    def prove(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> Iterator[float]:
        """Reads the model's files where nobody has and a kept state may be theirs that saves more than that takes.

        Yields the share read, see Contents.read. `ready` uses no state that was not proved to be the model's.
        """
        card, identity = opened.card, self._contents.identify(opened.card)
        if is_read(identity.content) or not self._settings.snapshot:
            return
        found = self._states.find(prompt.ids(), binding_of(opened, plan.placement, identity, prompt))
        n_bytes, gain = sum(file.n_bytes for file in card.files), found.unproved_tokens - found.n_tokens
        if n_bytes <= _SMALL_MODEL_BYTES or gain / self._states.tokens_per_s > n_bytes / _READ_BYTES_PER_S:
            yield from self._contents.read(card)

    def learn(self, card: ModelCard) -> Iterator[float]:
        """Reads the model's files where kept states are bound to these very files, so that a copy may use them too.

        Yields the share read. May be called from any thread and given up at any time: nothing waits for it.
        """
        content = self._contents.identify(card).content
        if not is_read(content) and any(
            kept.binding.get("content") == content for kept in self._store.snapshots.list()
        ):
            yield from self._contents.read(card)

    def ready(self, opened: OpenModel, plan: Plan, session_id: str, prompt: Prompt) -> WorkerModel:
        """The engine for this prompt: the running one where it has room, else a new one.

        What the running one has read and the prompt does not share is saved first, where reading it again would take
        longer. `remarks` then says which kept KV state cannot be used.
        """
        card, projector = opened.card, opened.projector
        wanted = EngineSettings(
            model=card.path,
            placement=plan.placement,
            projector=projector.path if projector else None,
            embeddings=self._settings.cache / "embeddings",
            kv_places=tuple((need.device.name, need.kv_bytes) for need in plan.needs),
            n_threads=self._settings.n_threads,
        )
        identity, ids = (self._contents.identify(card), stamp(projector)), prompt.ids()
        engine = self._engine
        serves = engine is not None and self._identity == identity and self._serves(engine, plan, prompt)
        if engine is not None and (not serves or self._loses(engine, ids)):
            # not at the cost of what is needed in a moment: two sessions with room for one would both be read each time
            needed = self._states.find(
                ids, binding_of(opened, (engine.settings if serves else wanted).placement, identity[0], prompt)
            )
            self.save(protected=needed.paths[:1])
        if engine is None or not serves:
            if engine is not None:
                engine.close()
            self._dry_run.close()  # what it holds was promised to the engine
            engine = self._engine = WorkerModel(wanted)
            self._identity, self._needs, self._card = identity, plan.needs, card
            self._layer_bytes = largest_part_bytes(card, plan.context_tokens, kv_type=plan.kv_type)
        self._binding = binding_of(opened, engine.settings.placement, identity[0], prompt)
        found = self._states.find(ids, self._binding) if self._settings.snapshot else Found()
        self.remarks = (found.remark,) if found.remark else ()
        checkpoint_bytes = self._room_for_checkpoints(card, plan, len(ids) - found.n_tokens, found)
        self._checkpoints = checkpoint_bytes > 0
        engine.keep(
            Keeping(
                binding=self._binding,
                states=found.paths,
                checkpoint=self._tier.new_path(os.getpid()).with_suffix("") if checkpoint_bytes else None,
                checkpoint_bytes=checkpoint_bytes,
            ),
            self._keep_checkpoint,
        )
        if 2 * found.n_tokens >= len(ids):  # less, a shared instruction say, makes it no state of this session's
            self._states.used(found.paths, session_id)
        self._session, self._unsaved, self._anchor = session_id, True, prompt.corpus_end
        return engine

    def answered(self, event: Finished) -> None:
        """How long reading took, for what is worth keeping. No checkpoint comes any more: their room is given back."""
        if self._checkpoints:
            self._checkpoints = self._is_tight = False
            self._tier.release()
        self._states.measured(n_tokens=event.prompt_tokens - event.reused_tokens, seconds=event.prefill_s)

    def save(self, *, protected: tuple[Path, ...] = ()) -> str | None:
        """Keeps the KV state that the engine holds, where that is worth it; a sentence where it was not possible.

        protected: states that are not to go for it.
        """
        engine, session_id, binding = self.running, self._session, self._binding
        if engine is None or session_id is None or binding is None:
            return None
        if not self._unsaved or not self._settings.snapshot:
            return None
        self._unsaved = False
        binding = replace(binding, content=self._contents.resolve(binding.content))  # it may have been read since
        n_bytes = self._state_bytes(engine)
        if not self._states.is_worth(self._states.gain(engine.held, binding), n_bytes):
            return None
        if (takes := self._saving_bytes(engine)) > (free := ram().free_bytes):
            return f"The KV cache was not kept: writing it takes {takes:,} bytes of memory, and {free:,} are free."
        path = self._tier.new_path(os.getpid())
        try:
            if refusal := self._tier.keep(n_bytes, protected=protected, blocks=chain(engine.held)).refusal:
                return refusal
            begun = perf_counter()
            saved = engine.save(binding, path)
            if saved is not None and saved.n_bytes:
                remove(self._record(saved, binding, session_id, perf_counter() - begun))
                if saved.n_bytes > n_bytes:  # a model that keeps something else too
                    self._tier.keep(0, protected=(path,))
        except (LongdeskError, OSError) as error:
            remove((path,))
            return f"The KV cache was not kept: {error}"
        finally:
            self._tier.release()
        return None

    def rereads(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> Rereading:
        """What of a prompt would be read, and how fast, if it were asked now. May be called from any thread."""
        card, ids = opened.card, prompt.ids()
        engine, identity = self.running, self._contents.identify(card)
        runs = engine is not None and self._identity == (identity, stamp(opened.projector))
        live = common_prefix(engine.held, ids) if engine is not None and runs else 0
        if engine is not None and live < len(engine.held) and live < self._anchor:
            live = before_edit(card, live, copied=self._anchor)
        if not self._settings.snapshot:
            return Rereading(live, self._states.tokens_per_s)
        binding = binding_of(opened, plan.placement, identity, prompt)
        found = self._states.find(ids, binding)
        shape = shape_of(card, swa_full=plan.placement.swa_full)
        n_ctx = max(plan.context_tokens, engine.settings.placement.n_ctx if engine is not None else 0)
        kept = max((kept_of(path, ids, binding, shape, n_ctx=n_ctx) for path in found.paths), default=0)
        kept = max(kept, before_edit(card, found.unproved_tokens))  # proved when it is asked, and seldom another's
        return Rereading(min(max(live, kept), len(ids)), self._states.tokens_per_s)

    def _record(self, saved: SavedState, binding: Binding, session_id: str, seconds: float = 0.0) -> tuple[Path, ...]:
        name = self._card.name if self._card else ""
        goes_back = self._is_tight or (self._card is not None and can_go_back(self._card, swa_full=binding.swa_full))
        return self._states.record(saved, binding, session_id, model_name=name, seconds=seconds, can_go_back=goes_back)

    def _loses(self, engine: WorkerModel, ids: Ids) -> bool:
        """Whether the prompt throws away more of what the engine holds than saving it costs."""
        thrown_away = len(engine.held) - common_prefix(engine.held, ids)
        return self._states.is_worth(thrown_away, self._state_bytes(engine))

    def _keep_checkpoint(self, saved: SavedState) -> None:
        """Enters a checkpoint of a running prefill, and deletes the one before."""
        if self._session is not None and self._binding is not None:
            try:
                remove(self._record(saved, self._binding, self._session))
            except LongdeskError:  # the session was deleted meanwhile
                remove((saved.path,))

    def _state_bytes(self, engine: WorkerModel) -> int:
        """The most that the file of what an engine holds takes; 0 where it has not told what it holds."""
        if engine.gauge is None or self._card is None:
            return 0
        placement = engine.settings.placement
        return state_bytes(self._card, engine.gauge.used, kv_type=placement.kv_type, swa_full=placement.swa_full)

    def _saving_bytes(self, engine: WorkerModel) -> int:
        """What writing a state takes: llama.cpp copies one layer's K or V, and dirty pages wait for the disk."""
        used = engine.gauge.used / engine.gauge.cells if engine.gauge else 1.0
        return int(self._layer_bytes * used) + _DIRTY_BYTES

    def _room_for_checkpoints(self, card: ModelCard, plan: Plan, n_new: int, found: Found) -> int:
        """Bytes that a checkpoint of this prefill may take; 0 where it is short, or none is kept."""
        if not self._settings.snapshot or n_new / self._states.tokens_per_s < _LONG_PREFILL_S:
            return 0
        needed = 0 if self.running else plan.needs[0].needed_bytes
        if needed + self._layer_bytes > self.free_ram().free_bytes:
            return 0
        placement = plan.placement
        n_bytes = state_bytes(card, plan.prompt_tokens, kv_type=placement.kv_type, swa_full=placement.swa_full)
        if not can_go_back(card, swa_full=placement.swa_full):  # some of its beginnings stay: see States.record
            self._is_tight = self._tier.keep(4 * n_bytes, protected=found.paths).refusal is not None
            if not self._is_tight:
                return n_bytes
        # two lie there for a moment
        return 0 if self._tier.keep(2 * n_bytes, protected=found.paths).refusal else n_bytes

    def discard(self, state: Path) -> None:
        """A state's file is broken: it is forgotten, so that a good one takes its place."""
        self._store.snapshots.forget(state)
        remove((state,))

    def forget(self, session_id: str) -> None:
        """The session was deleted: its state is not to be saved any more."""
        if self._session == session_id:
            self._unsaved = False

    def close(self) -> None:
        """Saves what is not saved yet and ends the engine."""
        try:
            self.save()
        finally:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            self._dry_run.close()

    def drop_state(self, session_id: str) -> None:
        """Forgets a session's KV state on disk, and that the engine's own was to be saved."""
        self.forget(session_id)
        remove(self._store.snapshots.remove(session_id))

    def _serves(self, engine: WorkerModel, plan: Plan, prompt: Prompt) -> bool:
        """Whether a running engine can take the question as it is, though a new one might be placed otherwise."""
        running = engine.settings.placement
        asked_for = self._settings.n_ctx is None or running.n_ctx == self._settings.n_ctx
        room = running.n_ctx >= plan.prompt_tokens + plan.reply_tokens and running.n_ubatch >= prompt.n_at_once
        alike = (running.kv_type, running.swa_full) == (plan.placement.kv_type, plan.placement.swa_full)
        return asked_for and room and alike  # where it lies, and what it computes at once, can stay as it is


def _own_bytes(pid: int | None) -> int:
    """What a child of ours holds for itself."""
    with suppress(psutil.Error):
        if pid is not None:
            memory = psutil.Process(pid).memory_info()
            return max(0, int(memory.rss - memory.shared))
    return 0


def remove(paths: tuple[Path, ...]) -> None:
    """Deletes KV state files that no session needs."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
