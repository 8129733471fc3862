"""A copy of a session without its oldest questions, for one whose window is full; and how many have to stay behind.

Nothing is dropped in silence: the copy is a session of its own, and the one that it is made of stays as it is.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from engine.backend import Advice, Backend, Case, Exchange
from engine.errors import UsageError
from storage.records import SessionRecord, Turn


def fork_of(record: SessionRecord, last: int) -> SessionRecord:
    """The copy: all sources, and the last questions of the current branch with their answers, so many of them.

    Receipts stay behind: they say what was sent with questions that the copy does not have. The store draws its id.
    Raises UsageError where nothing would stay behind.
    """
    turns = tuple(turn for turn in record.turns if turn.stop is not None)
    if last >= len(turns):
        raise UsageError(
            f"The session has {len(turns):,} of such questions: a copy without the oldest keeps fewer.",
            "Give a smaller --last.",
        )
    kept = turns[len(turns) - last :]
    places = [turn.index for turn in kept]
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    begins = f"from question {kept[0].index + 1}" if kept else "without its questions"
    session = replace(record.session, id="", title=f"{record.session.title} ({begins})", created=now, updated=now)
    return replace(
        record,
        session=session,
        turns=tuple(
            replace(turn, index=at, parent=at - 1 if at else None, alternatives=(at,), receipt=None)
            for at, turn in enumerate(kept)
        ),
        others=(),
        sources=tuple(replace(at, turn_index=bisect_left(places, at.turn_index)) for at in record.sources),
        kept_notes=tuple(
            replace(note, turn_index=places.index(note.turn_index) if note.turn_index in places else None)
            for note in record.kept_notes
        ),
    )


def with_fork(
    case: Case, history: Sequence[Exchange], answered: Sequence[Turn], turns: Sequence[Turn], backend: Backend
) -> Case:
    """A case over the window, with the advice to go on without the oldest questions where that is enough.

    answered: the turns that the exchanges are of. turns: all of the branch.

    What an exchange takes is its question and its reply; what a template puts around them is saved beside that, and
    its sources move to the next one.
    """
    plan, saved = case.plan, 0
    if not plan.over_tokens:
        return case
    for n_left_out, exchange in enumerate(history, 1):
        saved += len(backend.encode(exchange.question)) + len(
            exchange.reply_ids if exchange.reply_ids is not None else ()
        )
        if saved >= plan.over_tokens:
            ended = [turn.index for turn in turns if turn.stop is not None]
            n_kept = len(ended) - ended.index(answered[n_left_out].index) if n_left_out < len(answered) else 0
            fork = Advice(without_turns=len(ended) - n_kept, keeps_turns=n_kept, saves_tokens=saved)
            n_first = sum(advice.n_ctx is not None for advice in plan.advice)  # a larger context loses nothing
            advice = (*plan.advice[:n_first], fork, *plan.advice[n_first:])
            return replace(case, plan=replace(plan, advice=advice))
    return case
