"""engine.tokens.encode, byte_pairs and vocabulary: ids equal the reference's, and none is ever a control token."""

import json
import os
import random
import signal
import sysconfig
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import pytest
import tiktoken

from engine.child import Child
from engine.errors import EngineDied, ModelRefused
from engine.gguf import read_header
from engine.local.opened import OpenModel
from engine.tokens.byte_pairs import PATTERNS, EncoderPanicked
from engine.tokens.encode import Proof, Tokenizer, byte_pair_encoder
from engine.tokens.llama_tokenizer import Facts, LlamaTokenizer
from engine.tokens.proof import open_tokenizer, prove, read_proof, write_proof
from engine.tokens.vocabulary import Alphabet, read_vocabulary
from tests.models.cache import cached
from tests.models.llama import build_llama
from tests.models.probe import probe
from tests.models.variants import gemma3_with, llama_with

MODELS = ["scout", "llama", "gemma3", "starter"]
KINDS = (" ", "a", "\n", "中", " \n", "\u2003", "🙂")


def assert_equal_ids(tokenizer: Tokenizer, texts: Sequence[str], expected: Sequence[Sequence[int]]) -> None:
    for text, ids, theirs in zip(texts, tokenizer.encode_all(texts), expected, strict=True):
        assert ids.dtype == np.int32
        assert ids.tolist() == list(theirs), text[:200]


def template_ids(tokenizer: Tokenizer, piece: str) -> list[int]:
    """Ids of a piece of a chat template that stands by itself."""
    parts = tokenizer.split_template(piece)
    return [id for part in parts for id in ([part] if isinstance(part, int) else tokenizer.encode(part).tolist())]


@pytest.fixture
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    opened: OpenModel = request.getfixturevalue(request.param)
    return opened.tokenizer


each_model = pytest.mark.parametrize("tokenizer", MODELS, indirect=True)


# --- the reference


def test_llama_4s_ids_equal_metas(scout: OpenModel, llama4_tokenizer: tiktoken.Encoding, real_texts: list[str]) -> None:
    stdlib = Path(sysconfig.get_path("stdlib"))
    texts = [*real_texts, *(path.read_text() for path in sorted(stdlib.glob("[a-m]*.py"))), "e\u0301 हिन्दी ภาษาไทย"]
    assert sum(map(len, texts)) > 2_000_000
    assert scout.tokenizer.encoder_name == "tiktoken"
    assert_equal_ids(scout.tokenizer, texts, [llama4_tokenizer.encode_ordinary(text) for text in texts])


@pytest.mark.slow  # 1.1 s
@pytest.mark.parametrize(("name", "encoder"), [("llama", "tiktoken"), ("gemma3", "llama.cpp"), ("starter", "tiktoken")])
def test_ids_equal_llama_cpps(name: str, encoder: str, real_texts: list[str], request: pytest.FixtureRequest) -> None:
    opened: OpenModel = request.getfixturevalue(name)
    assert opened.tokenizer.encoder_name == encoder
    theirs = probe(opened.card.path, texts=real_texts, vocab_only=True)
    assert theirs.status == 0, theirs.log
    assert_equal_ids(opened.tokenizer, real_texts, theirs.tokens)


@each_model
def test_all_at_once_equals_one_by_one(tokenizer: Tokenizer, real_texts: list[str]) -> None:
    texts = [*real_texts, "", *real_texts[:5]]
    assert sum(map(len, texts)) > 2 * (256 << 10)  # enough for several threads
    for ids, text in zip(tokenizer.encode_all(texts), texts, strict=True):
        np.testing.assert_array_equal(ids, tokenizer.encode(text))
    assert tokenizer.encode_all([]) == []
    assert tokenizer.encode("").shape == (0,) and tokenizer.encode("").dtype == np.int32


def test_several_threads_may_encode(gemma3: OpenModel, llama: OpenModel, real_texts: list[str]) -> None:
    for tokenizer in (gemma3.tokenizer, llama.tokenizer):
        expected = tokenizer.encode(real_texts[0])
        with ThreadPoolExecutor(8) as pool:
            for ids in pool.map(tokenizer.encode, [real_texts[0]] * 16):
                np.testing.assert_array_equal(ids, expected)


# --- control tokens


def spellings(specials: Sequence[str]) -> list[str]:
    """Every special token alone; all in a row; and inside other text, where neighbours could join with them."""
    drawn = random.Random(0)
    inside = []
    for special in specials:
        before, after = drawn.choice(("x", " ", "\n", "<", "<|", "▁", "")), drawn.choice(("y", " ", ">", "|>", "é", ""))
        inside.append(f"{before}{special}{after}{special[: len(special) // 2]}{special}{special[1:]}")
    return [*specials, "".join(specials), " ".join(specials), *inside]


