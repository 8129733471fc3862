"""Byte-pair encoders over a model's own vocabulary: tiktoken, many times as fast as llama.cpp's tokenizer, and
gigatoken, many times as fast as tiktoken where there is much to encode.

Owns the regular expressions that cut a text before pairs are merged, by llama.cpp's pre-tokenizer names. A pattern is a
proposal: `encode` holds it against llama.cpp on samples before it is used, and a name that is missing here costs only
speed. Sources: tiktoken's o200k_base and cl100k_base, llama.cpp's llama-vocab.cpp.
"""

import os
import re
import unicodedata
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice, pairwise
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
import tiktoken
from numpy.typing import NDArray

from engine.cores import bound_cores
from engine.tokens.document import Ids

_BATCH = 256 << 10  # characters that one thread encodes at a time
_MANY = (
    4 << 20
)  # characters from which on it pays to hand gigatoken a vocabulary: that takes longer than tiktoken's way

_O200K = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# digits one by one first, then GPT-2: a space before a digit stands alone
_SMOLLM = r"\p{N}|'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"

PATTERNS = {
    "llama4": _O200K,
    "gpt-4o": _O200K,
    "llama-bpe": _CL100K,
    "llama3": _CL100K,
    "llama-v3": _CL100K,
    "dbrx": _CL100K,
    "smaug-bpe": _CL100K,
    "qwen2": _QWEN2,
    "stablelm2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "gpt-2": _GPT2,
    "phi-2": _GPT2,
    "mpt": _GPT2,
    "olmo": _GPT2,
    "jais": _GPT2,
    "smollm": _SMOLLM,
    "starcoder": _SMOLLM,
    "refact": _SMOLLM,
    "command-r": _SMOLLM,
    "codeshell": _SMOLLM,
    "default": _GPT2,
}

# Meta's and OpenAI's own tokenizers are tiktoken with \p{M} in the pattern; llama.cpp's version leaves it out
REFERENCE_IS_TIKTOKEN = frozenset({"llama4", "gpt-4o"})


# what gigatoken calls the patterns that it knows; GPT-2's serves for the one with digits apart, see _with_digits_apart
_SCHEMES = {_O200K: "o200k", _CL100K: "gpt4", _QWEN2: "qwen2", _GPT2: "gpt2", _SMOLLM: "gpt2"}
_BEFORE_DIGIT = re.compile(r"(?<=\s\s)(?=[0-9])")


def scheme_of(pattern: str) -> str:
    """What gigatoken calls a pattern; '' where it does not know it."""
    return _SCHEMES.get(pattern, "")


# letters and digits of Unicode 17, first and last, which gigatoken 0.10 knows as such and tiktoken 0.14 does not: found
# by encoding every character between others with both (`python -m tests.bench ids`)
_NEWER = (
    (0x88F, 0x88F), (0xC5C, 0xC5C), (0xCDC, 0xCDC), (0x1ACF, 0x1ADD), (0x1AE0, 0x1AEB), (0xA7CE, 0xA7D4),
    (0xA7F1, 0xA7F1), (0x10940, 0x10959), (0x10EC5, 0x10EC7), (0x10EFA, 0x10EFB), (0x11B60, 0x11B67),
    (0x11DB0, 0x11DE9), (0x16EA0, 0x16ED3), (0x16FF2, 0x16FF6), (0x187F8, 0x187FF), (0x18D09, 0x18D1E),
    (0x18D80, 0x18DF2), (0x1E6C0, 0x1E6FF), (0x2B73A, 0x2B73F), (0x2CEA2, 0x2CEAD), (0x323B0, 0x33479),
)  # fmt: skip

_Quick = Callable[[Sequence[str]], list[Ids]]  # texts to the ranks of each
_NOTHING: Ids = np.empty(0, dtype=np.int32)
_NEAR_ENOUGH, _MOST_CELLS = 256, 4 << 20  # characters; ids that a matrix has room for


class EncoderPanicked(Exception):
    """tiktoken's Rust code gave up on a text."""


def quick_version() -> str:
    """gigatoken's version; '' where it is not installed."""
    with suppress(PackageNotFoundError):
        return version("gigatoken")
    return ""


