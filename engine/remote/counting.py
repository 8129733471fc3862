"""What texts and pictures cost with a server: by its own count where it has one, else by an estimate.

Ids of an estimate are made of the text, so that the same text has the same ones, as of a vocabulary.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import shake_128
from threading import Lock
from typing import Protocol

import numpy as np

from engine.corpus.source import KeptFile, Picture
from engine.errors import EngineAway, EngineFailed, LongdeskError, ModelRefused
from engine.prompt.prompt import Exchange, Prompt
from engine.remote.compatible import Adapter
from engine.remote.connection import TooLong
from engine.remote.messages import Pictures
from engine.tokens.document import Ids, Shown, View
from engine.tokens.id_cache import Encoded, IdCache
from engine.tokens.source_ids import Encoder

_BYTES_A_TOKEN = 3.6  # of code and prose in English, with vocabularies of 100,000 to 200,000 tokens: rather too few
_MARKS = 6  # tokens around a message, about
_PIXELS_A_TOKEN, _LEAST_PICTURE = 28 * 28, 64  # of an image whose server does not say what it costs
_MOST_SIDE = 2048  # pixels: no server looks at more


class Own(Protocol):
    """A model on this machine whose vocabulary and template are a server's; engine.local.opened.OpenModel is one."""

    @property
    def tokenizer(self) -> Encoder: ...
    def prompt(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt: ...


class Words:
    """What a server makes of texts; engine.tokens.source_ids.Encoder. own: makes the ids in its place, where it has no
    call that counts. An estimate is corrected by what the server said that prompts had."""

    def __init__(self, adapter: Adapter, own: Own | None = None) -> None:
        self._adapter, self._own = adapter, own
        self._counts: bool | None = None
        self._bytes_a_token = _BYTES_A_TOKEN
        self._lock = Lock()

    @property
    def key(self) -> str:
        """One for all texts that are counted the same."""
        if self._own is not None:
            return self._own.tokenizer.key
        where = self._adapter.connection.address.base
        return f"{where} {self._adapter.id} {self._bytes_a_token:.3f}"

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, in order. Raises LongdeskError where the server that counted does not any more."""
        if not texts:
            return []
        if self._own is not None:
            return self._own.tokenizer.encode_all(texts)
        if self._counts is not False:
            told = self._tokenized(texts)
            if told is not None:
                self._counts = True
                return [np.array(ids, dtype=np.int64).astype(np.int32) for ids in told]
            self._counts = False
        return [self._estimated(text) for text in texts]

    def unrepresentable(self, text: str) -> Counter[str]:
        """None that are known, where the vocabulary is not."""
        return self._own.tokenizer.unrepresentable(text) if self._own is not None else Counter()

    def learn(self, n_bytes: int, n_tokens: int) -> None:
        """A prompt of so many bytes of text had so many tokens."""
        if n_tokens >= 256 and self._counts is False:
            with self._lock:
                self._bytes_a_token = min(8.0, max(1.0, n_bytes / n_tokens))

    def _tokenized(self, texts: Sequence[str]) -> list[list[int]] | None:
        try:
            return self._adapter.tokenize([_utf8(text) for text in texts])
        except (LongdeskError, TooLong, ValueError) as error:
            if isinstance(error, EngineAway) or (self._counts and isinstance(error, LongdeskError)):
                raise
            if self._counts:
                host = self._adapter.connection.address.host
                raise EngineFailed(f"{host} does not count any more.", "Look at its log, and ask again.") from None
            return None  # it has no such call, whatever it says of itself

    def _estimated(self, text: str) -> Ids:
        data = text.encode("utf-8", "surrogatepass")
        n_tokens = -(-len(data) // self._bytes_a_token)
        words = np.frombuffer(shake_128(data).digest(4 * int(n_tokens)), dtype="<u4")
        return (words >> 1).astype(np.int32)


class Views:
    """What a server makes of pictures; engine.tokens.source_ids.Viewer. A size is counted once, where it can be."""

    def __init__(self, adapter: Adapter, pictures: Pictures) -> None:
        self._adapter, self._pictures = adapter, pictures
        self._known: dict[tuple[int, int], int] = {}
        self.rule = f"{adapter.engine}'s count" if not adapter.how_counted else "an estimate by their size"

    def view(self, file: KeptFile, digest: str, picture: Picture) -> View:
        """A picture at its own size, or smaller where no server would look at more."""
        scale = min(1.0, _MOST_SIDE / max(picture.width, picture.height))
        width, height = (max(1, round(side * scale)) for side in (picture.width, picture.height))
        seen = f"{picture.digest} 1" if picture.digest else f"{digest} {picture.number}"
        key = f"{self._adapter.id} {seen} {width}x{height}"
        n_tokens = self._known.get((width, height))
        if n_tokens is None:
            n_tokens = self._counted(file, picture, width, height)
        words = np.frombuffer(shake_128(key.encode()).digest(4 * n_tokens), dtype="<u4")
        ids = (-1 - (words >> 1).astype(np.int64)).astype(np.int32)
        return View(picture.number, width, height, None, key, ids, n_tokens)

    def _counted(self, file: KeptFile, picture: Picture, width: int, height: int) -> int:
        """By what it adds to a chat; the server's whole count of the prompt puts right what is off."""
        guess = max(_LEAST_PICTURE, width * height // _PIXELS_A_TOKEN)
        if self._adapter.how_counted:
            self._known[width, height] = guess
            return guess
        empty = View(picture.number, width, height, None, "", np.empty(0, dtype=np.int32), 0)
        look = {"type": "image_url", "image_url": {"url": self._pictures.url(Shown(0, empty, picture, file))}}
        text = {"type": "text", "text": "a"}
        try:
            with_it, without = (
                self._adapter.count([{"role": "user", "content": content}]) for content in ([text, look], [text])
            )
        except (LongdeskError, TooLong):
            return guess  # this time: the next one may be counted
        if with_it is not None and without is not None:
            guess = max(1, with_it - without)
        self._known[width, height] = guess
        return guess


def estimates_instead(adapter: Adapter) -> bool:
    """Whether an engine that has a call that counts cannot be asked it where it is, as behind a gateway that passes
    OpenAI's calls alone; its counts are said to be estimates then. Raises EngineAway."""
    if adapter.how_counted:
        return False
    try:
        counts = adapter.count([{"role": "user", "content": "a"}]) is not None
    except EngineAway:
        raise
    except (ModelRefused, ValueError):
        counts = False
    except (LongdeskError, TooLong):  # it has the call, and says more when it matters
        counts = True
    if not counts:
        adapter.how_counted = Adapter.how_counted
    return not counts


def marks(n_messages: int) -> int:
    """About what a template writes around so many messages."""
    return _MARKS * (n_messages + 1)


def encoded(words: Words, text: str, cache: IdCache) -> Ids:
    """The ids of a text, kept by what it says."""
    digest = shake_128(text.encode("utf-8", "surrogatepass")).hexdigest(16)
    known: Mapping[str, Encoded] = cache.get(words.key, [digest])
    if digest in known:
        return known[digest].ids
    (ids,) = words.encode_all([text])
    cache.put(words.key, {digest: Encoded(ids, Counter())})
    return ids


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
