"""tiktoken's byte-pair encoder over a model's own vocabulary: many times as fast as llama.cpp's tokenizer.

Owns the regular expressions that cut a text before pairs are merged, by llama.cpp's pre-tokenizer names. A pattern is a
proposal: `encode` holds it against llama.cpp on samples before it is used, and a name that is missing here costs only
speed. Sources: tiktoken's o200k_base and cl100k_base, llama.cpp's llama-vocab.cpp.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tiktoken

from engine.tokens.document import Ids

_BATCH = 256 << 10  # characters that one thread encodes at a time

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


class EncoderPanicked(Exception):
    """tiktoken's Rust code gave up on a text."""


class BytePairEncoder:
    """Ordinary text to ids. Only tokens with a rank can come out.

    ranks: the bytes of every ordinary token -> its id. pattern: one of PATTERNS. merged: what each merge makes, where
    merges apply in that order and not in the order of ids.
    """

    def __init__(self, ranks: Mapping[bytes, int], pattern: str, *, merged: Sequence[bytes] = ()) -> None:
        """Raises ValueError for ranks that tiktoken does not take."""
        self._ids: Ids | None = None
        if merged:
            made = dict.fromkeys(raw for raw in merged if raw in ranks)
            order = [*(raw for raw in ranks if raw not in made), *made]
            self._ids = np.array([ranks[raw] for raw in order], dtype=np.int32)
            ranks = {raw: rank for rank, raw in enumerate(order)}
        self._encoding = tiktoken.Encoding("longdesk", pat_str=pattern, mergeable_ranks=dict(ranks), special_tokens={})

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text. Raises EncoderPanicked."""
        if sum(map(len, texts)) < _BATCH:
            return [self._one(text) for text in texts]
        with ThreadPoolExecutor(_n_cores()) as pool:  # tiktoken lets go of the GIL
            return [ids for batch in pool.map(self._some, _batches(texts)) for ids in batch]

    def _some(self, texts: Sequence[str]) -> list[Ids]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Ids:
        try:
            ranks = self._encoding.encode_to_numpy(text, disallowed_special=())
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # it derives from BaseException and cannot be imported
                raise
            raise EncoderPanicked(str(error)) from None
        return self._ids[ranks] if self._ids is not None else ranks.view(np.int32)


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, in slices large enough that handing them to a thread costs nothing."""
    start = size = 0
    for at, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH:
            yield texts[start : at + 1]
            start, size = at + 1, 0
    yield texts[start:]
