"""uploads: names as a file system takes them, however long the browser's are."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.uploads import fitting, safe_parts, write
from engine.errors import SourceRefused


@dataclass
class Sent:
    name: str
    data: bytes = b"x"

    def getbuffer(self) -> memoryview:
        return memoryview(self.data)


LONG = {
    "84 of CJK": "\u5951" * 84 + ".txt",
    "255 of NTFS": "\u5951" * 251 + ".txt",
    "emoji": "\U0001f600" * 100 + ".pdf",
    "accents": "e\u0301" * 120 + ".md",
    "two endings": "a" * 300 + ".tar.gz",
    "no ending": "b" * 400,
    "an ending as long": "c." + "d" * 400,
    "a hidden file": "." + "e" * 400,
    "half a pair": "\ud83d" * 300 + ".txt",
}


@pytest.mark.parametrize("what", LONG)
def test_a_long_name_is_cut_between_characters_and_keeps_its_ending(tmp_path: Path, what: str) -> None:
    name = LONG[what]
    (path,) = write([Sent(name)], tmp_path)
    assert path.read_bytes() == b"x" and path.parent == tmp_path
    assert len(os.fsencode(path.name)) <= 255 and "\u2026" in path.name and "\ufffd" not in path.name
    ending = Path(name).suffix
    assert path.name.endswith(ending if len(ending) < 20 else "\u2026")
    beginning = path.name.partition("\u2026")[0]
    assert name.encode(errors="replace").decode().startswith(beginning) and len(beginning.encode()) > 230


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "\u5951" * 83 + ".txt", "x" * 201, "\U0001f600" * 62 + ".pdf"])
def test_what_the_file_system_takes_stays_whole(tmp_path: Path, name: str) -> None:
    assert [path.name for path in write([Sent(name)], tmp_path)] == [name]


def test_long_names_that_begin_alike_are_all_kept(tmp_path: Path) -> None:
    names = ["\u5951" * 100 + f"{number}.txt" for number in range(12)]
    paths = write([Sent(name, name.encode()) for name in names], tmp_path)
    assert len({path.name for path in paths}) == 12
    assert [path.read_bytes().decode() for path in paths] == names
    assert all(len(os.fsencode(path.name)) <= 255 and path.suffix == ".txt" for path in paths)


def test_long_folders_and_a_file_of_a_folders_name(tmp_path: Path) -> None:
    folder = "\u5951" * 90
    paths = write([Sent(f"{folder}/{'f' * 300}.txt"), Sent(folder), Sent(f"{folder}/b.txt")], tmp_path)
    assert len(paths) == 2 and paths[0].is_dir() and paths[1].is_file()
    assert sorted(path.name for path in paths[0].iterdir()) == ["b.txt", "f" * 248 + "\u2026.txt"]
    paths = write([Sent("n" * 255), Sent("n" * 255 + "/a.txt")], tmp_path)
    assert [path.is_dir() for path in paths] == [False, True]


def test_a_path_that_lies_too_deep_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"^a\.txt lies too deep: .* Give the folder as a zip\.$"):
        write([Sent("/".join(["d" * 200] * 20) + "/a.txt")], tmp_path)
    assert len(safe_parts("/".join(["d"] * 1400))) == 1400


def test_a_name_that_fits_is_not_touched() -> None:
    assert fitting("a.txt") == "a.txt" and fitting("a.txt", " 2") == "a 2.txt" and fitting("a", " 2") == "a 2"
