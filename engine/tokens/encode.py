"""Text to token ids, exactly as the model's vocabulary has it, and never to a control token.

An Encoding of tiktoken built from the vocabulary where it proves equal to llama.cpp's tokenizer (many times as fast),
llama.cpp's own where it does not. The proof is made once a vocabulary and kept in a cache folder. Counting whole
corpora is left to `count`, rendering chats to engine.prompt.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol
from unicodedata import category

import numpy as np
import tiktoken
from numpy.typing import NDArray

from engine.gguf import Header
from engine.tokens.llama_tokenizer import Facts, LlamaTokenizer
from engine.tokens.patterns import PATTERNS, REFERENCE_IS_TIKTOKEN
from engine.tokens.sample import SAMPLE
from engine.tokens.vocabulary import Vocabulary, read_vocabulary

Ids = NDArray[np.int32]

_PROOF = 1  # raise when a change here, in `patterns` or in `sample` makes old proofs void
_BATCH = 256 << 10  # characters that one thread encodes at a time
# tiktoken's regex engine panics at 10^6 white-space characters in a row, llama.cpp's recursion overflows an 8 MiB
# stack at 50,000 characters of one kind [measured]: longer runs are cut, the same way for both
_LONGEST_RUN = 200_000
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{_LONGEST_RUN},}}|(?<!\S)\S{{{_LONGEST_RUN},}}")


class Encoder(Protocol):
    """Ordinary text to ids; special tokens are never recognized."""

    def encode(self, texts: Sequence[str]) -> list[Ids]: ...


@dataclass(frozen=True, slots=True)
class Proof:
    """What comparing with llama.cpp showed: which encoder equals it, and the facts that only llama.cpp knows.

    encoder: 'ids' (tiktoken, ranks are ids), 'merges' (tiktoken, ranks by the merge list) or 'llama.cpp'.
    """

    encoder: str
    facts: Facts


class Tokenizer:
    """A vocabulary with the encoder that is right for it. Safe to use from several threads."""

    def __init__(self, vocabulary: Vocabulary, proof: Proof, llama: LlamaTokenizer, template: str = "") -> None:
        self.vocabulary = vocabulary
        self.facts = proof.facts
        self.encoder_name = "llama.cpp" if proof.encoder == "llama.cpp" else "tiktoken"
        self._llama = llama
        self._template = template
        self._encoder = _encoder(vocabulary, proof, llama)

    def encode(self, text: str) -> Ids:
        """Ids of a text. Whatever it holds, none of them is a control token."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, in order; as quick as all cores allow."""
        encoded = self._encode_whole([self._representable(text) for text in texts])
        if self.encoder_name == "tiktoken":
            return encoded  # its ranks hold no forbidden id
        return [
            ids if not np.isin(ids, self._forbidden_ids).any() else self._encode_apart(text)
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def encode_template(self, piece: str) -> Ids:
        """Ids of a piece of the chat template: the one place where special tokens are recognized."""
        specials = self.vocabulary.specials
        parts: list[Ids] = []
        for part in self._special_pattern.split(piece) if specials else [piece]:
            if part in specials:
                parts.append(np.array([specials[part]], dtype=np.int32))
            elif part:
                parts.append(self._encoder.encode([part])[0])
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)

    def unrepresentable(self, text: str) -> Counter[str]:
        """Characters that this vocabulary has no token for, with how often they occur; they are left out of the ids."""
        if not self._missing_bytes or not self._lacks(text):
            return Counter()
        return Counter(self._missing_pattern.findall(text))

    def close(self) -> None:
        """Ends the child process of llama.cpp's tokenizer, if one runs."""
        self._llama.close()

    def _encode_whole(self, texts: Sequence[str]) -> list[Ids]:
        """Encodes texts of any length: runs that are too long for the encoders are cut and their ids joined."""
        apart = {at: _cut_long_runs(text) for at, text in enumerate(texts) if len(text) > _LONGEST_RUN}
        encoded = self._encoder.encode(["" if at in apart else text for at, text in enumerate(texts)])
        for at, parts in apart.items():
            encoded[at] = np.concatenate(self._encoder.encode(parts))
        return encoded

    def _representable(self, text: str) -> str:
        if self._missing_bytes and self._lacks(text):
            return self._missing_pattern.sub("", text)
        return text

    def _lacks(self, text: str) -> bool:
        raw = text.encode("utf-8", "replace")  # translating bytes costs a tenth of searching the text
        return len(raw.translate(None, self._missing_bytes)) != len(raw)

    @cached_property
    def _missing_bytes(self) -> bytes:
        if self.encoder_name != "tiktoken":
            return b""
        ranks = self.vocabulary.ranks
        return bytes(byte for byte in _UTF8_BYTES if bytes([byte]) not in ranks)

    @cached_property
    def _missing_pattern(self) -> re.Pattern[str]:
        return re.compile("[" + "".join(_characters_led_by(byte) for byte in self._missing_bytes) + "]")

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.vocabulary.specials, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    @cached_property
    def _forbidden_texts(self) -> tuple[str, ...]:
        """Control tokens, and user-defined ones that the chat template speaks with (older Gemma files type them so)."""
        control = set(self.facts.control)
        return tuple(
            text
            for text, number in self.vocabulary.specials.items()
            if number in control or (text in self._template and any(c.isalpha() for c in text))
        )

    @cached_property
    def _forbidden_ids(self) -> Ids:
        specials = self.vocabulary.specials
        wanted = {*self.facts.control, *(specials[text] for text in self._forbidden_texts)}
        return np.array(sorted(wanted), dtype=np.int32)

    def _encode_apart(self, text: str) -> Ids:
        """Encodes a text that spells control tokens, cut inside each of them so that none can form."""
        pattern = re.compile("|".join(re.escape(special) for special in self._forbidden_texts))
        cuts = [0, *(match.start() + 1 for match in pattern.finditer(text)), len(text)]
        parts = [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if a < b]
        joined = np.concatenate(self._encoder.encode(parts))
        return joined[~np.isin(joined, self._forbidden_ids)]


