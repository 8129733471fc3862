"""Text to token ids, exactly as the model's vocabulary has it, and never to a control token.

Byte-pair encoders do it where they were proved equal to llama.cpp's tokenizer, and llama.cpp's own where they were not:
see `proof`, which opens tokenizers. What sources become is left to `source_ids`, rendering chats to engine.prompt.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version
from typing import Protocol

import numpy as np

from engine.tokens.byte_pairs import PATTERNS, BytePairEncoder, EncoderPanicked, quick_version
from engine.tokens.document import Ids
from engine.tokens.llama_tokenizer import Facts, LlamaTokenizer
from engine.tokens.vocabulary import Alphabet, Vocabulary

# tiktoken's regex engine panics at 10^6 white-space characters in a row, llama.cpp's recursion overflows an 8 MiB
# stack at 50,000 characters of one kind [measured]: longer runs are cut, the same way for both
_LONGEST_RUN = 200_000
_HALF_RUN = _LONGEST_RUN // 2
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{_LONGEST_RUN},}}|(?<!\S)\S{{{_LONGEST_RUN},}}")
_SLICE = 8_192  # characters
_WORDS = ("a", "I", "the", "The", "It", "is", "1")
_IDS = 2  # raise it when a change here or in PATTERNS makes other ids of a text: kept ones are void then


@dataclass(frozen=True, slots=True)
class Proof:
    """What comparing with llama.cpp showed: which encoder equals it, and the facts that only llama.cpp knows.

    encoder: 'ids' (tiktoken, ranks are ids), 'merges' (tiktoken, ranks by the merge list) or 'llama.cpp'. quick:
    whether gigatoken equals tiktoken with this vocabulary. doubt: a clause on why the next faster encoder is not taken,
    '' where there is none. n_texts, n_quick_texts: that tiktoken was held against llama.cpp on, and gigatoken against
    tiktoken.
    """

    encoder: str
    facts: Facts
    quick: bool = False
    doubt: str = ""
    n_texts: int = 0
    n_quick_texts: int = 0


class Encoder(Protocol):
    """Ordinary text to ids; special tokens are not asked for."""

    def encode(self, texts: Sequence[str]) -> list[Ids]: ...


class Cutter:
    """Cuts texts for one vocabulary.

    llama.cpp's SentencePiece copies all ids so far at every character that is in no piece: 200,000 emojis take 8 s
    [measured]. A cut behind such a character changes no id, since nothing merges with it.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._apart: re.Pattern[str] | None = None
        if vocabulary.family == "llama":
            pieces = "".join(vocabulary.texts).replace("\u2581", "\u2581 ")
            self._apart = re.compile("[^" + re.escape("".join(sorted(set(pieces)))) + "]")

    def cut(self, text: str) -> list[str]:
        """The text in parts, in order; one part where it is short or nothing asks for a cut."""
        cuts = [0]
        if self._apart is not None and len(text) > _SLICE:
            for match in self._apart.finditer(text):
                if match.end() - cuts[-1] >= _SLICE:
                    cuts.append(match.end())
        elif len(text) > _LONGEST_RUN and _may_have_long_run(text):
            for match in _LONG_RUN.finditer(text):
                cuts += range(match.start() + _LONGEST_RUN, match.end(), _LONGEST_RUN)
        return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]


def _may_have_long_run(text: str) -> bool:
    """Whether half of a longest run lies anywhere; looking at every character takes ten times as long [measured]."""
    for at in range(0, len(text) - _HALF_RUN + 1, _HALF_RUN):
        half = text[at : at + _HALF_RUN]
        if half.isspace() or not (half[0].isspace() or len(half.split(None, 1)) > 1 or half[-1].isspace()):
            return True
    return False


