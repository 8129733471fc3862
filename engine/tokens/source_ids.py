"""What a source costs in a prompt: its wrapper and its text as ids, cached by content."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from engine.corpus.source import LEFT_OUT, Picture, Source, digest_text
from engine.tokens.document import Document, IdCache, Ids, Shown, View, number_pictures
from engine.tokens.encode import Tokenizer
from engine.tokens.sight import Sight

_END = "\n</document>\n"


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
    starts = tokenizer.encode_all([_start(source) for source in sources])
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


def _start(source: Source) -> str:
    folder = f' folder="{escape(source.folder)}"' if source.folder else ""
    return f'<document path="{escape(source.path)}"{folder}>\n'


_Text = tuple[str, str]  # its digest, and itself


def _parts(source: Source, first: int, *, sees: bool) -> list[_Text | Picture]:
    """The texts and pictures that a source is made of, in order."""
    if not source.pictures or not sees:
        return [(source.digest if not source.pictures else digest_text(source.text), source.text)]
    parts: list[_Text | Picture] = []
    begun, before = 0, ""
    for number, picture in enumerate(source.pictures, first):
        says, ends = source.span_of(picture)
        text = source.text[begun:says] + source.text[says:ends].removeprefix(LEFT_OUT)
        line_end = "\n" if text and not text.endswith("\n") else ""
        text = f"{before}{text}{line_end}[image {number}]\n"
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
        unrepresentable=tokenizer.unrepresentable(source.text)
        + tokenizer.unrepresentable(source.path + (source.folder or "")),
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
