"""engine.tokens.vocabulary: what a header says of tokens."""

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest
import tiktoken

from engine.errors import ModelRefused
from engine.gguf import StringArray, read_header
from engine.local.opened import OpenModel, open_model
from engine.tokens.vocabulary import _raw_bytes, _raw_bytes_one_by_one, read_vocabulary
from tests.models.cache import cached
from tests.models.variants import gemma3_with, llama_with
from tests.models.vocabulary import gpt2_text


def test_llama_4s_tokens_are_metas(scout: OpenModel, llama4_tokenizer: tiktoken.Encoding) -> None:
    vocabulary = scout.tokenizer.vocabulary
    assert len(vocabulary) == llama4_tokenizer.n_vocab == 202_048
    assert dict(vocabulary.specials) == llama4_tokenizer._special_tokens
    assert dict(vocabulary.ranks) == llama4_tokenizer._mergeable_ranks
    assert (vocabulary.family, vocabulary.pre, vocabulary.is_byte_level) == ("gpt2", "llama4", True)
    assert vocabulary.is_in_merge_order
    assert vocabulary.text_of(vocabulary.eos_id) == "<|eot|>"


def test_pieces_and_bytes(gemma3: OpenModel) -> None:
    vocabulary = gemma3.tokenizer.vocabulary
    assert (vocabulary.family, vocabulary.is_byte_level) == ("llama", False)
    assert list(vocabulary.specials) == ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    assert vocabulary.texts_of([6, 7, 99_999, -1]) == {"<0x00>": 6, "<0x01>": 7}
    assert [vocabulary.text_of(token) for token in (1, None, -1, 99_999)] == ["<eos>", "", "", ""]


def test_every_byte_has_a_letter_of_gpt2s_alphabet(tmp_path: Path) -> None:
    path = llama_with(tmp_path / "x.gguf")
    vocabulary = read_vocabulary(read_header(path))
    texts = list(vocabulary.texts)
    for byte in range(256):
        assert texts[vocabulary.ranks[bytes([byte])]] == gpt2_text(bytes([byte]))


def test_what_is_no_byte_level_token(tmp_path: Path) -> None:
    """Texts outside the alphabet, such as a plain space or a Chinese character, can never be encoded to."""
    changes = {gpt2_text(b" the"): "a b", gpt2_text(b" of"): "中", gpt2_text(b" and"): "\u00ad"}
    vocabulary = read_vocabulary(read_header(llama_with(tmp_path / "x.gguf", texts=changes)))
    changed = {number for number, text in enumerate(vocabulary.texts) if text in changes.values()}
    assert len(changed) == 3 and not changed & set(vocabulary.ranks.values())
    assert len(vocabulary.ranks) == 2_000 - 3


def test_of_two_equal_tokens_the_last_counts(tmp_path: Path) -> None:
    path = llama_with(tmp_path / "x.gguf", texts={gpt2_text(b" the"): gpt2_text(b" of")})
    vocabulary = read_vocabulary(read_header(path))
    texts = list(vocabulary.texts)
    places = [place for place, text in enumerate(texts) if text == gpt2_text(b" of")]
    assert len(places) == 2 and vocabulary.ranks[b" of"] == places[1]


def test_merges_make_tokens_in_order(llama: OpenModel) -> None:
    vocabulary = llama.tokenizer.vocabulary
    ids = [vocabulary.ranks[raw] for raw in dict.fromkeys(vocabulary.merged)]
    assert ids == sorted(ids) and len(ids) > 1_700


def test_the_digest_is_of_all_that_decides_ids(tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        return read_vocabulary(read_header(path)).digest

    same = digest(cached("gemma3"))
    assert digest(gemma3_with(tmp_path / "same.gguf")) == same  # whatever the weights and the dimensions
    others = [
        gemma3_with(tmp_path / "space.gguf", add_space_prefix=True),
        gemma3_with(tmp_path / "types.gguf", types={"<pad>": gguf.TokenType.USER_DEFINED}),
        gemma3_with(tmp_path / "texts.gguf", texts={"<pad>": "<pud>"}),
        gemma3_with(tmp_path / "scores.gguf", scores={"a": 5.0}),
    ]
    assert len({same, *map(digest, others)}) == 5
    assert digest(cached("llama")) != digest(cached("llama", add_bos=False))
    assert digest(llama_with(tmp_path / "t.gguf", template="other")) == digest(cached("llama"))


def test_a_model_without_a_vocabulary_is_refused() -> None:
    with pytest.raises(ModelRefused, match="holds no vocabulary, so nothing can be counted with it"):
        open_model(cached("scout", vocab="none"))


def test_types_that_do_not_match_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b"])
    writer.add_token_types([1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelRefused, match="it has 2 tokens but 1 token types"):
        read_vocabulary(read_header(path))


def array_of(parts: Sequence[bytes]) -> StringArray:
    heads = np.cumsum([0, *(8 + len(part) for part in parts)])[:-1].astype(np.int64)
    return StringArray(b"".join(struct.pack("<Q", len(part)) + part for part in parts), heads)


ODD_PARTS = {
    "alphabet": [b"a", "Ġthe".encode(), "Ċ".encode(), "ÃŁ".encode(), b"x" * 300],
    "empty ones": [b"", b"a", b"", b"", "Ġ".encode(), b""],
    "outside": [b"a b", "中".encode(), "\u00ad".encode(), "🙂a".encode(), b"\x00", b"ok"],
    "no UTF-8": [b"a\xff", b"b", b"\xc3"],
    "no UTF-8 that joins": [b"a\xc3", b"\xa9b", b"c"],
    "none": [],
}


@pytest.mark.parametrize("parts", ODD_PARTS.values(), ids=ODD_PARTS)
def test_all_texts_at_once_are_those_one_by_one(parts: list[bytes]) -> None:
    slowly, are_whole = _raw_bytes_one_by_one(array_of(parts), joins=False)
    quickly, too = _raw_bytes(array_of(parts))
    assert quickly == slowly and too.tolist() == are_whole.tolist()


ODD_MERGES = {
    "merges": ["Ġ t".encode(), b"h e", "ÃŁ Ċ".encode()],
    "no space": [b"ab", b"c d"],
    "two spaces": [b"a b c", b"d e"],
    "spaces at the ends": [b" a", b"b ", b" "],
    "outside": ["中 a".encode(), b"a \x00"],
    "as many spaces as merges": [b"ab", b"c d e", b"f g"],
}


@pytest.mark.parametrize("parts", ODD_MERGES.values(), ids=ODD_MERGES)
def test_all_merges_at_once_are_those_one_by_one(parts: list[bytes]) -> None:
    assert _raw_bytes(array_of(parts), joins=True)[0] == _raw_bytes_one_by_one(array_of(parts), joins=True)[0]


def test_random_texts_at_once_are_those_one_by_one() -> None:
    chance = random.Random(0)
    signs = ["a", "b", "Ġ", "Ċ", "Ã", " ", "中", "\u00ad"]
    for _ in range(300):
        parts = ["".join(chance.choices(signs, k=chance.randrange(5))).encode() for _ in range(chance.randrange(9))]
        for joins in (False, True):
            slowly, quickly = (read(array_of(parts), joins=joins) for read in (_raw_bytes_one_by_one, _raw_bytes))
            assert quickly[0] == slowly[0] and quickly[1].tolist() == slowly[1].tolist(), (parts, joins)
