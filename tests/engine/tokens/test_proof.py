"""engine.tokens.proof and gigatoken: taken where it equals tiktoken on texts made to hurt, and nowhere else."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from engine.gguf import read_header
from engine.local.opened import OpenModel
from engine.tokens import byte_pairs
from engine.tokens.byte_pairs import PATTERNS, BytePairEncoder, quick_version
from engine.tokens.document import Ids
from engine.tokens.encode import Proof, Tokenizer, byte_pair_encoder
from engine.tokens.llama_tokenizer import LlamaTokenizer
from engine.tokens.proof import SAMPLE, how_encoded, hurtful_texts, open_tokenizer, prove, read_proof, write_proof
from engine.tokens.vocabulary import Alphabet, Vocabulary, read_vocabulary
from tests.models.cache import cached
from tests.models.variants import llama_with
from tests.models.vocabulary import ranks_for
from tests.patience import PATIENCE_S

Quick = Callable[[Sequence[str]], list[Ids]]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each text that goes to gigatoken: its length."""
    lengths: list[int] = []
    make = byte_pairs._quick_encoder

    def counting(*details: object) -> Quick | None:
        encode = make(*details)  # type: ignore[arg-type]

        def some(texts: Sequence[str]) -> list[Ids]:
            assert encode is not None
            lengths.extend(map(len, texts))
            return encode(texts)

        return some if encode is not None else None

    monkeypatch.setattr(byte_pairs, "_quick_encoder", counting)
    return lengths


def encoder_of(
    vocabulary: Vocabulary, pre: str | None = None, *, quick: bool = True
) -> tuple[BytePairEncoder, Alphabet]:
    ranks = ranks_for(pre or vocabulary.pre, vocabulary.ranks)
    return BytePairEncoder(ranks, PATTERNS[pre or vocabulary.pre], quick=quick), Alphabet(vocabulary)


@pytest.mark.parametrize("pre", ["llama4", "llama-bpe", "qwen2", "gpt-2", "smollm"])
@pytest.mark.parametrize("character", ["\u088f", "\u1add", "\ua7d2", "\U00016ea0", "\U0001e6ff", "\U00032a76"])
def test_letters_of_a_newer_unicode_are_tiktokens(pre: str, character: str) -> None:
    """gigatoken knows them as letters, tiktoken does not. With every two bytes a token it shows where they differ."""
    ranks = {raw: at for at, raw in enumerate(map(bytes, [*product(range(256)), *product(range(256), repeat=2)]))}
    ranks = ranks_for(pre, ranks)
    text = f"a{character}a \u1010{character}\u1010 !{character}! 1{character}1 '{character}s"
    quick, plain = (BytePairEncoder(ranks, PATTERNS[pre], quick=is_quick) for is_quick in (True, False))
    found = quick.encode_quickly([text])
    assert found is not None and np.array_equal(found[0], plain.encode([text])[0])
    assert np.array_equal(quick.encode([text])[0], found[0])


@pytest.mark.slow  # 2.6 s
@pytest.mark.parametrize("pre", ["llama4", "llama-bpe", "qwen2", "gpt-2", "smollm"])
def test_gigatoken_equals_tiktoken(pre: str, scout: OpenModel, real_texts: list[str]) -> None:
    """Each of its patterns, with Llama 4's 200,000 words."""
    encoder, alphabet = encoder_of(scout.tokenizer.vocabulary, pre)
    texts = [alphabet.representable(text) for text in (*SAMPLE, *real_texts, *hurtful_texts(20_000, seed=7))]
    quick = encoder.encode_quickly(texts)
    assert quick is not None
    judge, _ = encoder_of(scout.tokenizer.vocabulary, pre, quick=False)
    for text, ours, theirs in zip(texts, judge.encode(texts), quick, strict=True):
        assert theirs.dtype == np.int32 and np.array_equal(ours, theirs), text


@pytest.mark.slow  # 2.0 s
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
    again = tokenizer.encode_all(few)  # it has the vocabulary now
    assert all(map(np.array_equal, before, again)) and len(counted) == len(many) + len(few)
    counted.clear()
    Tokenizer(vocabulary, Proof("ids", facts, quick=False), llama).encode_all(many)
    assert counted == [], "what is not proved is not taken"


