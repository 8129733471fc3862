"""The running engine of this process: starting it with room enough, lending it to sessions, keeping KV states.

A context cannot grow, so a question that needs more room than there is gets a new engine; the session's KV state is
carried over on disk. How prompts are made is left to `desk`.
"""

import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import psutil

from app.settings import Settings
from engine.errors import LongdeskError
from engine.memory.budget import Need, Plan
from engine.memory.card import ModelCard
from engine.memory.dry_run import DryRun, Measured
from engine.memory.fingerprint import fingerprint
from engine.memory.hardware import DISK_RESERVE_BYTES, Device, Hardware, ram
from engine.memory.placement import Placement
from engine.runtime.binding import Binding
from engine.runtime.keeping import Keeping
from engine.runtime.model import Gauge
from engine.runtime.settings import EngineSettings
from engine.runtime.worker_model import SavedState, WorkerModel
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that has its model loaded, or loads it: its context in tokens, and whose KV state it holds.

    gauge: what the KV cache holds and where it lies; None until the engine has told.
    """

    n_ctx: int
    session_id: str | None
    gauge: Gauge | None = None


class Engines:
    """At most one running engine, and the session whose KV state it holds. Not thread-safe: its owner takes turns."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._engine: WorkerModel | None = None
        self._fingerprint = ""
        self._session: str | None = None
        self._unsaved = False
        self._binding: Binding | None = None
        self._needs: tuple[Need, ...] = ()  # what the running engine was planned to take
        self._dry_run = DryRun(settings.cache)
        sweep(settings.home / "snapshots")

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
        pid = engine.pid if engine is not None else None
        if pid is not None:
            with suppress(psutil.Error):
                memory = psutil.Process(pid).memory_info()
                own = max(0, memory.rss - memory.shared)
                device = replace(device, free_bytes=min(device.total_bytes, device.free_bytes + own))
        return device

    def hardware(self) -> Hardware:
        """This machine as the next engine sees it. May be called from any thread."""
        gpus = self._dry_run.gpus()
        if self.running is not None:
            held = {need.device.name: need.needed_bytes for need in self._needs}
            gpus = tuple(
                replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + held.get(gpu.name, 0))) for gpu in gpus
            )
        return Hardware(self.free_ram(), gpus, shutil.disk_usage(self._settings.home).free)

    def measure(self, card: ModelCard, placement: Placement) -> Measured:
        """What llama.cpp says that a placement takes; see DryRun.measure. May be called from any thread."""
        return self._dry_run.measure(card, placement)

    def ready(self, card: ModelCard, plan: Plan, session_id: str) -> WorkerModel:
        """The engine for this session's next question: the running one where it has room, else a new one.

        The state of the session that it held before is saved first.
        """
        wanted = EngineSettings(
            model=card.path,
            placement=plan.placement,
            n_threads=self._settings.n_threads,
        )
        identity = fingerprint(card)
        engine = self._engine
        if engine is not None and (self._session != session_id or not self._serves(engine, plan)):
            self.save()
        if engine is None or self._fingerprint != identity or not self._serves(engine, plan):
            if engine is not None:
                engine.close()
            engine = self._engine = WorkerModel(wanted)
            self._fingerprint, self._needs = identity, plan.needs
        self._binding = binding_of(card, engine.settings.placement, identity)
        state = self._state_of(session_id, plan.kv_type)
        engine.keep(Keeping(binding=self._binding, states=(state,) if state else ()))
        self._session, self._unsaved = session_id, True
        return engine

    def save(self) -> str | None:
        """Keeps the KV state of the session that the engine holds; a sentence where that was not possible."""
        engine, session_id = self.running, self._session
        if engine is None or session_id is None or not self._unsaved or not self._settings.snapshot:
            return None
        assert self._binding is not None
        self._unsaved = False
        folder = self._settings.home / "snapshots"
        path = folder / f"{session_id}-{secrets.token_hex(4)}.kv"
        try:
            if shutil.disk_usage(self._settings.home).free < DISK_RESERVE_BYTES + _state_bytes(engine.gauge):
                return "The KV cache was not kept: it would leave less than 2 GiB free on the disk."
            saved = engine.save(self._binding, path)
            if saved is not None and saved.n_bytes:
                self._record(session_id, saved, engine.settings.placement.kv_type)
        except (LongdeskError, OSError) as error:
            remove((path,))
            return f"The KV cache was not kept: {error}"
        return None

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

    def _record(self, session_id: str, saved: SavedState, kv_type: str) -> None:
        """Enters a state into the index and deletes the files that it replaces."""
        unused = self._store.snapshots.record(
            session_id,
            path=saved.path,
            model=self._fingerprint,
            kv_k=kv_type,
            kv_v=kv_type,
            ids=saved.ids.tolist(),
            n_bytes=saved.n_bytes,
        )
        remove(unused)

    def _serves(self, engine: WorkerModel, plan: Plan) -> bool:
        """Whether a running engine can take the question as it is, though a new one might be placed otherwise."""
        running = engine.settings.placement
        asked_for = self._settings.n_ctx is None or running.n_ctx == self._settings.n_ctx
        room = running.n_ctx >= plan.prompt_tokens + plan.reply_tokens
        alike = (running.kv_type, running.swa_full) == (plan.placement.kv_type, plan.placement.swa_full)
        return asked_for and room and alike  # where it lies, and what it computes at once, can stay as it is

    def _state_of(self, session_id: str, kv_type: str) -> Path | None:
        """The session's saved state, if it was made by this model with this KV type and is still there."""
        snapshot = self._store.snapshots.get(session_id)
        if snapshot is None or not snapshot.path.exists():
            return None
        if (snapshot.model, snapshot.kv_k, snapshot.kv_v) != (self._fingerprint, kv_type, kv_type):
            return None
        return snapshot.path


def binding_of(card: ModelCard, placement: Placement, model: str) -> Binding:
    """What the KV states of an engine belong to. model: the digest of its files."""
    rope = "" if not card.rope_switch else "long" if placement.n_ctx > card.rope_switch else "short"
    return Binding(
        model=model,
        llama_cpp=version("llama-cpp-python"),
        kv_k=placement.kv_type,
        kv_v=placement.kv_type,
        swa_full=placement.swa_full,
        rope=rope,
        rotation=os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
    )


def _state_bytes(gauge: Gauge | None) -> int:
    """About what a KV state takes on disk: the cells that are used."""
    return gauge.n_bytes * gauge.used // max(1, gauge.cells) if gauge else 0


def sweep(folder: Path) -> None:
    """Deletes what processes that have died left half written; their names hold the process id."""
    for part in folder.glob("*.part"):
        pid = part.suffixes[-2].removeprefix(".") if len(part.suffixes) > 1 else ""
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            remove((part,))


def remove(paths: tuple[Path, ...]) -> None:
    """Deletes KV state files that no session needs."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
