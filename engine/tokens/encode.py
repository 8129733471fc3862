"""Text to token ids, exactly as the model's vocabulary has it, and never to a control token.

tiktoken encodes where it was proved equal to llama.cpp's tokenizer, once for a vocabulary, and llama.cpp's own where it
was not; the proofs are kept in a cache folder. What sources become is left to `source_ids`, rendering chats to
engine.prompt.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol
from unicodedata import category

import numpy as np

from engine.gguf import Header
from engine.tokens.byte_pairs import PATTERNS, REFERENCE_IS_TIKTOKEN, BytePairEncoder, EncoderPanicked
from engine.tokens.document import Ids
from engine.tokens.llama_tokenizer import Facts, LlamaTokenizer
from engine.tokens.vocabulary import Alphabet, Vocabulary, read_vocabulary

_VERSION = 2  # raise it when a change to the proof, to its samples or to PATTERNS makes old proofs void
ENCODERS = ("ids", "merges", "llama.cpp")
# tiktoken's regex engine panics at 10^6 white-space characters in a row, llama.cpp's recursion overflows an 8 MiB
# stack at 50,000 characters of one kind [measured]: longer runs are cut, the same way for both
_LONGEST_RUN = 200_000
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{_LONGEST_RUN},}}|(?<!\S)\S{{{_LONGEST_RUN},}}")
_SLICE = 8_192  # characters


@dataclass(frozen=True, slots=True)
class Proof:
    """What comparing with llama.cpp showed: which encoder equals it, and the facts that only llama.cpp knows.

    encoder: 'ids' (tiktoken, ranks are ids), 'merges' (tiktoken, ranks by the merge list) or 'llama.cpp'.
    """

    encoder: str
    facts: Facts


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
        elif len(text) > _LONGEST_RUN:
            for match in _LONG_RUN.finditer(text):
                cuts += range(match.start() + _LONGEST_RUN, match.end(), _LONGEST_RUN)
        return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]


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
            self._encoder = byte_pair_encoder(vocabulary, proof.facts.control, by_merges=by_merges)

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


def prove(vocabulary: Vocabulary, llama: LlamaTokenizer) -> Proof:
    """Holds tiktoken against llama.cpp on SAMPLE. Raises ModelRefused, EngineDied."""
    facts = llama.facts()
    if vocabulary.is_byte_level and vocabulary.pre in PATTERNS:
        by_merges = not vocabulary.is_in_merge_order
        with suppress(KeyError, ValueError, EncoderPanicked):
            encoder = byte_pair_encoder(vocabulary, facts.control, by_merges=by_merges)
            alphabet = Alphabet(vocabulary)
            texts = [alphabet.representable(text) for text in SAMPLE if _comparable(text, vocabulary.pre)]
            pairs = zip(encoder.encode(texts), llama.encode(texts), strict=True)
            if all(np.array_equal(ours, theirs) for ours, theirs in pairs):
                return Proof("merges" if by_merges else "ids", facts)
    return Proof("llama.cpp", facts)


def _comparable(text: str, pre: str) -> bool:
    """Whether llama.cpp is the judge of this text: its o200k pattern lacks the original's combining marks."""
    return pre not in REFERENCE_IS_TIKTOKEN or not any(category(character)[0] == "M" for character in text)


def read_proof(folder: Path, vocabulary: Vocabulary) -> Proof | None:
    """The proof kept for a vocabulary; None where there is none, or one that other versions made."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_path(folder, vocabulary).read_text())
        if kept["stamp"] == _stamp() and kept["encoder"] in ENCODERS:
            facts = kept["facts"]
            return Proof(kept["encoder"], Facts(tuple(facts["control"]), facts["bos_id"], facts["add_bos"]))
    return None


def write_proof(folder: Path, vocabulary: Vocabulary, proof: Proof) -> None:
    """Keeps a proof. A folder that cannot be written costs the next start a second, nothing else."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, delete=False) as file:
            json.dump({"stamp": _stamp(), "encoder": proof.encoder, "facts": asdict(proof.facts)}, file)
        os.replace(file.name, _path(folder, vocabulary))


