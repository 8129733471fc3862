"""engine.tokens.source_ids: sources as ids, cached by content."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from engine.corpus.source import KeptFile, Picture, Source, digest_text
from engine.local.opened import OpenModel
from engine.tokens.document import Document, common_prefix
from engine.tokens.id_cache import IdCache
from engine.tokens.source_ids import encode_documents
from tests.models.cache import cached
from tests.sighted import sight_of

MODELS = ["scout", "llama", "gemma3", "starter"]


def source(path: str, text: str) -> Source:
    return Source(path, "text", text, len(text), digest_text(text))


@pytest.fixture(params=MODELS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    model: OpenModel = request.getfixturevalue(request.param)
    return model


@pytest.mark.slow  # 4.1 s
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


@pytest.mark.slow  # 3.7 s
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


def notebook(*pictures: Picture, text: str) -> Source:
    plain = source("a.ipynb", text)
    return replace(plain, kind="notebook", pictures=pictures, kept_file=KeptFile("pictures", b"x"))


def test_pictures_stand_within_a_text_where_their_spans_end(scout: OpenModel) -> None:
    """In lines of their own, also in mid-line and side by side; who cannot see is given the text as it stands."""
    text = "one\n[plot, left out]\ntwo (![a]([b, left out]) and [c, left out][d, left out]), left out]\n"
    ends = [text.index("two"), text.index(" and"), text.index("[d"), text.index("), left")]
    marks = [text.index(", left out]", text.index(begin)) for begin in ("[plot", "[b", "[c", "[d")]
    sizes = ((40, 20), (700, 300), (30, 30), (336, 336))
    spans = list(zip(marks, ends, strict=True))
    pictures = [Picture(at, *size, span, f"d{at}") for at, (size, span) in enumerate(zip(sizes, spans, strict=True), 1)]
    one, sight = notebook(*pictures, text=text), sight_of(cached("scout"), cached("mmproj"))
    (document,) = encode_documents(scout.tokenizer, [one], IdCache(), sight=sight, numbers={"a.ipynb": 5})
    views = [sight.view(one.kept_file, one.digest, picture) for picture in pictures] if one.kept_file else []
    texts = [
        "one\n[plot]\n[image 5]\n", "\ntwo (![a]([b])\n[image 6]\n", "\n and [c]\n[image 7]\n", "\n[d]\n[image 8]\n",
        "\n), left out]\n",
    ]  # fmt: skip
    encode = scout.tokenizer.encode
    parts = [encode('<document path="a.ipynb">\n')]
    for at, piece in enumerate(texts):
        parts += [encode(piece), *(view.ids for view in views[at : at + 1])]
    parts.append(encode("\n</document>\n"))
    np.testing.assert_array_equal(document.ids, np.concatenate(parts))
    assert document.n_tokens == sum(map(len, parts))
    assert [(shown.number, shown.view, shown.is_page) for shown in document.shown] == [
        (5 + at, view, False) for at, view in enumerate(views)
    ]
    for shown in document.shown:
        np.testing.assert_array_equal(document.ids[shown.start :][: shown.view.n_tokens], shown.view.ids)
    (blind,) = encode_documents(scout.tokenizer, [one], IdCache())
    (plain,) = encode_documents(scout.tokenizer, [source("a.ipynb", text)], IdCache())
    np.testing.assert_array_equal(blind.ids, plain.ids)
    assert (blind.unseen, blind.shown) == (4, ())


def test_an_edit_elsewhere_leaves_a_picture_its_ids(scout: OpenModel) -> None:
    sight = sight_of(cached("scout"), cached("mmproj"))
    text = "[plot, left out]\nwords\n[plot, left out]\n"
    second = text.index(", left", 10)
    first, last = Picture(1, 40, 20, (5, 17), "d1"), Picture(2, 40, 20, (second, len(text)), "d2")
    edited = replace(last, span=(second + 5, len(text) + 5))
    sources = [
        notebook(first, last, text=text),
        notebook(first, edited, text=text.replace("words", "other words"[:10])),
    ]
    sources.append(notebook(Picture(1, 40, 20, last.span, "d2"), text=text))
    documents = [encode_documents(scout.tokenizer, [each], IdCache(), sight=sight)[0] for each in sources]
    assert common_prefix(documents[0].ids, documents[1].ids) > documents[0].shown[0].start + 146
    keys = [[shown.view.key for shown in document.shown] for document in documents]
    assert keys[0] == keys[1] and keys[2] == keys[0][1:] and len(set(keys[0])) == 2
