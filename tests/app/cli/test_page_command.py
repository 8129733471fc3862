"""What `up` hands on to the page's server: its options, through the environment, as the server reads them."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import page
from app.settings import Settings, read_settings
from engine.errors import UsageError
from engine.memory.lora import Lora
from tests.models.lora import build_lora


class Started(Exception):
    """The server would run now."""


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llama_gguf: Path) -> Any:
    """Runs `up` as far as its server; the settings that this one reads."""
    monkeypatch.setenv("LONGDESK_HOME", str(tmp_path / "home"))
    for name in ("LONGDESK_LORA", "LONGDESK_CTX", "LONGDESK_ROPE_SCALING", "LONGDESK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    handed: dict[str, str] = {}

    def execve(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        handed.update(environment)
        raise Started

    monkeypatch.setattr(page.os, "execve", execve)
    monkeypatch.setattr(page.os, "chdir", lambda path: None)
    monkeypatch.setattr(page, "_refuse_taken", lambda door: None)
    monkeypatch.setattr(page, "_has_screen", lambda: False)

    def run(*options: object) -> Settings:
        ended = CliRunner().invoke(page.up, ["--model", str(llama_gguf), *map(str, options)])
        if ended.exception is not None and not isinstance(ended.exception, Started):
            raise ended.exception
        return read_settings(handed)

    return run


def test_a_window_beyond_the_models_own(up: Any) -> None:
    given = up("--rope-scaling", "yarn", "--ctx", "16K")
    assert (given.rope_scaling, given.n_ctx) == ("yarn", 16_384)
    plain = up()
    assert (plain.rope_scaling, plain.n_ctx) == (None, None)


def test_options_come_before_the_file(up: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text('rope_scaling = "linear"\nn_ctx = 9000\n')
    assert (up().rope_scaling, up().n_ctx) == ("linear", 9_000)
    given = up("--rope-scaling", "yarn", "--ctx", "12000")
    assert (given.rope_scaling, given.n_ctx) == ("yarn", 12_000)


def test_no_adapter_is_none_whatever_the_file_says(up: Any, tmp_path: Path, llama_gguf: Path) -> None:
    lora = build_lora(tmp_path / "a.gguf", llama_gguf)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text(f'model = "{llama_gguf}"\nlora = "{lora}"\n')
    assert up().lora_for(str(llama_gguf)) == (Lora(lora, 1.0, str(llama_gguf)),)
    assert up("--lora", "none").lora_for(str(llama_gguf)) == ()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("LONGDESK_CTX", "much", "LONGDESK_CTX is 'much'"), ("LONGDESK_ROPE_SCALING", "ntk", "one of none, linear, yarn")],
)
def test_what_makes_no_sense_is_a_sentence(name: str, value: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        read_settings({"LONGDESK_HOME": str(tmp_path), name: value})
