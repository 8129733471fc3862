"""What the passes of a question share, and the plan of them: values that say what is read, and how it is asked."""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import blake2b
from threading import Event as Flag
from typing import Any

import numpy as np

from app.costs import cost_in_passes
from app.passes import notes
from app.passes.slices import Slice, to_json
from app.question import DeskEvent, Notice
from app.settings import Settings
from app.verdicts import refuse_misfit
from engine.backend import (
    Backend,
    Case,
    Cost,
    Exchange,
    Finished,
    Ids,
    Part,
    Prompt,
    QuoteState,
    Remark,
    Sampling,
    Segment,
    Source,
    Stop,
    Text,
    Thinking,
    Wanted,
)
from engine.errors import Cancelled
from storage.store import Store

_AT_ONCE = 1 << 20  # characters that are counted before it is looked whether a stop came
_SHARES = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all passes of a question share. history: the exchanges before it, without documents. wanted: with the
    context that all passes have. numbers: what the first picture of each source is called, by path."""

    backend: Backend
    store: Store
    settings: Settings
    session_id: str
    question: str
    history: tuple[Exchange, ...]
    system: str
    today: date
    wanted: Wanted
    max_tiles: int
    numbers: Mapping[str, int] = field(default_factory=dict)

    def lay_out(self, sources: Sequence[Source], text: str) -> Prompt:
        """Sources first, so that the next question finds them in the cache; then what was said before, and the text."""
        documents = self.backend.documents(sources, self.numbers, max_tiles=self.max_tiles)
        first, *rest = [*self.history, Exchange(text, thinking=self.settings.thinking or "")]
        exchanges = [replace(first, documents=documents), *rest]
        return self.backend.lay_out(exchanges, system=self.system, today=self.today)

    def case(self, sources: Sequence[Source], text: str, begun: Ids | None = None) -> Case:
        """The prompt, ready to be asked. begun: the beginning of its reply."""
        prompt = self.lay_out(sources, text)
        return self.backend.consider(prompt if begun is None else prompt.begun_with(begun), self.wanted)

    def tokens_of(self, source: Source) -> int:
        """What a source takes as a document."""
        return self.backend.documents([source], self.numbers, max_tiles=self.max_tiles)[0].n_tokens

    def key(self, asked: str, prompt: Prompt, texts: Sequence[object]) -> str:
        """Of what is asked of which model, and of the texts that its words may stand in: equal ones give equal replies.
        asked: how it is asked, in words. texts: see texts_of."""
        about, quotes = self.backend.about, self.backend.quotes()
        # names and headers are those of many fine-tunes
        model = (about.name, about.vocabulary, self.backend.digest())
        # not whether the model is good at it, which is found out while notes are taken
        looked = (self.settings.quotes, quotes.state is QuoteState.IMPOSSIBLE)
        looks = _stamp(about.origin.projector if about.origin is not None else None) if prompt.shown else None
        whole = f"{asked} {model} {self.settings.kv_type} {looked} {looks} {list(texts)}"
        digest = blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16)
        digest.update(prompt.ids().astype("<i4").tobytes())
        return digest.hexdigest()

    def keep(self, key: str, note: Mapping[str, Any]) -> None:
        """Keeps what was found; what was not used for longest goes where the budget has no room."""
        self.store.notes.put(key, self.session_id, note, budget=self.settings.notes_budget)

    @property
    def may_quote(self) -> bool:
        """Whether words are looked for behind facts."""
        return self.backend.quotes().with_setting(self.settings.quotes).state is QuoteState.ON

    @property
    def sampling(self) -> Sampling:
        """Of notes: always the likeliest, since they are kept."""
        return Sampling(max_tokens=notes.MOST_TOKENS, temperature=0.0, thinking=self.settings.thinking or "")


def _stamp(file: str | None) -> tuple[int, int] | None:
    """Tells a projector from another one; None where there is none."""
    with suppress(OSError):
        if file is not None:
            status = os.stat(file)
            return status.st_size, status.st_mtime_ns
    return None


def counting(
    backend: Backend, numbers: Mapping[str, int], max_tiles: int, cancel: Flag
) -> Callable[[Sequence[Source]], list[int]]:
    """What sources take as documents, some of them at a time. Raises Cancelled once it was stopped."""

    def tokens_of(sources: Sequence[Source]) -> list[int]:
        counted, waiting, n_characters = list[int](), list[Source](), 0
        for number, source in enumerate(sources, 1):
            waiting.append(source)
            n_characters += len(source.text)
            if n_characters < _AT_ONCE and number < len(sources):
                continue
            if cancel.is_set():
                raise Cancelled("It was stopped before anything was read.")
            counted += [each.n_tokens for each in backend.documents(waiting, numbers, max_tiles=max_tiles)]
            waiting, n_characters = [], 0
        return counted

    return tokens_of


@dataclass(frozen=True, slots=True)
class Held:
    """A reply that was held to a form, and how it ended."""

    text: str
    ended: Finished


def held_reply(
    setting: Setting, case: Case, sampling: Sampling, *, form: str, quotable: Sequence[Source], cancel: Flag
) -> Generator[DeskEvent, None, Held | None]:
    """A reply, kept to a form where the engine can do that; None where it was cancelled. Raises DoesNotFit or
    ModelRefused, and as Backend.generate does."""
    refuse_misfit(case.plan)
    if case.refusal is not None:
        raise case.refusal
    text, ended = "", None
    events = setting.backend.generate(
        case,
        sampling,
        session_id=setting.session_id,
        cancel=cancel,
        quotable=quotable,
        form=form if setting.backend.about.holds_forms else None,
    )
    with closing(events):
        for event in events:
            if isinstance(event, Text):
                text += event.text
            elif isinstance(event, Finished):
                ended = event
            elif isinstance(event, Thinking):  # a note is what it says at its end
                text = "" if event.takes_text else text
            else:
                yield Notice(event.text) if isinstance(event, Remark) else event
    return None if ended is None or ended.stop is Stop.CANCELLED else Held(text, ended)


@dataclass(frozen=True, slots=True)
class PassPlan:
    """The slices of a corpus, each at most room tokens, and the context that every pass has. notes_room: tokens that
    notes may have which are sent together. most_ctx: of the largest context that could be had. n_sources: how many
    there are. tokens_per_s: how fast this machine reads, None where nobody knows."""

    slices: tuple[Slice, ...]
    room: int
    n_ctx: int
    n_sources: int
    tokens_per_s: float | None = None
    notes_room: int = field(kw_only=True)
    most_ctx: int = field(kw_only=True)
    setting: Setting = field(repr=False, kw_only=True)

    @property
    def n_tokens(self) -> int:
        return sum(each.n_tokens for each in self.slices)

    @property
    def cost(self) -> Cost | None:
        """Of all passes and the answer, see cost_in_passes; None where tokens have no price."""
        notes_tokens = len(self.slices) * self.setting.sampling.max_tokens
        written = notes_tokens + self.setting.settings.reply_tokens
        return cost_in_passes(self.setting.backend.about, self.n_tokens, written)

    @property
    def seconds(self) -> float | None:
        """How long reading them takes, about; without what is kept."""
        return self.n_tokens / self.tokens_per_s if self.tokens_per_s else None

    def begun_in(self, session_id: str) -> "PassPlan":
        """The same for a session that is there now; it keeps how its corpus was sliced."""
        kept = [{**each, "most_ctx": self.most_ctx} for each in to_json(self.slices)]
        self.setting.store.notes.keep_slices(session_id, kept)
        return replace(self, setting=replace(self.setting, session_id=session_id))


def most_tokens(backend: Backend, wanted: Wanted, *, before: int | None = None) -> int:
    """The most tokens that prompt and reply may have here: the context that was asked for, else as much of the model's
    window as fits into memory. before: what it was then; it stays as long as it fits, so that slices stay."""
    window = backend.about.window
    if wanted.n_ctx is not None:
        return min(window, wanted.n_ctx)
    shares = [int(window * share) for share in _SHARES]
    for n_tokens in [before, *shares] if before is not None and before <= window else shares:
        reply = min(wanted.reply_tokens, n_tokens // 4)
        ids = np.zeros(n_tokens - reply, dtype=np.int32)
        plan = backend.plan(Prompt((Segment(Part.SOURCE, ids),)), replace(wanted, reply_tokens=reply, thinking="off"))
        if plan.fits:
            return n_tokens
    return 0
