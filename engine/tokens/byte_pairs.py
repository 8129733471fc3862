"""tiktoken's byte-pair encoder over a model's own vocabulary: many times as fast as llama.cpp's tokenizer."""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tiktoken

from engine.tokens.document import Ids
from engine.tokens.patterns import PATTERNS
from engine.tokens.vocabulary import Vocabulary

_BATCH = 256 << 10  # characters that one thread encodes at a time


class EncoderPanicked(Exception):
    """tiktoken's Rust code gave up on a text."""


class BytePairEncoder:
    """Ordinary text to ids. The vocabulary's control, unknown and user-defined tokens can never come out.

    control: further ids that are barred. by_merges: merges apply in the order of the merge list, not of the ids.
    """

    def __init__(self, vocabulary: Vocabulary, control: Collection[int], *, by_merges: bool) -> None:
        """Raises KeyError for a pre-tokenizer without a pattern, ValueError for ranks that tiktoken does not take."""
        barred = set(control)
        ranks = {raw: number for raw, number in vocabulary.ranks.items() if number not in barred}
        self._ids: Ids | None = None
        if by_merges:
            made = dict.fromkeys(raw for raw in vocabulary.merged if raw in ranks)
            order = [*(raw for raw in ranks if raw not in made), *made]
            self._ids = np.array([ranks[raw] for raw in order], dtype=np.int32)
            ranks = {raw: rank for rank, raw in enumerate(order)}
        self._encoding = tiktoken.Encoding(
            "longdesk", pat_str=PATTERNS[vocabulary.pre], mergeable_ranks=ranks, special_tokens={}
        )

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