def open_tokenizer(header: Header, *, cache: Path | None = None) -> Tokenizer:
    """The tokenizer of a model file. cache: a folder that keeps the proofs (no text of the user's goes there).

    The first call for a vocabulary loads it in llama.cpp, in a child process; later ones do not.
    Raises ModelRefused when the file holds no vocabulary or llama.cpp does not accept it.
    """
    vocabulary = read_vocabulary(header)
    llama = LlamaTokenizer(header.path)
    kept = cache / f"vocabulary-{vocabulary.digest}.json" if cache else None
    proof = _read_proof(kept) if kept else None
    if proof is None:
        proof = prove(vocabulary, llama)
        if kept:
            _write_proof(kept, proof)
        if proof.encoder != "llama.cpp":
            llama.close()
    return Tokenizer(vocabulary, proof, llama, header.text("tokenizer.chat_template"))


def prove(vocabulary: Vocabulary, llama: LlamaTokenizer) -> Proof:
    """Holds tiktoken against llama.cpp on the built-in sample and names the first encoder that equals it."""
    facts = llama.facts()
    if vocabulary.is_byte_level and vocabulary.pre in PATTERNS:
        for name in ("ids", "merges"):
            proof = Proof(name, facts)
            with suppress(ValueError, KeyError):
                candidate = Tokenizer(vocabulary, proof, llama)
                texts = [candidate._representable(text) for text in SAMPLE if _comparable(text, vocabulary.pre)]
                truth = llama.encode(texts)
                if all(np.array_equal(a, b) for a, b in zip(candidate.encode_all(texts), truth, strict=True)):
                    return proof
    return Proof("llama.cpp", facts)


def _comparable(text: str, pre: str) -> bool:
    """Whether llama.cpp is the judge of this text: its o200k pattern lacks the original's combining marks."""
    return pre not in REFERENCE_IS_TIKTOKEN or not any(category(character)[0] == "M" for character in text)


