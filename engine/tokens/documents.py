"""What a source costs in a prompt: its wrapper and its text as ids, cached by content."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from threading import Lock

import numpy as np

from engine.corpus.source import Picture, Source, digest_text
from engine.tokens.encode import Ids, Tokenizer
from engine.tokens.sight import Shown, Sight, View

_END = "\n</document>\n"


@dataclass(frozen=True, slots=True)
class Document:
    """A source as the prompt carries it: `<document path="...">`, the text, `</document>`; its pictures behind the
    pages that they show, each below a line such as "[image 2]" by which a question can name it.

    ids: int32, shape [n_tokens], wrapper included: what is decoded, see Sight for pictures. shown: those, in order.
    unrepresentable: characters that the vocabulary has no token for, with how often they occur; they are not in the
    ids. unseen: pictures that the model cannot see, which are not in the ids either. first_number: what the first of
    the others is called. pictures, n_pages: the source's own.
    """

    path: str
    digest: str
    ids: Ids = field(repr=False, compare=False)
    unrepresentable: Counter[str] = field(default_factory=Counter)
    shown: tuple[Shown, ...] = field(default=(), repr=False, compare=False)
    unseen: int = 0
    first_number: int = 1
    pictures: tuple[Picture, ...] = field(default=(), repr=False, compare=False)
    n_pages: int | None = field(default=None, compare=False)

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


def encode_documents(
    tokenizer: Tokenizer,
    sources: Sequence[Source],
    cache: IdCache,
    *,
    sight: Sight | None = None,
    numbers: Mapping[str, int] | None = None,
) -> tuple[Document, ...]:
    """Every source as ids, in order. Each is encoded on its own: counts add up, and a change touches only itself.

    sight: of a model that sees. numbers: what each source's first picture is called, by path; without it they are
    counted through from 1. Raises as Sight.view does.
    """
    first = number_pictures(sources) if numbers is None else numbers
    parts = [_parts(source, first.get(source.path, 1), sees=sight is not None) for source in sources]
    texts = {digest: text for each in parts for part in each if isinstance(part, tuple) for digest, text in [part]}
    encoded = _encode_texts(tokenizer, texts, cache)
    starts = tokenizer.encode_all([f'<document path="{escape(source.path)}">\n' for source in sources])
    end = tokenizer.encode(_END)
    return tuple(
        _document(
            tokenizer,
            source,
            [start, *(_ids(part, source, encoded, sight) for part in each), end],
            first.get(source.path, 1),
        )
        for source, start, each in zip(sources, starts, parts, strict=True)
    )


def number_pictures(sources: Iterable[Source]) -> dict[str, int]:
    """The number of each source's first picture, by path, counted through all of them from 1."""
    numbers, next_number = {}, 1
    for source in sources:
        if source.pictures:
            numbers[source.path] = next_number
            next_number += len(source.pictures)
    return numbers


_Text = tuple[str, str]  # its digest, and itself


def _parts(source: Source, first: int, *, sees: bool) -> list[_Text | Picture]:
    """The texts and pictures that a source is made of, in order."""
    if not source.pictures or not sees:
        return [(source.digest if not source.pictures else digest_text(source.text), source.text)]
    parts: list[_Text | Picture] = []
    begun, before = 0, ""
    for number, picture in enumerate(source.pictures, first):
        ends = source.page_starts[picture.number] if picture.number < len(source.page_starts) else len(source.text)
        text = f"{before}{source.text[begun:ends]}[image {number}]\n"
        parts += [(digest_text(text), text), picture]
        begun, before = ends, "\n"
    text = before + source.text[begun:]
    return [*parts, (digest_text(text), text)]


def _ids(part: _Text | Picture, source: Source, encoded: Mapping[str, Ids], sight: Sight | None) -> Ids | View:
    if isinstance(part, tuple):
        return encoded[part[0]]
    assert source.kept_file is not None and sight is not None
    return sight.view(source.kept_file, source.digest, part)


def _document(tokenizer: Tokenizer, source: Source, parts: Sequence[Ids | View], first_number: int) -> Document:
    shown: list[Shown] = []
    pictures, at = iter(source.pictures), 0
    for part in parts:
        if isinstance(part, View):
            assert source.kept_file is not None
            number, is_page = first_number + len(shown), source.n_pages is not None
            shown.append(Shown(at, part, next(pictures), source.kept_file, number, is_page))
            at += part.n_tokens
        else:
            at += len(part)
    return Document(
        path=source.path,
        digest=source.digest,
        ids=np.concatenate([part.ids if isinstance(part, View) else part for part in parts]),
        unrepresentable=tokenizer.unrepresentable(source.text) + tokenizer.unrepresentable(source.path),
        shown=tuple(shown),
        unseen=len(source.pictures) - len(shown),
        first_number=first_number,
        pictures=source.pictures,
        n_pages=source.n_pages,
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
