"""The running engine of this process: starting it with room enough, and lending it to sessions.

A context cannot grow, so a question that needs more room than there is gets a new engine; the session's KV state is
carried over on disk, which is `keeper`'s. How prompts are made is left to `desk`.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from app.kept.finder import Rereading
from app.kept.keeper import Keeper
from app.kept.promises import stamp
from app.settings import Settings
from engine.analyst import Case, with_pictures
from engine.errors import LongdeskError
from engine.memory.budget import Need, Plan, Wanted
from engine.memory.card import ModelCard
from engine.memory.content import Identity
from engine.memory.dry_run import DryRun, Measured
from engine.memory.hardware import Device, Hardware, ram
from engine.memory.placement import Placement
from engine.memory.planner import Planner
from engine.opened import OpenModel
from engine.prompt.layout import Prompt
from engine.runtime.checkpoint import Speeds
from engine.runtime.model import Gauge
from engine.runtime.settings import EngineSettings
from engine.runtime.worker_model import WorkerModel
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
    """At most one running engine. Not thread-safe but where it is said: its owner takes turns.

    keeper: keeps what the engines read. remarks: why a kept KV state could not be used for the last prompt.
    """

    def __init__(self, settings: Settings, store: Store, speeds: Speeds | None = None) -> None:
        self._settings = settings
        self._engine: WorkerModel | None = None
        self._identity: tuple[Identity, str] | None = None  # of the engine's model, and of its projector
        self._needs: tuple[Need, ...] = ()  # what the running engine was planned to take
        self._dry_run = DryRun(settings.cache)
        self.keeper = Keeper(settings, store, speeds)
        self.remarks: tuple[str, ...] = ()

    @property
    def running(self) -> WorkerModel | None:
        engine = self._engine
        return engine if engine is not None and engine.pid is not None else None

    def status(self) -> Running | None:
        """What runs now. May be called from any thread."""
        engine = self.running
        if engine is None:
            return None
        return Running(engine.settings.placement.n_ctx, self.keeper.session_id, engine.gauge)

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

    def roomier(self, opened: OpenModel, case: Case, wanted: Wanted) -> Case:
        """The case with a larger context, where a kept state that saves a long read needs one and nothing else changes.

        One that was asked for stays, and that of a running engine. May be called from any thread.
        """
        if wanted.n_ctx is not None or self.running is not None:
            return case
        n_ctx = self.keeper.finder.room_for(opened, case.plan, case.prompt)
        if not case.plan.fits or n_ctx <= case.plan.context_tokens:
            return case
        planner = Planner(opened.card, self.hardware(), self.measure)
        wider = planner.plan(case.prompt.n_tokens, with_pictures(replace(wanted, n_ctx=n_ctx), case.prompt, opened))
        as_before = replace(wider.placement, n_ctx=case.plan.placement.n_ctx) == case.plan.placement
        return replace(case, plan=wider) if as_before and wider.verdict is case.plan.verdict else case

    def ready(self, opened: OpenModel, plan: Plan, session_id: str, prompt: Prompt) -> WorkerModel:
        """The engine for this prompt: the running one where it has room, else a new one.

        What the running one has read and the prompt does not share is saved first, where reading it again would take
        longer.
        """
        identity = self._identify(opened)
        engine, wanted = self._engine, self._wanted(opened, plan)
        serves = engine is not None and self._identity == identity and self._serves(engine, plan, prompt)
        if engine is not None and (not serves or self.keeper.loses(engine, prompt.ids())):
            # not at the cost of what is needed in a moment: two sessions with room for one would both be read each time
            needed = self.keeper.finder.find(opened, (engine.settings if serves else wanted).placement, prompt)
            self.save(protected=needed.paths[:1])
        if engine is None or not serves:
            if engine is not None:
                engine.close()
            self._dry_run.close()  # what it holds was promised to the engine
            engine = self._engine = WorkerModel(wanted)
            self._identity, self._needs = identity, plan.needs
        spare_bytes = self.free_ram().free_bytes - (0 if self.running else plan.needs[0].needed_bytes)
        self.remarks = self.keeper.begin(engine, opened, plan, session_id, prompt, spare_bytes=spare_bytes)
        return engine

    def save(self, *, protected: tuple[Path, ...] = ()) -> str | None:
        """Keeps what the engine holds; see Keeper.save."""
        engine = self.running
        return self.keeper.save(engine, protected=protected) if engine is not None else None

    def rereads(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> Rereading:
        """What of a prompt would be read, and how fast, if it were asked now. May be called from any thread."""
        engine = self.running
        if engine is None or self._identity != self._identify(opened):
            return self.keeper.finder.rereads(opened, plan, prompt, held=None)
        held_ctx = engine.settings.placement.n_ctx
        return self.keeper.finder.rereads(
            opened, plan, prompt, held=engine.held, held_ctx=held_ctx, anchor=self.keeper.anchor
        )

    def close(self) -> None:
        """Saves what is not saved yet and ends the engine."""
        try:
            self.save()
        finally:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            self._dry_run.close()

    def _identify(self, opened: OpenModel) -> tuple[Identity, str]:
        return self.keeper.finder.identify(opened.card), stamp(opened.projector)

    def _wanted(self, opened: OpenModel, plan: Plan) -> EngineSettings:
        """What a new engine would be started with."""
        return EngineSettings(
            model=opened.card.path,
            placement=plan.placement,
            projector=opened.projector.path if opened.projector else None,
            embeddings=self._settings.cache / "embeddings",
            kv_places=tuple((need.device.name, need.kv_bytes) for need in plan.needs),
            n_threads=self._settings.n_threads,
        )

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
