"""What a source costs in a prompt: its wrapper and its text as ids, cached by content."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from threading import Lock

import numpy as np

from engine.corpus.source import Source
from engine.tokens.encode import Ids, Tokenizer

_END = "\n</document>\n"


@dataclass(frozen=True, slots=True)
class Document:
    """A source as the prompt carries it: `<document path="...">`, the text, `</document>`.

    ids: int32, shape [n_tokens], wrapper included: what is decoded. unrepresentable: characters that the vocabulary
    has no token for, with how often they occur; they are not in the ids.
    """

    path: str
    digest: str
    ids: Ids = field(repr=False, compare=False)
    unrepresentable: Counter[str] = field(default_factory=Counter)

    @property
    def n_tokens(self) -> int:
        return len(self.ids)


class IdCache:
    """Ids of texts by vocabulary and content, least recently used first out. Safe to use from several threads.

    max_ids bounds the memory: 4 bytes an id.
    """

    def __init__(self, max_ids: int = 32_000_000) -> None:
        self._max_ids, self._n_ids = max_ids, 0
        self._kept: OrderedDict[tuple[str, str], Ids] = OrderedDict()
        self._lock = Lock()

    def get(self, vocabulary: str, digest: str) -> Ids | None:
        with self._lock:
            ids = self._kept.get((vocabulary, digest))
            if ids is not None:
                self._kept.move_to_end((vocabulary, digest))
            return ids

    def put(self, vocabulary: str, digest: str, ids: Ids) -> None:
        with self._lock:
            if (vocabulary, digest) not in self._kept:
                self._kept[vocabulary, digest] = ids
                self._n_ids += len(ids)
            while self._n_ids > self._max_ids and len(self._kept) > 1:
                self._n_ids -= len(self._kept.popitem(last=False)[1])


def encode_documents(tokenizer: Tokenizer, sources: Sequence[Source], cache: IdCache) -> tuple[Document, ...]:
    """Every source as ids, in order. Each is encoded on its own: counts add up, and a change touches only itself."""
    bodies = _encode_texts(tokenizer, {source.digest: source.text for source in sources}, cache)
    starts = tokenizer.encode_all([f'<document path="{escape(source.path)}">\n' for source in sources])
    end = tokenizer.encode(_END)
    return tuple(
        Document(
            path=source.path,
            digest=source.digest,
            ids=np.concatenate((start, bodies[source.digest], end)),
            unrepresentable=tokenizer.unrepresentable(source.text) + tokenizer.unrepresentable(source.path),
        )
        for source, start in zip(sources, starts, strict=True)
    )


def _encode_texts(tokenizer: Tokenizer, texts: dict[str, str], cache: IdCache) -> dict[str, Ids]:
    """Ids by digest: kept ones from the cache, the rest encoded in one go."""
    vocabulary = tokenizer.vocabulary.digest
    bodies = {digest: ids for digest in texts if (ids := cache.get(vocabulary, digest)) is not None}
    fresh = [digest for digest in texts if digest not in bodies]
    for digest, ids in zip(fresh, tokenizer.encode_all([texts[digest] for digest in fresh]), strict=True):
        cache.put(vocabulary, digest, ids)
        bodies[digest] = ids
    return bodies