class _Tiktoken:
    """tiktoken's BPE over the model's own ranks."""

    def __init__(self, vocabulary: Vocabulary, proof: Proof) -> None:
        ranks = dict(vocabulary.ranks)
        for token in set(ranks.values()) & set(proof.facts.control):  # typed as ordinary, yet control to llama.cpp
            ranks = {raw: number for raw, number in ranks.items() if number != token}
        self._ids: Ids | None = None
        if proof.encoder == "merges":
            ranks, self._ids = _by_merges(vocabulary, ranks)
        self._encoding = tiktoken.Encoding(
            "longdesk", pat_str=PATTERNS[vocabulary.pre], mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        if sum(map(len, texts)) < _BATCH:
            return [self._one(text) for text in texts]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # tiktoken lets go of the GIL
            return [ids for batch in pool.map(self._batch, _batches(texts)) for ids in batch]

    def _batch(self, texts: Sequence[str]) -> list[Ids]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Ids:
        ranks = self._encoding.encode_to_numpy(text, disallowed_special=())
        return self._ids[ranks] if self._ids is not None else ranks.view(np.int32)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, in slices large enough that handing them to a thread costs nothing."""
    start = size = 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH:
            yield texts[start : at + 1]
            start, size = at + 1, 0
    yield texts[start:]


def _encoder(vocabulary: Vocabulary, proof: Proof, llama: LlamaTokenizer) -> Encoder:
    return llama if proof.encoder == "llama.cpp" else _Tiktoken(vocabulary, proof)


def _by_merges(vocabulary: Vocabulary, ids: dict[bytes, int]) -> tuple[dict[bytes, int], Ids]:
    """Ranks in merge order, for a vocabulary whose ids are not in that order, and the id of each rank."""
    made = dict.fromkeys(raw for raw in vocabulary.merged if raw in ids)
    order = [*(raw for raw in ids if raw not in made), *made]
    return {raw: rank for rank, raw in enumerate(order)}, np.array([ids[raw] for raw in order], dtype=np.int32)


def _cut_long_runs(text: str) -> list[str]:
    """The text, cut inside runs of one kind that are too long for the encoders; nothing is lost."""
    cuts = [0]
    for match in _LONG_RUN.finditer(text):
        cuts += range(match.start() + _LONGEST_RUN, match.end(), _LONGEST_RUN)
    return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]


_UTF8_BYTES = (*range(0x00, 0x80), *range(0x80, 0xC0), *range(0xC2, 0xF5))  # the bytes that UTF-8 uses at all


def _characters_led_by(byte: int) -> str:
    """A regex range of the characters whose UTF-8 begins with this byte."""
    if byte < 0x80:
        first, count = byte, 1
    elif byte < 0xC0:
        raise ValueError("a vocabulary without continuation bytes is none for tiktoken")
    elif byte < 0xE0:
        first, count = (byte & 0x1F) << 6, 1 << 6
    elif byte < 0xF0:
        first, count = (byte & 0x0F) << 12, 1 << 12
    else:
        first, count = (byte & 0x07) << 18, 1 << 18
    return f"{re.escape(chr(first))}-{re.escape(chr(min(first + count - 1, 0x10FFFF)))}"


def _stamp() -> str:
    return f"{_PROOF} llama-cpp-python {version('llama-cpp-python')} tiktoken {version('tiktoken')}"


def _read_proof(path: Path) -> Proof | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text())
        if kept["stamp"] == _stamp():
            facts = kept["facts"]
            return Proof(
                kept["encoder"],
                Facts(tuple(facts["control"]), tuple(facts["eog"]), facts["bos_id"], facts["add_bos"]),
            )
    return None


def _write_proof(path: Path, proof: Proof) -> None:
    with suppress(OSError):  # a cache that cannot be written costs a second, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump({"stamp": _stamp(), "encoder": proof.encoder, "facts": asdict(proof.facts)}, file)
        os.replace(file.name, path)
