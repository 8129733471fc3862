"""The one seam: what an engine is, what it counts and says of fit, and the events of its answers.

A GGUF in llama.cpp on this machine, an engine over HTTP, and the tests' FakeBackend stand behind `Backend`. Whoever
asks knows no more of an engine than what stands here; the values that go to and fro are at hand here too.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from threading import Event as Flag
from typing import Protocol

from engine.answer.cost import Cost, Prices, Spent, cost_of, published_prices
from engine.answer.quotes import Quotes, QuoteState
from engine.corpus.source import Cause, Corpus, Picture, Skipped, Source
from engine.errors import LongdeskError
from engine.memory.budget import Advice, Device, Need, Plan, Verdict, Wanted, Weight
from engine.memory.capacity import Capacity
from engine.prompt.choice import OwnTemplate, TemplateUse
from engine.prompt.makers import Makers
from engine.prompt.prompt import Exchange, Part, Prompt, Segment
from engine.prompt.switches import Words
from engine.runtime.events import (
    QUOTE_TAG,
    Checking,
    Event,
    Evidence,
    Finished,
    Gauge,
    HeldQuote,
    Loading,
    Prefill,
    Remark,
    Replied,
    Sampling,
    Stop,
    Text,
    Thinking,
)
from engine.tokens.document import Document, Ids, View, number_pictures
from engine.tokens.id_cache import IdCache, KeptIds

__all__ = [
    "QUOTE_TAG",
    "About",
    "Advice",
    "Backend",
    "Capacity",
    "Case",
    "Cause",
    "Checking",
    "Cost",
    "Corpus",
    "Document",
    "Event",
    "Evidence",
    "Device",
    "Exchange",
    "Finished",
    "Gauge",
    "HeldQuote",
    "IdCache",
    "Ids",
    "KeptIds",
    "Loading",
    "Makers",
    "Need",
    "Origin",
    "OwnTemplate",
    "Part",
    "Picture",
    "Plan",
    "Prefill",
    "Prices",
    "Prompt",
    "QuoteState",
    "Quotes",
    "Remark",
    "Replied",
    "Reuse",
    "Sampling",
    "Segment",
    "Skipped",
    "Source",
    "Spent",
    "Stop",
    "TemplateUse",
    "Text",
    "Thinking",
    "Verdict",
    "View",
    "Wanted",
    "Weight",
    "Words",
    "cost_of",
    "number_pictures",
    "published_prices",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which files a model is. file: the first of them. n_bytes: of all. header_digest: of their headers, vocabulary and
    template included. projector: the file that lets it see. lora: the file, scale and digest of each adapter that is
    applied. rope: how positions are scaled in place of its own way, '' for that."""

    file: str
    n_bytes: int
    header_digest: str
    architecture: str
    quantization: str
    projector: str | None = None
    lora: tuple[tuple[str, float, str], ...] = ()
    rope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What an engine is, told before it runs.

    name: the model's, as people call it. window: the most tokens that prompt and reply may have. vocabulary: which ids
    are its own, '' where nobody knows. origin: its files, None where they are elsewhere.
    counts_exactly: its counts are the ids that are decoded, no estimates. how_counted: a clause on what they are else,
    where they are estimates. counted_with: the file on this machine whose vocabulary counts for a server.
    keeps_kv: what it read can be kept on this machine. goes_back: another question behind the same beginning reads only
    itself; else that needs a saved KV cache that ends there. reports_capacity: its plans say what is free now.
    image_rule: whose rule counts images, None where it cannot see. has_tiles: it cuts images into tiles, of tile_tokens
    tokens each. unfit: sentences on what was to make it see, and cannot. holds_forms: its replies can be held to a
    grammar. server: which engine it is and where, of one that is spoken to over HTTP; "" for one on this machine.
    window_is_assumed: it does not say its window, nor does anyone else. prices: what is asked for its tokens, None
    where nothing is, or nobody knows. template: which chat template lays its prompts out. notes: sentences on what was
    made of the model, or is odd about its file. makers: what they say of sampling, None where its file is not at hand.
    thinks: it thinks before it answers, where nothing is said; as far as that is known. typed: words of a question that
    turn that on and off, as far as they are known.
    """

    name: str
    window: int
    vocabulary: str = ""
    origin: Origin | None = None
    counts_exactly: bool = True
    how_counted: str = ""
    counted_with: str = ""
    keeps_kv: bool = False
    goes_back: bool = True
    reports_capacity: bool = False
    image_rule: str | None = None
    has_tiles: bool = False
    tile_tokens: int = 0
    unfit: tuple[str, ...] = ()
    holds_forms: bool = False
    server: str = ""
    window_is_assumed: bool = False
    prices: Prices | None = None
    template: TemplateUse = TemplateUse()
    notes: tuple[str, ...] = ()
    makers: Makers | None = None
    thinks: bool = False
    typed: Words = Words()

    @property
    def sees(self) -> bool:
        """Whether it can be shown images."""
        return self.image_rule is not None


@dataclass(frozen=True, slots=True)
class Reuse:
    """What of a prompt need not be read: about so many tokens, None where nobody can tell. An engine's own knowledge of
    where they are kept goes with it.

    tokens_per_s: how fast the rest is read, None where it was never measured.
    """

    n_tokens: int | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt with all that was found out about asking it now. refusal: why the engine cannot be asked it at all."""

    prompt: Prompt = field(repr=False)
    plan: Plan
    reuse: Reuse = Reuse()
    refusal: LongdeskError | None = None


