"""The test models themselves: llama.cpp loads and runs them, and the broken ones break as they say."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest
import tiktoken

from engine.gguf import read_header
from engine.memory.card import read_card
from tests.models import broken, cache
from tests.models.__main__ import main
from tests.models.cache import BUILDERS, REPO, build, cached
from tests.models.llama import TEMPLATES
from tests.models.probe import Probe, probe
from tests.models.scout import SMALL as SMALL_SCOUT
from tests.models.split import split

ABORTED = -6
REFUSED = 3

TURNS = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Why? "},
    {"role": "assistant", "content": "Because."},
]


def rendered(template: str, turns: list[dict[str, str]]) -> str:
    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = jinja2.Environment()
    return environment.from_string(template).render(
        messages=turns, bos_token="<BOS>", add_generation_prompt=True, raise_exception=raise_exception
    )


@pytest.fixture(scope="module")
def sample_texts() -> list[str]:
    """Real files in several languages, and what tokenizers trip over."""
    files = [REPO / "LICENSE", Path(np.__file__), *sorted(Path(jinja2.__file__).parent.glob("*.py"))]
    odd = [
        "",
        " ",
        "\n\n\n",
        "\t\tif x:\r\n\r\n  y\r",
        "1234567 3.14159 ½ Ⅷ ١٢٣",
        "Straße, naïve café, e\u0301, I'M he'll we'VE 'tis",
        "日本語のテキスト。한국어 텍스트, العربية, Ελληνικά, Русский",
        "👩‍👩‍👧 🇩🇪 \u200b\u00a0\u3000 zero\x00byte",
        "<|eot|><|header_start|>system<|header_end|>",
        "CamelCaseHTTPServer snake_case //////// ======= >>> ... !!!\n\n\n    \n",
    ]
    return [file.read_text(encoding="utf-8") for file in files] + odd


def test_scout_holds_llama_4s_vocabulary(
    scout_gguf: Path, llama4_tokenizer: tiktoken.Encoding, sample_texts: list[str]
) -> None:
    result = probe(scout_gguf, texts=sample_texts, vocab_only=True)
    assert result.status == 0, result.log
    assert result.tokens == [llama4_tokenizer.encode_ordinary(text) for text in sample_texts]
    assert result.facts["n_vocab"] == llama4_tokenizer.n_vocab == 202_048
    special = {"bos": "<|begin_of_text|>", "eos": "<|eot|>", "eot": "<|eot|>"}
    assert {name: result.facts[name] for name in special} == {
        name: llama4_tokenizer.encode_single_token(token) for name, token in special.items()
    }
    assert result.facts["add_bos"] is True


def test_llama_cpp_splits_words_at_combining_marks(scout_gguf: Path, llama4_tokenizer: tiktoken.Encoding) -> None:
    """Where llama.cpp 0c1e57098 departs from Meta: its form of the o200k pattern leaves out the marks (\\p{M})."""
    texts = ["हिन्दी", "ไม่มีช่องว่าง"]
    for text, ids in zip(texts, probe(scout_gguf, texts=texts, vocab_only=True).tokens, strict=True):
        assert llama4_tokenizer.decode(ids) == text
        assert len(ids) > len(llama4_tokenizer.encode_ordinary(text))


@pytest.mark.slow
def test_scout_depends_on_its_far_context() -> None:
    ids = np.random.default_rng(0).integers(300, 1_800, 9_000).tolist()
    edited = ids[:1_000] + ids[5_000:7_000] + ids[3_000:]  # windowed layers at the end see nothing before 8,192
    result = probe(cached("scout", **SMALL_SCOUT), prompts=[ids, edited], n_ctx=9_216, n_reply=8)
    assert result.status == 0, result.log
    assert_healthy(result)
    assert_logits_differ(result, by=0.5)


@pytest.mark.slow
def test_scout_decodes_20000_tokens() -> None:
    ids = np.random.default_rng(0).integers(300, 1_800, 20_000).tolist()
    result = probe(cached("scout", **SMALL_SCOUT), prompts=[ids], n_ctx=20_480, n_reply=8)
    assert result.status == 0, result.log
    assert_healthy(result)


def test_models_of_odd_sizes_run(tmp_path: Path) -> None:
    one = build("scout", tmp_path / "one.gguf", n_layer=4, n_embd=32, n_expert=16, dtype="F32", vocab="none", seed=1)
    result = probe(one, prompts=[[1, 2, 3, 4]], kv_type=8, n_ctx=512)
    assert result.status == 0, result.log
    assert result.facts["n_vocab"] == 202_048
    assert np.isfinite(result.logits).all()


@pytest.mark.parametrize("name", ["maverick", "llama", "qwen2", "gemma3"])
def test_small_models_depend_on_all_their_context(name: str) -> None:
    ids = [300 + (place * place) % 1_499 for place in range(2_000)]
    edited = ids[:100] + ids[200:300] + ids[200:]
    result = probe(cached(name), prompts=[ids, edited, ids[:40]], n_reply=8)
    assert result.status == 0, result.log
    assert_healthy(result)
    assert_logits_differ(result, by=0.05)


def assert_healthy(result: Probe) -> None:
    """Finite logits of a sensible spread, and replies that are not one token over and over."""
    assert result.logits is not None
    assert np.isfinite(result.logits).all()
    assert (result.logits.std(axis=1) > 1).all() and (np.abs(result.logits) < 50).all()
    assert len({token for reply in result.replies for token in reply}) > 3


def assert_logits_differ(result: Probe, *, by: float) -> None:
    assert result.logits is not None
    assert np.abs(result.logits[0] - result.logits[1]).max() > by


def test_gemma3_tokenizes_by_pieces_and_bytes(gemma3_gguf: Path) -> None:
    result = probe(gemma3_gguf, texts=["the return", "\x07"], vocab_only=True)
    words, bell = result.tokens
    assert 1 < len(words) <= 4
    assert bell == [6 + 7]  # a byte token: the special tokens come first
    assert result.facts["eot"] == 5


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - {"ghost", "mmproj"}))
def test_quantized_kv_runs_on_every_model(name: str) -> None:
    assert probe(cached(name), prompts=[[300, 301, 302]], kv_type=8).status == 0


def test_maverick_is_known_by_its_experts() -> None:
    result = probe(cached("maverick"), no_alloc=True)
    assert "17Bx128E (Maverick)" in result.log
    names = {tensor.name for tensor in read_header(cached("maverick")).tensors}
    routed = [layer for layer in range(8) if f"blk.{layer}.ffn_gate_inp.weight" in names]
    assert routed == [1, 3, 5, 7] == [layer for layer in range(8) if f"blk.{layer}.ffn_up.weight" not in names]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model": "scout"}, ("107.77 B", "17Bx16E (Scout)")),
        ({"model": "maverick", "n_ctx_train": 1_048_576}, ("400.71 B", "17Bx128E (Maverick)")),
        ({"model": "maverick", "quantization": "Q2_K"}, ("400.71 B",)),
        ({"model": "scout", "quantization": "IQ4_XS"}, ("107.77 B",)),
        ({"model": "scout", "quantization": "BF16"}, ("107.77 B",)),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_ghosts_have_the_true_size_and_weigh_nothing(parameters: dict[str, Any], words: tuple[str, ...]) -> None:
    """The number of parameters is llama.cpp's own count; the bytes are those that it says it would read."""
    path = cached("ghost", **parameters)
    result = probe(path, no_alloc=True)
    assert result.status == 0 and all(word in result.log for word in words), result.log
    size = re.search(r"file size += ([\d.]+) GiB", result.log)
    n_bytes = read_card(read_header(path)).weights_bytes
    assert size and n_bytes / 2**30 == pytest.approx(float(size[1]), abs=0.005)
    assert n_bytes <= path.stat().st_size < n_bytes + 2**20
    assert path.stat().st_blocks * 512 < 2**16


