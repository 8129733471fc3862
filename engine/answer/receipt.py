"""The receipt of an answer: what was sent of all that there is, with what, and what it cost.

It is a turn's own, in JSON: stored, printed, exported. It names what `longdesk sessions verify` checks again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import Any

import numpy as np

from engine.prompt.prompt import Part, Prompt

HASHED = (
    "blake2b-128 of the prompt's ids as little-endian int32, without a reply that goes on; the cells of an image are "
    "negative ids made of what is seen, at which size, with which projector"
)

_NEWER = ("quotes", "passes", "server", "cost")  # fields that older receipts have not


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSource:
    """A source as it was sent.

    text_digest: of its text in UTF-8, as digest_text makes it; digest: the source's own, of its pictures too. turn: the
    index of the turn that carries it. first_image: what its first picture is called; None without pictures.
    """

    path: str
    digest: str
    text_digest: str
    tokens: int
    turn: int
    first_image: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was not sent. by: "you" (unchecked, or --exclude), "question" (asked about others), "rule" (.gitignore and
    what is left out by default), "size", "model" (it cannot see), "reading" (no text could be read), "gone".

    tokens: what it would cost, None where that was not counted.
    """

    path: str
    by: str
    reason: str
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """See the module. Times in seconds, moments in ISO 8601 UTC.

    sources: in the order of the prompt. tokens_all: of sources that were sent and that were not, None where one of
    these was not counted. tokens: of the prompt by what they are: template, system, source, question, reply (earlier
    ones). history: the indexes of earlier turns that the prompt holds. model: name, asked_as (the --model value), file,
    bytes, header_digest, architecture, quantization, vocabulary, projector. settings: of sampling, images and engine.
    system, date: the standing instruction, and the date that templates show. quotes: see Quotes.to_json; None in
    receipts that are older. passes: of a corpus that was read in passes, how; the prompt is then the one of the answer,
    which holds their notes: n_passes, n_sources, slices, each with its pieces (path, tokens, characters), read_tokens,
    reused_tokens, kept (its note was there before), note; sent: what the prompt holds (path, text), and asked: of it.
    server: of an engine over HTTP, what it is (engine) and what it said: prompt_tokens as it counts them,
    counted_tokens as they were counted before (counted: by what), differs_by, cached_tokens, reasoning_tokens,
    read_per_s and written_per_s in tokens, and reasoning, which is no part of the answer.
    cost: see Spent.to_json; None, and not in JSON, where tokens have no price.
    """

    longdesk: str
    asked: str
    answered: str | None
    sources: tuple[SentSource, ...]
    left_out: tuple[LeftOut, ...]
    tokens_all: int | None
    tokens: Mapping[str, int]
    prompt_tokens: int
    read_tokens: int
    reused_tokens: int
    reply_tokens: int
    model: Mapping[str, Any]
    kv_type: str
    context_tokens: int | None
    settings: Mapping[str, Any]
    system: str
    date: str
    history: tuple[int, ...]
    prompt_hash: str
    times: Mapping[str, float | None]
    quotes: Mapping[str, Any] | None = None
    passes: Mapping[str, Any] | None = None
    server: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None

    @property
    def tokens_sent(self) -> int:
        """Of sources."""
        return sum(source.tokens for source in self.sources)

    def to_json(self) -> dict[str, Any]:
        """Its fields, and how much was sent of all that there is."""
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        n_sent = len(self.sources)
        n_partly = sum(left.path in {source.path for source in self.sources} for left in self.left_out)
        if self.cost is None:  # it says nothing of an engine that asks for nothing
            del listed["cost"]
        return {
            "sources_sent": n_sent,
            "sources_all": n_sent + len(self.left_out) - n_partly,
            "tokens_sent": self.tokens_sent,
            **listed,
            "seed": self.settings.get("seed"),
            "prompt_hash_of": HASHED,
        }


def receipt_from(kept: Mapping[str, Any]) -> Receipt:
    """The way back from to_json. Raises KeyError or TypeError for what is none."""
    values = {field.name: kept[field.name] for field in fields(Receipt) if field.name not in _NEWER}
    values |= {name: kept.get(name) for name in _NEWER}
    values["sources"] = tuple(SentSource(**_known(SentSource, each)) for each in values["sources"])
    values["left_out"] = tuple(LeftOut(**_known(LeftOut, each)) for each in values["left_out"])
    return Receipt(**{**values, "history": tuple(values["history"])})


def _known(kind: type[SentSource | LeftOut], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a newer version may have written."""
    return {field.name: kept[field.name] for field in fields(kind) if field.name in kept}


def prompt_hash(prompt: Prompt) -> str:
    """Hex, of HASHED."""
    segments = list(prompt.segments)
    while segments and segments[-1].part is Part.REPLY:
        segments.pop()
    digest = blake2b(digest_size=16)
    for segment in segments:
        digest.update(np.asarray(segment.ids, dtype="<i4").tobytes())
    return digest.hexdigest()
