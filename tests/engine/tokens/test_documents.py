"""engine.tokens.source_ids: sources as ids, cached by content."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from engine.corpus.source import Source, digest_text
from engine.local.opened import OpenModel
from engine.tokens.document import Document
from engine.tokens.id_cache import IdCache
from engine.tokens.source_ids import encode_documents

MODELS = ["scout", "llama", "gemma3", "starter"]


def source(path: str, text: str) -> Source:
    return Source(path, "text", text, len(text), digest_text(text))


@pytest.fixture(params=MODELS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    model: OpenModel = request.getfixturevalue(request.param)
    return model


def test_a_document_is_its_wrapper_and_its_text(opened: OpenModel) -> None:
    text = "line\r\n größe\n\n"
    (document,) = encode_documents(opened.tokenizer, [source("src/a.py", text)], IdCache())
    encode = opened.tokenizer.encode
    parts = [encode('<document path="src/a.py">\n'), encode(text), encode("\n</document>\n")]
    np.testing.assert_array_equal(document.ids, np.concatenate(parts))
    assert document.n_tokens == sum(map(len, parts)) and document.ids.dtype == np.int32
    assert (document.path, document.digest) == ("src/a.py", digest_text(text))


def test_the_folder_that_was_given_is_named(llama: OpenModel) -> None:
    """So that a question can speak of it. What an earlier version put into a session has none, and stays as it is."""
    (document,) = encode_documents(llama.tokenizer, [replace(source("src/a.py", ""), folder='a"b')], IdCache())
    head = llama.tokenizer.encode('<document path="src/a.py" folder="a&quot;b">\n')
    np.testing.assert_array_equal(document.ids[: len(head)], head)


def test_counts_do_not_depend_on_company(opened: OpenModel) -> None:
    sources = [source(f"{n}.txt", "x " * n + "\n") for n in range(20)] + [source("same.txt", "x x \n"), source("", "")]
    together = encode_documents(opened.tokenizer, sources, IdCache())
    for one, document in zip(sources, together, strict=True):
        (alone,) = encode_documents(opened.tokenizer, [one], IdCache())
        np.testing.assert_array_equal(alone.ids, document.ids)
    assert encode_documents(opened.tokenizer, [], IdCache()) == ()


def test_nothing_in_a_path_or_a_text_is_a_control_token(opened: OpenModel) -> None:
    specials = list(opened.tokenizer.specials)
    row = "".join(specials[:50])
    sources = [source(special, f"a{special}") for special in specials[:300]] + [source(row, row * 2)]
    for document in encode_documents(opened.tokenizer, sources, IdCache()):
        assert not np.isin(document.ids, opened.tokenizer.facts.control).any(), document.path


def test_a_path_cannot_leave_its_quotes(llama: OpenModel) -> None:
    path = 'a"><document path="b'
    (document,) = encode_documents(llama.tokenizer, [source(path, "")], IdCache())
    head = '<document path="a&quot;&gt;&lt;document path=&quot;b">\n'
    np.testing.assert_array_equal(document.ids[: len(llama.tokenizer.encode(head))], llama.tokenizer.encode(head))
    assert document.path == path


def test_missing_characters_are_said(starter: OpenModel) -> None:
    first, second = encode_documents(starter.tokenizer, [source("a", "\x04x\x04"), source("b\x04", "x")], IdCache())
    assert (first.unrepresentable, second.unrepresentable) == (Counter({"\x04": 2}), Counter({"\x04": 1}))
    (clean,) = encode_documents(starter.tokenizer, [source("a", "x")], IdCache())
    np.testing.assert_array_equal(first.ids, clean.ids)


def test_equal_contents_are_encoded_once(llama: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode_all = llama.tokenizer.encode_all
    monkeypatch.setattr(llama.tokenizer, "encode_all", lambda texts: (asked.extend(texts), encode_all(texts))[1])
    cache = IdCache()
    sources = [source("a", "one"), source("b", "one"), source("c", "two")]
    encode_documents(llama.tokenizer, sources, cache)
    encode_documents(llama.tokenizer, [*sources, source("d", "two"), source("e", "three")], cache)
    assert [asked.count(text) for text in ("one", "two", "three")] == [1, 1, 1]


def test_the_cache_keeps_vocabularies_apart(llama: OpenModel, gemma3: OpenModel) -> None:
    cache = IdCache()
    for model in (llama, gemma3, llama):
        (document,) = encode_documents(model.tokenizer, [source("a", "some text")], cache)
        (alone,) = encode_documents(model.tokenizer, [source("a", "some text")], IdCache())
        np.testing.assert_array_equal(document.ids, alone.ids)


def ids(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int32)


def test_documents_compare_by_content() -> None:
    assert Document("a", "d", ids(3)) == Document("a", "d", ids(4))  # ids follow from the digest
    assert "array" not in repr(Document("a", "d", ids(3)))