def test_a_vocabulary_by_its_merge_list_or_with_holes(tmp_path: Path, real_texts: list[str]) -> None:
    """Their ids are no ranks from 0 on. Where a token cannot be made of others, gigatoken is not asked: it panics."""
    path = llama_with(tmp_path / "x.gguf", shuffled=True)
    by_merges = byte_pair_encoder(read_vocabulary(read_header(path)), (), by_merges=True)
    vocabulary = read_vocabulary(read_header(cached("llama")))
    made_of_it = {number for raw, number in vocabulary.ranks.items() if len(raw) > 1 and vocabulary.ranks[raw] > 1_900}
    at_the_end = byte_pair_encoder(vocabulary, tuple(made_of_it), by_merges=False)
    for encoder in (by_merges, at_the_end):
        quick = encoder.encode_quickly(real_texts[:40])
        assert quick is not None and all(map(np.array_equal, encoder.encode(real_texts[:40]), quick))
    within = byte_pair_encoder(vocabulary, (300,), by_merges=False)
    assert within.encode_quickly(real_texts[:1]) is None and len(within.encode(real_texts[:1])[0])


@pytest.mark.slow  # 1.7 s
def test_a_library_that_differs_is_not_taken(llama_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one text of the generated ones; or that raises, or is not there."""
    make = byte_pairs._quick_encoder
    last = hurtful_texts(2_000)[-1]

    def off_by_one(*details: object) -> Quick:
        encode = make(*details)  # type: ignore[arg-type]
        assert encode is not None
        return lambda texts: encode([text + " " if text == last else text for text in texts])

    def raising(*details: object) -> Quick:
        def fail(texts: Sequence[str]) -> list[Ids]:
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


@pytest.fixture
def kept(llama: OpenModel, tmp_path: Path) -> Path:
    """The file of a proof that is believed."""
    vocabulary = llama.tokenizer.vocabulary
    write_proof(tmp_path, vocabulary, llama.tokenizer.proof)
    assert read_proof(tmp_path, vocabulary) == llama.tokenizer.proof
    return next(tmp_path.iterdir())


def believed(llama: OpenModel, kept: Path) -> bool:
    return read_proof(kept.parent, llama.tokenizer.vocabulary) is not None


@pytest.mark.slow  # 1.5 s
def test_a_proof_with_a_flipped_bit_anywhere_is_not_believed(llama: OpenModel, kept: Path) -> None:
    whole = kept.read_bytes()
    for at in range(len(whole)):
        for bit in (0, 5):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            kept.write_bytes(flipped)
            found = read_proof(kept.parent, llama.tokenizer.vocabulary)
            assert found in (None, llama.tokenizer.proof), flipped[max(0, at - 20) : at + 20]  # white space may change


def test_a_proof_that_was_cut_is_not_believed(llama: OpenModel, kept: Path) -> None:
    whole = kept.read_bytes()
    for length in range(len(whole)):
        kept.write_bytes(whole[:length])
        assert not believed(llama, kept)
    kept.write_bytes(whole + b"{}")
    assert not believed(llama, kept)


def test_another_vocabularys_proof_is_not_believed(llama: OpenModel, scout: OpenModel, kept: Path) -> None:
    folder = kept.parent / "other"
    write_proof(folder, scout.tokenizer.vocabulary, scout.tokenizer.proof)
    next(folder.iterdir()).replace(kept)
    assert not believed(llama, kept)


def test_a_proof_that_a_stranger_may_have_written_is_not_believed(
    llama: OpenModel, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in (0o620, 0o602, 0o666):
        kept.chmod(mode)
        assert not believed(llama, kept)
    kept.chmod(0o644)
    assert believed(llama, kept)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
        assert not believed(llama, kept)
    elsewhere = kept.rename(kept.with_name("elsewhere"))
    kept.symlink_to(elsewhere)
    assert not believed(llama, kept)
    kept.unlink()
    os.mkfifo(kept)
    assert not believed(llama, kept)
    kept.unlink()
    kept.mkdir()
    assert not believed(llama, kept)
    kept.rmdir()
    kept.write_bytes(b" " * (9 << 20) + elsewhere.read_bytes())
    assert not believed(llama, kept)


def test_what_is_not_believed_is_made_anew(llama_gguf: Path, tmp_path: Path) -> None:
    header = read_header(llama_gguf)
    first = open_tokenizer(header, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(
        whole.replace(b'"add_bos": true', b'"add_bos": false').replace(b'"control": [', b'"control": [9, ')
    )
    assert open_tokenizer(header, cache=tmp_path).proof == first.proof
    assert path.read_bytes() == whole and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow  # 1.6 s
def test_two_processes_at_once_leave_one_whole_proof(llama_gguf: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.gguf import read_header\n"
        "from engine.tokens.proof import open_tokenizer\n"
        "print(open_tokenizer(read_header(Path(sys.argv[1])), cache=Path(sys.argv[2])).proof)"
    )
    command = [sys.executable, "-c", code, llama_gguf, tmp_path]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") for _ in range(2)]
    proofs = {process.communicate(timeout=PATIENCE_S)[0] for process in both}
    assert len(proofs) == 1 and len(list(tmp_path.iterdir())) == 1
    vocabulary = read_vocabulary(read_header(llama_gguf))
    assert f"{read_proof(tmp_path, vocabulary)}\n" in proofs


def test_digits_that_stand_apart_are_encoded_quickly_where_no_word_has_one(starter: OpenModel) -> None:
    """A word such as "12" or " 1" would be made where the pattern makes none."""
    encoder, _ = encoder_of(starter.tokenizer.vocabulary)
    rng = random.Random(3)
    spaces = [" ", "  ", "\n", "\t", "\u00a0", "\u2003", "\x1c", "!\n", "\r\n"]
    numbers = ["1", "23", " 7", "0x1F", "\u00b2", "\u0661", "\u216b", "\U0001d7d9", "\U00016d70"]
    pieces = [*spaces, *numbers, "a", "foo", "'s", "-", "...", "\u00e9", "\u4e00"]
    texts = ["".join(rng.choices(pieces, k=rng.randint(1, 12))) for _ in range(5_000)]
    quick = encoder.encode_quickly(texts)
    assert quick is not None
    for text, ours in zip(texts, quick, strict=True):
        assert np.array_equal(ours, encoder._one(text)), text
    ranks = {**starter.tokenizer.vocabulary.ranks, b"12": 49_152}
    assert BytePairEncoder(ranks, PATTERNS["smollm"], quick=True)._quick is None


def test_it_is_said_which_encoder_is_taken_and_why(scout: OpenModel, starter: OpenModel, gemma3: OpenModel) -> None:
    quick = f"gigatoken {quick_version()}, equal to tiktoken on 2,036"
    assert quick in how_encoded(scout.tokenizer.proof) and "llama.cpp on 33 texts" in how_encoded(scout.tokenizer.proof)
    assert quick in how_encoded(starter.tokenizer.proof), "whose digits stand apart"
    assert how_encoded(gemma3.tokenizer.proof).startswith("llama.cpp's own, since tiktoken")


def test_where_a_text_differs_it_is_said_which(llama_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, wrong = LlamaTokenizer.encode, SAMPLE[0]

    def off_by_one(self: LlamaTokenizer, texts: Sequence[str]) -> list[Ids]:
        return [ids[1:] if text == wrong else ids for text, ids in zip(texts, plain(self, texts), strict=True)]

    monkeypatch.setattr(LlamaTokenizer, "encode", off_by_one)
    llama = LlamaTokenizer(llama_gguf)
    proof = prove(read_vocabulary(read_header(llama_gguf)), llama)
    llama.close()
    said = "llama.cpp's own, since tiktoken and llama.cpp differ on 1 of 36 texts, such as 'The quick brown fox jump"
    assert how_encoded(proof).startswith(said)


def test_generated_texts_are_the_same_again() -> None:
    assert hurtful_texts(40, seed=1) == hurtful_texts(80, seed=1)[:40] != hurtful_texts(40, seed=2)
    assert max(map(len, hurtful_texts(2_000))) > 300