@pytest.mark.slow  # 1.5 s
@each_model
def test_no_text_becomes_a_control_token(tokenizer: Tokenizer) -> None:
    texts = spellings(list(tokenizer.specials))
    encoded = tokenizer.encode_all(texts)
    control = [
        tokenizer.facts.control,
        *([tokenizer.specials.values()] if tokenizer.encoder_name == "tiktoken" else []),
    ]
    for barred in control:
        assert barred
        for text, ids in zip(texts, encoded, strict=True):
            assert not np.isin(ids, list(barred)).any(), text
    for text, ids in zip(texts, encoded, strict=True):  # and nothing of it is lost
        assert len(ids) or not text, text


@each_model
def test_the_ids_of_what_spells_control_tokens_are_its_text(tokenizer: Tokenizer) -> None:
    for text in spellings(list(tokenizer.specials)[:40]):
        assert text_of(tokenizer, tokenizer.encode(text)) == text


def text_of(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    """What ids say, by the vocabulary alone."""
    bytes_of = bytes_of_tokens(tokenizer)
    return b"".join(bytes_of[token] for token in ids.tolist()).decode()


@cache
def bytes_of_tokens(tokenizer: Tokenizer) -> dict[int, bytes]:
    if tokenizer.vocabulary.is_byte_level:
        return {number: raw for raw, number in tokenizer.vocabulary.ranks.items()}
    return {
        number: bytes([int(text[1:-1], 16)]) if text.startswith("<0x") else text.replace("\u2581", " ").encode()
        for number, text in enumerate(tokenizer.vocabulary.texts)
    }


@each_model
def test_template_pieces_speak_special_tokens(tokenizer: Tokenizer) -> None:
    specials = [text for text, number in tokenizer.specials.items() if number in tokenizer.facts.control][:20]
    for special in specials:
        expected = [*tokenizer.encode("a b"), tokenizer.specials[special], *tokenizer.encode("\n\n")]
        assert template_ids(tokenizer, f"a b{special}\n\n") == expected
    assert template_ids(tokenizer, "") == []
    row = "".join(specials)
    assert template_ids(tokenizer, row) == [tokenizer.specials[special] for special in specials]


def test_overlapping_special_tokens_are_cut_apart(gemma3: OpenModel) -> None:
    tokenizer = gemma3.tokenizer
    for text in ("<<bos>bos>", "<start_of_turn><end_of_turn>" * 3, "<eos><bos><unk>", "<unk>"):
        ids = tokenizer.encode(text)
        assert not np.isin(ids, tokenizer.facts.control).any()
        assert text_of(tokenizer, ids) == text


def test_a_control_token_that_the_file_types_as_ordinary(tmp_path: Path) -> None:
    """llama.cpp makes <|eot_id|> control whatever the file says: the template must speak it, a source must not."""
    path = llama_with(tmp_path / "x.gguf", types={"<|eot_id|>": gguf.TokenType.NORMAL})
    tokenizer = open_tokenizer(read_header(path))
    eot = list(tokenizer.vocabulary.texts).index("<|eot_id|>")
    assert "<|eot_id|>" not in tokenizer.vocabulary.specials
    assert template_ids(tokenizer, "x<|eot_id|>") == [*tokenizer.encode("x"), eot]
    assert eot not in tokenizer.encode("<|eot_id|>")


def test_user_defined_tokens_of_the_template_are_control(tmp_path: Path) -> None:
    """Older Gemma files type their turn marks as user-defined, which llama.cpp recognizes in any text."""
    turns = {"<start_of_turn>": gguf.TokenType.USER_DEFINED, "<pad>": gguf.TokenType.USER_DEFINED}
    tokenizer = open_tokenizer(read_header(gemma3_with(tmp_path / "x.gguf", types=turns)))
    ids = tokenizer.encode("a<start_of_turn>b")
    assert not np.isin(ids, tokenizer.specials["<start_of_turn>"]).any()
    assert text_of(tokenizer, ids) == "a<start_of_turn>b"
    assert tokenizer.specials["<pad>"] in tokenizer.encode("<pad>")  # no mark of the template: a token like others
    tokenizer.close()


@pytest.mark.slow  # 1.8 s
def test_no_space_is_put_before_a_text(tmp_path: Path, gemma3: OpenModel, real_texts: list[str]) -> None:
    """Files of Llama 2's and Phi 3's kind ask for one, but texts here are pieces of a longer one."""
    path = gemma3_with(tmp_path / "x.gguf", add_space_prefix=True)
    assert probe(path, texts=["the"], vocab_only=True).tokens != probe(gemma3.card.path, texts=["the"]).tokens
    tokenizer = open_tokenizer(read_header(path))
    for text, ids in zip(real_texts, tokenizer.encode_all(real_texts), strict=True):
        np.testing.assert_array_equal(ids, gemma3.tokenizer.encode(text))
    assert tokenizer.vocabulary.digest != gemma3.tokenizer.vocabulary.digest
    assert text_of(tokenizer, tokenizer.encode("<bos>the<bos>")) == "<bos>the<bos>"
    tokenizer.close()


# --- what a vocabulary lacks


def test_missing_characters_are_said_and_left_out(starter: OpenModel) -> None:
    tokenizer = starter.tokenizer
    assert tokenizer.unrepresentable("a\x04b\x04 é") == Counter({"\x04": 2})
    np.testing.assert_array_equal(tokenizer.encode("a\x04b"), tokenizer.encode("ab"))
    assert tokenizer.encode("\x04\x04").shape == (0,)
    assert template_ids(tokenizer, "a\x04b") == tokenizer.encode("ab").tolist()
    lacking = {byte for byte in range(256) if bytes([byte]) not in tokenizer.vocabulary.ranks}
    assert len(lacking) == 21
    every = [chr(code) for code in [*range(0x3000), *range(0xD000, 0xD800), *range(0xF800, 0x20000)]]
    missing = [character for character in every if lacking & set(character.encode())]
    assert sorted(tokenizer.unrepresentable("".join(every))) == missing and missing
    assert text_of(tokenizer, tokenizer.encode("".join(every))) == "".join(sorted(set(every) - set(missing)))


@each_model
def test_lone_surrogates_are_missing_characters(tokenizer: Tokenizer) -> None:
    assert tokenizer.unrepresentable("a\udc80b") == Counter({"\udc80": 1})
    np.testing.assert_array_equal(tokenizer.encode("a\udc80b\ud83d"), tokenizer.encode("ab"))
    assert not tokenizer.unrepresentable("größe 🙂")


@pytest.mark.parametrize("byte", [0x04, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0x80])
def test_any_byte_may_be_missing(byte: int, llama: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = read_vocabulary(read_header(llama.card.path))
    ranks = {raw: number for raw, number in vocabulary.ranks.items() if raw != bytes([byte])}
    monkeypatch.setitem(vocabulary.__dict__, "ranks", ranks)
    alphabet = Alphabet(vocabulary)
    every = "".join(map(chr, [*range(0x1000), *range(0x2000, 0x2100), 0xD7FF, 0xFFFD, 0x1F642, 0x10FFFF]))
    missing = {character for character in every if byte in character.encode()}
    assert alphabet.missing(every) == Counter(missing) and missing
    assert alphabet.representable(every) == "".join(c for c in every if c not in missing)
    encoder = byte_pair_encoder(vocabulary, (), by_merges=False)
    assert len(encoder.encode([alphabet.representable(every)])[0])
    if byte == 0x04:  # the others are also parts of longer tokens
        with pytest.raises(EncoderPanicked):
            encoder.encode([min(missing)])


def test_a_sentencepiece_vocabulary_without_bytes(tmp_path: Path) -> None:
    """llama.cpp ends its process on a character that such a vocabulary lacks."""
    bytes_gone = {f"<0x{byte:02X}>": f"<nothing{byte}>" for byte in range(256)}
    tokenizer = open_tokenizer(read_header(gemma3_with(tmp_path / "x.gguf", texts=bytes_gone)))
    assert tokenizer.unrepresentable("the\x07 größe 🙂\n") == Counter(
        "\x07🙂" + "".join(character for character in "öß\n" if character not in set(tokenizer.vocabulary.texts))
    )
    assert text_of(tokenizer, tokenizer.encode("the\x07 return 🙂")) == "the return "
    tokenizer.close()


# --- sizes


@pytest.mark.slow  # 3.2 s
@pytest.mark.parametrize("tokenizer", ["scout", "gemma3", "starter"], indirect=True)
@pytest.mark.parametrize("text", KINDS)
def test_a_million_characters_of_a_kind(tokenizer: Tokenizer, text: str) -> None:
    """In parts, for which the encoders take time in proportion to their lengths."""
    whole = (text * 1_000_000)[:1_000_000]
    is_sentencepiece, is_in_no_piece = tokenizer.vocabulary.family == "llama", text in "\u2003🙂"
    longest = 200_000 if not is_sentencepiece else 8_192 if is_in_no_piece else 1_000_000
    assert max(map(len, tokenizer._cutter.cut(whole))) == longest
    ids = tokenizer.encode(whole)
    if not tokenizer.unrepresentable(text):
        assert text_of(tokenizer, ids) == whole


def test_cuts_for_sentencepiece_change_no_id(gemma3: OpenModel, real_texts: list[str]) -> None:
    drawn = random.Random(0)
    text = "".join(c + ("🙂" if drawn.random() < 0.02 else "") for c in "".join(real_texts)[:60_000])
    theirs = probe(gemma3.card.path, texts=[text], vocab_only=True).tokens[0]
    assert len(gemma3.tokenizer._cutter.cut(text)) > 5
    assert gemma3.tokenizer.encode(text).tolist() == theirs


def test_long_runs_are_cut_only_where_they_must_be(llama: OpenModel) -> None:
    tokenizer = llama.tokenizer
    words = "word " * 100_000  # long, without a long run
    theirs = tokenizer._encoder.encode([words])[0]
    np.testing.assert_array_equal(tokenizer.encode(words), theirs)
    mixed = f"{words}{'x' * 450_000} {words}"
    assert text_of(tokenizer, tokenizer.encode(mixed)) == mixed


def test_a_text_that_tiktoken_gives_up_on_goes_to_llama_cpp(llama_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = open_tokenizer(read_header(llama_gguf))
    expected = tokenizer.encode("some text")

    def panic(*_: object) -> None:
        raise EncoderPanicked

    monkeypatch.setattr(tokenizer._encoder, "encode", panic)
    np.testing.assert_array_equal(tokenizer.encode("some text"), expected)
    tokenizer.close()


# --- which encoder


@pytest.mark.slow  # 1.7 s
def test_ids_that_are_not_in_merge_order(tmp_path: Path, real_texts: list[str]) -> None:
    path = llama_with(tmp_path / "x.gguf", shuffled=True)
    tokenizer = open_tokenizer(read_header(path))
    vocabulary = tokenizer.vocabulary
    assert not vocabulary.is_in_merge_order
    assert tokenizer.encoder_name == "tiktoken"
    assert_equal_ids(tokenizer, real_texts, probe(path, texts=real_texts, vocab_only=True).tokens)
    by_ids = byte_pair_encoder(vocabulary, tokenizer.facts.control, by_merges=False)
    assert any(not np.array_equal(by_ids.encode([text])[0], tokenizer.encode(text)) for text in real_texts)


def test_two_rare_ids_out_of_order_are_seen(tmp_path: Path) -> None:
    """No sample would show them: the merge list does."""
    llama = cached("llama")
    texts = list(read_vocabulary(read_header(llama)).texts)
    last, before = texts[1_999], texts[1_998]
    path = llama_with(tmp_path / "x.gguf", texts={last: before, before: last})
    assert not read_vocabulary(read_header(path)).is_in_merge_order
    assert read_vocabulary(read_header(llama)).is_in_merge_order


@pytest.mark.slow  # 2.3 s
def test_a_pattern_that_differs_falls_back(tmp_path: Path, real_texts: list[str]) -> None:
    path = llama_with(tmp_path / "x.gguf", pre="gpt-2")
    wrong = PATTERNS | {"gpt-2": PATTERNS["qwen2"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.tokens.encode.PATTERNS", wrong)
        tokenizer = open_tokenizer(read_header(path))
        assert tokenizer.encoder_name == "llama.cpp"
        assert_equal_ids(tokenizer, real_texts, probe(path, texts=real_texts, vocab_only=True).tokens)
        tokenizer.close()
    assert open_tokenizer(read_header(path)).encoder_name == "tiktoken"


@pytest.mark.slow  # 2.1 s
def test_a_pre_tokenizer_without_a_pattern_falls_back(tmp_path: Path, real_texts: list[str]) -> None:
    path = llama_with(tmp_path / "x.gguf", pre="falcon")
    tokenizer = open_tokenizer(read_header(path))
    assert tokenizer.encoder_name == "llama.cpp"
    assert_equal_ids(tokenizer, real_texts, probe(path, texts=real_texts, vocab_only=True).tokens)
    for text in spellings(list(tokenizer.specials)):
        assert not np.isin(tokenizer.encode(text), tokenizer.facts.control).any()
    tokenizer.close()


# --- proofs


def test_a_proof_is_made_once(llama_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "new" / "cache"
    header = read_header(llama_gguf)
    first = open_tokenizer(header, cache=folder)
    kept = read_proof(folder, first.vocabulary)
    assert kept is not None and kept.encoder == "ids" and kept.facts == first.facts
    assert [path.name for path in folder.iterdir()] == [f"vocabulary-{first.vocabulary.digest}.json"]
    monkeypatch.setattr("engine.tokens.proof.prove", None)
    again = open_tokenizer(header, cache=folder)
    assert again.facts == first.facts and again.encoder_name == first.encoder_name


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: {**kept, "stamp": "0"},
        lambda kept: {**kept, "encoder": "magic"},
        lambda kept: {**kept, "facts": None},
        lambda kept: [],
        lambda kept: "",
    ],
)
def test_a_proof_that_is_stale_or_spoilt_is_made_again(spoil: object, llama: OpenModel, tmp_path: Path) -> None:
    vocabulary = llama.tokenizer.vocabulary
    write_proof(tmp_path, vocabulary, Proof("ids", llama.tokenizer.facts))
    path = next(tmp_path.iterdir())
    assert read_proof(tmp_path, vocabulary) is not None
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))  # type: ignore[operator]
    assert read_proof(tmp_path, vocabulary) is None
    path.write_bytes(b"\xff\x00")
    assert read_proof(tmp_path, vocabulary) is None


@pytest.mark.slow  # 1.3 s
def test_a_cache_that_cannot_be_used_costs_nothing_else(llama_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nonsuch")):
        assert open_tokenizer(read_header(llama_gguf), cache=folder).encoder_name == "tiktoken"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_models_that_differ_in_their_special_tokens_share_no_proof(tmp_path: Path) -> None:
    """Equal pieces, other flags: with one proof for both, BOS would be wrong in one of them."""
    with_bos = open_tokenizer(read_header(cached("llama")), cache=tmp_path)
    without = open_tokenizer(read_header(cached("llama", add_bos=False)), cache=tmp_path)
    assert (with_bos.facts.add_bos, without.facts.add_bos) == (True, False)
    assert with_bos.vocabulary.digest != without.vocabulary.digest
    assert cached("llama", seed=1) != cached("llama")
    assert read_vocabulary(read_header(cached("llama", seed=1))).digest == with_bos.vocabulary.digest


# --- llama.cpp's child


def test_a_vocabulary_that_llama_cpp_refuses_or_dies_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    unknown = llama_with(tmp_path / "unknown.gguf", pre="nonsuch")
    with pytest.raises(ModelRefused, match="text is cut by the rule 'nonsuch' .* does not know that rule"):
        open_tokenizer(read_header(unknown), cache=tmp_path)
    monkeypatch.setattr("engine.tokens.llama_tokenizer.Child", lambda _: Child("tests.odd_child"))
    with pytest.raises(ModelRefused, match="cannot be loaded: The engine's process ended with signal SIGABRT"):
        open_tokenizer(read_header(cached("llama")), cache=tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not list(tmp_path.glob("*.json"))


def test_the_child_is_started_anew_after_it_was_killed(gemma3_gguf: Path) -> None:
    llama = LlamaTokenizer(gemma3_gguf)
    expected = llama.encode(["some text"])[0]
    assert llama._child is not None
    os.kill(llama._child.pid, signal.SIGKILL)
    with pytest.raises(EngineDied, match="killed from outside"):
        llama.encode(["some text"])
    np.testing.assert_array_equal(llama.encode(["some text"])[0], expected)
    llama.close()
    np.testing.assert_array_equal(llama.encode(["some text"])[0], expected)
    llama.close()
    assert llama.encode([]) == [] and llama._child is None


def test_facts_of_the_models(scout: OpenModel, llama4_tokenizer: tiktoken.Encoding, gemma3: OpenModel) -> None:
    special = llama4_tokenizer._special_tokens
    assert scout.tokenizer.facts == Facts(tuple(sorted(special.values())), special["<|begin_of_text|>"], True)
    assert gemma3.tokenizer.facts == Facts((0, 1, 2, 3, 4, 5), 2, True)


def test_prove_closes_nothing_and_leaks_nothing(llama_gguf: Path) -> None:
    llama = LlamaTokenizer(llama_gguf)
    assert prove(read_vocabulary(read_header(llama_gguf)), llama).encoder == "ids"
    assert llama._child is not None and llama._child.alive
    llama.close()


def test_builders_of_variants_start_from_the_same_weights(tmp_path: Path) -> None:
    assert read_header(build_llama(tmp_path / "a.gguf")).tensor_bytes == read_header(cached("llama")).tensor_bytes
