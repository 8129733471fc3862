"""engine.model_file: what lies at a model's path where that is no whole GGUF."""

import struct
from pathlib import Path

import pytest

from engine.errors import ModelRefused
from engine.gguf import read_header
from engine.model_file import nearest
from tests.models.other_files import build_other


def said(path: Path) -> str:
    with pytest.raises(ModelRefused) as refused:
        read_header(path)
    return str(refused.value)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build_other(tmp_path / "tiny-llama.gguf", "llama")


def test_a_path_with_nothing_at_it(model: Path) -> None:
    folder = model.parent
    for name in ("tiny-lama.gguf", "Tiny-Llama.gguf", "tiny-llama", "tiny", "tinyllama.gguf"):
        assert said(folder / name).endswith("Did you mean tiny-llama.gguf?")
    assert said(folder / "other.gguf").endswith("In that folder is tiny-llama.gguf.")
    assert f"{folder} is." in said(folder / "no" / "such" / "other.gguf")
    (folder / "late.gguf.crdownload").touch()
    assert "still being downloaded: late.gguf.crdownload" in said(folder / "late.gguf")


def test_a_folder(model: Path, tmp_path: Path) -> None:
    for name in ("b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "mmproj-b.gguf"):
        (tmp_path / name).touch()
    assert said(tmp_path).endswith("Name the .gguf file inside it: b-00001-of-00002.gguf, tiny-llama.gguf.")
    other = tmp_path / "hf"
    other.mkdir()
    assert "It is empty" in said(other)
    (other / "model.safetensors").touch()
    assert "convert_hf_to_gguf.py" in said(other)


@pytest.mark.parametrize("ending", [".part", ".crdownload", ".partial", ".incomplete", ".download"])
def test_a_download_that_has_not_ended(ending: str, model: Path) -> None:
    """Whatever it holds by now: some programs take all the room at once."""
    path = model.rename(model.with_name(model.name + ending))
    assert "a download that has not ended" in said(path) and "then name tiny-llama.gguf" in said(path)
    empty = model
    empty.touch()
    assert "still being downloaded" in said(empty) and path.name in said(empty)
    empty.write_bytes(path.read_bytes()[:-40])
    assert "cut short" in said(empty) and path.name in said(empty)


def test_beside_a_control_file(model: Path) -> None:
    model.with_name("tiny-llama.gguf.aria2").touch()
    assert "tiny-llama.gguf.aria2 lies beside it" in said(model)


def test_an_empty_file_and_one_that_ends_early(tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    assert said(tmp_path / "empty.gguf").endswith("is empty. Download the model file again.")
    data = model.read_bytes()
    for n_bytes in (5, 30, len(data) - 1):
        (tmp_path / "short.gguf").write_bytes(data[:n_bytes])
        assert "cut short" in said(tmp_path / "short.gguf")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"<html>", "a web page"),
        (b"ggjt\x03\x00\x00\x00", "from before GGUF"),
        (b"lmgg\x03\x00\x00\x00", "from before GGUF"),
        (b"PK\x03\x04" + b"x" * 20, "a zip or a PyTorch file"),
        (struct.pack("<Q", 40) + b'{"a": {}}', "safetensors"),
        (b"\0" * 64, "a download that has not begun"),
        (b"Once upon a time", "Name a model file that ends in .gguf"),
    ],
)
def test_other_formats(head: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(head)
    assert what in said(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "names",
    [
        ("m.gguf.part1of3", "m.gguf.part2of3", "m.gguf.part3of3"),
        ("m.gguf-split-a", "m.gguf-split-b", "m.gguf-split-c"),
        ("m.gguf.001", "m.gguf.002", "m.gguf.003"),
        ("m.gguf.aa", "m.gguf.ab", "m.gguf.ac"),
    ],
)
def test_pieces_that_were_cut_at_any_byte(names: tuple[str, ...], tmp_path: Path, model: Path) -> None:
    data = model.read_bytes()
    size = -(-len(data) // 3)
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(data[number * size : (number + 1) * size])
    for name in names:
        assert f"cat {' '.join(names)} > m.gguf, and name that" in said(tmp_path / name)


def test_near_names() -> None:
    assert nearest("qwen", ["Qwen3-8B.gguf", "llama.gguf"]) == ("Qwen3-8B.gguf",)
    assert nearest("lama3.gguf", ["llama3.gguf", "llama2.gguf"])[0] == "llama3.gguf"
    assert nearest("zebra", ["llama.gguf"]) == ()
