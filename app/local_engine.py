"""llama.cpp on this machine: models open to count and plan with, and at most one engine that runs, lent to sessions.

A context cannot grow, so a question that needs more room than there is gets a new engine; the session's KV cache is
carried over on disk, which is `kv.saving`'s. What a question sends is left to `next_turn`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from app.models.shelf import Shelf
from app.promises import Promise, Promises, left_of, own_bytes
from app.settings import Settings
from app.verdicts import memory_missing
from engine.backend import (
    Case,
    Gauge,
    Makers,
    Need,
    OwnTemplate,
    Plan,
    Prompt,
    TemplateUse,
    Wanted,
)
from engine.errors import DoesNotFit, EngineFailed, LongdeskError
from engine.local.opened import OpenModel
from engine.memory.budget import Device, Hardware, Measured, Placement
from engine.memory.card import ModelCard
from engine.memory.dry_run import DryRun
from engine.memory.fingerprint import variant
from engine.memory.hardware import disk_free_bytes, ram
from engine.memory.lora import Lora
from engine.memory.planner import Planner, make_plan

if TYPE_CHECKING:  # what runs an engine and keeps its caches: a count does without
    from app.kv.reuse import KvReuse, WhichModel
    from app.kv.saving import Keeper
    from engine.local.process import EngineProcess
    from engine.runtime.checkpoint import Speeds
    from engine.runtime.settings import EngineSettings
    from storage.snapshots import Snapshots

_WAIT_S = 600.0  # for memory that other engines have: by then they are not about to give it back
_POLL_S = 0.2
_WAITING = "Waiting for memory: an engine of another Longdesk on this machine has it. Ctrl-C or Stop ends the wait."


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that has its model loaded, or loads it: its context in tokens, and whose KV cache it holds.

    gauge: what the KV cache holds and where it lies; None until the engine has told.
    """

    n_ctx: int
    session_id: str | None
    gauge: Gauge | None = None


