"""What came of a reading: every question with its reply, scores by length and depth, the effective length. Values, to
and from JSON; a document that was kept is looked at field by field."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.reach.probes import Kind
from app.reach.scoring import KEPT_SHARE, dips, effective, is_above_chance, refusal_at, share

Json = dict[str, Any]
_FEW = 14  # questions, of which two wrong answers are more than what a length may lose


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was asked. depth: in percent. expected: "" where the answer is not there. chance: see Probe.
    decoded: tokens of the prompt that were read for it; the rest came from the KV cache."""

    kind: str
    depth: int
    question: str
    expected: str
    reply: str
    right: bool
    chance: float | None
    decoded: int


@dataclass(frozen=True, slots=True)
class Read:
    """One length. tokens: that were asked for; prompt_tokens: of its longest prompt. n_sources: in it, cut: the path of
    the one of which it has the beginning only."""

    tokens: int
    prompt_tokens: int
    n_sources: int
    cut: str | None
    asked: tuple[Asked, ...] = field(repr=False)

    @property
    def n_right(self) -> int:
        return sum(each.right for each in self.asked)

    @property
    def score(self) -> float:
        return share(self.n_right, len(self.asked))

    @property
    def read_tokens(self) -> int:
        """Decoded of all its prompts: once what they have in common, and each question."""
        return sum(each.decoded for each in self.asked)

    def at(self, depth: int) -> tuple[Asked, ...]:
        """What was asked at this depth."""
        return tuple(each for each in self.asked if each.depth == depth)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one kind of probe over all lengths. chance: the share that guessing gets right."""

    kind: str
    right: int
    asked: int
    chance: float

    @property
    def above_chance(self) -> bool:
        return is_above_chance(self.right, self.asked, self.chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far a model reads, as far as it was tried. model_digest: of samples of its files, see fingerprint.

    depths: in percent. own: whether the corpus is Longdesk's own program. corpus_tokens: of all of it. thinking: see
    Sampling.
    """

    model: str
    model_digest: str
    quantization: str
    kv_type: str
    corpus_digest: str
    corpus_sources: int
    corpus_tokens: int
    own: bool
    seed: int
    depths: tuple[int, ...]
    reply_tokens: int
    lengths: tuple[Read, ...] = ()
    thinking: str = "off"

    @property
    def scores(self) -> tuple[tuple[int, float], ...]:
        return tuple((each.tokens, each.score) for each in self.lengths)

    @property
    def longest(self) -> int:
        """Tokens of the longest length that was tried; 0 for none."""
        return max((each.tokens for each in self.lengths), default=0)

    @property
    def n_asked(self) -> int:
        """Questions, over all lengths."""
        return sum(len(each.asked) for each in self.lengths)

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """By kind, those that were asked at all."""
        asked = [each for read in self.lengths for each in read.asked]
        return tuple(tally for kind in Kind if (tally := _tally(kind, asked)).asked)

    @property
    def says_something(self) -> bool:
        """Whether the shortest length was read better than by guessing."""
        if not self.lengths:
            return False
        asked = min(self.lengths, key=lambda each: each.tokens).asked
        chances = {kind: _tally(kind, asked).chance for kind in Kind}
        chance = share_of(chances[Kind(each.kind)] if each.chance is None else each.chance for each in asked)
        return is_above_chance(sum(each.right for each in asked), len(asked), chance)

    @property
    def effective_tokens(self) -> int | None:
        """The effective length; None where the shortest was not read better than by guessing."""
        return effective(self.scores) if self.says_something else None

    def remarks(self) -> tuple[str, ...]:
        """Sentences on what the figures do not say by themselves."""
        found: list[str] = []
        if self.lengths and not self.says_something:
            shortest = min(each.tokens for each in self.lengths)
            found.append(
                f"At {shortest:,} tokens the answers are no better than guessing: how far this model reads cannot be "
                "said."
            )
        guessed = [tally.kind for tally in self.tallies if not tally.above_chance]
        found += [f"Probes of the kind {kind} were answered no better than by guessing." for kind in guessed]
        if self.lengths and Kind.FUNCTION not in {tally.kind for tally in self.tallies}:
            found.append("No function of the corpus says in words what it does: none was asked for.")
        if self.effective_tokens is not None and (low := dips(self.scores)):
            below = ", ".join(f"{tokens:,}" for tokens in low)
            found.append(f"At {below} tokens less was kept than at the effective length, which is uncertain then.")
        fewest = min((len(each.asked) for each in self.lengths), default=0)
        if self.effective_tokens is not None and fewest < _FEW:
            found.append(f"Only {fewest} questions were asked at a length: the effective length is uncertain then.")
        if cut := sorted({each.cut for each in self.lengths if each.cut is not None}):
            found.append(f"Of {', '.join(cut)} the beginning was read only, to fill a length.")
        thinking = sum("<think>" in each.reply for read in self.lengths for each in read.asked)
        if thinking:
            found.append(f"{thinking:,} replies began with a thought; what was cut there counts as wrong.")
        return tuple(found)


