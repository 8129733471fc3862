"""One question on its way, straight down: the lease, what it sends, a refusal, its turn in the store, the engine's
events, what is kept of them, and what shows the answer."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from threading import Event as Flag

from app.attachments import candidates, joining
from app.citing import Excerpt, Sent, cite
from app.costs import cost_ahead, metered
from app.next_turn import PreparedTurn, notices_of, prepare, quotable
from app.passes.planning import plan_passes
from app.passes.reading import read_in_passes
from app.passes.setting import PassPlan
from app.question import Answered, Begun, Cited, DeskEvent, Notice, Question, looking_at, title_of
from app.receipts import Receipts
from app.record import Record
from app.session_settings import TurnSettings, as_asked, asked_with, begun_with, sampling_of, settings_of, varied_from
from app.settings import Settings
from app.sources.joining import Joining, arrived, join_session
from app.verdicts import refuse_misfit
from engine.backend import (
    QUOTE_TAG,
    Backend,
    Corpus,
    Event,
    HeldQuote,
    Sampling,
    Source,
    Stop,
)
from engine.errors import DoesNotFit, LongdeskError, UsageError
from storage.identity import draw_id
from storage.leases import Lease
from storage.records import Session, Thought, Turn
from storage.sessions import NewSession
from storage.store import Accepted, Store
from storage.turns import Asked


def answer(
    question: Question, *, backend: Backend, store: Store, settings: Settings, cancel: Flag, uncited: Flag
) -> Iterator[DeskEvent]:
    """See Desk.ask. Only one runs at a time, which Desk sees to. uncited: set when the answer is all that is wanted."""
    session = store.sessions.get(question.session) if question.session is not None else None
    with ExitStack() as stack:
        lease = stack.enter_context(store.leases.acquire(session.id)) if session is not None else None
        question, there = _resolved(question, session, store, settings)
        settings = question.settings or settings
        question = _as_set(question, session, settings)
        resumed = there[0] if question.goes_on is not None else None
        backend = metered(backend, resumed.receipt if resumed else None) if backend.about.prices else backend
        turn, settings = _prepared(question, session, resumed, backend, store, settings)
        passes = plan_passes(turn, question, backend, store, settings, cancel) if question.in_passes else None
        if passes is None or not passes.slices or (len(passes.slices) == 1 and turn.case.plan.fits):
            passes = None  # one pass would say what the answer is to say
            _refuse(turn)
        before = () if resumed or question.as_set else there
        sampling, _ = sampling_of(settings, backend.about.makers)
        sampling, varied = varied_from(before, sampling, question.text, turn.case.prompt.n_tokens)
        notices = tuple(notices_of(turn, question.text, backend, settings))  # before the engine turns to it
        begun = session or _new_session(turn, question, settings)
        lease = lease or stack.enter_context(store.leases.prepared(begun.id))
        asked = _begin(turn, resumed, begun, lease, question, sampling, backend, store, settings)
        receipts = Receipts(turn, backend, store, settings)
        record = Record(asked, store, question.read_s, receipts, *_so_far(resumed, turn))
        # a standing instruction, or a question, that has the mark tells the model to quote within it
        told = QUOTE_TAG in turn.system + question.text
        excerpts = _whole(quotable(turn.sources, backend, settings))
        try:
            cost = (passes.cost if passes else cost_ahead(backend.about, turn.case)) if backend.about.prices else None
            yield Begun(asked, turn.case.plan, looking_at(turn.case.prompt), cost)
            yield from map(Notice, (*varied, *notices))
            if passes is not None:
                made = yield from read_in_passes(passes.begun_in(asked.session_id), turn.begun, cancel)
                if made is None:
                    yield Answered(record.break_off(Stop.CANCELLED))
                    return
                turn, excerpts = replace(turn, case=made.case), made.quotable
                receipts.prepared, receipts.passes = turn, made.passes
            words = excerpts or (_whole(quotable(turn.sources, backend, settings, told=True)) if told else ())
            events = _generated(turn, words, told, sampling, asked.session_id, backend, cancel)
            with closing(events):
                for event in events:
                    yield from record.told(event)
        except LongdeskError as error:
            if record.ended:  # how it ended could not be written: it is one that was interrupted
                raise
            yield Answered(record.break_off(Stop.ERROR, str(error)))
            if isinstance(error, DoesNotFit):  # only a server finds out so late: it is the same refusal
                raise
        except GeneratorExit:  # nobody listens any more: what was written so far is kept
            record.leave()
            raise
    # the session is free again: what follows keeps nobody from asking
    sent = _sent(turn, excerpts, record.held, backend)
    for found in cite(record.turn, sent, backend=backend, store=store, settings=settings, stop=uncited):
        yield replace(found, gauge=record.gauge, encoded=record.encoded) if isinstance(found, Cited) else found
    with suppress(LongdeskError):  # the next question starts another engine
        backend.settle(uncited)


def _so_far(resumed: Turn | None, turn: PreparedTurn) -> tuple[str, list[int], Thought]:
    """Text, ids and thought that a reply begins with."""
    if resumed is None:
        return "", [], Thought()
    return resumed.text, turn.begun.tolist(), resumed.thought or Thought()


def _whole(sources: Sequence[Source]) -> tuple[Excerpt, ...]:
    return tuple(Excerpt(source, source) for source in sources)


def _sent(turn: PreparedTurn, excerpts: tuple[Excerpt, ...], held: tuple[HeldQuote, ...], backend: Backend) -> Sent:
    return Sent(
        case=replace(turn.case, prompt=turn.case.prompt.unbegun),
        sources=turn.sources,
        quotable=excerpts,
        shown=turn.conversation.numbers if backend.about.sees else None,
        held=held,
    )


def _generated(
    turn: PreparedTurn,
    words: tuple[Excerpt, ...],
    told: bool,
    sampling: Sampling,
    session: str,
    backend: Backend,
    cancel: Flag,
) -> Generator[Event, None, None]:
    there = tuple(excerpt.source for excerpt in words)
    return backend.generate(turn.case, sampling, session_id=session, cancel=cancel, quotable=there, told=told)


def plan_of(session: Session, resumed: int | None, *, backend: Backend, store: Store, settings: Settings) -> PassPlan:
    """How a session's next question would be read in passes, or how the turn of this index would go on. Nothing is
    written. Raises as answer does before the turn exists."""
    question, there = _resolved(Question(text="", goes_on=resumed), session, store, settings)
    settings = question.settings or settings
    if not question.in_passes:
        most = settings_of(session, settings).pass_tokens
        question = replace(question, in_passes=True, pass_tokens=most)
    turn, settings = _prepared(question, session, there[0] if there else None, backend, store, settings)
    return plan_passes(turn, question, backend, store, settings, Flag())


def _resolved(
    question: Question, session: Session | None, store: Store, settings: Settings
) -> tuple[Question, tuple[Turn, ...]]:
    """The question with what it takes from the turn that it goes on with or stands beside; that turn, or all of those
    that stand there.

    Raises UsageError where there is no such turn, or its reply cannot go on.
    """
    at = question.goes_on if question.goes_on is not None else question.beside
    if at is None:
        return question, ()
    if session is None:
        raise UsageError("A new session has no question to go back to.", "Name the session.")
    before, turns = store.turns.one(session.id, at), store.turns.all(session.id)
    if question.goes_on is not None:
        if question.day is not None:
            raise UsageError("A reply goes on from what was sent with it, its date too.", "Give another question one.")
        if before.stop == Stop.END:
            raise UsageError(f"The reply to question {at + 1} is complete.", "Ask the next question, or ask it again.")
        if any(turn.parent == at for turn in turns):
            raise UsageError(f"Questions follow on question {at + 1}: its reply stays as it is.", "Ask it again.")
    only = asked_with(before).only if question.only is None else question.only
    found = (before,) if question.goes_on is not None else tuple(turns[index] for index in before.alternatives)
    text = before.question if question.goes_on is not None else question.text or before.question
    asked, passes = asked_with(before), question.in_passes
    if asked.in_passes and not passes:  # as it was asked
        question = replace(question, in_passes=True, pass_tokens=asked.pass_tokens)
    if text == before.question:  # not another one in its place
        own = as_asked(question.settings or settings, before, but=question.own, goes_on=question.goes_on is not None)
        question = replace(question, template=asked.template, settings=own, own=question.own | asked.own)
    return replace(question, text=text, only=only), found


def _as_set(question: Question, session: Session | None, settings: Settings) -> Question:
    """Read in passes where the session is set to be, but for a reply that goes on from what was read at once."""
    own = settings_of(session, settings)
    if question.in_passes or question.goes_on is not None or not own.in_passes:
        return question
    return replace(question, in_passes=True, pass_tokens=own.pass_tokens)


def _prepared(
    question: Question,
    session: Session | None,
    resumed: Turn | None,
    backend: Backend,
    store: Store,
    settings: Settings,
) -> tuple[PreparedTurn, Settings]:
    """The turn, and the settings with what its words say of thinking."""
    corpus, into = question.corpus, session.id if session else None
    turn = prepare(
        session,
        question.text,
        store=store,
        backend=backend,
        settings=settings,
        joining=join_session(store.sources, into, corpus) if corpus != Corpus() else Joining(),
        only=question.only,
        kinds=question.kinds,
        beside=question.beside,
        resumed=resumed,
        on=question.day,
    )
    return turn, replace(settings, thinking=turn.switching.thinking or None)


def _refuse(turn: PreparedTurn) -> None:
    """Raises DoesNotFit or ModelRefused before anything runs and before the question leaves a trace."""
    refuse_misfit(turn.case.plan)
    if turn.case.refusal is not None:
        raise turn.case.refusal


def _new_session(turn: PreparedTurn, question: Question, settings: Settings) -> NewSession:
    return NewSession(
        id=draw_id(),
        title=title_of(question.text),
        model=settings.model,
        system=turn.system,
        frozen_date=turn.today.isoformat(),
        settings=begun_with(settings).to_json(),
    )


def _begin(
    turn: PreparedTurn,
    resumed: Turn | None,
    session: Session | NewSession,
    lease: Lease,
    question: Question,
    sampling: Sampling,
    backend: Backend,
    store: Store,
    settings: Settings,
) -> Turn:
    """It fits: only now does the question leave a trace, all of it at once. What came with one whose turn runs again
    stays as it was."""
    _, makers = sampling_of(settings, backend.about.makers)
    if resumed is not None:
        again = replace(asked_with(resumed), kv_type=turn.settings.kv_type, sampling=sampling, own=question.own)
        again = replace(again, model=settings.model, chat_template=backend.about.template, makers=makers)
        return store.turns.resume(
            lease,
            resumed.id,
            reply_ids=turn.begun.tolist(),
            vocabulary=backend.about.vocabulary,
            settings=again.to_json(),
        )
    is_untitled = turn.session is not None and not turn.turns and session.title == turn.settings.untitled
    asked = Asked(
        question=question.text,
        vocabulary=backend.about.vocabulary,
        settings=_turn_settings(turn, question, sampling, backend, settings).to_json(),
        beside=question.beside,
    )
    return store.accept(
        Accepted(
            lease=lease,
            asked=asked,
            arrived=arrived(turn.joining, question.corpus.skipped, turn_index=turn.index),
            new=session if isinstance(session, NewSession) else None,
            title=title_of(question.text) if is_untitled else None,
            model=settings.model if session.model != settings.model else None,
            frozen_date=turn.today.isoformat() if session.frozen_date != turn.today.isoformat() else None,
        )
    )


def _turn_settings(
    turn: PreparedTurn, question: Question, sampling: Sampling, backend: Backend, settings: Settings
) -> TurnSettings:
    sent = [(at.source, at.turn_index) for at in turn.sent]
    first_sent = joining(candidates(sent, turn.conversation.numbers), turn.turns) if backend.about.sees else ()
    return TurnSettings(
        model=settings.model,
        kv_type=turn.settings.kv_type,
        sampling=sampling,
        joined=first_sent,
        refused=question.refused,
        only=turn.only,
        in_passes=question.in_passes,
        pass_tokens=question.pass_tokens,
        template=question.template,
        own=question.own,
        chat_template=backend.about.template,
        makers=sampling_of(settings, backend.about.makers)[1],
    )
