"""Files that only save work: whole or not there, whatever happened to them, and within their budget."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.kept_files import KeptFiles


def kept(folder: Path, budget: int = 1 << 20) -> KeptFiles:
    return KeptFiles(folder / "home" / "cache", budget)


def test_what_was_written_is_there(tmp_path: Path) -> None:
    files = kept(tmp_path)
    assert files.sizes("", "") == {} and files.read_head("a.x") is None and files.read_body("a.x") is None
    assert files.write("a.x", b"head", (b"bo", memoryview(b"dy")))
    assert files.read_head("a.x") == b"head" and files.read_body("a.x") == b"body"
    assert files.write("a.x", b"", ())
    assert files.read_head("a.x") == b"" == files.read_body("a.x")
    assert list(files.sizes("a", ".x")) == ["a.x"] and files.sizes("b", "") == {}


def test_only_the_user_may_read_it(tmp_path: Path) -> None:
    files = kept(tmp_path)
    files.write("a.x", b"head")
    for path in (files.folder / "a.x", files.folder, files.folder.parent, files.folder.parent.parent):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_flipped_byte_is_seen_wherever_it_is(tmp_path: Path) -> None:
    files = kept(tmp_path)
    files.write("a.x", b"head", (b"body",))
    path = files.folder / "a.x"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert files.read_body("a.x") is None, at
        assert not path.exists(), "it is made anew"
    for n_bytes in range(len(whole)):
        path.write_bytes(whole[:n_bytes])
        assert files.read_body("a.x") is None, n_bytes
        path.write_bytes(whole[:n_bytes])
        assert files.read_head("a.x") == (b"head" if n_bytes >= len(whole) - 4 else None), n_bytes
    path.write_bytes(whole + b"more")
    assert files.read_body("a.x") is None


def test_a_file_under_anothers_name_is_not_believed(tmp_path: Path) -> None:
    files = kept(tmp_path)
    files.write("a.x", b"head", (b"body",))
    os.rename(files.folder / "a.x", files.folder / "b.x")
    assert files.read_head("b.x") is None and files.sizes("", "") == {}


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    files = kept(tmp_path, budget=1_000)
    for at, name in enumerate(("a", "b", "c")):
        assert files.write(name, bytes(200))
        os.utime(files.folder / name, ns=(at, at))
    assert files.read_head("a") is not None  # used now
    assert files.write("d", bytes(200))
    assert list(files.sizes("", "")) == ["a", "c", "d"]
    assert not files.write("e", bytes(1_000)), "larger than all that is allowed"
    assert list(files.sizes("", "")) == ["a", "c", "d"]
    assert files.write("d", bytes(600)), "its own earlier bytes do not count"
    assert list(files.sizes("", "")) == ["a", "d"]
    assert not kept(tmp_path / "other", budget=0).write("a", b"")


def test_what_died_writers_left_goes_and_is_never_read(tmp_path: Path) -> None:
    files = kept(tmp_path)
    files.write("a.x", b"head")
    old, new = files.folder / "old.part", files.folder / "new.part"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (1, 1))
    files.write("b.x", b"head")
    assert not old.exists() and new.exists()


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file in the folder's place")
    files = kept(tmp_path)
    assert not files.write("a.x", b"head") and files.read_head("a.x") is None and files.sizes("", "") == {}


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = kept(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write("a.x", b"head")
    assert os.listdir(files.folder) == []


_WRITER = """
import sys
from pathlib import Path
from engine.kept_files import KeptFiles
files = KeptFiles(Path(sys.argv[1]), 30_000)
for at in range(300):
    name = f"{at % 7}.x"
    files.write(name, name.encode(), (name.encode() * 1_000,))
    for other in range(7):
        other = f"{other}.x"
        head, body = files.read_head(other), files.read_body(other)
        assert head in (None, other.encode()), head
        assert body in (None, other.encode() * 1_000)
"""


def test_several_processes_at_once_see_whole_files_or_none(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path / "kept")]) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sum(path.stat().st_size for path in (tmp_path / "kept").iterdir()) <= 30_000 + 2 * 3_100
