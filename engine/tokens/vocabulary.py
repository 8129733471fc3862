"""A model's vocabulary as its GGUF header holds it: what the ids mean, and which characters it has tokens for.

What a vocabulary lacks is said and left out, never replaced. Encoding text is left to `encode`.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import numpy as np

from engine.errors import ModelRefused
from engine.gguf import Header, StringArray

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # llama.cpp's token types
_SPACE = "\u2581"  # how SentencePiece writes a space


@dataclass(frozen=True)
class Vocabulary:
    """Every token of a model.

    family: llama.cpp's name of the algorithm: 'gpt2' is byte-level BPE, 'llama' SentencePiece, 'bert' WordPiece.
    pre: the name of the pre-tokenizer's pattern ('llama4', 'smollm').
    texts: token texts as stored; byte-level BPE stores bytes in GPT-2's printable alphabet.
    types: llama.cpp's token type of each id (1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte).
    digest: hex blake2b-128 of every tokenizer field of the file; cached ids, proofs and stored replies are bound to it.
    """

    family: str
    pre: str
    texts: StringArray = field(repr=False)
    merges: StringArray = field(repr=False)
    types: tuple[int, ...] = field(repr=False)
    eos_id: int | None
    digest: str

    @property
    def is_byte_level(self) -> bool:
        return self.family == "gpt2"

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def specials(self) -> Mapping[str, int]:
        """Texts that become one token where special tokens are on: control, unknown and user-defined ones."""
        wanted = (_CONTROL, _UNKNOWN, _USER_DEFINED)
        return {
            text: number
            for number, (text, type_) in enumerate(zip(self.texts, self.types, strict=True))
            if type_ in wanted and text
        }

    @cached_property
    def ranks(self) -> Mapping[bytes, int]:
        """Byte-level BPE: the bytes of every ordinary token -> its id, in order of ids."""
        alphabet = _printable_alphabet()
        ranks: dict[bytes, int] = {}
        for number, (text, type_) in enumerate(zip(self.texts, self.types, strict=True)):
            if type_ in (_CONTROL, _UNKNOWN, _USER_DEFINED):
                continue
            try:
                ranks[text.translate(alphabet).encode("latin-1")] = number  # of two equal ones llama.cpp takes the last
            except UnicodeEncodeError:
                continue  # not in the alphabet: no byte-level token, nothing can become it
        return ranks

    @cached_property
    def merged(self) -> tuple[bytes, ...]:
        """Byte-level BPE: what each merge makes, in the order in which merges apply."""
        alphabet = _printable_alphabet()
        made = []
        for merge in self.merges:
            left, _, right = merge.partition(" ")
            made.append((left + right).translate(alphabet).encode("latin-1", "replace"))
        return tuple(made)

    @cached_property
    def is_in_merge_order(self) -> bool:
        """Byte-level BPE: whether ids rise in the order in which merges apply, so that they can serve as ranks."""
        made = dict.fromkeys(raw for raw in self.merged if raw in self.ranks)
        return bool(np.all(np.diff([self.ranks[raw] for raw in made]) > 0))

    def texts_of(self, tokens: Collection[int]) -> Mapping[str, int]:
        """Texts as stored -> ids, for those tokens that have a text."""
        wanted = set(tokens)
        return {text: number for number, text in enumerate(self.texts) if number in wanted and text}

    def text_of(self, token: int | None) -> str:
        """A token's text as stored; '' for None or an id outside the vocabulary."""
        return next(iter(self.texts_of([token])), "") if token is not None else ""


class Alphabet:
    """The characters that a vocabulary can represent, from its single bytes and, in SentencePiece, its pieces.

    llama.cpp drops a byte that a byte-level vocabulary lacks and ends the process on one that SentencePiece lacks;
    tiktoken panics. So texts are rid of them before any of the three sees them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._missing = b""
        self._pieces: frozenset[str] = frozenset()
        if vocabulary.is_byte_level:
            self._missing = bytes(byte for byte in range(256) if bytes([byte]) not in vocabulary.ranks)
        elif vocabulary.family == "llama":
            self._pieces = frozenset(vocabulary.texts)
            self._missing = bytes(byte for byte in range(256) if f"<0x{byte:02X}>" not in self._pieces)

    def missing(self, text: str) -> Counter[str]:
        """The characters of a text that have no token, lone surrogates among them, with how often they occur."""
        if self._has_all(text):
            return Counter()
        missing = {character for character in set(text) if not self._has(character)}
        return Counter(character for character in text if character in missing)

    def representable(self, text: str) -> str:
        """The text without its missing characters."""
        missing = self.missing(text)
        return text.translate(dict.fromkeys(map(ord, missing))) if missing else text

    def _has_all(self, text: str) -> bool:
        """Quick, and False at worst: translating bytes costs a tenth of looking at characters."""
        try:
            raw = text.encode()
        except UnicodeEncodeError:
            return False
        return not self._missing or len(raw.translate(None, self._missing)) == len(raw)

    def _has(self, character: str) -> bool:
        if "\ud800" <= character <= "\udfff":
            return False
        piece = _SPACE if character == " " else character
        return piece in self._pieces or not any(byte in self._missing for byte in character.encode())


def read_vocabulary(header: Header) -> Vocabulary:
    """The vocabulary in a GGUF header. Raises ModelRefused when there is none, as in files made only for planning."""
    texts = header.strings("tokenizer.ggml.tokens")
    family = header.text("tokenizer.ggml.model")
    if not len(texts) or family in ("", "no_vocab"):
        raise ModelRefused(
            f"{header.path} holds no vocabulary, so nothing can be counted with it.",
            "Name the GGUF of the model itself.",
        )
    types = header.integers("tokenizer.ggml.token_type") or (1,) * len(texts)
    if len(types) != len(texts):
        raise ModelRefused(
            f"{header.path} is malformed: it has {len(texts):,} tokens but {len(types):,} token types.",
            "Download or convert it again.",
        )
    eos = header.integer("tokenizer.ggml.eos_token_id", -1)
    return Vocabulary(
        family=family,
        pre=header.text("tokenizer.ggml.pre", "default"),
        texts=texts,
        merges=header.strings("tokenizer.ggml.merges"),
        types=types,
        eos_id=eos if eos >= 0 else None,
        digest=_digest(header),
    )


def _digest(header: Header) -> str:
    """Of every tokenizer field: scores and flags decide ids too, and the special tokens' ids what is control."""
    digest = blake2b(digest_size=16)
    for key, value in sorted(header.metadata.items()):
        if key.startswith("tokenizer.ggml."):
            data = value.data if isinstance(value, StringArray) else np.asarray(value).tobytes()
            digest.update(f"{key} {len(data)} ".encode() + data)
    return digest.hexdigest()


def _printable_alphabet() -> dict[int, int]:
    """GPT-2's alphabet the way back: code point of the printable stand-in -> byte, for str.translate.

    Code points below 256 that stand for no byte are sent out of latin-1, so that encoding shows them.
    """
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    table = {byte: 0xFFFF for byte in others}
    table.update({byte: byte for byte in plain})
    table.update({256 + n: byte for n, byte in enumerate(others)})
    return table