def _tally(kind: Kind, asked: Sequence[Asked]) -> Tally:
    own = [each for each in asked if each.kind == kind]
    if kind is Kind.ABSENT:  # who refuses whatever is asked is right here as often as they refuse elsewhere
        others = [each for each in asked if each.kind != kind]
        chance = share(sum(refusal_at(each.reply) is not None for each in others), len(others))
    else:
        chance = share_of(each.chance or 0.0 for each in own)
    return Tally(kind.value, sum(each.right for each in own), len(own), chance)


def share_of(values: Iterable[float]) -> float:
    """The mean; 0 of nothing."""
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def to_json(reading: Reading) -> Json:
    """The document, the same for the same reading; see docs/command-line.md."""
    return {
        "model": reading.model,
        "model_digest": reading.model_digest,
        "quantization": reading.quantization,
        "kv_type": reading.kv_type,
        "corpus": {
            "sources": reading.corpus_sources,
            "tokens": reading.corpus_tokens,
            "digest": reading.corpus_digest,
            "own": reading.own,
        },
        "seed": reading.seed,
        "depths": list(reading.depths),
        "reply_tokens": reading.reply_tokens,
        "thinking": reading.thinking,
        "kept_share": KEPT_SHARE,
        "effective_tokens": reading.effective_tokens,
        "longest_tokens": reading.longest,
        "kinds": [
            {"kind": each.kind, "right": each.right, "asked": each.asked, "chance": round(each.chance, 4),
             "above_chance": each.above_chance}
            for each in reading.tallies
        ],
        "lengths": [_length_json(reading, each) for each in reading.lengths],
        "remarks": list(reading.remarks()),
    }  # fmt: skip


def _length_json(reading: Reading, read: Read) -> Json:
    cells = [(depth, read.at(depth)) for depth in reading.depths]
    return {
        "tokens": read.tokens,
        "prompt_tokens": read.prompt_tokens,
        "read_tokens": read.read_tokens,
        "sources": read.n_sources,
        "cut": read.cut,
        "right": read.n_right,
        "asked": len(read.asked),
        "score": round(read.score, 4),
        "cells": [{"depth": depth, "right": sum(one.right for one in at), "asked": len(at)} for depth, at in cells],
        "questions": [asdict(each) for each in read.asked],
    }


def from_json(document: Mapping[str, Any]) -> Reading:
    """A reading out of its document. Raises KeyError, TypeError, ValueError for what is none."""
    corpus = document["corpus"]
    return Reading(
        model=_text(document["model"]),
        model_digest=_text(document["model_digest"]),
        quantization=_text(document["quantization"]),
        kv_type=_text(document["kv_type"]),
        corpus_digest=_text(corpus["digest"]),
        corpus_sources=_count(corpus["sources"]),
        corpus_tokens=_count(corpus["tokens"]),
        own=bool(corpus["own"]),
        seed=int(document["seed"]),
        depths=tuple(map(_count, document["depths"])),
        reply_tokens=_count(document["reply_tokens"]),
        lengths=tuple(map(_length_from, document["lengths"])),
        thinking=_text(document.get("thinking", "off")),
    )


def _length_from(read: Mapping[str, Any]) -> Read:
    return Read(
        tokens=_count(read["tokens"]),
        prompt_tokens=_count(read["prompt_tokens"]),
        n_sources=_count(read["sources"]),
        cut=None if read["cut"] is None else _text(read["cut"]),
        asked=tuple(map(_asked_from, read["questions"])),
    )


def _asked_from(asked: Mapping[str, Any]) -> Asked:
    chance = asked["chance"]
    return Asked(
        kind=Kind(asked["kind"]).value,
        depth=_count(asked["depth"]),
        question=_text(asked["question"]),
        expected=_text(asked["expected"]),
        reply=_text(asked["reply"]),
        right=asked["right"] is True,
        chance=None if chance is None else min(1.0, max(0.0, float(chance))),
        decoded=_count(asked["decoded"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value