@pytest.mark.slow
def test_a_ghost_can_carry_the_vocabulary(llama4_tokenizer: tiktoken.Encoding) -> None:
    path = cached("ghost", vocab="llama4")
    assert path.stat().st_size > 50 << 30 and path.stat().st_blocks * 512 < 16 << 20
    text = "Every fourth layer sees everything."
    assert probe(path, texts=[text], vocab_only=True).tokens == [llama4_tokenizer.encode_ordinary(text)]


def test_a_split_model_is_the_whole_model(llama_gguf: Path, tmp_path: Path) -> None:
    first = split(llama_gguf, tmp_path)
    assert first.name.endswith("-00001-of-00003.gguf") and len(list(tmp_path.iterdir())) == 3
    whole, parts = (probe(path, prompts=[[300, 301, 302]]) for path in (llama_gguf, first))
    assert parts.status == 0, parts.log
    np.testing.assert_array_equal(whole.logits, parts.logits)
    cards = [read_card(read_header(path)) for path in (llama_gguf, first)]
    assert cards[0].weights_bytes == cards[1].weights_bytes and cards[0].layers == cards[1].layers
    assert sum(len(read_header(file.path).tensors) for file in cards[1].files) == len(read_header(llama_gguf).tensors)
    with pytest.raises(ValueError, match="cannot be dealt out to 30 parts"):
        split(llama_gguf, tmp_path / "..", n_parts=30)


