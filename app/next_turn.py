"""What the next question of a session sends, what it costs and what of it need not be read: one place, for the preview
and for asking.

What the prompt then looks like is left to engine.prompt, whether it fits to the engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial

import numpy as np

from app import dates
from app.session_settings import (
    SessionSettings,
    Switching,
    asked_with,
    settings_of,
    switching,
    unused_lora,
    unused_template,
)
from app.settings import Settings
from app.sources.joining import Joining
from app.verdicts import rereading, unseen_notice
from engine.backend import Backend, Case, Document, Exchange, Ids, Prompt, QuoteState, Source, Wanted, number_pictures
from engine.errors import UsageError
from engine.prompt.layout import SYSTEM
from storage.records import Session, SessionSource, Turn
from storage.store import Store

_NOTHING_JOINS = Joining()
_NO_IDS: Ids = np.empty(0, dtype=np.int32)
_MEASURABLE_TOKENS, _MEASURABLE_S = 256, 0.05


@dataclass(frozen=True, slots=True)
class Placed:
    """A source of a session: the turn that carries it first, and whether it is sent."""

    source: Source
    turn_index: int
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the next question stands on: the exchanges so far, and the sources that it carries itself.

    answered: the turns that the exchanges are of. numbers: of each source's first picture, by path. They are of all
    that the session has, sent or not, so that a picture keeps its number. unseen: the paths of those whose pictures
    this model cannot see.
    """

    history: tuple[Exchange, ...]
    sources: tuple[Source, ...]
    numbers: Mapping[str, int]
    unseen: tuple[str, ...] = ()
    answered: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTurn:
    """The next turn of a session, or the first of a new one, ready to be asked.

    session: None for one that is not begun. turns: those before, on its branch. index: that it will have, or has where
    its reply goes on from begun, the ids that it has so far. placed: all sources with those that join, sent or not.
    case: the prompt, its plan, and what of it need not be read. settings: the session's own. rereads: a sentence on
    what the session has read that is to be read again, None where next to nothing is. only: the
    paths that it is asked about, None for all that are sent. read_on: the date that the prompt shows, where that is
    not today's. switching: how it is asked to be thought about.
    """

    session: Session | None
    turns: tuple[Turn, ...]
    index: int
    joining: Joining
    placed: tuple[Placed, ...]
    conversation: Conversation
    system: str
    today: date
    settings: SessionSettings
    case: Case = field(repr=False)
    read_on: date | None = None
    rereads: str | None = None
    only: frozenset[str] | None = None
    switching: Switching = Switching("")
    begun: Ids = field(default_factory=lambda: _NO_IDS, repr=False)

    @property
    def sent(self) -> tuple[Placed, ...]:
        """The sources that are sent."""
        return tuple(place for place in self.placed if place.enabled)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The same, without their places."""
        return tuple(place.source for place in self.sent)


def prepare(
    session: Session | None,
    question: str,
    *,
    store: Store,
    backend: Backend,
    settings: Settings,
    joining: Joining = _NOTHING_JOINS,
    only: frozenset[str] | None = None,
    kinds: Sequence[str] = (),
    beside: int | None = None,
    resumed: Turn | None = None,
    on: date | None = None,
) -> PreparedTurn:
    """The turn that asks this question. Nothing is loaded and nothing is written.

    beside: the index of a turn in whose place it stands. resumed: the turn whose reply goes on; the question is its.
    on: the date that is shown from now on, None for the session's own, see app.dates.
    joining: what a reading changes in the session. only: paths of the sources to ask about, None for all that are sent;
    a path with a slash at its end is a folder. kinds: without it, those of these kinds that are sent. Raises UsageError
    where there is no such source, and as Backend.documents, lay_out and consider do.
    """
    after = resumed.index if resumed else beside
    turns = store.turns.of(session.id, before=after) if session else ()
    index = resumed.index if resumed else store.turns.next_index(session.id) if session else 0
    placed = place(store.sources.of(session.id) if session else (), joining, index)
    if resumed is not None:  # what was added since waits for the next question
        placed = tuple(replace(at, enabled=at.enabled and at.turn_index <= index) for at in placed)
    only = _of_kinds(placed, kinds) if only is None and kinds else only
    placed = _only(placed, only) if only is not None else placed
    own = settings_of(session, settings).with_kv_of(turns, settings)
    conversation = converse(placed, turns, backend=backend, max_tiles=own.max_tiles)
    system = session.system or "" if session else standing_instruction(settings, bool(placed))
    on = on or _own_date(session, is_fixed=resumed is not None or index > 0 or own.date_set)
    carried = backend.documents(conversation.sources, conversation.numbers, max_tiles=own.max_tiles)
    switched = switching(question, system, turns, about=backend.about, settings=settings)
    exchanges = [*conversation.history, Exchange(question, carried, thinking=switched.thinking)]
    begun = reply_ids(resumed, backend) if resumed else _NO_IDS

    def laid_out(today: date) -> Prompt:
        return backend.lay_out(exchanges, system=system, today=today).begun_with(begun, resumed.text if resumed else "")

    considered = partial(backend.consider, wanted=_wanted(settings, own, resumed, switched), exchanges=exchanges)
    dated = dates.dated(laid_out, considered, on=on, kept=store.snapshots.dates if carried else tuple)
    case = dated.case if after is not None else _or_forked(dated.case, conversation, turns, backend)
    return PreparedTurn(
        session=session, turns=turns, index=index, joining=joining, placed=placed, conversation=conversation,
        system=system, today=dated.day, settings=own, case=case, read_on=dated.read_on,
        rereads=_rereads(case, turns, settings.model), only=only, switching=switched, begun=begun,
    )  # fmt: skip


def _wanted(settings: Settings, own: SessionSettings, resumed: Turn | None, switched: Switching) -> Wanted:
    """What is asked of the plan; a reply that goes on with its answer has thought."""
    has_thought = resumed is not None and bool(resumed.text)
    wanted = replace(settings.wanted, kv_type=own.kv_type, thinking=switched.thinking)
    return replace(wanted, thinking="off") if has_thought else wanted


def _or_forked(case: Case, conversation: Conversation, turns: Sequence[Turn], backend: Backend) -> Case:
    """The case, with a copy of the session without its oldest turns as advice, where only that would make it fit."""
    if not turns or not case.plan.over_tokens:
        return case
    from app.forking import with_fork  # what fits does without

    return with_fork(case, conversation.history, conversation.answered, turns, backend)


def _own_date(session: Session | None, *, is_fixed: bool) -> date | None:
    """A session's date, where a question was asked with it or it was chosen."""
    return date.fromisoformat(session.frozen_date) if session is not None and is_fixed else None