class Backend(Protocol):
    """An engine with its model. One answer at a time; all else may be called from any thread."""

    @property
    def about(self) -> About:
        """What it is."""

    def digest(self) -> str:
        """Hex, tells models apart that may read otherwise: of samples of its files where they are at hand. Raises
        ModelRefused where they went away."""

    def quotes(self) -> Quotes:
        """Whether words are looked for that show its answers, as far as is known; nothing is tried for that."""

    def documents(
        self, sources: Sequence[Source], numbers: Mapping[str, int] | None = None, *, max_tiles: int | None = None
    ) -> tuple[Document, ...]:
        """Every source as the prompt carries it, in order; see engine.tokens.source_ids.

        numbers: what each source's first picture is called, by path. max_tiles: of an image; None for as many as there
        may be.
        """

    def encode_ahead(self, sources: Sequence[Source]) -> None:
        """Lets `documents` be quicker with these, from whatever thread; it may do nothing."""

    def encode(self, text: str) -> Ids:
        """A text's ids, int32 of shape [n_tokens], special tokens off."""

    def unrepresentable(self, text: str) -> Mapping[str, int]:
        """Characters that its vocabulary has no token for, with how often they occur."""

    def lay_out(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """The prompt that asks the last exchange's question. Raises ModelRefused for what no template says."""

    def plan(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Plan:
        """Whether it fits now, with advice where it does not. exchanges: those that advice may leave documents out of.

        Nothing is loaded, and nothing that is kept is looked at. Raises UsageError for what the model cannot have.
        """

    def consider(self, prompt: Prompt, wanted: Wanted, exchanges: Sequence[Exchange] = ()) -> Case:
        """As plan, and what of the prompt need not be read again."""

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
        """Reads what is not kept of the prompt, and samples a reply. Ends with Finished, also when cancelled.

        A prompt that ends with the beginning of its reply is gone on with; the events have what is new of it alone.
        session_id: whose question it is. quotable: what will be quoted from, to be made ready meanwhile. form: the
        grammar that the reply is held to, in llguidance's Lark, where the engine can (holds_forms). told: the prompt
        tells the model to quote within <quote> and </quote>: it is kept from writing there what does not stand in
        quotable, if this engine holds quotes. Raises EngineFailed or EngineDied when the engine breaks; the next call
        starts a new one.
        """

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
        """Looks for words of the sources that show the statements of the answer that was generated last, if this engine
        holds quotes: an Evidence for each statement that was looked at, Remarks on those that were not.

        statements: characters of the reply's text, from and to. question: that it answers. anyway: also where the model
        was found to be no good at it. Nothing of the answer changes, nor of what the next question need not read. A
        cancel ends it at once. Raises as generate does.
        """

    def settle(self, cancel: Flag) -> None:
        """Makes ready for what follows on the last answer, while nobody waits for it; an engine may have nothing to do.
        A cancel ends it at once. Raises as generate does."""
