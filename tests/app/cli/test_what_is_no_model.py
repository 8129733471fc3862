"""Every door refuses what is no model, before a corpus is read or a page is opened; and names what is odd of one."""

from pathlib import Path
from typing import Any

import gguf
import pytest

from app.cli import cli
from app.models.verification import verify
from engine.errors import InputRefused, LongdeskError, ModelRefused, UsageError
from tests.command_line import CommandLine
from tests.models.lora import build_lora
from tests.models.other_files import build_other
from tests.models.scripted import build_scripted
from tests.models.writer import copy_fields, copy_tensor

DOORS = (
    ("count", "{corpus}"),
    ("plan",),
    ("plan", "{corpus}"),
    ("ask", "{corpus}", "-q", "Why?"),
    ("summarize", "{corpus}", "--out", "{home}/out"),
    ("reading", "{corpus}"),
    ("serve", "{corpus}"),
    ("up",),
)
KINDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "embedder": ("bert", {}, "an embedding model"),
    "encoder-decoder": ("t5", {}, "an encoder-decoder model"),
    "diffusion": ("llada", {}, "a diffusion language model"),
    "imatrix": ("", {"fields": {"general.type": "imatrix"}}, "an importance matrix"),
    "projector": ("clip", {"fields": {"general.type": "mmproj"}}, "a vision projector"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LONGDESK_MODEL", raising=False)
    (tmp_path / "notes.txt").write_text("Apples are red.\n")
    return tmp_path


def refused(home: Path, *arguments: object) -> LongdeskError:
    filled = [str(each).format(corpus=home / "notes.txt", home=home) for each in arguments]
    with pytest.raises(LongdeskError) as told:
        cli.main(filled, standalone_mode=False)
    return told.value


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_every_door(door: tuple[str, ...], home: Path, llama_gguf: Path) -> None:
    for name, (architecture, how, said) in KINDS.items():
        error = refused(home, *door, "--model", build_other(home / f"{name}.gguf", architecture, **how))
        assert isinstance(error, ModelRefused) and said in str(error)
    error = refused(home, *door, "--model", build_lora(home / "style.gguf", llama_gguf))
    assert isinstance(error, ModelRefused) and "--lora style.gguf" in error.remedy
    error = refused(home, *door, "--model", home / "nothing.gguf")
    assert isinstance(error, InputRefused) and "There is no model file at" in error.fact


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_an_empty_name_and_an_adapter_of_another_model(
    door: tuple[str, ...], home: Path, llama_gguf: Path, gemma3_gguf: Path
) -> None:
    for model in ("", "  "):
        error = refused(home, *door, "--model", model)
        assert isinstance(error, UsageError) and "is empty" in error.fact
    lora = build_lora(home / "a.gguf", gemma3_gguf)
    error = refused(home, *door, "--model", llama_gguf, "--lora", lora)
    assert isinstance(error, ModelRefused) and "an adapter for gemma3 models" in error.fact


def test_verify_says_it_and_fails(home: Path) -> None:
    for name, (architecture, how, said) in KINDS.items():
        checks = verify(build_other(home / f"{name}.gguf", architecture, **how), cache=home / "cache").checks
        assert not checks[-1].passed and said in checks[-1].detail
    assert isinstance(refused(home, "models", "verify", ""), UsageError)


def test_a_name_with_a_typo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    build_other(home / "tiny-llama.gguf", "llama")
    assert "Did you mean tiny-llama.gguf" in str(refused(home, "plan", "--model", "tiny-lama"))
    assert "Did you mean tiny-llama.gguf" in str(refused(home, "plan", "--model", "tiny-lama.gguf"))
    assert "Did you mean scout" in str(refused(home, "plan", "--model", "scuot"))


def test_adapters_of_the_file_go_with_its_model(home: Path, gemma3_gguf: Path, llama_gguf: Path) -> None:
    from app.settings import read_settings

    lora = build_lora(home / "a.gguf", llama_gguf)
    (home / "home").mkdir()
    (home / "home" / "config.toml").write_text(
        f'model = "{llama_gguf}"\nlora = ["{lora}:0.5"]\nrope_scaling = "yarn"\n'
    )
    settings = read_settings()
    assert [(each.path, each.scale) for each in settings.lora_for(str(llama_gguf))] == [(lora, 0.5)]
    assert settings.rope_scaling == "yarn" and not read_settings(model=str(gemma3_gguf)).lora_for(str(gemma3_gguf))
    given = read_settings({"LONGDESK_HOME": str(home / "home"), "LONGDESK_LORA": f"{lora}\n{lora}:2"})
    assert [each.scale for each in given.lora_for(str(llama_gguf))] == [1.0, 2.0]
    (home / "home" / "config.toml").write_text('rope_scaling = "ntk"\n')
    with pytest.raises(UsageError, match="one of none, linear, yarn"):
        read_settings()


def without_rule(path: Path, model: Path, rule: str | None) -> Path:
    """The model with another tokenizer.ggml.pre, None for none."""
    reader, key = gguf.GGUFReader(model), gguf.Keys.Tokenizer.PRE
    writer = gguf.GGUFWriter(path, "llama")
    copy_fields(reader, writer)
    del writer.kv_data[0][key]
    if rule is not None:
        writer.add_tokenizer_pre(rule)
    for tensor in reader.tensors:
        copy_tensor(tensor, writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.slow  # some processes
def test_a_missing_rule_is_named_everywhere_and_an_unknown_one_refused(tmp_path: Path) -> None:
    plain = build_scripted(tmp_path / "plain.gguf", ["Hello", " there"])
    (tmp_path / "notes.txt").write_text("Apples are red.\n")
    longdesk = CommandLine(tmp_path / "home", without_rule(tmp_path / "missing.gguf", plain, None), is_new=True)
    counted, planned = longdesk("count", tmp_path / "notes.txt", "--json"), longdesk("plan", "--json")
    assert "tokenizer.ggml.pre" in counted.document["notes"][0]
    assert any("tokenizer.ggml.pre" in note for note in planned.document["notes"])
    asked = longdesk("ask", tmp_path / "notes.txt", "-q", "Why?", "--threads", "1", "--max-tokens", "4", "--no-quotes")
    assert asked.code == 0 and "tokenizer.ggml.pre" in asked.err
    verified = longdesk("models", "verify", longdesk.model)
    assert verified.code == 0 and "tokenizer.ggml.pre" in verified.out
    odd = without_rule(tmp_path / "odd.gguf", plain, "of-tomorrow")
    for arguments in (("count", tmp_path / "notes.txt", "--model", odd), ("plan", "--model", odd)):
        run = longdesk(*arguments)
        assert run.code == 4 and "'of-tomorrow'" in run.err
