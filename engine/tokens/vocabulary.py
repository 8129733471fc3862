"""A model's vocabulary as its GGUF header holds it: what the ids mean, and which characters it has tokens for.

What a vocabulary lacks is said and left out, never replaced. Encoding text is left to `encode`.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

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
    adds_space: SentencePiece puts a space before a text, and before what follows a special token.
    digest: hex blake2b-128 of every tokenizer field of the file; cached ids, proofs and stored replies are bound to it.
    """

    family: str
    pre: str
    texts: StringArray = field(repr=False)
    merges: StringArray = field(repr=False)
    types: tuple[int, ...] = field(repr=False)
    eos_id: int | None
    digest: str
    adds_space: bool = False

    @property
    def is_byte_level(self) -> bool:
        return self.family == "gpt2"

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def specials(self) -> Mapping[str, int]:
        """Texts that become one token where special tokens are on: control, unknown and user-defined ones."""
        return self.texts_of(np.flatnonzero(self._are_special).tolist())

    @cached_property
    def ranks(self) -> Mapping[bytes, int]:
        """Byte-level BPE: the bytes of every ordinary token -> its id, in order of ids."""
        raw, is_whole = _raw_bytes(self.texts)
        taken = is_whole & ~self._are_special  # what is not in the alphabet is no token of bytes: nothing becomes it
        if taken.all():
            return dict(zip(raw, range(len(raw)), strict=True))  # of two equal ones llama.cpp takes the last
        return {raw[number]: number for number in np.flatnonzero(taken).tolist()}

    @cached_property
    def merged(self) -> tuple[bytes, ...]:
        """Byte-level BPE: what each merge makes, in the order in which merges apply."""
        return tuple(_raw_bytes(self.merges, joins=True)[0])

    @cached_property
    def _are_special(self) -> NDArray[np.bool_]:
        return np.isin(np.array(self.types), (_CONTROL, _UNKNOWN, _USER_DEFINED))

    @cached_property
    def is_in_merge_order(self) -> bool:
        """Byte-level BPE: whether ids rise in the order in which merges apply, so that they can serve as ranks."""
        made = dict.fromkeys(raw for raw in self.merged if raw in self.ranks)
        return bool(np.all(np.diff([self.ranks[raw] for raw in made]) > 0))

    def texts_of(self, tokens: Collection[int]) -> Mapping[str, int]:
        """Texts as stored -> ids, for those tokens that have a text."""
        inside = sorted(number for number in set(tokens) if 0 <= number < len(self))
        return {text: number for number in inside if (text := self.texts[number])}

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
        self._has_ascii = all(byte >= 0x80 for byte in self._missing)

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
        if self._has_ascii and text.isascii():
            return True
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
        adds_space=family == "llama" and header.metadata.get("tokenizer.ggml.add_space_prefix", True) is True,
    )


def _digest(header: Header) -> str:
    """Of every tokenizer field: scores and flags decide ids too, and the special tokens' ids what is control."""
    digest = blake2b(digest_size=16)
    for key, value in sorted(header.metadata.items()):
        if key.startswith("tokenizer.ggml."):
            data = value.data if isinstance(value, StringArray) else np.asarray(value).tobytes()
            digest.update(f"{key} {len(data)} ".encode() + data)
    return digest.hexdigest()


def _raw_bytes(texts: StringArray, *, joins: bool = False) -> tuple[list[bytes], NDArray[np.bool_]]:
    """The bytes that each text stands for in GPT-2's printable alphabet, and whether all of its characters are in it.

    "?" stands for those that are not. joins: the texts are merges, two parts with a space between them that goes.
    All texts at once: 200,000 take 0.05 s of processor time, one by one 0.25 s.
    """
    data = np.frombuffer(texts.data, np.uint8)
    is_text = np.ones(len(data), bool)
    is_text[(texts.heads[:, None] + np.arange(8)).ravel()] = False
    n_bytes = np.diff(texts.heads, append=len(data)) - 8
    body = data[is_text]
    try:
        codes = np.frombuffer(body.tobytes().decode().encode("utf-32-le"), np.uint32)
    except UnicodeDecodeError:
        return _raw_bytes_one_by_one(texts, joins=joins)
    continues = (body & 0xC0) == 0x80  # bytes of UTF-8 behind a character's first
    ends = np.cumsum(n_bytes)
    if continues[(ends - n_bytes)[n_bytes > 0]].any():  # no UTF-8, which the text before it makes look so
        return _raw_bytes_one_by_one(texts, joins=joins)
    ends = _n_before(~continues, ends)  # in characters
    if joins:
        is_space = codes == ord(" ")
        spaces = _n_before(is_space, ends)
        if (np.diff(spaces, prepend=0) != 1).any():
            return _raw_bytes_one_by_one(texts, joins=joins)
        codes, ends = codes[~is_space], ends - spaces
    raw = _ALPHABET[np.minimum(codes, len(_ALPHABET) - 1)]
    plain = np.where(raw < 0, ord("?"), raw).astype(np.uint8).tobytes()
    bounds = [0, *ends.tolist()]
    parts = [plain[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
    return parts, np.diff(_n_before(raw < 0, ends), prepend=0) == 0


def _n_before(flags: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many flags are set before each place."""
    if not flags.any():
        return np.zeros(len(ends), np.int64)
    return np.concatenate(([0], np.cumsum(flags, dtype=np.int32)))[ends].astype(np.int64)


def _raw_bytes_one_by_one(texts: StringArray, *, joins: bool) -> tuple[list[bytes], NDArray[np.bool_]]:
    """As _raw_bytes, of whatever a file may hold."""
    parts, are_whole = [], []
    for text in texts:
        left, _, right = text.partition(" ") if joins else (text, "", "")
        bytes_ = [_BYTES.get(character, -1) for character in left + right]
        parts.append(bytes(ord("?") if byte < 0 else byte for byte in bytes_))
        are_whole.append(-1 not in bytes_)
    return parts, np.array(are_whole, bool)


def _printable_alphabet() -> dict[str, int]:
    """GPT-2's alphabet the way back: the printable stand-in -> its byte."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTES = _printable_alphabet()
# by code point, -1 for those that stand for no byte and, at the end, for all that come later
_ALPHABET = np.array([_BYTES.get(chr(code), -1) for code in range(max(map(ord, _BYTES)) + 2)], np.int16)
