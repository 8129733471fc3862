"""A model on a server behind Backend: what it says of itself, what a prompt costs there, and asking it."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from threading import Event as Flag
from time import monotonic
from typing import Any

from engine.answer.quotes import NOT_HELD
from engine.backend import (
    About,
    Case,
    Document,
    Event,
    Evidence,
    Exchange,
    IdCache,
    Ids,
    Plan,
    Prompt,
    Quotes,
    QuoteState,
    Remark,
    Replied,
    Sampling,
    Source,
    Wanted,
    Weight,
    published_prices,
)
from engine.corpus.formats.format import Waiting, wait_only
from engine.errors import Cancelled, EngineAway, EngineFailed, LongdeskError, ModelRefused
from engine.memory.advice import for_window
from engine.memory.wanted import thoughts_of
from engine.remote.address import NOTHING_ENTERED, Entered
from engine.remote.compatible import Adapter, Request, short_name
from engine.remote.connection import TooLong
from engine.remote.counting import Own, Views, Words, encoded, estimates_instead, marks
from engine.remote.faults import broken_off
from engine.remote.grammar import Untold, gbnf
from engine.remote.hearing import Heard
from engine.remote.messages import Draw, Pictures, folded, laid_out, marks_in, messages_of, with_marks
from engine.tokens.source_ids import encode_documents

_UNKNOWN_WINDOW = 131_072  # tokens, taken where a server does not say
_KEPT_COUNTS = 32
_MOST_NAMED = 4


class RemoteBackend:
    """See Backend. May be used from any thread."""

    def __init__(self, adapter: Adapter, draw: Draw, entered: Entered = NOTHING_ENTERED) -> None:
        """draw: draws pictures that are sent. entered: what the user said of the server."""
        self._adapter, self._pictures = adapter, Pictures(draw)
        self._words, self._ids, self._counts = Words(adapter), IdCache(), dict[str, int]()
        self._own: Own | None = None
        self._folds_system = False
        self._thinks = False  # as was heard of its answers
        self._untold = False  # it was said that it cannot be told whether to think
        self.own_looked_for = False  # whoever opens it may look for one
        window = entered.window or adapter.window()
        is_mute = estimates_instead(adapter)
        sees, host = adapter.sees(), adapter.connection.address.host
        self._views = Views(adapter, self._pictures) if sees else None
        how = "" if not adapter.how_counted else f"an estimate: {adapter.how_counted}"
        self.about = self.said = About(  # said: as it is told by the server, however it is counted
            name=short_name(adapter.id),
            window=window or _UNKNOWN_WINDOW,
            counts_exactly=not how,
            how_counted=how,
            reports_capacity=adapter.capacity() is not None,
            image_rule=self._views.rule if self._views is not None else None,
            unfit=() if sees or is_mute else (f"{host} says of this model that it cannot see.",) if window else (),
            holds_forms=adapter.holds_forms,
            prices=entered.prices or published_prices(adapter.model.get("pricing")),
            server=f"{f'{adapter.engine} {adapter.version()}'.strip()} at {host}",
            window_is_assumed=not window,
        )
        note = f"{host} does not say what window the model has: {_UNKNOWN_WINDOW:,} tokens are assumed (--ctx sets it)."
        self._notes = () if window else (note,)

    @property
    def model(self) -> str:
        """Its name there."""
        return self._adapter.id

    def models(self) -> tuple[str, ...]:
        """All that the server lists. Raises LongdeskError."""
        told = self._adapter.connection.get("/models", of_api=True)
        found = told.get("data") if isinstance(told, dict) else told
        named = found if isinstance(found, list) else ()
        return tuple(dict.fromkeys(str(each["id"]) for each in named if isinstance(each, dict) and each.get("id")))

    @property
    def file(self) -> str:
        """Where its model's file lies, by the server's word; "" where it does not say."""
        return self._adapter.file()

    def count_with(self, own: Own, name: str) -> None:
        """Counts with the vocabulary and the template of a model on this machine, where the server has no call that
        counts. name: of its file."""
        self._own, self._words, self._ids = own, Words(self._adapter, own), IdCache()
        self.about = replace(self.about, counts_exactly=False, how_counted="", counted_with=name)

    def digest(self) -> str:
        """See Backend.digest: of where it is, and what it is called there."""
        return blake2b(
            f"{self._adapter.connection.address.base} {self._adapter.id}".encode(), digest_size=16
        ).hexdigest()

    def quotes(self) -> Quotes:
        """See Backend.quotes: nothing can be held from here."""
        return Quotes(state=QuoteState.IMPOSSIBLE, reason=NOT_HELD)

    def documents(
        self, sources: Sequence[Source], numbers: Mapping[str, int] | None = None, *, max_tiles: int | None = None
    ) -> tuple[Document, ...]:
        """See Backend.documents. What an image is cut into is the server's business."""
        return encode_documents(self._words, sources, self._ids, sight=self._views, numbers=numbers, with_content=True)

    def encode_ahead(self, sources: Sequence[Source]) -> None:
        """See Backend.encode_ahead."""

    def encode(self, text: str) -> Ids:
        """See Backend.encode: by the server's count, or an estimate."""
        return encoded(self._words, text, self._ids)

    def unrepresentable(self, text: str) -> Mapping[str, int]:
        """See Backend.unrepresentable: nobody says it."""
        return {}

    def lay_out(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """See Backend.lay_out: with as many tokens as the server counts, where it can."""
        prompt = laid_out(exchanges, system=system, encode=self.encode)
        if self._own is not None:
            return with_marks(prompt, self._own.prompt(exchanges, system=system, today=today).n_tokens)
        return with_marks(prompt, self._counted(prompt))

    def plan(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Plan:
        """See Backend.plan: against the window, and against what the server has room for now."""
        window, capacity = self.about.window, self._adapter.capacity()
        estimated = ("prompt_tokens",) if self.about.how_counted and prompt.segments else ()
        plan = Plan(
            model=self.about.name,
            placement=None,
            window=window if wanted.n_ctx is None else min(window, wanted.n_ctx) if not self._notes else wanted.n_ctx,
            prompt_tokens=prompt.n_tokens,
            reply_tokens=wanted.reply_tokens,
            thoughts=replace(wanted, thinks=self._thinks).thoughts,
            needs=(),
            estimated=estimated,
            notes=(
                f"On {self.about.server}.",
                *((f"Prompt tokens are {self.about.how_counted}.",) if estimated else ()),
                *((f"Counted with the vocabulary of {self.about.counted_with}.",) if self.about.counted_with else ()),
                *(self._notes if wanted.n_ctx is None else ()),
            ),
            capacity=capacity,
        )
        return plan if plan.fits else replace(plan, advice=for_window(plan, _weights(exchanges)))

    def consider(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Case:
        """See Backend.consider. What its prefix cache holds no server says before it is asked."""
        refusal = None
        if prompt.n_begun and not self._adapter.goes_on:
            refusal = ModelRefused(
                f"{self._adapter.engine} cannot go on with a reply that was cut.", "Ask the question again."
            )
        return Case(prompt, self.plan(prompt, wanted, exchanges), refusal=refusal)

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
        """See Backend.generate. Raises DoesNotFit where the server refuses the prompt for its length."""
        if found := marks_in(case.prompt):
            yield Remark(
                f"What is sent holds {', '.join(found[:_MOST_NAMED])}: {self.about.server} may take such texts for "
                "marks of the chat."
            )
        if sampling.thinking and not self._adapter.tells_template and not self._untold:
            self._untold = True
            yield Remark(f"{self.about.server} has no way to be told whether its model thinks: it is asked as ever.")
        try:
            request = self._request(case, sampling, form, self._messages(case.prompt, _until(cancel)))
        except Cancelled:  # while a picture was drawn
            request = self._request(case, sampling, form, [])
            yield Heard(case.prompt, request, monotonic()).finished(True, self.about)
            return
        if untold := self._adapter.untold(request):
            yield Remark(f"{self.about.server} is not told {' and '.join(untold)}: it takes no such setting.")
        heard = Heard(case.prompt, request, monotonic())
        try:
            yield from self._answered(request, heard, cancel)
        except TooLong as error:
            address = self._adapter.connection.address
            raise error.overflow.refusal(address, sampling.max_tokens) from None
        if not cancel.is_set() and heard.finish is None and not heard.in_circles:
            raise broken_off(None, self._adapter.connection.address)
        usage, n_bytes = heard.usage, sum(_n_bytes(message) for message in request.messages)
        if usage.prompt_tokens and not case.prompt.shown and not heard.is_cut(self.about):
            self._words.learn(n_bytes, usage.prompt_tokens)
        self._thinks = self._thinks or heard.thinks
        self.about = replace(self.about, thinks=self._thinks)
        yield from heard.remarks(self.about)
        yield heard.finished(cancel.is_set(), self.about, sampling)

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
        """See Backend.evidence: none, since nothing can be held from here."""
        yield from ()

    def settle(self, cancel: Flag) -> None:
        """See Backend.settle: what a server keeps is its own."""

    def close(self) -> None:
        """Closes the connections."""
        self._adapter.connection.close()

    def _answered(self, request: Request, heard: Heard, cancel: Flag) -> Generator[Event, None, None]:
        before = None if self._adapter.tells_progress else self._adapter.glance()
        yield heard.prefill(0, untold=not self._adapter.tells_progress)
        with closing(self._adapter.answer(request, cancel)) as pieces:
            for piece in pieces:
                if piece is None:
                    if heard.is_due(monotonic()) and not self._adapter.tells_progress:
                        done = self._adapter.read_so_far(before)
                        yield heard.prefill(done or 0, untold=done is None)
                    continue
                yield from heard.take(piece)
                if heard.in_circles:  # which would go on until it has no more room
                    return

    def _request(self, case: Case, sampling: Sampling, form: str | None, messages: list[dict[str, Any]]) -> Request:
        prompt = case.prompt
        n_ctx = case.plan.window if case.plan.window < self.about.window else None
        most = sampling.max_tokens + self._most_thought(case, sampling)
        return Request(
            messages=messages,
            max_tokens=most,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            top_k=sampling.top_k,
            repeat_penalty=sampling.repeat_penalty,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            seed=sampling.seed,
            stops=sampling.stops,
            form=_form(form),
            n_ctx=self._adapter.n_ctx(prompt.n_tokens + most, n_ctx),
            begun=prompt.n_begun > 0,
            thinking=sampling.thinking,
        )

    def _most_thought(self, case: Case, sampling: Sampling) -> int:
        """Tokens that the reply may have beside the answer's, for servers count both together: where the model thinks,
        as many as there is room for."""
        wanted = thoughts_of(sampling.thinking, sampling.max_tokens, thinks=self._thinks).most
        room = min(case.plan.window, self.about.window) - case.prompt.n_tokens - sampling.max_tokens
        return max(0, min(wanted, room))

    def _messages(self, prompt: Prompt, waiting: Waiting = wait_only) -> list[dict[str, Any]]:
        messages = messages_of(prompt, self._pictures, waiting)
        return folded(messages) if self._folds_system else messages

    def _counted(self, prompt: Prompt) -> int:
        """Tokens of the whole chat: the server's count, kept for as long as a session asks about the same."""
        messages = self._messages(prompt)
        if self._adapter.how_counted:
            return prompt.n_tokens + marks(len(messages))
        digest = blake2b(repr(messages).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if digest not in self._counts:
            try:
                found = self._adapter.count(messages)
            except TooLong as error:  # it says how many there are, or at least that they are too many
                found = error.overflow.prompt_tokens or prompt.n_tokens + marks(len(messages))
            except ValueError:
                found = None
            except EngineFailed as error:
                is_away = isinstance(error, EngineAway)
                if is_away or self._folds_system or "system" not in str(error).casefold():
                    raise
                self._folds_system = True  # its template knows no such role, and says so
                try:
                    return self._counted(prompt)
                except LongdeskError:  # it was something else
                    self._folds_system = False
                    raise
            if found is None:
                raise EngineFailed(
                    f"{self._adapter.connection.address.host} does not say how many tokens a chat has.",
                    "Look at its log: its call that counts failed.",
                )
            while len(self._counts) >= _KEPT_COUNTS:
                del self._counts[next(iter(self._counts))]
            self._counts[digest] = found
        return self._counts[digest]


def _until(cancel: Flag) -> Waiting:
    """Waits until it is cancelled."""

    def wait(at: str) -> None:
        if cancel.is_set():
            raise Cancelled("It was stopped.")

    return wait


def _weights(exchanges: Sequence[Exchange]) -> tuple[Weight, ...]:
    """Every document with its tokens, for advice on what to leave out."""
    return tuple(
        Weight(path=document.path, n_tokens=document.n_tokens, n_pages=document.n_pages or 0)
        for exchange in exchanges
        for document in exchange.documents
    )


def _form(form: str | None) -> str | None:
    """A form in the notation that servers take; None where it cannot be said in that."""
    try:
        return gbnf(form) if form is not None else None
    except Untold:
        return None


def _n_bytes(message: Mapping[str, Any]) -> int:
    content = message["content"]
    return len(content.encode()) if isinstance(content, str) else 0
