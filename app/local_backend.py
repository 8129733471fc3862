"""A GGUF on this machine behind Backend: the model that is open to count with, and the engine that runs it."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from app.kv.binding import goes_back
from app.local_engine import LocalEngine
from engine.backend import (
    About,
    Case,
    Checking,
    Document,
    Event,
    Evidence,
    Exchange,
    Finished,
    IdCache,
    Ids,
    Loading,
    Origin,
    Plan,
    Prefill,
    Prompt,
    Quotes,
    Remark,
    Replied,
    Sampling,
    Source,
    Text,
    Thinking,
    Wanted,
)
from engine.errors import EngineFailed, EngineSpoiled, ModelRefused
from engine.local.opened import OpenModel
from engine.memory.fingerprint import variant
from engine.memory.planner import Planner, make_plan

if TYPE_CHECKING:
    from app.kv.reuse import KvReuse


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """A GGUF on this machine: a model that is open to count with, and the engine of this process that runs it."""

    opened: OpenModel
    engine: LocalEngine
    ids: IdCache

    @property
    def about(self) -> About:
        """See Backend.about."""
        opened = self.opened
        return About(
            name=opened.card.name,
            window=opened.card.window,
            vocabulary=opened.tokenizer.vocabulary.digest,
            origin=Origin(
                file=str(opened.card.path),
                n_bytes=sum(file.n_bytes for file in opened.card.files),
                header_digest=opened.header_digest,
                architecture=opened.card.architecture,
                quantization=opened.card.quantization,
                projector=str(opened.projector.path) if opened.projector is not None else None,
                lora=tuple((str(each.path), each.scale, each.digest) for each in opened.card.adapters),
                rope=opened.card.rope.stamp if opened.card.rope is not None else "",
            ),
            notes=opened.card.notes,
            keeps_kv=True,
            goes_back=goes_back(opened.card),
            reports_capacity=True,
            image_rule=opened.sight.rule if opened.sight is not None else None,
            has_tiles=opened.sight is not None and opened.sight.has_tiles,
            tile_tokens=opened.projector.tile_tokens if opened.projector is not None else 0,
            unfit=opened.unfit,
            holds_forms=True,
            template=opened.template.use,
            typed=opened.template.habits.typed,
            makers=opened.makers,
            thinks=opened.thinks,
        )

    def digest(self) -> str:
        """See Backend.digest."""
        return variant(self.opened.card)

    def quotes(self) -> Quotes:
        """See Backend.quotes."""
        from engine.local.quoting import quotes_of

        try:
            return quotes_of(self.opened.card, self.engine.cache)
        except ModelRefused:  # its file went away: whoever asks it hears of that
            return Quotes()

    def documents(
        self, sources: Sequence[Source], numbers: Mapping[str, int] | None = None, *, max_tiles: int | None = None
    ) -> tuple[Document, ...]:
        """See Backend.documents."""
        opened = self.opened if max_tiles is None else self.opened.limited(max_tiles)
        return opened.documents(sources, self.ids, numbers)

    def encode_ahead(self, sources: Sequence[Source]) -> None:
        """See Backend.encode_ahead."""
        self.opened.encode_ahead(sources, self.ids)

    def encode(self, text: str) -> Ids:
        """See Backend.encode."""
        return self.opened.tokenizer.encode(text)

    def unrepresentable(self, text: str) -> Mapping[str, int]:
        """See Backend.unrepresentable."""
        return self.opened.tokenizer.unrepresentable(text)

    def lay_out(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """See Backend.lay_out."""
        return self.opened.prompt(exchanges, system=system, today=today)

    def plan(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Plan:
        """See Backend.plan."""
        return make_plan(
            self.opened.card,
            prompt_tokens=prompt.n_tokens,
            wanted=self._filled_in(wanted, prompt),
            hardware=self.engine.hardware(),
            measure=self.engine.measure,
            sources=self.opened.weights(exchanges),
        )

    def consider(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Case:
        """See Backend.consider."""
        plan = self.plan(prompt, wanted, exchanges)
        reuse = self.engine.reuse(self.opened, plan, prompt)
        if wanted.n_ctx is None and plan.fits and self.engine.running is None:
            plan = self._roomier(plan, prompt, wanted, reuse)
            reuse = reuse.within(plan.context_tokens)
        return Case(prompt, plan, reuse, self.opened.refusal_of(prompt))

    def generate(
        self,
        case: Case,
        sampling: Sampling,
        *,
        session_id: str,
        cancel: Flag,
        quotable: Sequence[Source] = (),
        form: str | None = None,
        told: bool = False,
    ) -> Generator[Event, None, None]:
        """See Backend.generate. It is made sure of which model it is before a saved KV cache is used; cancelled while
        the model's files are read for that, it uses nothing that hangs on them."""
        from app.kv.reuse import KvReuse
        from engine.local.quoting import documents_of

        with self._promised():
            reuse, caches = case.reuse, self.engine.keeper.caches
            assert isinstance(reuse, KvReuse)
            projector = self.opened.projector if case.prompt.shown else None
            if unread := caches.unread(reuse, self.opened.card, projector):
                for share in caches.read(unread):
                    yield Checking(share)
                    if cancel.is_set():
                        break
                reuse = self.engine.reuse(self.opened, case.plan, case.prompt)
            for waiting in self.engine.secure(self.opened, case, reuse, cancel):
                yield Remark(waiting)
            process = self.engine.ready(self.opened, case, reuse, session_id)
            if reuse.remark is not None:
                yield Remark(reuse.remark)
            n_reused, keeper, has_written = None, self.engine.keeper, False
            try:
                documents = documents_of(quotable) if quotable else None
                manner = self.opened.manner(case.prompt, sampling, has_form=form is not None)
                generated = process.generate(
                    case.prompt, sampling, cancel=cancel, documents=documents, form=form, told=told, manner=manner
                )
                with closing(generated) as events:
                    for event in events:
                        if n_reused is None:
                            self.engine.has_loaded(all_of_it=not isinstance(event, Loading))
                        if isinstance(event, Prefill):  # the first comes when a saved cache has been restored
                            n_reused = event.reused
                        elif isinstance(event, Text | Thinking):
                            has_written = True
                        elif isinstance(event, Finished):
                            keeper.answered(event)
                        elif isinstance(event, Remark) and event.broken:
                            keeper.discard(Path(event.broken))
                        yield event
            except EngineSpoiled:
                keeper.spoil(session_id)
                if not has_written and (n_reused or 0) > reuse.n_live:  # it may have come from what was restored
                    keeper.discard(max(reuse.promised, key=lambda each: each.n_tokens).path)
                raise
            except EngineFailed:
                if n_reused is None:  # the cache that it was to start from may have been at fault: the next asks anew
                    keeper.drop(session_id)
                raise

    @contextmanager
    def _promised(self) -> Iterator[None]:
        """What is promised meanwhile to an engine that does not start, or ends, is for others then."""
        try:
            yield
        finally:
            if self.engine.running is None:
                self.engine.promises.withdraw()

    def evidence(
        self,
        case: Case,
        reply: Replied,
        statements: Sequence[tuple[int, int]],
        *,
        question: str,
        quotable: Sequence[Source],
        anyway: bool,
        cancel: Flag,
    ) -> Generator[Evidence | Remark, None, None]:
        """See Backend.evidence."""
        from engine.local.quoting import QuoteTrial, evidence

        process = self.engine.running
        if process is not None:
            trial = QuoteTrial(self.opened, self.engine.fingerprint(self.opened), self.engine.cache)
            with self._kept_sound():
                yield from evidence(
                    process,
                    trial,
                    case.prompt,
                    reply,
                    statements,
                    question=question,
                    quotable=quotable,
                    anyway=anyway,
                    cancel=cancel,
                )

    def settle(self, cancel: Flag) -> None:
        """See Backend.settle."""
        if (process := self.engine.running) is not None:
            with self._kept_sound():
                process.settle(cancel)

    @contextmanager
    def _kept_sound(self) -> Iterator[None]:
        """Nothing is kept of a cache behind which no numbers are computed, whatever was asked of it last."""
        keeper = self.engine.keeper
        session_id = keeper.session_id
        try:
            yield
        except EngineSpoiled:
            if session_id is not None:
                keeper.spoil(session_id)
            raise

    def _filled_in(self, wanted: Wanted, prompt: Prompt) -> Wanted:
        return replace(self.opened.with_pictures(wanted, prompt), thinks=self.opened.thinks)

    def _roomier(self, plan: Plan, prompt: Prompt, wanted: Wanted, reuse: "KvReuse") -> Plan:
        """With a larger context, where a saved cache that saves a long read needs one and nothing else changes."""
        n_ctx, placement = reuse.room(plan.context_tokens), plan.placed
        if n_ctx <= plan.context_tokens:
            return plan
        if not self.engine.keeper.caches.is_as_well(reuse, self.opened.card, replace(placement, n_ctx=n_ctx)):
            return plan
        planner = Planner(self.opened.card, self.engine.hardware(), self.engine.measure)
        wider = planner.plan(prompt.n_tokens, self._filled_in(replace(wanted, n_ctx=n_ctx), prompt))
        as_before = replace(wider.placed, n_ctx=placement.n_ctx) == placement
        return wider if as_before and wider.verdict is plan.verdict else plan