def notices_of(turn: PreparedTurn, question: str, backend: Backend, settings: Settings) -> Iterator[str]:
    """Says which sources stand otherwise in the prompt than before, what the question loses, and where the chat
    template is not the one that was to be, or cannot do what was asked for."""
    yield from turn.joining.sentences()
    if turn.session is not None and (unused := unused_template(turn.session, settings.model)):
        yield unused
    if turn.session is not None and (left_out := unused_lora(turn.session, settings.model)):
        yield left_out
    yield from backend.about.notes
    yield from backend.about.template.notes(turn.switching.thinking)
    if turn.switching.notice:
        yield turn.switching.notice
    if turn.conversation.unseen:
        yield unseen_notice(turn.conversation.unseen, backend.about.name, backend.about.unfit)
    if turn.read_on is not None:
        yield dates.read_with(turn.read_on)
    if turn.settings.kv_note is not None and not backend.about.server:
        yield turn.settings.kv_note
    if turn.rereads is not None:
        yield f"{turn.rereads}."
    missing = backend.unrepresentable(question)
    if missing:
        shown = ", ".join(f"U+{ord(character):04X}" for character in sorted(missing)[:6])
        yield f"The vocabulary has no token for {shown}: left out of the question."


def _rereads(case: Case, turns: Sequence[Turn], model: str) -> str | None:
    """What of that which was read in this session is to be read again, where that takes a while."""
    read_tokens = tokens_read(turns, model)
    if not read_tokens:
        return None
    return rereading(case.prompt.n_tokens, case.reuse.n_tokens, reading_speed(turns, model), read_tokens=read_tokens)


def documents_of(prepared: PreparedTurn, backend: Backend) -> tuple[Document, ...]:
    """Every source of the session as a document, sent or not: what each costs, or would."""
    sources, numbers = [at.source for at in prepared.placed], prepared.conversation.numbers
    return backend.documents(sources, numbers, max_tiles=prepared.settings.max_tiles)


def place(kept: Sequence[SessionSource], joining: Joining, turn_index: int) -> tuple[Placed, ...]:
    """The session's sources and those that join: a known path keeps its place with the new content, others follow."""
    new = {source.path: source for source in joining.sources}
    gone, back = {skipped.path for skipped in joining.gone}, set(joining.returning)
    known = []
    for at in kept:
        path = at.source.path
        enabled = (at.enabled or path in back) and path not in gone
        known.append(Placed(new.pop(path, at.source), at.turn_index, enabled))
    return (*known, *(Placed(source, turn_index) for source in new.values()))


def _only(placed: Sequence[Placed], only: frozenset[str]) -> tuple[Placed, ...]:
    """The same sources in their places, with those alone sent that are named, be they left out of other questions."""

    def names(name: str, path: str) -> bool:
        return path == name or (name.endswith("/") and path.startswith(name))

    missing = [name for name in sorted(only) if not any(names(name, at.source.path) for at in placed)]
    if missing:
        raise UsageError(f"The session has no source {missing[0]}.", "Name its sources as the session lists them.")
    return tuple(replace(at, enabled=any(names(name, at.source.path) for name in only)) for at in placed)


