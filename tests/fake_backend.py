"""FakeBackend: an engine of words. Every word is a token, and it answers what it was told to, in no time.

It stands behind engine.backend.Backend as a GGUF does, so that Desk, jobs, page and command line can be tried in
milliseconds. What llama.cpp does is tested on real models.
"""

import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from threading import Event as Flag
from zlib import crc32

import numpy as np

from engine.answer.quotes import NOT_HELD
from engine.backend import (
    About,
    Backend,
    Case,
    Document,
    Event,
    Evidence,
    Exchange,
    Finished,
    HeldQuote,
    Ids,
    Part,
    Plan,
    Prefill,
    Prompt,
    Quotes,
    QuoteState,
    Remark,
    Replied,
    Reuse,
    Sampling,
    Segment,
    Stop,
    Text,
    Wanted,
)
from engine.corpus.source import Source
from engine.errors import EngineFailed
from engine.tokens.document import common_prefix

Answer = Callable[[str], str]


def _id_of(word: str) -> int:
    """The same in every process, as a model's are: what was kept of a prompt is found by them."""
    return crc32(word.encode("utf-8", "surrogatepass")) >> 1


class FakeBackend:
    """See Backend. window: in words. answer: the reply to a question; breaks_at: the word of it at which it fails.

    asked: the cases that it was asked, in order. A character that is no ASCII it cannot represent. shows: the words
    that it finds for a statement, "" for none; without it, it cannot hold quotes. looking: called before each
    statement is looked at.
    """

    def __init__(
        self,
        *,
        window: int = 10_000,
        answer: Answer = lambda question: "So it is",
        breaks_at: int | None = None,
        shows: Answer | None = None,
        looking: Callable[[], None] = lambda: None,
    ) -> None:
        self.about = About(name="Fake", window=window, vocabulary="words", keeps_kv=False)
        self.shows, self.looking = shows, looking
        self.found_quotes = Quotes()  # what is known of the model; a test may change it
        self.answer, self.breaks_at = answer, breaks_at
        self.asked: list[Case] = []
        self.told, self.held = False, tuple[HeldQuote, ...]()  # whether it was told to open quotes; those that it held
        self._words: dict[str, int] = {}
        self._held: Ids = np.empty(0, dtype=np.int32)

    def digest(self) -> str:
        return "fa4e" * 8

    def quotes(self) -> Quotes:
        return self.found_quotes if self.shows else Quotes(state=QuoteState.IMPOSSIBLE, reason=NOT_HELD)

    def documents(
        self, sources: Sequence[Source], numbers: Mapping[str, int] | None = None, *, max_tiles: int | None = None
    ) -> tuple[Document, ...]:
        """A document each: its path, then its words."""
        return tuple(
            Document(
                source.path,
                source.digest,
                self.encode(f"{source.path} {source.text}"),
                Counter(self.unrepresentable(source.text)),
                n_pages=source.n_pages,
            )
            for source in sources
        )

    def encode_ahead(self, sources: Sequence[Source]) -> None:
        """Nothing: words cost no time."""

    def encode(self, text: str) -> Ids:
        """An id for each word, the same for the same word."""
        words = re.findall(r"\S+", text)
        return np.array([self._words.setdefault(word, _id_of(word)) for word in words], dtype=np.int32)

    def unrepresentable(self, text: str) -> Mapping[str, int]:
        return Counter(character for character in text if not character.isascii())

    def lay_out(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """The system's words, then each exchange between marks."""
        segments = [Segment(Part.SYSTEM, self.encode(system))]
        for exchange in exchanges:
            segments.append(Segment(Part.TEMPLATE, self.encode("<user>")))
            segments += [Segment(Part.SOURCE, each.ids, each.path) for each in exchange.documents]
            segments.append(Segment(Part.QUESTION, self.encode(exchange.question)))
            segments.append(Segment(Part.TEMPLATE, self.encode("<reply>")))
            if exchange.reply_ids is not None:
                segments.append(Segment(Part.REPLY, exchange.reply_ids))
        return Prompt(tuple(segments))

    def plan(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Plan:
        return Plan(
            model=self.about.name,
            placement=None,
            window=self.about.window,
            prompt_tokens=prompt.n_tokens,
            reply_tokens=wanted.reply_tokens,
            thoughts=replace(wanted, thinks=self.about.thinks).thoughts,
            needs=(),
        )

    def consider(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Case:
        kept = min(common_prefix(self._held, prompt.ids()), prompt.n_tokens - 1)
        return Case(prompt, self.plan(prompt, wanted, exchanges), Reuse(kept, tokens_per_s=1e6))

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
        self.asked.append(case)
        self.told = told
        total, reused = case.prompt.n_tokens, case.reuse.n_tokens or 0
        begun, reply, stop = case.prompt.n_begun, [], Stop.END
        yield Prefill(total, total, reused, 0.001)
        for word in self.answer(self.question(case)).split()[begun:]:
            if cancel.is_set() or len(reply) == sampling.max_tokens:
                stop = Stop.CANCELLED if cancel.is_set() else Stop.LENGTH
                break
            if begun + len(reply) == self.breaks_at:
                raise EngineFailed("The fake engine broke, as it was told to.")
            reply += self.encode(word).tolist()
            yield Text(word if begun + len(reply) == 1 else f" {word}", len(reply), ids=(reply[-1],))
        self._held = np.concatenate([case.prompt.ids(), np.array(reply, dtype=np.int32)])
        yield Finished(
            stop=stop,
            reply_ids=tuple(reply),
            prompt_tokens=total,
            reused_tokens=reused,
            load_s=0.0,
            restore_s=0.0,
            prefill_s=0.001,
            ttft_s=0.001,
            generate_s=0.001,
            held=self.held if told and quotable else (),
        )

    def settle(self, cancel: Flag) -> None:
        """Nothing is to be made ready."""

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
        for number, (start, end) in enumerate(statements):
            self.looking()
            if cancel.is_set() or self.shows is None:
                return
            words = self.shows(reply.text[start:end]).encode()
            texts = [source.text.encode() for source in quotable]
            at = next((place for place, text in enumerate(texts) if words and words in text), None)
            if at is None:
                yield Evidence(statement=number, n_tokens=20)
                continue
            begin, n_places = texts[at].index(words), sum(text.count(words) for text in texts)
            yield Evidence(
                statement=number, document=at, start=begin, end=begin + len(words), n_places=n_places, lowest=-0.5,
                n_tokens=20,
            )  # fmt: skip

    def question(self, case: Case) -> str:
        """The last question of a case, in words."""
        words = {number: word for word, number in self._words.items()}
        [*_, last] = [segment for segment in case.prompt.segments if segment.part is Part.QUESTION]
        return " ".join(words[number] for number in last.ids.tolist())


def sent(case: Case) -> list[str]:
    """The paths of the sources in a case's prompt, in order."""
    return [str(segment.path) for segment in case.prompt.segments if segment.part is Part.SOURCE]


_: type[Backend] = FakeBackend
