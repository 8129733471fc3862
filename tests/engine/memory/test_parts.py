"""engine.memory.parts: split models whose parts are not where llama.cpp looks for them."""

import shutil
from pathlib import Path

import pytest

from engine.errors import ModelRefused
from engine.memory.card import card_at
from tests.models.other_files import build_other
from tests.models.split import split


@pytest.fixture
def first(tmp_path: Path) -> Path:
    names = [f"blk.0.t{number}.weight" for number in range(5)]
    whole = build_other(tmp_path / "m.gguf", "llama", tensors=["token_embd.weight", *names])
    folder = tmp_path / "parts"
    folder.mkdir()
    return split(whole, folder)


def part(first: Path, number: int) -> Path:
    return first.with_name(first.name.replace("-00001-", f"-0000{number}-"))


def said(path: Path) -> str:
    with pytest.raises(ModelRefused) as refused:
        card_at(path)
    return str(refused.value)


def test_all_of_it(first: Path) -> None:
    assert len(card_at(first).files) == 3


def test_a_later_part(first: Path) -> None:
    assert said(part(first, 2)).endswith("is part 2 of a split model of 3. Name the first part, m-00001-of-00003.gguf.")
    first.rename(first.with_name("beginning.gguf"))
    assert "Name the first part: that is beginning.gguf" in said(part(first, 3))
    first.with_name("beginning.gguf").unlink()
    assert "m-00001-of-00003.gguf, which is not beside it. Put all 3 parts" in said(part(first, 3))
    renamed = part(first, 2).rename(first.with_name("middle.gguf"))
    assert "is part 2 of a split model of 3" in said(renamed)


def test_a_part_is_missing(first: Path) -> None:
    part(first, 2).unlink()
    assert "1 of them are missing (m-00002-of-00003.gguf). Put all parts into one folder" in said(first)
    first.with_name("m-00002-of-00003.gguf.part").touch()
    assert "still being downloaded: m-00002-of-00003.gguf.part" in said(first)


def test_the_first_was_renamed(first: Path) -> None:
    renamed = first.rename(first.with_name("Model.gguf"))
    assert "was renamed" in said(renamed) and "-00001-of-00003.gguf" in said(renamed)
    assert "Model.gguf to Model-00001-of-00003.gguf" in said(renamed)
    assert "m-00002-of-00003.gguf to Model-00002-of-00003.gguf" in said(renamed)
    assert "m-00003-of-00003.gguf to Model-00003-of-00003.gguf" in said(renamed)


def test_all_were_renamed(first: Path) -> None:
    for number, name in ((1, "a.gguf"), (2, "c.gguf"), (3, "b.gguf")):
        part(first, number).rename(first.with_name(name))
    told = said(first.with_name("a.gguf"))
    assert "Rename a.gguf to a-00001-of-00003.gguf, c.gguf to a-00002-of-00003.gguf, b.gguf to a-00003" in told


def test_a_later_one_was_renamed(first: Path) -> None:
    part(first, 3).rename(first.with_name("last.gguf"))
    assert "Rename last.gguf to m-00003-of-00003.gguf" in said(first)


def test_two_were_swapped(first: Path) -> None:
    aside = part(first, 2).rename(first.with_name("aside"))
    part(first, 3).rename(part(first, 2))
    aside.rename(part(first, 3))
    assert "m-00002-of-00003.gguf is called as part 2 of 3, and its header says that it is part 3" in said(first)


def test_another_number_in_the_name(first: Path) -> None:
    renamed = first.rename(first.with_name("m-00001-of-00002.gguf"))
    assert "m-00001-of-00002.gguf to m-00001-of-00003.gguf" in said(renamed)


def test_a_part_of_another_model(first: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "m.gguf", part(first, 2))
    assert "its header says that it is none of them" in said(first)


@pytest.mark.parametrize("name", ["joined.gguf", "m-00001-of-00003.gguf"])
def test_parts_that_were_joined(name: str, first: Path, tmp_path: Path) -> None:
    joined = tmp_path / name
    joined.write_bytes(b"".join(part(first, number).read_bytes() for number in (1, 2, 3)))
    told = said(joined)
    assert "one behind the other, as `cat` joins them" in told and "llama-gguf-split --merge" in told
