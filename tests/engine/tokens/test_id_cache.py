"""Ids that are kept, in memory and on disk: they are those that the encoder makes, or they are not there."""

from collections import Counter
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from engine.corpus.source import Source, digest_text
from engine.kept_files import KeptFiles
from engine.local.opened import OpenModel
from engine.tokens.document import Ids
from engine.tokens.encode import Tokenizer
from engine.tokens.id_cache import Encoded, IdCache, KeptIds
from engine.tokens.source_ids import encode_documents

KEY = "ab" * 16
OTHER = "cd" * 16


def encoded(ids: Ids, **unrepresentable: int) -> Encoded:
    return Encoded(ids, Counter(unrepresentable))


def ids(n: int) -> Ids:
    return np.arange(n, dtype=np.int32)


def digest(name: object) -> str:
    return digest_text(str(name))


def on_disk(folder: Path, budget: int = 1 << 30) -> KeptIds:
    return KeptIds(KeptFiles(folder, budget))


def same(found: Encoded, wanted: Encoded) -> bool:
    return np.array_equal(found.ids, wanted.ids) and found.unrepresentable == wanted.unrepresentable


def test_the_memory_is_bounded() -> None:
    cache = IdCache(max_ids=100)

    def put(key: str, n_ids: int) -> None:
        cache.put("v", {key: encoded(ids(n_ids))})

    def held(*keys: str) -> list[str]:
        return list(cache.get("v", keys))

    put("a", 40)
    put("b", 40)
    assert held("a") == ["a"]  # used: b is the oldest now
    put("c", 40)
    assert held("a", "b", "c") == ["a", "c"]
    put("huge", 1_000)  # larger than all: kept alone, until the next comes
    assert held("huge", "a") == ["huge"]
    put("d", 1)
    assert held("huge", "d") == ["d"]
    put("d", 1)
    put("e", 99)
    assert held("d", "e") == ["d", "e"]
    assert cache.get("w", ["e"]) == {}


def test_the_cache_may_be_used_from_threads() -> None:
    cache = IdCache(max_ids=1_000)

    def use(start: int) -> None:
        for n in range(start, start + 2_000):
            key = str(n % 300)
            cache.put("v", {key: encoded(ids(n % 300 % 50))})
            for each in cache.get("v", [key]).values():
                assert len(each.ids) == n % 300 % 50

    threads = [Thread(target=use, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache._n_ids == sum(len(each.ids) for each in cache._held.values()) <= 1_000


@pytest.mark.parametrize("largest", [1, 65_535, 65_536, (1 << 18) - 1, 1 << 18, (1 << 31) - 1])
@pytest.mark.parametrize("n_texts", [0, 1, 2, 3, 4, 9])
def test_ids_come_back_as_they_were(tmp_path: Path, largest: int, n_texts: int) -> None:
    chance = np.random.default_rng(largest)
    texts = {
        digest(at): encoded(chance.integers(0, largest, at * 7 % 13, endpoint=True, dtype=np.int32), **{"\udc80": at})
        for at in range(n_texts)
    }
    on_disk(tmp_path).put(KEY, texts)
    found = on_disk(tmp_path).get(KEY, [*texts, digest("another")])
    assert found.keys() == texts.keys()
    for key, each in found.items():
        assert each.ids.dtype == np.int32 and same(each, texts[key])
    some = list(texts)[::2]
    assert list(on_disk(tmp_path).get(KEY, some)) == some
    assert on_disk(tmp_path).get(OTHER, texts) == {}


def test_many_small_packs_become_one(tmp_path: Path) -> None:
    texts = {digest(at): encoded(ids(at)) for at in range(60)}
    for key, each in texts.items():
        on_disk(tmp_path).put(KEY, {key: each})
    assert len(list(tmp_path.iterdir())) < 20
    found = on_disk(tmp_path).get(KEY, texts)
    assert found.keys() == texts.keys() and all(same(found[key], texts[key]) for key in texts)


def test_a_broken_pack_is_not_believed_and_made_anew(tmp_path: Path) -> None:
    texts = {digest(at): encoded(ids(9)) for at in range(3)}
    on_disk(tmp_path).put(KEY, texts)
    (pack,) = tmp_path.iterdir()
    whole = pack.read_bytes()
    for at in range(0, len(whole), 7):
        pack.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert on_disk(tmp_path).get(KEY, texts) == {}
        pack.write_bytes(whole[:at])
        assert on_disk(tmp_path).get(KEY, texts) == {}
    pack.write_bytes(whole)
    pack.rename(tmp_path / pack.name.replace(KEY, OTHER))
    assert on_disk(tmp_path).get(OTHER, texts) == {}, "another vocabulary's"
    on_disk(tmp_path).put(KEY, texts)
    assert on_disk(tmp_path).get(KEY, texts).keys() == texts.keys()


def test_a_pack_that_is_no_pack_is_none(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path, 1 << 20)
    heads = (
        b"",
        b"{}\n",
        b"[]\n",
        b'{"n": -1, "unrepresentable": {}}\n',
        b'{"n": 1, "unrepresentable": {}}\n' + bytes(9),
    )
    for at, head in enumerate(heads):
        files.write(f"{KEY}-{at}.ids", head)
    lying = b'{"n": 1, "unrepresentable": {}}\n' + bytes.fromhex(digest("a")) + (5).to_bytes(8, "little")
    files.write(f"{KEY}-lies.ids", lying, (bytes(3),))
    assert on_disk(tmp_path).get(KEY, [digest("a")]) == {}


def test_the_oldest_packs_make_room(tmp_path: Path) -> None:
    for at in range(5):
        on_disk(tmp_path, budget=5_000).put(KEY, {digest(at): encoded(ids(800))})
    found = on_disk(tmp_path).get(KEY, [digest(at) for at in range(5)])
    assert list(found) == [digest(3), digest(4)]


def sources(*texts: str) -> list[Source]:
    return [Source(f"{at}.txt", "text", text, len(text), digest_text(text)) for at, text in enumerate(texts)]


def test_a_corpus_is_encoded_once_for_all_who_count_it(
    tmp_path: Path, llama: OpenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sources("one text", "another\x00\udc80 text", "a third")
    alone = encode_documents(llama.tokenizer, given, IdCache())
    encode_documents(llama.tokenizer, given, IdCache(kept=on_disk(tmp_path)))
    asked: list[str] = []
    encode_all = Tokenizer.encode_all
    monkeypatch.setattr(Tokenizer, "encode_all", lambda self, texts: (asked.extend(texts), encode_all(self, texts))[1])
    again = encode_documents(llama.tokenizer, given, IdCache(kept=on_disk(tmp_path)))
    for one, other in zip(alone, again, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        assert one.unrepresentable == other.unrepresentable
    assert not set(asked) & {source.text for source in given}
    changed = [*given[:2], *sources("a third, edited")]
    encode_documents(llama.tokenizer, changed, IdCache(kept=on_disk(tmp_path)))
    assert set(asked) & {source.text for source in changed} == {"a third, edited"}


def test_what_makes_other_ids_has_another_key(llama: OpenModel, gemma3: OpenModel, starter: OpenModel) -> None:
    keys = {model.tokenizer.key for model in (llama, gemma3, starter)}
    assert len(keys) == 3 and all(len(bytes.fromhex(key)) == 16 for key in keys)
