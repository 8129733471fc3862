"""One question on its way: the lease, the turn in the store, the engine's events, and what is kept of them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from threading import Event as Flag
from time import monotonic

from app.conversation import converse, place
from app.engines import Engines
from app.images.pages import chosen
from app.images.pictures import looked_at
from app.images.tiling import begun_with, max_tiles_of
from app.kept.rereading import reading_speed, rereading, tokens_read
from app.lending import LentModel
from app.question import Answered, Begun, DeskEvent, Notice, Question
from app.settings import Settings
from app.sources.enclosures import Joined, candidates, joining, settings_of
from app.sources.joining import Joining, join_session, write_down
from app.verdicts import refuse_misfit, unseen_notice
from engine import analyst
from engine.analyst import Case
from engine.errors import EngineFailed
from engine.opened import OpenModel
from engine.prompt.layout import SYSTEM
from engine.runtime.model import Event, Finished, Model, Prefill, Remark, Sampling, Stop, Text
from engine.tokens.documents import IdCache
from storage.leases import Lease
from storage.sessions import Session
from storage.store import Store
from storage.turns import Outcome, Turn

UNTITLED = "untitled"  # the session setting that holds a title which nobody chose
_TITLE_LENGTH = 60
_PROGRESS_S = 0.5  # how often the store hears of the prefill


@dataclass(frozen=True, slots=True)
class Bench:
    """What a question is worked on with."""

    settings: Settings
    store: Store
    engines: Engines
    opened: OpenModel
    cache: IdCache


class Asking:
    """Runs one question, once. Made by Desk, which sees to it that only one runs at a time."""

    def __init__(self, question: Question, *, bench: Bench, cancel: Flag) -> None:
        self._question, self._bench, self._cancel = question, bench, cancel
        self._lease: Lease | None = None
        self._turn: Turn | None = None
        self._joining = Joining()
        self._reread: str | None = None
        self._unseen: tuple[str, ...] = ()
        self._joined: tuple[Joined, ...] = ()
        self._has_read = False
        self._text = ""
        self._told_at = 0.0
        self._ended = False

    def run(self) -> Iterator[DeskEvent]:
        """See Desk.ask."""
        store, wanted = self._bench.store, self._question.session
        session = store.sessions.get(wanted) if wanted is not None else None
        limited = self._bench.opened.limited(max_tiles_of(session, self._bench.settings))
        self._bench = replace(self._bench, opened=limited)
        try:
            if session is not None:
                self._lease = store.leases.acquire(session.id)
            yield from self._answer(session)
        finally:
            if self._lease is not None:
                self._lease.release()

    def _answer(self, session: Session | None) -> Iterator[DeskEvent]:
        bench, settings = self._bench, self._bench.settings
        turns = bench.store.turns.of(session.id) if session else ()
        kept = bench.store.sources.of(session.id) if session else ()
        self._joining = self._join(session)
        placed = place(kept, self._joining, len(turns))
        conversation = converse(placed, turns, opened=bench.opened, cache=bench.cache)
        self._unseen = conversation.unseen
        if bench.opened.sight is not None:
            self._joined = joining(candidates(placed, conversation.numbers), turns)
        system = session.system or "" if session else standing_instruction(settings, bool(placed))
        today = date.fromisoformat(session.frozen_date) if session else date.today()
        begun: list[Begun] = []

        def engine(case: Case) -> Model:
            case = bench.engines.roomier(bench.opened, case, settings.wanted)
            self._reread = self._loss(case, turns)  # told before the engine turns to this prompt
            first = self._begin(session, case, system, today, len(turns))
            begun.append(replace(first, pictures=looked_at(case.prompt)))
            return LentModel(bench.engines, bench.opened, case, first.turn.session_id)

        events = analyst.ask(
            self._question.text,
            conversation.sources,
            history=conversation.history,
            numbers=conversation.numbers,
            opened=bench.opened,
            engine=engine,
            refuse=refuse_misfit,
            hardware=bench.engines.hardware(),
            measure=bench.engines.measure,
            wanted=settings.wanted,
            sampling=sampling(settings),
            system=system,
            today=today,
            cache=bench.cache,
            cancel=self._cancel,
        )
        try:
            with closing(events):
                for event in events:
                    if begun:
                        yield begun.pop()
                        yield from self._warn()
                    yield from self._keep(event)
        except EngineFailed as error:
            if self._turn is None:
                raise
            if not self._has_read:  # the state that it was to start from may have been at fault: the next asks anew
                bench.engines.keeper.drop_state(self._turn.session_id)
            yield Answered(self._finish(Outcome(text=self._text, stop=Stop.ERROR, error=str(error))))
        except GeneratorExit:  # nobody listens any more: what was written so far is kept
            if self._turn is not None and not self._ended:
                self._finish(Outcome(text=self._text, stop=Stop.CANCELLED))
            raise

    def _join(self, session: Session | None) -> Joining:
        return join_session(self._bench.store, session.id if session else None, self._question.corpus)

    def _loss(self, case: Case, turns: Sequence[Turn]) -> str | None:
        """What of that which was read in this session is to be read again, where that takes a while."""
        model, engines = self._bench.settings.model, self._bench.engines
        read_tokens = tokens_read(turns, model)
        if not read_tokens:
            return None
        kept = engines.rereads(self._bench.opened, case.plan, case.prompt).kept_tokens
        return rereading(case.prompt.n_tokens, kept, reading_speed(turns, model), read_tokens=read_tokens)

    def _warn(self) -> Iterator[Notice]:
        """Says which sources stand otherwise in the prompt than before, and what the question loses."""
        yield from map(Notice, self._joining.sentences())
        if self._unseen:
            opened = self._bench.opened
            yield Notice(unseen_notice(self._unseen, opened.card.name, opened.unfit))
        if self._reread is not None:
            yield Notice(f"{self._reread}.")
        missing = self._bench.opened.tokenizer.unrepresentable(self._question.text)
        if missing:
            shown = ", ".join(f"U+{ord(character):04X}" for character in sorted(missing)[:6])
            yield Notice(f"The vocabulary has no token for {shown}: left out of the question.")

    def _begin(self, session: Session | None, case: Case, system: str, today: date, turn_index: int) -> Begun:
        """It fits: only now does the question leave a trace."""
        store, question, settings = self._bench.store, self._question, self._bench.settings
        if session is None:
            session = store.sessions.create(
                title=title_of(question.text),
                model=settings.model,
                system=system,
                frozen_date=today.isoformat(),
                settings={**begun_with(settings), **chosen(settings.draw_pages)},
            )
            self._lease = store.leases.acquire(session.id)
        elif turn_index == 0 and session.title == session.settings.get(UNTITLED):
            store.sessions.rename(session.id, title_of(question.text))
        if session.model != settings.model:
            store.sessions.change(session.id, model=settings.model)
        assert self._lease is not None
        write_down(store, session.id, self._joining, question.corpus.skipped, turn_index=turn_index)
        self._turn = store.turns.begin(
            self._lease,
            question=question.text,
            vocabulary=self._bench.opened.tokenizer.vocabulary.digest,
            settings={
                "model": settings.model,
                "kv_type": settings.kv_type,
                **asdict(sampling(settings)),
                **settings_of(self._joined, question.refused),
            },
        )
        return Begun(self._turn, case.plan)

    def _keep(self, event: Event) -> Iterator[DeskEvent]:
        """Writes an event to the store and passes it on; the last one becomes Answered."""
        assert self._turn is not None
        turns = self._bench.store.turns
        if isinstance(event, Finished):
            self._bench.engines.keeper.answered(event)
            yield Answered(self._finish(self._outcome(event)), event.gauge, event.encoded)
            return
        if isinstance(event, Text):  # at most 20 a second, 0.3 ms each: a kill loses nothing that was seen
            self._text += event.text
            turns.append_text(self._turn.id, self._text)
        self._has_read |= isinstance(event, Prefill)  # the first comes when a state has been restored
        if isinstance(event, Prefill) and (event.done == event.total or monotonic() - self._told_at > _PROGRESS_S):
            self._told_at = monotonic()
            turns.set_progress(self._turn.id, done=event.done, total=event.total, reused=event.reused)
        if isinstance(event, Remark):
            if event.broken:
                self._bench.engines.keeper.discard(Path(event.broken))
            yield Notice(event.text)
        else:
            yield event

    def _outcome(self, event: Finished) -> Outcome:
        return Outcome(
            text=self._text,
            stop=event.stop,
            reply_ids=event.reply_ids,
            error=event.error,
            prompt_tokens=event.prompt_tokens,
            reused_tokens=event.reused_tokens,
            reply_tokens=len(event.reply_ids),
            read_s=self._question.read_s,
            load_s=event.load_s,
            prefill_s=event.prefill_s,
            ttft_s=event.ttft_s,
        )

    def _finish(self, outcome: Outcome) -> Turn:
        assert self._turn is not None
        self._ended = True
        return self._bench.store.turns.finish(self._turn.id, outcome)


def sampling(settings: Settings) -> Sampling:
    """The sampling that the settings ask for."""
    return Sampling(
        max_tokens=settings.reply_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        min_p=settings.min_p,
        seed=settings.seed,
    )


def standing_instruction(settings: Settings, has_documents: bool) -> str:
    """The user's, else Longdesk's own where there are documents to answer from."""
    return settings.system if settings.system is not None else SYSTEM if has_documents else ""


def title_of(question: str) -> str:
    """A session's first title: the beginning of its first question, cut at a word."""
    line = " ".join(question.split())
    if len(line) <= _TITLE_LENGTH:
        return line or "Untitled"
    return line[:_TITLE_LENGTH].rsplit(" ", 1)[0] + "…"
