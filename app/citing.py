"""What shows an answer, once it is there: what it quotes is found again, and for every other statement the model is
made to quote what was sent."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from threading import Event as Flag
from typing import Any

from app.found_again import box_of, found_until
from app.question import Cited, Notice
from app.settings import Settings
from engine.answer.citations import Citation, Status
from engine.answer.places import Places
from engine.answer.statements import statements
from engine.backend import Backend, Case, Evidence, HeldQuote, Remark, Replied, Source
from engine.errors import LongdeskError
from engine.runtime.quotes.text import Place, normalized
from storage.records import Turn
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A source, or a part of one, that may be quoted: of the whole one's text in UTF-8, from first_byte on."""

    source: Source
    whole: Source
    first_byte: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What an answer stands on. case: that was asked. sources: all that were sent. quotable: of them, what the model
    may be made to quote. shown: see found_again. held: what the answer quotes that could only be copied."""

    case: Case
    sources: tuple[Source, ...]
    quotable: tuple[Excerpt, ...] = ()
    shown: Mapping[str, int] | None = None
    held: tuple[HeldQuote, ...] = ()


def cite(
    turn: Turn, sent: Sent, *, backend: Backend, store: Store, settings: Settings, stop: Flag
) -> Iterator[Cited | Notice]:
    """Finds again what a turn's answer quotes, then looks for words that show each other statement of it, and keeps
    both with it as they come.

    What was found is kept when this is stopped, or the engine breaks. Ends with Cited where anything was tried.
    """
    if not turn.text:
        return
    try:
        found = found_until(stop, turn.text, sent.sources, question=turn.question, shown=sent.shown)
        if found is None:
            return
        found = tuple(_held(citation, sent.held) for citation in found)
        shown = {each.statement for each in found if each.status is Status.VERIFIED or each.image is not None}
        spans = tuple(span for span in statements(turn.text) if span not in shown)
        goes_on = turn.stop in ("end", "length") and bool(spans and sent.quotable and turn.reply_ids)
        if found or not goes_on:
            turn = store.turns.cite(turn.id, found)
            yield Cited(turn, n_statements=len(spans) if goes_on else 0)
    except LongdeskError as error:  # the answer itself is there
        yield Notice(f"What the answer quotes was not looked for: {error}")
        return
    if goes_on:
        yield from _evidence(turn, sent, spans, backend=backend, store=store, settings=settings, stop=stop)
    with suppress(LongdeskError):  # the session may be gone by now
        _catch_up(turn, sent, store, stop)


def _catch_up(turn: Turn, sent: Sent, store: Store, stop: Flag) -> None:
    """Finds again what earlier answers of the session quote, where nobody has looked: they are older than citations, or
    a next question came before."""
    for earlier in store.turns.of(turn.session_id):
        if earlier.index >= turn.index or earlier.citations is not None or not earlier.text or stop.is_set():
            continue
        found = found_until(stop, earlier.text, sent.sources, question=earlier.question, shown=sent.shown)
        if found:
            store.turns.cite(earlier.id, found)


def _evidence(
    turn: Turn,
    sent: Sent,
    spans: Sequence[tuple[int, int]],
    *,
    backend: Backend,
    store: Store,
    settings: Settings,
    stop: Flag,
) -> Iterator[Cited | Notice]:
    thoughts = turn.thought.spans if turn.thought is not None else ()
    reply, quotable = Replied(turn.reply_ids, turn.text, thoughts), Quotable(sent.quotable)
    told = backend.evidence(
        sent.case,
        reply,
        spans,
        question=turn.question,
        quotable=quotable.sources,
        anyway=settings.quotes is True,
        cancel=stop,
    )
    citations, n_done, n_tokens = [*(turn.citations or ())], 0, 0
    remarks: list[str] = []
    try:
        with closing(told):
            for event in told:
                if isinstance(event, Remark):
                    remarks.append(event.text)
                    yield Notice(event.text)
                    continue
                citations.append(quotable.citation(event, spans[event.statement]))
                n_done, n_tokens = n_done + 1, n_tokens + event.n_tokens
                turn = store.turns.cite(turn.id, citations)
                yield Cited(turn, n_done=n_done, n_statements=len(spans), n_tokens=n_tokens)
        ordered = sorted(citations, key=lambda citation: citation.statement)
        if citations != ordered or (turn.citations is None and not stop.is_set()):
            turn = store.turns.cite(turn.id, ordered)
        if turn.receipt is not None:  # by now it may be known that the model is no good at it
            quotes = backend.quotes().with_setting(settings.quotes).with_remarks(remarks)
            turn = store.turns.cite(turn.id, receipt={**turn.receipt, "quotes": quotes.to_json()})
    except LongdeskError as error:
        yield Notice(f"The search for words that show the answer broke off: {error}")
    yield Cited(turn, n_done=n_done, n_statements=len(spans), n_tokens=n_tokens)


def begins(excerpts: Sequence[Excerpt]) -> list[list[Any]]:
    """Where excerpts begin: path and digest of the source, first byte. JSON."""
    return [[each.whole.path, each.whole.digest, each.first_byte] for each in excerpts]


def texts_of(excerpts: Sequence[Excerpt]) -> list[list[Any]]:
    """What excerpts hold, wherever that stands in their sources: path, digest of the text, and what pictures are drawn
    from."""
    return [
        [each.whole.path, each.source.text_digest]
        + [(picture.number, picture.digest or each.whole.digest) for picture in each.source.pictures]
        for each in excerpts
    ]


class Quotable:
    """What may be quoted, and where that stands in the whole sources."""

    def __init__(self, excerpts: Sequence[Excerpt]) -> None:
        wholes = {id(excerpt.whole): excerpt.whole for excerpt in excerpts}
        numbers = {key: number for number, key in enumerate(wholes)}
        self._excerpts, self.sources = excerpts, tuple(excerpt.source for excerpt in excerpts)
        self._begins = [(numbers[id(excerpt.whole)], excerpt.first_byte) for excerpt in excerpts]
        self._places = Places(tuple(wholes.values()), box_of=box_of)

    def moved(
        self, citations: Sequence[Citation | None], before: Sequence[Sequence[Any]]
    ) -> tuple[Citation | None, ...]:
        """What was found when these excerpts stood elsewhere in their sources, as it stands now. before: where they
        were then, as `begins` has it."""
        now = begins(self._excerpts)
        if list(map(list, before)) == now or [each[0] for each in before] != [each[0] for each in now]:
            return tuple(citations)
        lengths = [len(source.text.encode("utf-8", "surrogatepass")) for source in self.sources]
        stood = [(path, first, first + n_bytes) for (path, _, first), n_bytes in zip(before, lengths, strict=True)]
        return tuple(citation and self._moved(citation, stood) for citation in citations)

    def _moved(self, citation: Citation, stood: Sequence[tuple[str, int, int]]) -> Citation:
        start, end = citation.text_span or (0, 0)
        for (document, first), (path, begin, behind) in zip(self._begins, stood, strict=True):
            if path == citation.path and begin <= start < end <= behind:
                place = Place(document, start - begin + first, end - begin + first)
                how = {"places": citation.places, "held": citation.held, "logprob": citation.logprob}
                return self._places.citation(place, statement=citation.statement, status=citation.status, **how)
        return citation

    def citation(self, found: Evidence, statement: tuple[int, int]) -> Citation:
        """What was found for a statement."""
        if found.document is None:
            return Citation(statement=statement, status=Status.MISSING, held=True)
        document, first = self._begins[found.document]
        place = self._places.indented(Place(document, first + found.start, first + found.end))
        return self._places.citation(place, statement=statement, places=found.n_places, held=True, logprob=found.lowest)


def _held(citation: Citation, held: Sequence[HeldQuote]) -> Citation:
    """Of what the answer quotes: whether it could only be copied, and how sure the model was."""
    words = normalized(citation.quote.encode("utf-8", "surrogatepass")).strip()
    for quote in held:
        if citation.status is Status.VERIFIED and words == quote.words.strip().encode("utf-8", "surrogatepass"):
            return replace(citation, held=True, logprob=quote.lowest)
    return citation