class LocalEngine:
    """At most one running engine. Not thread-safe but where it is said: its owner takes turns.

    index: gives that of what is saved, which is opened when it is needed and not before. speeds: see Keeper.
    """

    def __init__(self, settings: Settings, index: "Callable[[], Snapshots]", speeds: "Speeds | None" = None) -> None:
        self._settings, self._index, self._speeds = settings, index, speeds
        self._engine: EngineProcess | None = None
        self._model: WhichModel | None = None  # that the engine runs
        self._needs: tuple[Need, ...] = ()  # what the running engine was planned to take
        self.promises = Promises(settings.home)
        self._dry_run = DryRun(settings.cache)
        self._shelf = Shelf(settings)
        self._keeper: Keeper | None = None
        self._held: Path | None = None  # what `hold` wrote
        self._hiring = Lock()  # a preview and a question may come at once, and there is one Keeper for both

    @property
    def keeper(self) -> "Keeper":
        """Keeps what the engines read; there from when it is first asked for. May be called from any thread."""
        from app.kv.saving import Keeper

        with self._hiring:
            if self._keeper is None:
                self._keeper = Keeper(self._settings, self._index(), self._speeds)
            return self._keeper

    def open(self, model: str, own: OwnTemplate | None = None, lora: Sequence[Lora] | None = None) -> OpenModel:
        """The model of a --model value, ready to count and plan with. May be called from any thread.

        own, lora: see Shelf.open. Raises ModelRefused for a file that cannot be used, UsageError for a name that is not
        known.
        """
        return self._shelf.open(model, own, lora)

    def template(self, model: str, own: OwnTemplate | None = None) -> TemplateUse | None:
        """See Shelf.template. May be called from any thread."""
        return self._shelf.template(model, own)

    def makers(self, model: str, own: OwnTemplate | None = None) -> Makers | None:
        """See Shelf.makers. May be called from any thread."""
        return self._shelf.makers(model, own)

    def card(self, model: str) -> ModelCard:
        """What a model is, also one of the catalogue that is not on this machine. May be called from any thread.

        Raises as open does.
        """
        return self._shelf.card(model)

    def refuse_projector(self, model: str) -> None:
        """See Shelf.refuse_projector."""
        self._shelf.refuse_projector(model)

    def planner(self, model: str) -> Planner:
        """For plans against one look at the machine, without advice. May be called from any thread. Raises as open
        does."""
        return Planner(self.card(model), self.hardware(), self.measure)

    def plan(self, model: str, wanted: Wanted, *, prompt_tokens: int = 0, own: OwnTemplate | None = None) -> Plan:
        """The plan of a model for so many tokens. May be called from any thread. Raises as open does."""
        if wanted.thinking in ("", "on"):
            wanted = replace(wanted, thinks=self._shelf.thinks(model, own))
        return make_plan(
            self.card(model),
            prompt_tokens=prompt_tokens,
            wanted=wanted,
            hardware=self.hardware(),
            measure=self.measure,
        )

    @property
    def running(self) -> "EngineProcess | None":
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
        return self._free_ram(self.promises.others())

    def _free_ram(self, others: Sequence[Promise]) -> Device:
        device, engine = ram(), self._engine
        pids = (engine.pid if engine is not None else None, self._dry_run.pid)
        own = sum(own_bytes(pid) or 0 for pid in pids if pid is not None)
        return left_of(replace(device, free_bytes=min(device.total_bytes, device.free_bytes + own)), others)

    def hardware(self) -> Hardware:
        """This machine as the next engine sees it. What engines of other processes were promised is not free. May be
        called from any thread."""
        gpus, others = self._dry_run.gpus(), self.promises.others()
        if self.running is not None:
            held = {need.device.name: need.needed_bytes for need in self._needs}
            gpus = tuple(
                replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + held.get(gpu.name, 0))) for gpu in gpus
            )
        gpus = tuple(left_of(gpu, others) for gpu in gpus)
        return Hardware(self._free_ram(others), gpus, disk_free_bytes(self._settings.home))

    def secure(self, opened: OpenModel, case: Case, reuse: "KvReuse", cancel: Flag) -> Iterator[str]:
        """Has the memory promised that a new engine for this prompt takes, where it needs one. Waits while engines of
        other processes have it, which it says in a sentence, once; cancelled meanwhile, it promises nothing.

        Raises DoesNotFit when that takes too long.
        """
        plan, engine, told = case.plan, self.running, False
        if engine is not None and self._model == reuse.model and self._serves(engine, plan, case.prompt):
            return
        deadline = monotonic() + _WAIT_S
        while not self.promises.promise(plan.needs, lambda: self._has_room(plan)):
            if cancel.is_set():
                return
            if not told:
                yield _WAITING
                told = True
            if monotonic() > deadline:
                self._refuse(plan)
            cancel.wait(_POLL_S)

    def _has_room(self, plan: Plan) -> bool:
        """Whether what a plan was made with is still there; as far as other engines may have taken it meanwhile."""
        return not self.promises.others() or not any(need.short_bytes for need in self._now(plan))

    def _now(self, plan: Plan) -> tuple[Need, ...]:
        """A plan's needs on the devices as they are now."""
        there = {device.name: device for device in self.hardware().devices}
        return tuple(replace(need, device=there.get(need.device.name, need.device)) for need in plan.needs)

    def _refuse(self, plan: Plan) -> None:
        missing = memory_missing(replace(plan, needs=self._now(plan)), exact=True)
        raise DoesNotFit(f"{missing}. Nothing was loaded.", "Wait until the other Longdesk is done, or end it.")

    def has_loaded(self, *, all_of_it: bool) -> None:
        """The engine's process runs; all_of_it: and it has taken what it takes. Others see it by that from now on."""
        self.promises.runs(self._engine.pid if self._engine is not None else None, loaded=all_of_it)

    def wake(self) -> None:
        """Starts the dry run's process: a plan will ask it soon."""
        with suppress(LongdeskError):  # whoever asks it hears of it
            self._dry_run.start()

    @property
    def cache(self) -> Path:
        """Where is kept what can be made again."""
        return self._settings.cache

    def fingerprint(self, opened: OpenModel) -> str:
        """Of a model's files, by samples of them, and of what is made of them; see variant."""
        return variant(opened.card)

    def look_at(self, model: str) -> None:
        """Lets llama.cpp look at a model: a plan will ask it soon. May be called from any thread."""
        with suppress(LongdeskError):  # whoever needs the answer hears of it
            self.measure(self.card(model), Placement(n_ctx=1, kv_type=self._settings.kv_type))

    def measure(self, card: ModelCard, placement: Placement) -> Measured:
        """What llama.cpp says that a placement takes; see DryRun.measure. May be called from any thread."""
        return self._dry_run.measure(card, placement)

    def reuse(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> "KvReuse":
        """What of a prompt need not be read, were it asked now. May be called from any thread."""
        caches, engine = self.keeper.caches, self.running
        model, placement, held = caches.identify(opened.card, opened.projector), plan.placed, None
        if engine is not None and model == self._model:
            held = self.keeper.held(engine)
            placement = engine.settings.placement if self._serves(engine, plan, prompt) else placement
        found = caches.find(opened.card, model, placement, prompt, held)
        if (aside := self._held) is None:
            return found
        return caches.with_saved(found, aside, opened.card).within(max(placement.n_ctx, held.n_ctx if held else 0))

    def ready(self, opened: OpenModel, case: Case, reuse: "KvReuse", session_id: str) -> "EngineProcess":
        """The engine for this prompt: the running one where it has room, else a new one; told what it may start from.

        What the running one has read and the prompt does not share is saved first, where reading it again would take
        longer.
        """
        from engine.local.process import EngineProcess

        plan, prompt, engine = case.plan, case.prompt, self._engine
        serves = engine is not None and self._model == reuse.model and self._serves(engine, plan, prompt)
        if engine is not None and (not serves or self.keeper.loses(engine, reuse)):
            # not at the cost of what is needed in a moment: two sessions with room for one would both be read each time
            saved = self.save(protected=reuse.saved[:1])
            if isinstance(saved, Path):
                reuse = self.keeper.caches.with_saved(reuse, saved, opened.card)
        if engine is None or not serves:
            if engine is not None:
                engine.close()
            self._dry_run.close()  # what it holds was promised to the engine
            engine = self._engine = EngineProcess(self._engine_settings(opened, plan))
            self._model, self._needs = reuse.model, plan.needs
        spare_bytes = self.free_ram().free_bytes - (0 if self.running else plan.needs[0].needed_bytes)
        self.keeper.begin(
            engine,
            reuse,
            opened.card,
            plan,
            session_id,
            anchor=prompt.corpus_end,
            spare_bytes=spare_bytes,
            today=prompt.today,
        )
        return engine

    def save(self, *, protected: tuple[Path, ...] = ()) -> Path | str | None:
        """Saves what the engine holds; see Keeper.save."""
        engine = self.running
        return self.keeper.save(engine, protected=protected) if engine is not None else None

    def hold(self) -> None:
        """Writes down what the engine holds, whoever asked: prompts that go on from it start there until `let_go`. What
        users keep stays. Raises DoesNotFit where there is no room, EngineFailed."""
        engine = self.running
        if engine is None:
            raise EngineFailed("The engine ended before what it had read was written down.", "Try again.")
        self.let_go()
        self._held = self.keeper.hold(engine)

    def let_go(self) -> None:
        """Takes away what `hold` wrote, if it did."""
        from app.kv.disk import remove

        held, self._held = self._held, None
        if held is not None:
            remove((held,))

    def learn(self, model: str) -> Iterator[float]:
        """See SavedCaches.learn. Raises as open does."""
        yield from self.keeper.caches.learn(self._shelf.open(model).card)

    def forget(self, session_id: str, files: Sequence[Path]) -> None:
        """The session was deleted: what the engine holds of it is not to be saved any more, and these files go."""
        from app.kv.disk import remove

        if self.running is not None:
            self.keeper.forget(session_id)
        remove(files)

    def close(self) -> None:
        """Saves what is not saved yet and ends the engine."""
        try:
            self.save()
        finally:
            self.let_go()
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            self.promises.withdraw()
            self._dry_run.close(for_good=True)
            self._shelf.close()

    def _engine_settings(self, opened: OpenModel, plan: Plan) -> "EngineSettings":
        """What a new engine is started with."""
        from engine.runtime.settings import EngineSettings

        return EngineSettings(
            model=opened.card.path,
            placement=plan.placed,
            projector=opened.projector.path if opened.projector else None,
            embeddings=self._settings.cache / "embeddings",
            kv_places=tuple((need.device.name, need.kv_bytes) for need in plan.needs),
            n_threads=self._settings.n_threads,
            lora=tuple((each.path, each.scale) for each in opened.card.adapters),
        )

    def _serves(self, engine: "EngineProcess", plan: Plan, prompt: Prompt) -> bool:
        """Whether a running engine can take the question as it is, though a new one might be placed otherwise."""
        running = engine.settings.placement
        asked_for = self._settings.n_ctx is None or running.n_ctx == self._settings.n_ctx
        room = running.n_ctx >= plan.needed_tokens and running.n_ubatch >= prompt.n_at_once
        placed = plan.placed
        alike = (running.kv_type, running.swa_full, running.rope) == (placed.kv_type, placed.swa_full, placed.rope)
        return asked_for and room and alike  # where it lies, and what it computes at once, can stay as it is
