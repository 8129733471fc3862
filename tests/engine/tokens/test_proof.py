"""engine.tokens.proof and gigatoken: taken where it equals tiktoken on texts made to hurt, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.gguf import read_header
from engine.local.opened import OpenModel
from engine.tokens import byte_pairs
from engine.tokens.byte_pairs import PATTERNS, BytePairEncoder, quick_version
from engine.tokens.encode import Proof, Tokenizer, byte_pair_encoder
from engine.tokens.llama_tokenizer import LlamaTokenizer
from engine.tokens.proof import SAMPLE, hurtful_texts, open_tokenizer, prove, read_proof
from engine.tokens.vocabulary import Alphabet, Vocabulary, read_vocabulary
from tests.models.cache import cached
from tests.models.variants import llama_with

Quick = Callable[[str], object]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each text that goes to gigatoken: its length."""
    lengths: list[int] = []
    make = byte_pairs._quick_encoder

    def counting(*details: object) -> Quick | None:
        encode = make(*details)  # type: ignore[arg-type]

        def one(text: str) -> object:
            assert encode is not None
            lengths.append(len(text))
            return encode(text)

        return one if encode is not None else None

    monkeypatch.setattr(byte_pairs, "_quick_encoder", counting)
    return lengths


def encoder_of(vocabulary: Vocabulary, pre: str | None = None) -> tuple[BytePairEncoder, Alphabet]:
    ranks = {raw: number for raw, number in vocabulary.ranks.items()}
    return BytePairEncoder(ranks, PATTERNS[pre or vocabulary.pre], quick=True), Alphabet(vocabulary)


@pytest.mark.parametrize("pre", ["llama4", "llama-bpe", "qwen2", "gpt-2"])
def test_gigatoken_equals_tiktoken(pre: str, scout: OpenModel, real_texts: list[str]) -> None:
    """Each of its patterns, with Llama 4's 200,000 words."""
    encoder, alphabet = encoder_of(scout.tokenizer.vocabulary, pre)
    texts = [alphabet.representable(text) for text in (*SAMPLE, *real_texts, *hurtful_texts(20_000, seed=7))]
    quick = encoder.encode_quickly(texts)
    assert quick is not None
    for text, ours, theirs in zip(texts, encoder.encode(texts), quick, strict=True):
        assert theirs.dtype == np.int32 and np.array_equal(ours, theirs), text


def test_few_texts_go_to_tiktoken_and_many_to_gigatoken(
    scout: OpenModel, real_texts: list[str], counted: list[int]
) -> None:
    vocabulary, facts = scout.tokenizer.vocabulary, scout.tokenizer.facts
    llama = LlamaTokenizer(scout.card.path)
    tokenizer = Tokenizer(vocabulary, Proof("ids", facts, quick=True), llama)
    few, many = real_texts[:20], real_texts * (1 + byte_pairs._MANY // sum(map(len, real_texts)))
    before = tokenizer.encode_all(few)
    assert counted == []
    after = tokenizer.encode_all(many)
    assert len(counted) == len(many)
    assert all(map(np.array_equal, before, after))
    assert tokenizer.encode_all(few) and len(counted) == len(many)
    counted.clear()
    Tokenizer(vocabulary, Proof("ids", facts, quick=False), llama).encode_all(many)
    assert counted == [], "what is not proved is not taken"


def test_a_vocabulary_by_its_merge_list_or_with_holes(tmp_path: Path, real_texts: list[str]) -> None:
    """Their ids are no ranks from 0 on. Where a token cannot be made of others, gigatoken is not asked: it panics."""
    path = llama_with(tmp_path / "x.gguf", shuffled=True)
    by_merges = byte_pair_encoder(read_vocabulary(read_header(path)), (), by_merges=True, quick=True)
    vocabulary = read_vocabulary(read_header(cached("llama")))
    made_of_it = {number for raw, number in vocabulary.ranks.items() if len(raw) > 1 and vocabulary.ranks[raw] > 1_900}
    at_the_end = byte_pair_encoder(vocabulary, tuple(made_of_it), by_merges=False)
    for encoder in (by_merges, at_the_end):
        quick = encoder.encode_quickly(real_texts[:40])
        assert quick is not None and all(map(np.array_equal, encoder.encode(real_texts[:40]), quick))
    within = byte_pair_encoder(vocabulary, (300,), by_merges=False)
    assert within.encode_quickly(real_texts[:1]) is None and len(within.encode(real_texts[:1])[0])


def test_a_library_that_differs_is_not_taken(llama_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one text of the generated ones; or that raises, or is not there."""
    make = byte_pairs._quick_encoder
    last = hurtful_texts(2_000)[-1]

    def off_by_one(*details: object) -> Quick:
        encode = make(*details)  # type: ignore[arg-type]
        assert encode is not None
        return lambda text: encode(text + " " if text == last else text)

    def raising(*details: object) -> Quick:
        def fail(text: str) -> object:
            raise RuntimeError("not yet")

        return fail

    header = read_header(llama_gguf)
    for made in (off_by_one, raising, lambda *details: None):
        monkeypatch.setattr(byte_pairs, "_quick_encoder", made)
        llama = LlamaTokenizer(llama_gguf)
        proof = prove(read_vocabulary(header), llama)
        llama.close()
        assert (proof.encoder, proof.quick) == ("ids", False)
    monkeypatch.setattr(byte_pairs, "_quick_encoder", make)
    tokenizer = open_tokenizer(header, cache=tmp_path)
    kept = read_proof(tmp_path, tokenizer.vocabulary)
    assert kept is not None and kept.quick


def test_a_proof_of_another_version_of_the_library_is_made_again(
    llama_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = open_tokenizer(read_header(llama_gguf), cache=tmp_path).vocabulary
    assert read_proof(tmp_path, vocabulary) is not None and quick_version()
    monkeypatch.setattr("engine.tokens.proof.quick_version", lambda: "99.0")
    assert read_proof(tmp_path, vocabulary) is None


def test_generated_texts_are_the_same_again() -> None:
    assert hurtful_texts(40, seed=1) == hurtful_texts(80, seed=1)[:40] != hurtful_texts(40, seed=2)
    assert max(map(len, hurtful_texts(2_000))) > 300