def test_scouts_template_writes_llama_4s_turns(scout_gguf: Path) -> None:
    template = probe(scout_gguf, vocab_only=True).facts["template"]
    assert rendered(template, TURNS) == (
        "<BOS><|header_start|>system<|header_end|>\n\nBe brief.<|eot|>"
        "<|header_start|>user<|header_end|>\n\nWhy? <|eot|>"
        "<|header_start|>assistant<|header_end|>\n\nBecause.<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n"
    )


def test_gemma3s_template_puts_the_system_text_into_the_first_turn(gemma3_gguf: Path) -> None:
    template = probe(gemma3_gguf, vocab_only=True).facts["template"]
    assert rendered(template, TURNS) == (
        "<BOS><start_of_turn>user\n Be brief. \n\nWhy?<end_of_turn>\n"
        "<start_of_turn>model\nBecause.<end_of_turn>\n<start_of_turn>model\n"
    )
    with pytest.raises(jinja2.TemplateError, match="alternate"):
        rendered(template, TURNS[2:])


def test_llamas_templates() -> None:
    assert rendered(TEMPLATES["llama3"], TURNS[1:2]) == (
        "<BOS><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert rendered(TEMPLATES["chatml"], TURNS[1:2]) == "<|im_start|>user\nWhy? <|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(jinja2.TemplateError, match="System role"):
        rendered(TEMPLATES["no_system"], TURNS)
    with pytest.raises(jinja2.TemplateSyntaxError):
        rendered(TEMPLATES["broken"], TURNS)


def test_a_model_can_come_without_a_template(tmp_path: Path) -> None:
    facts = probe(build("llama", tmp_path / "plain.gguf", template="none", add_bos=False), vocab_only=True).facts
    assert facts["template"] is None
    assert facts["add_bos"] is False


def test_the_starter_model_is_found(starter_gguf: Path) -> None:
    assert probe(starter_gguf, vocab_only=True).facts["n_vocab"] == 49_152


@pytest.mark.parametrize(
    "make",
    [
        lambda source, path: broken.truncated(source, path, 0.5),
        broken.cut_header,
        broken.wrong_magic,
        lambda source, path: broken.garbage(path),
        lambda source, path: broken.empty(path),
    ],
    ids=["truncated", "cut_header", "wrong_magic", "garbage", "empty"],
)
def test_damaged_files_are_refused(make: Callable[[Path, Path], Path], llama_gguf: Path, tmp_path: Path) -> None:
    assert probe(make(llama_gguf, tmp_path / "damaged.gguf"), prompts=[[1, 2]]).status == REFUSED


@pytest.mark.parametrize(
    ("when", "dry_run_survives"),
    [("load", False), ("context", False), ("decode", True)],
)
def test_crashing_models_kill_the_process(when: str, dry_run_survives: bool, tmp_path: Path) -> None:
    model = broken.crashing(tmp_path / "crashing.gguf", when)  # type: ignore[arg-type]
    assert probe(model, prompts=[[1, 2]]).status == ABORTED
    assert (probe(model, no_alloc=True).status == 0) is dry_run_survives


def test_a_float64_tensor_kills_the_process(tmp_path: Path) -> None:
    model = broken.with_f64_tensor(tmp_path / "f64.gguf")
    assert probe(model, no_alloc=True).status == 0
    assert probe(model, prompts=[[1, 2]]).status < 0
    assert list(tmp_path.iterdir()) == [model]


def test_models_are_built_once_per_set_of_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGDESK_TEST_MODELS", str(tmp_path))
    first = cache.cached("gemma3")
    built = first.stat().st_mtime_ns
    assert cache.cached("gemma3", n_window=512) == first  # a default, said or not, is the same model
    assert first.stat().st_mtime_ns == built
    assert cache.cached("gemma3", n_window=1_024) != first
    assert len(list(tmp_path.iterdir())) == 2
    assert cache.cached("gemma3", n_layer=6) == first  # the shape's fields too
    with pytest.raises(ValueError, match="scout"):
        cache.cached("nonsuch")


def test_builds_are_reproducible_and_seeds_matter(tmp_path: Path) -> None:
    contents = [
        build("gemma3", tmp_path / f"{place}.gguf", seed=seed).read_bytes() for place, seed in enumerate((0, 0, 1))
    ]
    assert contents[0] == contents[1] != contents[2]


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        build("llama", tmp_path / "x.gguf", template="nonsuch")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match="n_layers"):
        build("llama", tmp_path / "x.gguf", n_layers=3)


def test_the_command_line_builds_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.gguf"
    assert main(["llama", "--layers", "2", "--template", "chatml", "--out", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert probe(path, vocab_only=False, no_alloc=True).facts["n_layer"] == 2
