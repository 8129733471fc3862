"""What happens while an engine answers: how a reply is sampled, and the events on the way to its end. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

Span = tuple[int, int]  # from and up to


class Stop(StrEnum):
    """Why a reply ended; the value of `stop` in the answer event. A turn that a crash cut off is 'interrupted'."""

    END = "end"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy; seed None draws one. max_tokens caps the answer, which
    ends before the first of these stops that it would hold. thinking: 'on', 'off', or how many tokens the model may
    think before it; '' leaves it to the model, up to a limit of its own.

    top_k: so many of the likeliest tokens, 0 for all. repeat_penalty: divides what speaks for a token that the reply
    has had, 1 does nothing; presence_penalty is taken off once, frequency_penalty as often as it was there; all three
    look at the last repeat_last_n tokens, -1 for all. mirostat (1 or 2) holds the reply's surprise at mirostat_tau in
    place of top_k, top_p and min_p. xtc_probability: how often all but the least likely above xtc_threshold are cut.
    """

    max_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 0.95
    min_p: float = 0.05
    seed: int | None = None
    stops: tuple[str, ...] = ()
    thinking: str = ""
    top_k: int = 0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repeat_last_n: int = 64
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1

    @property
    def penalizes(self) -> bool:
        """Whether a token's past speaks against it."""
        return (self.repeat_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)

    @property
    def thinking_tokens(self) -> int | None:
        """The most that it may think, None where nobody said."""
        return 0 if self.thinking == "off" else int(self.thinking) if self.thinking.isdigit() else None


@dataclass(frozen=True, slots=True)
class Loading:
    """The model file is being loaded: share from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class Checking:
    """A kept KV state may be this model's: its files are read to their end, once. share from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """The KV cache as it is: cells used of cells there, a cell for each token, and its bytes, used or not.

    places: bytes by device, as llama.cpp allocated them.
    """

    used: int
    cells: int
    places: tuple[tuple[str, int], ...]

    @property
    def n_bytes(self) -> int:
        return sum(n_bytes for _, n_bytes in self.places)

    @property
    def where(self) -> str:
        """The devices' names, the one with most of it first."""
        return ", ".join(name for name, _ in sorted(self.places, key=lambda place: -place[1]))


@dataclass(frozen=True, slots=True)
class Prefill:
    """Progress of reading the prompt, in tokens. done counts the reused ones; the last one has done == total.

    encoded: how often the vision encoder has run for it, once for each tile of a picture that is not kept. untold: the
    engine does not say how far it is; nothing is known but the seconds.
    """

    done: int
    total: int
    reused: int
    seconds: float  # since this prefill began
    gauge: Gauge | None = None
    encoded: int = 0
    untold: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence on what the engine did that the user should know: why a kept KV state was not used.

    broken: the path of a state file that no question can use, '' where it is another's.
    """

    text: str
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of the prefill was written: a KV state of the prompt's first n_tokens."""

    path: Path
    n_tokens: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of the reply: whole characters, never half of one, and the number of tokens sampled so far.

    ids: those sampled since the piece before. mends: whether it begins with the other half of a character that the
    reply's beginning, which stands in the prompt, ended with half of. may_be_thought: a mark may come that makes a
    thought of all text so far, see Thinking.
    """

    text: str
    n_tokens: int
    gauge: Gauge | None = None
    ids: tuple[int, ...] = ()
    mends: bool = False
    may_be_thought: bool = False


@dataclass(frozen=True, slots=True)
class Thinking:
    """The next piece of what the model thinks before it answers, and the number of tokens of that so far. text: '' for
    marks alone. ids: as in Text, in one row with those. takes_text: what came as text so far, the beginning that the
    reply goes on from included, was the thought: it is this one's text."""

    text: str
    n_tokens: int
    gauge: Gauge | None = None
    ids: tuple[int, ...] = ()
    takes_text: bool = False


QUOTE_TAG = "<quote>"  # what opens a quote that a model writes itself, where it was told to


@dataclass(frozen=True, slots=True)
class HeldQuote:
    """A quote that the model opened itself and could only copy. words: with white space normalized. lowest: the
    log-probability of its least likely token, in nats."""

    words: str
    lowest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of every generation.

    reply_ids: the sampled ids without the end-of-generation token, to be replayed as they are.
    load_s: loading the model (0.0 when it stood ready); restore_s: reading a KV state; prefill_s: decoding the prompt;
    ttft_s: restore + prefill + first sample, to the first text or, without any, to the end. held: see HeldQuote.
    thoughts: which of the ids are no part of the answer, marks included. is_open: it ended within a thought. thought_s:
    from its first thought to the end of the last.
    reply_tokens: the answer's, of an engine that tells no ids, which are () then; thought_tokens beside them,
    written_tokens: of both. server: what an engine elsewhere said of it, for the receipt, see engine.answer.receipt.
    """

    stop: Stop
    reply_ids: tuple[int, ...]
    prompt_tokens: int
    reused_tokens: int
    load_s: float
    restore_s: float
    prefill_s: float
    ttft_s: float
    generate_s: float
    encoded: int = 0  # see Prefill
    gauge: Gauge | None = None
    error: str | None = None
    held: tuple[HeldQuote, ...] = ()
    reply_tokens: int | None = None
    thought_tokens: int = 0
    written_tokens: int | None = None
    thoughts: tuple[Span, ...] = ()
    is_open: bool = False
    thought_s: float = 0.0
    server: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply as it was sampled, without the token that ended it, and its answer's text. thoughts: see Finished."""

    ids: Sequence[int]
    text: str
    thoughts: Sequence[Span] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found for one statement of an answer: words of a source that the model could only copy.

    statement: its number among those that were given. document: the number of the source where the words stand first,
    None where no words were found; start, end: bytes of its text in UTF-8. n_places: how often they stand in all that
    was sent. lowest: the log-probability of their least likely token, in nats. n_tokens: decoded for it.
    """

    statement: int
    document: int | None = None
    start: int = 0
    end: int = 0
    n_places: int = 0
    lowest: float | None = None
    n_tokens: int = 0


Event = Checking | Loading | Remark | Prefill | Thinking | Text | Finished


def event_from(told: Mapping[str, Any]) -> Remark | Prefill | Checkpoint | Thinking | Text | Finished:
    """An event as the engine's child tells it."""
    fields = dict(told)
    if (gauge := fields.get("gauge")) is not None:
        places = tuple((str(name), int(n_bytes)) for name, n_bytes in gauge["places"])
        fields["gauge"] = Gauge(gauge["used"], gauge["cells"], places)
    match fields.pop("event"):
        case "prefill":
            return Prefill(**fields)
        case "thinking":
            return Thinking(**{**fields, "ids": tuple(fields["ids"])})
        case "text":
            return Text(**{**fields, "ids": tuple(fields["ids"])})
        case "remark":
            return Remark(**fields)
        case "checkpoint":
            return Checkpoint(Path(fields["path"]), fields["n_tokens"], fields["n_bytes"])
        case _:
            held = tuple(HeldQuote(**each) for each in fields["held"])
            thoughts = tuple((start, end) for start, end in fields["thoughts"])
            reply = {"stop": Stop(fields["stop"]), "reply_ids": tuple(fields["reply_ids"]), "thoughts": thoughts}
            return Finished(**{**fields, **reply, "held": held})