class BytePairEncoder:
    """Ordinary text to ids. Only tokens with a rank can come out.

    ranks: the bytes of every ordinary token -> its id. pattern: one of PATTERNS. merged: what each merge makes, where
    merges apply in that order and not in the order of ids. quick: whether much text goes to gigatoken, which was proved
    equal, see `encode`.
    """

    def __init__(
        self, ranks: Mapping[bytes, int], pattern: str, *, merged: Sequence[bytes] = (), quick: bool = False
    ) -> None:
        """Raises ValueError for ranks that tiktoken does not take."""
        self._pattern, self._is_quick, self._lock = pattern, quick, Lock()
        self._ids: Ids | None = None
        order: list[bytes] = []
        if merged:
            made = dict.fromkeys(raw for raw in merged if raw in ranks)
            order = [*(raw for raw in ranks if raw not in made), *made]
        elif any(number != at for at, number in enumerate(ranks.values())):  # gigatoken's ranks have no holes
            order = sorted(ranks, key=lambda raw: ranks[raw])
        if order:
            self._ids = np.array([ranks[raw] for raw in order], dtype=np.int32)
            ranks = {raw: rank for rank, raw in enumerate(order)}
        self._ranks = dict(ranks)
        if not quick:  # else tiktoken took these ranks when gigatoken was held against it
            _ = self._encoding

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text. Raises EncoderPanicked."""
        n_characters = sum(map(len, texts))
        some, n_threads = self._some, _n_cores()
        is_many = n_characters >= _MANY or "_quick" in self.__dict__  # once the vocabulary is handed over
        if self._is_quick and is_many and self._quick is not None:
            # who reads the next texts needs a core too, and is slower
            some, n_threads = self._some_quickly, n_threads - 1
        if n_characters < _BATCH or n_threads <= 1:
            return some(texts)
        with ThreadPoolExecutor(n_threads) as pool:  # both let go of the GIL
            return [ids for batch in pool.map(some, _batches(texts)) for ids in batch]

    def encode_quickly(self, texts: Sequence[str]) -> list[Ids] | None:
        """Ids of each text by gigatoken, however few they are; None where it cannot be had for this vocabulary.

        Errors: whatever it raises.
        """
        quick = self._made_quick() if _is_made_in_order(self._ranks) else None
        if quick is None:
            return None
        plain = [text for text in texts if not self._is_odd(text)]
        ranks = iter(quick(plain))
        return [self._one(text) if self._is_odd(text) else self._named(next(ranks)) for text in texts]

    def _is_odd(self, text: str) -> bool:
        """Whether tiktoken has to encode it."""
        return not text.isascii() and (_is_newer(text) or (self._pattern is _SMOLLM and _has_numbers(text)))

    def _some_quickly(self, texts: Sequence[str]) -> list[Ids]:
        assert self._quick is not None
        odd = [self._is_odd(text) for text in texts]
        try:
            ranks = iter(self._quick([text for text, is_odd in zip(texts, odd, strict=True) if not is_odd]))
        except Exception:
            return self._some(texts)
        return [
            self._one(text) if is_odd else self._named(next(ranks)) for text, is_odd in zip(texts, odd, strict=True)
        ]

    def _some(self, texts: Sequence[str]) -> list[Ids]:
        return [self._one(text) for text in texts]

    @cached_property
    def _encoding(self) -> tiktoken.Encoding:
        """Made when it is needed, which takes 0.13 s for 200,000 tokens: where gigatoken encodes all, it is not."""
        return tiktoken.Encoding("longdesk", pat_str=self._pattern, mergeable_ranks=self._ranks, special_tokens={})

    @cached_property
    def _quick(self) -> "_Quick | None":
        """gigatoken's encoder of these ranks; None where it is not there, or does not know the pattern or the ranks."""
        with suppress(MemoryError, OSError):  # it costs speed alone
            return self._made_quick()
        return None

    def _made_quick(self) -> "_Quick | None":
        with self._lock:
            quick = _quick_encoder(self._ranks, scheme_of(self._pattern))
            return _with_digits_apart(quick, self._ranks) if quick and self._pattern is _SMOLLM else quick

    def _one(self, text: str) -> Ids:
        try:
            ranks = self._encoding.encode_to_numpy(text, disallowed_special=())
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # it derives from BaseException and cannot be imported
                raise
            raise EncoderPanicked(str(error)) from None
        return self._named(ranks.view(np.int32))

    def _named(self, ranks: Ids) -> Ids:
        return self._ids[ranks] if self._ids is not None else ranks