def _of_kinds(placed: Sequence[Placed], kinds: Sequence[str]) -> frozenset[str]:
    """The paths of those of these kinds that are sent."""
    found = frozenset(at.source.path for at in placed if at.enabled and at.source.kind in kinds)
    if not found:
        what = ", ".join(kinds)
        raise UsageError(f"The template asks about sources that are {what}, and none is sent.", "Add one.")
    return found


def converse(
    placed: Sequence[Placed], turns: Sequence[Turn], *, backend: Backend, max_tiles: int | None = None
) -> Conversation:
    """The turns that count as history, each with its documents, and the sources that wait for the next question.

    A turn without a reply (cancelled while reading, or broken off) is left out; its sources move to the next one.
    """
    sees = backend.about.sees
    numbers = number_pictures(place.source for place in placed)
    sent = [place for place in placed if place.enabled]
    unseen = () if sees else tuple(place.source.path for place in sent if place.source.pictures)
    waiting = [place for place in sent if sees or not place.source.is_wordless]
    exchanges, answered = [], []
    for turn in turns:
        if not len(reply_ids(turn, backend)):
            continue
        due = [place.source for place in waiting if place.turn_index <= turn.index]
        waiting = [place for place in waiting if place.turn_index > turn.index]
        documents = backend.documents(due, numbers, max_tiles=max_tiles)
        exchanges.append(exchange_of(turn, documents, backend))
        answered.append(turn)
    return Conversation(tuple(exchanges), tuple(place.source for place in waiting), numbers, unseen, tuple(answered))


def reply_ids(turn: Turn, backend: Backend) -> Ids:
    """The ids as they were sampled; the text's own ids where the model has changed, the turn was interrupted, or a
    server wrote it."""
    if _was_sampled(turn, backend):
        return np.array(turn.reply_ids, dtype=np.int32)
    return backend.encode(turn.text)


def _was_sampled(turn: Turn, backend: Backend) -> bool:
    """Whether its ids are of this vocabulary."""
    return bool(turn.reply_ids and turn.vocabulary and turn.vocabulary == backend.about.vocabulary)


def exchange_of(turn: Turn, documents: tuple[Document, ...], backend: Backend) -> Exchange:
    """A turn that has been answered, as history. Thoughts stand in it only as they were sampled, and behind the chat
    template that they were sampled with."""
    ids, asked, thought = reply_ids(turn, backend), asked_with(turn), turn.thought
    if not _was_sampled(turn, backend):
        return Exchange(turn.question, documents, ids, turn.text)
    before, now = asked.chat_template, backend.about.template
    return Exchange(
        turn.question,
        documents,
        ids,
        turn.text,
        sampled=before is None or before.digest == now.digest,
        thoughts=thought.spans if thought is not None else (),
        thought=thought is not None and bool(thought.text) and not thought.is_open,
        thinking=asked.sampling.thinking,
    )


def standing_instruction(settings: Settings, has_documents: bool) -> str:
    """The user's, else Longdesk's own where there are documents to answer from."""
    return settings.system if settings.system is not None else SYSTEM if has_documents else ""


def tokens_read(turns: Sequence[Turn], model: str) -> int:
    """What the last question that reached this model has had read, its reply included."""
    for turn in reversed(turns):
        if turn.prompt_tokens is not None:
            if asked_with(turn).model != model:
                return 0
            return turn.prompt_tokens + (turn.reply_tokens or 0) if turn.text else turn.prefill_done or 0
    return 0


def reading_speed(turns: Sequence[Turn], model: str) -> float | None:
    """Tokens a second, of the last question of which this model read enough to tell."""
    turn = last_read(turns, model)
    return ((turn.prompt_tokens or 0) - (turn.reused_tokens or 0)) / (turn.prefill_s or 1.0) if turn else None


def last_read(turns: Sequence[Turn], model: str) -> Turn | None:
    """The last turn of which this model read enough to tell how long that takes; None where it was stopped on the
    way, or there is none."""
    for turn in reversed(turns):
        fresh = (turn.prompt_tokens or 0) - (turn.reused_tokens or 0)
        seconds = turn.prefill_s or 0.0
        if asked_with(turn).model == model and fresh >= _MEASURABLE_TOKENS and seconds >= _MEASURABLE_S:
            return turn if turn.text else None
    return None


def quotable(
    sources: Sequence[Source], backend: Backend, settings: Settings, *, told: bool = False
) -> tuple[Source, ...]:
    """Those of the sources that are sent which the model may be made to quote; none where the engine or the settings
    are against it. told: it opens quotes itself, however good it is at that."""
    state = backend.quotes().with_setting(settings.quotes).state
    if state is not QuoteState.ON and not (told and state is QuoteState.FAILED):
        return ()
    return tuple(source for source in sources if source.text.strip())