def _path(folder: Path, vocabulary: Vocabulary) -> Path:
    return folder / f"vocabulary-{vocabulary.digest}.json"


def _stamp() -> str:
    return f"{_VERSION} llama-cpp-python {version('llama-cpp-python')} tiktoken {version('tiktoken')}"


def byte_pair_encoder(vocabulary: Vocabulary, control: Collection[int], *, by_merges: bool) -> BytePairEncoder:
    """The vocabulary's control, unknown and user-defined tokens can never come out of it.

    control: further ids that are barred. by_merges: merges apply in the order of the merge list, not of the ids.
    Raises KeyError for a pre-tokenizer without a pattern, ValueError for ranks that tiktoken does not take.
    """
    barred = set(control)
    ranks = {raw: number for raw, number in vocabulary.ranks.items() if number not in barred}
    return BytePairEncoder(ranks, PATTERNS[vocabulary.pre], merged=vocabulary.merged if by_merges else ())


def _one_id(number: int) -> Ids:
    return np.array([number], dtype=np.int32)


def _join(parts: Sequence[Ids]) -> Ids:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)


# a built encoding must equal llama.cpp's tokenizer on these before it is trusted: short, and ugly on purpose
SAMPLE: tuple[str, ...] = (
    "The quick brown fox jumps over the lazy dog. It's 12,345.67 miles; we'll see, they've gone, I'M sure, YOU'RE not.",
    'def f(x: int):\n    """Doc."""\n\tif x >= 10_000:\n        return f"{x!r}\\n"\n\n\n    return None  # done\n',
    "#include <stdio.h>\r\nint main(void) {\r\n\tprintf(\"%d\\n\", 0xFF);\r\n\treturn 0;\r\n}\r\n",
    "   leading, trailing   \n \n  \n\t\t\tmixed \t \n\n\n\nend   ",
    "1 12 123 1234 12345 123456 1234567 3.14159 -42 1e-9 0b1010 2026-11-21T10:17:00Z ½ ² ٣٤ 四",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\Users\\x /usr/lib/x86_64-linux-gnu/libc.so.6",
    "Größe, Straße, naïve café, Œuvre, Ångström, ŁÓDŹ, İstanbul, ﬁne, ﷺ, Zürich's",
    "e\u0301\u0302 combining a\u0308 marks",
    "Привет, мир! Съешь ещё этих мягких французских булок. Ελληνικά, עברית שלום, العربية مرحبا بالعالم",
    "中文分词没有空格。日本語のテキスト、カタカナとひらがな。한국어 문장입니다.",
    "ภาษาไทยไม่มีช่องว่าง हिन्दी में लिखा",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "🙂 🇩🇪🇫🇷 ✓ → ≤ ∑ ∞ € £ ¥ ™ \u00a0nbsp\u2003em\u200bzero\ufeffbom",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ================ ---------------- ________________ ////////////////",
    "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"d\\u00e9\"}}\n<p class=\"x\">&nbsp;</p>\n| a | b |\n|---|---|\n",
    "camelCaseIdentifier PascalCase SCREAMING_SNAKE_CASE kebab-case HTTPServer2XMLParser x1y2z3 don't DON'T 'tis '90s",
    "SELECT * FROM t WHERE a<>b AND c!='d'; -- x\nfor (;;) { a+=b; c<<=2; d&&e||!f; } /* y */ $var @attr #tag ~^`",
    "QmFzZTY0IHRleHQgbG9va3MgbGlrZSB0aGlz== 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "\n", " ", "  ", "\t", "\r\n", "\n\n", " \n", "\n ", "a", " a", "a ", "'s", "'S", " 's", "1", " 1", "\u00e9", "…",
)  # fmt: skip