def _is_newer(text: str) -> bool:
    """Whether the two might part it at other places. Looking for it takes 2 ns a character."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    beyond = codes[codes >= _NEWER[0][0]]
    return bool(len(beyond)) and any(((beyond >= first) & (beyond <= last)).any() for first, last in _NEWER)


def _with_digits_apart(quick: _Quick, ranks: Mapping[bytes, int]) -> _Quick | None:
    """GPT-2's pattern as the one that takes digits one by one, for words of which none holds a digit and more: then
    digits never merge, and only white space before one is parted otherwise, which is cut there. None for other words.
    Texts with numbers beyond ASCII are not for it, see `_has_numbers`."""
    if any(map(_has_digit, ranks)):
        return None

    def encode(texts: Sequence[str]) -> list[Ids]:
        cuts = [[0, *(match.start() for match in _BEFORE_DIGIT.finditer(text)), len(text)] for text in texts]
        ids = iter(quick([text[a:b] for text, each in zip(texts, cuts, strict=True) for a, b in pairwise(each)]))
        return [np.concatenate(list(islice(ids, len(each) - 1))) for each in cuts]

    return encode


def _has_digit(raw: bytes) -> bool:
    return len(raw) > 1 and any(0x30 <= byte <= 0x39 for byte in raw)


def _has_numbers(text: str) -> bool:
    """Whether it has numbers beyond ASCII, or what Python's Unicode does not know and so might be one."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    beyond = codes[codes >= 0x80]
    table = _numbers()
    return bool((beyond >= len(table)).any() or table[np.minimum(beyond, len(table) - 1)].any())


@cache
def _numbers() -> NDArray[np.bool_]:
    categories = (unicodedata.category(chr(code)) for code in range(_NEWER[-1][0]))
    return np.array([each[0] == "N" or each == "Cn" for each in categories])


def _is_made_in_order(ranks: Mapping[bytes, int]) -> bool:
    """Whether every token of several bytes is two of lower ranks together; gigatoken panics where one is not."""
    return all(
        any(ranks.get(raw[:at], rank) < rank and ranks.get(raw[at:], rank) < rank for at in range(1, len(raw)))
        for raw, rank in ranks.items()
        if len(raw) > 1
    )


def _quick_encoder(ranks: Mapping[bytes, int], scheme: str) -> _Quick | None:
    """It takes a file of ranks 0, 1, 2, ... that hold every single byte, or raises. Raises OSError and MemoryError
    where the file cannot be written now: that says nothing of the ranks."""
    if not scheme or not quick_version():
        return None
    lines = [b"%b %d\n" % (b2a_base64(raw, newline=False), rank) for raw, rank in ranks.items()]
    next_rank = max(ranks.values(), default=-1) + 1  # those of bytes that no text holds, see Alphabet
    lacking = [byte for byte in map(_byte, range(256)) if byte not in ranks]
    lines += [b"%b %d\n" % (b2a_base64(byte, newline=False), next_rank + at) for at, byte in enumerate(lacking)]
    with TemporaryDirectory(prefix="longdesk-") as folder:
        path = os.path.join(folder, "ranks.tiktoken")
        with open(path, "wb") as file:
            file.writelines(lines)
        with suppress(Exception):  # whatever it is, it costs speed alone
            from gigatoken.gigatoken_rs import BPETokenizer, PadTruncate

            return partial(_encode_padded, BPETokenizer.from_tiktoken(path, scheme, None), PadTruncate(pad_id=0))
    return None


def _encode_padded(tokenizer: Any, padding: Any, texts: Sequence[str]) -> list[Ids]:
    """Ranks of each text. By matrices: of what gigatoken offers that alone lets go of the GIL and makes plain arrays.
    Texts of about one length share one, so that little of it is padding."""
    found: list[Ids] = [_NOTHING] * len(texts)
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    while order:
        longest = 2 * len(texts[order[0]]) + _NEAR_ENOUGH
        most = max(1, _MOST_CELLS // longest)
        n_like = next((n for n, at in enumerate(order[:most]) if len(texts[at]) > longest), min(most, len(order)))
        some, order = order[:n_like], order[n_like:]
        ranks, n_ranks = tokenizer.encode_batch_padded([texts[at] for at in some], padding, parallel=False)
        for row, at in enumerate(some):
            found[at] = ranks[row, : n_ranks[row]].astype(np.int32)
    return found


def _byte(number: int) -> bytes:
    return bytes([number])


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, in slices large enough that handing them to a thread costs nothing."""
    start = size = 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH:
            yield texts[start : at + 1]
            start, size = at + 1, 0
    yield texts[start:]


@cache
def _n_cores() -> int:
    """Asked for every text, and its answer takes a millisecond."""
    return bound_cores()
