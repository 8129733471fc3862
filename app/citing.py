"""What shows an answer, once it is there: the model is made to quote what was sent, statement by statement."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from threading import Event as Flag

from app.question import Cited, Notice
from app.settings import Settings
from engine.answer.citations import Citation, Status
from engine.answer.places import Places
from engine.answer.statements import statements
from engine.backend import Backend, Case, Evidence, Remark, Replied, Source
from engine.errors import LongdeskError
from engine.runtime.quotes.text import Place
from storage.records import Turn
from storage.store import Store


def cite(
    turn: Turn,
    case: Case,
    sources: Sequence[Source],
    *,
    backend: Backend,
    store: Store,
    settings: Settings,
    stop: Flag,
) -> Iterator[Cited | Notice]:
    """Looks for words that show each statement of a turn's answer, and keeps them with it as they come.

    What was found is kept when this is stopped, or the engine breaks. Ends with Cited where anything was tried. case:
    that was asked. sources: of its prompt, those that may be quoted.
    """
    spans = statements(turn.text)
    if turn.stop not in ("end", "length") or not spans or not sources or not turn.reply_ids:
        return
    reply = Replied(turn.reply_ids, turn.text)
    told = backend.evidence(
        case, reply, spans, question=turn.question, quotable=sources, anyway=settings.quotes is True, cancel=stop
    )
    places, citations, n_tokens = Places(sources), list[Citation](), 0
    try:
        with closing(told):
            for event in told:
                if isinstance(event, Remark):
                    yield Notice(event.text)
                    continue
                citations.append(_citation(event, spans[event.statement], places))
                n_tokens += event.n_tokens
                turn = store.turns.cite(turn.id, citations)
                yield Cited(turn, n_done=len(citations), n_statements=len(spans), n_tokens=n_tokens)
    except LongdeskError as error:  # the answer itself is there
        yield Notice(f"The search for words that show the answer broke off: {error}")
    yield Cited(turn, n_done=len(citations), n_statements=len(spans), n_tokens=n_tokens)


def _citation(found: Evidence, statement: tuple[int, int], places: Places) -> Citation:
    if found.document is None:
        return Citation(statement=statement, status=Status.MISSING, held=True)
    place = Place(found.document, found.start, found.end)
    return places.citation(place, statement=statement, places=found.n_places, held=True, logprob=found.lowest)