class Tokenizer:
    """A vocabulary with the encoder that is right for it. Safe to use from several threads.

    encoder_name: 'tiktoken' or 'llama.cpp'.
    """

    def __init__(self, vocabulary: Vocabulary, proof: Proof, llama: LlamaTokenizer, template: str = "") -> None:
        self.vocabulary = vocabulary
        self.facts = proof.facts
        self.encoder_name = "llama.cpp" if proof.encoder == "llama.cpp" else "tiktoken"
        self.proof = proof
        self._llama = llama
        self._template = template

    @cached_property
    def key(self) -> str:
        """What ids may be kept under, in hex: one for all that makes the same ids of every text."""
        makers = (_IDS, self.encoder_name, version("llama-cpp-python"), version("tiktoken"), quick_version())
        marks = repr((self.vocabulary.digest, *makers, self._template, self.facts))
        return blake2b(marks.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def encode(self, text: str) -> Ids:
        """Ids of a text. Whatever it holds, none of them is a control token."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, in order; as quick as all cores allow. Raises EngineDied where llama.cpp's child does."""
        encoded = self._encode_plain(texts)
        if self.encoder_name == "tiktoken":
            return encoded  # its ranks hold no forbidden id
        return [
            ids if not np.isin(ids, self._forbidden_ids).any() else self._encode_apart(text)
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def split_template(self, piece: str) -> list[str | int]:
        """A piece of the chat template as its text and, by their ids, its special tokens: the one place where those are
        recognized, of several at one place the longest."""
        parts = [piece]
        if spoken := sorted((text for text in self.specials if text in piece), key=len, reverse=True):
            # of those that stand in it: a pattern of all, 1,100 in Llama 4, takes 0.3 s to compile
            parts = re.split("(" + "|".join(map(re.escape, spoken)) + ")", piece)
        return [self.specials.get(part, part) for part in parts if part]

    def unrepresentable(self, text: str) -> Counter[str]:
        """Characters that this vocabulary has no token for, with how often they occur; they are left out of the ids."""
        return self._alphabet.missing(text)

    def close(self) -> None:
        """Ends the child process of llama.cpp's tokenizer, if one runs."""
        self._llama.close()

    @cached_property
    def specials(self) -> Mapping[str, int]:
        """Texts that a template may speak: the file's special tokens, and those that llama.cpp makes control."""
        return {**self.vocabulary.specials, **self.vocabulary.texts_of(self.facts.control)}

    def token_of(self, text: str) -> int | None:
        """The one token that says a text and nothing else, special or not; None where there is none."""
        if (token := self.specials.get(text)) is not None:
            return token
        if self.vocabulary.is_byte_level:
            return self.vocabulary.ranks.get(text.encode())
        ids = self.encode(text)
        return int(ids[0]) if len(ids) == 1 else None

    @cached_property
    def joins_spaces(self) -> bool:
        """Whether a word takes the space before it into its first token."""
        without = self.encode_all([f".{word}" for word in _WORDS])
        spaced = self.encode_all([f". {word}" for word in _WORDS])
        return any(len(joined) <= len(alone) for joined, alone in zip(spaced, without, strict=True))

    @cached_property
    def _encoder(self) -> Encoder:
        """Made for the first text: of a vocabulary of 200,000 that takes 0.2 s, and a plan encodes nothing."""
        if self.encoder_name == "llama.cpp":
            return self._llama
        by_merges, control = self.proof.encoder == "merges", self.facts.control
        return byte_pair_encoder(self.vocabulary, control, by_merges=by_merges, quick=self.proof.quick)

    @cached_property
    def _alphabet(self) -> Alphabet:
        return Alphabet(self.vocabulary)

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self.vocabulary)

    @cached_property
    def _forbidden_texts(self) -> Mapping[str, int]:
        """Control tokens, and user-defined ones that the chat template speaks with (older Gemma files type them so)."""
        control = set(self.facts.control)
        return {
            text: number
            for text, number in self.specials.items()
            if number in control or (text in self._template and any(c.isalpha() for c in text))
        }

    @cached_property
    def _forbidden_ids(self) -> Ids:
        return np.array(sorted({*self.facts.control, *self._forbidden_texts.values()}), dtype=np.int32)

    def _encode_plain(self, texts: Sequence[str]) -> list[Ids]:
        """Encodes texts of any length: runs that are too long for the encoders are cut and their ids joined."""
        parts: list[str] = []
        ends = []
        for text in map(self._alphabet.representable, texts):
            parts += self._cutter.cut(text)
            ends.append(len(parts))
        try:
            encoded = self._encoder.encode(parts)
        except EncoderPanicked:
            encoded = self._llama.encode(parts)
        if len(parts) == len(texts):
            return encoded
        return [_join(encoded[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def _encode_apart(self, text: str) -> Ids:
        """Encodes a text that spells control tokens, cut inside each of them so that none can form."""
        anywhere = "(?=" + "|".join(map(re.escape, self._forbidden_texts)) + ")"  # overlapping ones too
        cuts = [0, *(match.start() + 1 for match in re.finditer(anywhere, text)), len(text)]
        ids = _join(self._encode_plain([text[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]))
        return ids[~np.isin(ids, self._forbidden_ids)]


def byte_pair_encoder(
    vocabulary: Vocabulary, control: Collection[int], *, by_merges: bool, quick: bool = False
) -> BytePairEncoder:
    """The vocabulary's control, unknown and user-defined tokens can never come out of it.

    control: further ids that are barred. by_merges: merges apply in the order of the merge list, not of the ids. quick:
    see BytePairEncoder.
    Raises KeyError for a pre-tokenizer without a pattern, ValueError for ranks that tiktoken does not take.
    """
    barred, ranks = set(control), vocabulary.ranks
    if not barred.isdisjoint(ranks.values()):
        ranks = {raw: number for raw, number in ranks.items() if number not in barred}
    merged = vocabulary.merged if by_merges else ()
    return BytePairEncoder(ranks, PATTERNS[vocabulary.pre], merged=merged, quick=quick)


def _join(parts: Sequence[Ids]) -> Ids:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
