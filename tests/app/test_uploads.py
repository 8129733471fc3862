"""uploads: names as a file system takes them, however long the browser's are."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app import uploads
from app.uploads import discard, fitting, private_folder, safe_parts, sweep, write
from engine.backend import Cause, Skipped
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


def owner(home: Path) -> "subprocess.Popen[str]":
    """A process that has copies in a private folder, whose path it prints, and that waits to be killed."""
    code = (
        "import sys, time; from pathlib import Path; from app.uploads import private_folder\n"
        "folder = private_folder(Path(sys.argv[1])); (folder / 'a.txt').write_text('x')\n"
        "print(folder, flush=True); time.sleep(600)"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_copies_of_a_process_that_was_killed_are_swept_and_those_of_a_live_one_are_not(
    tmp_path: Path, how: signal.Signals
) -> None:
    dead, alive = owner(tmp_path), owner(tmp_path)
    assert dead.stdout is not None and alive.stdout is not None
    with dead, alive:
        try:
            folders = [Path(each.stdout.readline().strip()) for each in (dead, alive)]  # type: ignore[union-attr]
            own = private_folder(tmp_path)
            (own / "b.txt").write_text("x")
            sweep(tmp_path)
            assert all((folder / "a.txt").exists() for folder in folders) and (own / "b.txt").exists()
            dead.send_signal(how)
            dead.wait()
            sweep(tmp_path)
            assert not folders[0].exists() and (folders[1] / "a.txt").exists() and (own / "b.txt").exists()
        finally:
            alive.kill()
            dead.kill()
    discard(own)
    sweep(tmp_path)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_what_an_older_version_left_and_what_was_half_deleted_is_swept(tmp_path: Path) -> None:
    for name in ("4194305-gone", f"{os.getpid()}-here", "gone-half", "somebody's", "copies-left"):
        (tmp_path / "uploads" / name).mkdir(parents=True)
    (tmp_path / "uploads" / "copies-file").write_text("x")
    (tmp_path / "uploads" / "copies-link").symlink_to(tmp_path)
    sweep(tmp_path)
    left = sorted(path.name for path in (tmp_path / "uploads").iterdir())
    assert left == sorted(["copies-file", "copies-link", f"{os.getpid()}-here", "somebody's"])
    sweep(tmp_path / "nowhere")


def test_a_folder_that_is_being_made_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its being made and its lock another process looks."""
    real, tried = uploads._open, list[bool]()
    monkeypatch.setattr(uploads, "_WAIT_S", -1.0)

    def looking(folder: Path) -> int:
        if folder.name.startswith("copies-") and not tried:
            tried.append(True)
            held = dict(uploads._HELD)
            uploads._HELD.clear()  # as another process knows nothing of ours
            sweep(tmp_path)
            uploads._HELD.update(held)
        return real(folder)

    monkeypatch.setattr(uploads, "_open", looking)
    folder = private_folder(tmp_path)
    assert tried and folder.is_dir()
    discard(folder)


CODES = (
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EIO,
    errno.ENOSPC,
    errno.ELOOP,
    errno.ESTALE,
    errno.EISDIR,
    errno.EDQUOT,
    errno.EROFS,
)


@pytest.mark.parametrize("code", CODES, ids=[errno.errorcode[code] for code in CODES])
def test_a_copy_that_cannot_be_written_is_said_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = Path.write_bytes

    def writing(path: Path, data: bytes) -> int:
        if path.name == "bad.txt":
            real(path, b"half")
            raise OSError(code, os.strerror(code))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", writing)
    lost: dict[Path, tuple[Skipped, ...]] = {}
    sent = [Sent("a.txt"), Sent("bad.txt"), Sent("f/bad.txt"), Sent("f/b.txt"), Sent("/".join(["d" * 200] * 20) + "/c")]
    tops = write(sent, tmp_path, lost=lost)
    assert [path.name for path in tops] == ["a.txt", "f"]
    assert [path.name for path in tmp_path.rglob("*.txt")] != [] and not list(tmp_path.rglob("bad.txt"))
    told = [(top.name[:3], one.path[:7], one.reason) for top, skips in lost.items() for one in skips]
    why = f"no copy could be written ({os.strerror(code)})"
    assert told[:2] == [("bad", "bad.txt", why), ("f", "bad.txt", why)]
    assert told[2][0] == "ddd" and "lies too deep" in told[2][2]
    with pytest.raises(OSError):
        write([Sent("bad.txt")], tmp_path)


def test_no_place_for_copies_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("a file")
    with pytest.raises(SourceRefused, match=r"^There is no place for copies in .*uploads \("):
        private_folder(tmp_path)


@pytest.mark.parametrize("claimed", [1 << 63, (1 << 64) - 1, 10**30, -1, (1 << 53) + 1])
def test_a_size_that_cannot_be_is_not_known(claimed: int) -> None:
    assert Skipped("a", Cause.BROKEN, "x", claimed).n_bytes is None
    assert replace(Skipped("a", Cause.BROKEN, "x", 5), n_bytes=claimed).n_bytes is None
    assert Skipped("a", Cause.BROKEN, "x", 1 << 40).n_bytes == 1 << 40
