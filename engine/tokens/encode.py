"""Text to token ids, exactly as the model's vocabulary has it, and never to a control token.

tiktoken encodes where it was proved equal to llama.cpp's tokenizer (`proof`), llama.cpp's own where not. Counting
sources is left to `source_ids`, rendering chats to engine.prompt.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.gguf import Header
from engine.tokens.alphabet import Alphabet
from engine.tokens.byte_pairs import BytePairEncoder, EncoderPanicked
from engine.tokens.cutting import Cutter
from engine.tokens.document import Ids
from engine.tokens.llama_tokenizer import LlamaTokenizer
from engine.tokens.proof import Proof, prove, read_proof, write_proof
from engine.tokens.vocabulary import Vocabulary, read_vocabulary


class Encoder(Protocol):
    """Ordinary text to ids; special tokens are not asked for."""

    def encode(self, texts: Sequence[str]) -> list[Ids]: ...


class Tokenizer:
    """A vocabulary with the encoder that is right for it. Safe to use from several threads.

    encoder_name: 'tiktoken' or 'llama.cpp'.
    """

    def __init__(self, vocabulary: Vocabulary, proof: Proof, llama: LlamaTokenizer, template: str = "") -> None:
        self.vocabulary = vocabulary
        self.facts = proof.facts
        self.encoder_name = "llama.cpp" if proof.encoder == "llama.cpp" else "tiktoken"
        self._llama = llama
        self._template = template
        self._encoder: Encoder = llama
        if self.encoder_name == "tiktoken":
            by_merges = proof.encoder == "merges"
            self._encoder = BytePairEncoder(vocabulary, proof.facts.control, by_merges=by_merges)

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

    def encode_template(self, piece: str) -> Ids:
        """Ids of a piece of the chat template: the one place where special tokens are recognized."""
        parts = [part for part in self._special_pattern.split(piece) if part]
        plain = iter(self._encode_plain([part for part in parts if part not in self.specials]))
        encoded = [_one_id(self.specials[part]) if part in self.specials else next(plain) for part in parts]
        return _join(encoded)

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

    @cached_property
    def _alphabet(self) -> Alphabet:
        return Alphabet(self.vocabulary)

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self.vocabulary)

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.specials, key=len, reverse=True)
        return re.compile("(" + ("|".join(map(re.escape, longest_first)) or "(?!)") + ")")

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


def open_tokenizer(header: Header, *, cache: Path | None = None) -> Tokenizer:
    """The tokenizer of a model file. cache: a folder that keeps the proofs (no text of the user's goes there).

    The first call for a vocabulary loads it in llama.cpp, in a child process; later ones do not.
    Raises ModelRefused when the file holds no vocabulary or llama.cpp does not accept it.
    """
    vocabulary = read_vocabulary(header)
    llama = LlamaTokenizer(header.path)
    proof = read_proof(cache, vocabulary) if cache else None
    if proof is None:
        try:
            proof = prove(vocabulary, llama)
        finally:  # it starts again if it is needed
            llama.close()
        if cache:
            write_proof(cache, vocabulary, proof)
    return Tokenizer(vocabulary, proof, llama, header.text("tokenizer.chat_template"))


def _one_id(number: int) -> Ids:
    return np.array([number], dtype=np.int32)


def _join(parts: Sequence[Ids]) -> Ids:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
