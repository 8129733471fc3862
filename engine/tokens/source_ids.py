"""What a source costs in a prompt: its wrapper and its text as ids, cached by content."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Protocol

import numpy as np

from engine.corpus.source import LEFT_OUT, KeptFile, Picture, Source, digest_text
from engine.tokens.document import Content, Document, Ids, Shown, View, number_pictures
from engine.tokens.id_cache import Encoded, IdCache

_END = "\n</document>\n"
_AT_ONCE = 4 << 20  # characters: as many as make the quicker encoder pay, see `byte_pairs`


class Encoder(Protocol):
    """What makes ids of texts; engine.tokens.encode.Tokenizer is one."""

    @property
    def key(self) -> str: ...
    def encode_all(self, texts: Sequence[str]) -> list[Ids]: ...
    def unrepresentable(self, text: str) -> Counter[str]: ...


class Viewer(Protocol):
    """What makes ids of pictures; engine.tokens.sight.Sight is one."""

    def view(self, file: KeptFile, digest: str, picture: Picture) -> View: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text by its digest. whole: gives it, where its ids are not known; it may have to be read for that."""

    digest: str
    n_characters: int
    whole: Callable[[], str]


def encode_documents(
    tokenizer: Encoder,
    sources: Sequence[Source],
    cache: IdCache,
    *,
    sight: Viewer | None = None,
    numbers: Mapping[str, int] | None = None,
    with_content: bool = False,
) -> tuple[Document, ...]:
    """Every source as ids, in order. Each is encoded on its own: counts add up, and a change touches only itself.

    sight: of a model that sees. numbers: what each source's first picture is called, by path; without it they are
    counted through from 1. with_content: see Document.content. Raises as Sight.view does.
    """
    first = number_pictures(sources) if numbers is None else numbers
    end = _piece(_END)
    parts = [
        [_start(source), *_parts(source, first.get(source.path, 1), sees=sight is not None), end] for source in sources
    ]
    encoded = encode_texts(tokenizer, (part for each in parts for part in each if isinstance(part, Text)), cache)

    def within(source: Source, part: Text | Picture) -> Encoded | View:
        return encoded[part.digest] if isinstance(part, Text) else _view(part, source, sight)

    documents = []
    for source, each in zip(sources, parts, strict=True):
        document = _document(source, [within(source, part) for part in each], first.get(source.path, 1))
        documents.append(replace(document, content=_content(each, document)) if with_content else document)
    return tuple(documents)


def _content(parts: Sequence[Text | Picture], document: Document) -> Content:
    shown = iter(document.shown)
    return tuple(part.whole() if isinstance(part, Text) else next(shown) for part in parts)


def _start(source: Source) -> Text:
    folder = f' folder="{escape(source.folder)}"' if source.folder else ""
    return _piece(f'<document path="{escape(source.path)}"{folder}>\n')


def text_of(source: Source) -> Text:
    """All text of a source."""
    return Text(source.text_digest, source.n_characters, lambda: source.text)


def _parts(source: Source, first: int, *, sees: bool) -> list[Text | Picture]:
    """The texts and pictures that a source is made of, in order."""
    if not source.pictures or not sees:
        return [text_of(source)]
    parts: list[Text | Picture] = []
    begun, before = 0, ""
    for number, picture in enumerate(source.pictures, first):
        says, ends = source.span_of(picture)
        text = source.text[begun:says] + source.text[says:ends].removeprefix(LEFT_OUT)
        line_end = "\n" if text and not text.endswith("\n") else ""
        parts += [_piece(f"{before}{text}{line_end}[image {number}]\n"), picture]
        begun, before = ends, "\n"
    return [*parts, _piece(before + source.text[begun:])]


def _piece(text: str) -> Text:
    return Text(digest_text(text), len(text), lambda: text)


def _view(picture: Picture, source: Source, sight: Viewer | None) -> View:
    assert source.kept_file is not None and sight is not None
    return sight.view(source.kept_file, source.digest, picture)


def _document(source: Source, parts: Sequence[Encoded | View], first_number: int) -> Document:
    shown: list[Shown] = []
    unrepresentable: Counter[str] = Counter()
    pictures, at = iter(source.pictures), 0
    ids: list[Ids] = []
    for part in parts:
        if isinstance(part, View):
            assert source.kept_file is not None
            number, is_page = first_number + len(shown), source.n_pages is not None
            shown.append(Shown(at, part, next(pictures), source.kept_file, number, is_page, source.n_bytes))
        elif part.unrepresentable:
            unrepresentable += part.unrepresentable
        ids.append(part.ids)
        at += len(ids[-1])
    return Document(
        path=source.path,
        digest=source.digest,
        ids=np.concatenate(ids),
        unrepresentable=unrepresentable,
        shown=tuple(shown),
        unseen=len(source.pictures) - len(shown),
        first_number=first_number,
        pictures=source.pictures,
        n_pages=source.n_pages,
    )


def encode_texts(tokenizer: Encoder, texts: Iterable[Text], cache: IdCache) -> dict[str, Encoded]:
    """Ids by digest: kept ones from the cache, the rest encoded, some millions of characters at a time."""
    by_digest = {text.digest: text for text in texts}
    found = cache.get(tokenizer.key, by_digest)
    fresh: dict[str, Encoded] = {}
    for some in _batches([text for digest, text in by_digest.items() if digest not in found]):
        whole = [text.whole() for text in some]
        for text, ids, content in zip(some, tokenizer.encode_all(whole), whole, strict=True):
            fresh[text.digest] = Encoded(ids, tokenizer.unrepresentable(content))
    cache.put(tokenizer.key, fresh)
    return found | fresh


def _batches(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """The texts in order: what has to be read for its ids is not held all at once."""
    size, begun = 0, 0
    for at, text in enumerate(texts, 1):
        size += text.n_characters
        if size >= _AT_ONCE:
            yield texts[begun:at]
            size, begun = 0, at
    if begun < len(texts):
        yield texts[begun:]
