"""A folder on its way from a browser, as HTTP: whole or not at all, and whose it is."""

import threading
from io import BytesIO
from pathlib import Path

import pytest

from app.arrival import Frames
from app.folders import Folders
from engine.errors import SourceRefused, UsageError
from tests.app.tab import END, PROJECT, TOKEN, Tab, below, frame, left, listed, packed, skips, taken


def test_a_folder_arrives_whole(tab: Tab, folders: Folders) -> None:
    answer = tab.send(PROJECT)
    assert answer.status_code == 200 and answer.json() == {"arrived": 9}
    arrival = taken(folders)
    assert folders.take(TOKEN) is None
    sent = below(arrival)
    ignored = {"proj/x.log", "proj/sub/c.tmp", "proj/sub/only.txt"}  # small: they can be brought back
    assert sent == {p: data for p, data in PROJECT.items() if not p.startswith(("proj/.venv", "proj/out"))}
    assert ignored <= sent.keys()
    assert skips(arrival) == {
        ".venv/": "installed dependencies; its 40 files were not sent: give it by itself to read it",
        "out/": "ignored by .gitignore: out/; its 1 file was not sent: give it by itself to read it",
    }
    assert arrival.tops == (arrival.folder / "proj",)
    assert arrival.folder.stat().st_mode & 0o777 == 0o700 and arrival.folder.parent.stat().st_mode & 0o777 == 0o700
    arrival.discard()


def test_two_folders_and_single_files_at_once(tab: Tab, folders: Folders) -> None:
    files = {
        "one/.gitignore": b"x.txt\n",
        "one/x.txt": b"left out\n",
        "one/y.txt": b"y\n",
        "two/x.txt": b"in\n",
        "x.txt": b"single\n",
        "package-lock.json": b"{}\n",  # by itself: no rule leaves it out
    }
    assert tab.send(files).json() == {"arrived": 5}
    arrival = taken(folders)
    assert [top.name for top in arrival.tops] == ["x.txt", "package-lock.json", "one", "two"]
    assert below(arrival) == files
    arrival.discard()


def test_what_the_user_wants_left_out_is_not_sent(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    folders.expect(TOKEN, tmp_path, ("docs/", "*.md"))
    files = {"p/a.py": b"1\n", "p/docs/b.py": b"2\n", "p/c.md": b"3\n"}
    _, judged = tab.announce(files)
    assert (judged["send"], judged["extra"], judged["left_out"]) == ([0], [2], 2)


def test_names_that_a_file_system_may_not_take(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    body = b'{"files": ["p/half \\ud800.txt", "p/line\\nend.txt", "p/back\\\\slash.txt"]}'
    begun = tab.post("", body).json()
    files = {"a": b"1", "b": b"2", "c": b"3"}
    tab.post(f"/{begun['id']}/rules", frame(END, b""))
    assert tab.post(f"/{begun['id']}/files", packed(files, [0, 1, 2])).json() == {"arrived": 3}
    arrival = taken(folders)
    assert sorted(below(arrival).values()) == [b"1", b"2", b"3"]
    arrival.discard()


def test_frames_do_not_care_how_they_are_cut() -> None:
    files = {"a": b"one", "b": b"", "c": b"three" * 50}
    whole = packed(files, [0, 1, 2])
    for size in (1, 2, 11, 12, 13, 64, len(whole)):
        seen: dict[int, BytesIO] = {}
        frames = Frames(lambda at, n_bytes, seen=seen: seen.setdefault(at, BytesIO()))  # type: ignore[misc]
        for begin in range(0, len(whole), size):
            frames.feed(whole[begin : begin + size])
        frames.finish()
        assert [sink.getvalue() for sink in seen.values()] == list(files.values())


def test_what_cannot_be_read_is_named(tab: Tab, folders: Folders) -> None:
    files = {"p/a.txt": b"a", "p/sub/gone.txt": b"b", "p/film.mp4": b"c", "single.txt": b"d"}
    answer = tab.send(files, {"unreadable": [1, 3], "too_large": [[2, 300 * 2**20]]})
    assert answer.json() == {"arrived": 1}
    arrival = taken(folders)
    assert skips(arrival) == {
        "sub/gone.txt": "the browser could not read it: no permission, or it was changed or deleted meanwhile",
        "film.mp4": "300.0 MiB, over the limit of 256.0 MiB for a file of a folder",
        "single.txt": "the browser could not read it: no permission, or it was changed or deleted meanwhile",
    }
    assert [top.name for top in arrival.tops] == ["p"]
    arrival.discard()


def test_a_folder_that_cannot_be_listed_is_named(tab: Tab, folders: Folders) -> None:
    files = {"p/a.txt": b"a", "p/.gitignore": b"/dark\n"}
    id, judged = tab.announce(files, closed=("p/secret", "p/dark", "p/.venv"))
    assert judged["closed"] == ["secret/"]  # the others are left out anyway
    assert tab.post(f"/{id}/files", packed(files, judged["send"])).status_code == 200
    arrival = taken(folders)
    assert skips(arrival)["secret/"] == "no permission to read it"
    arrival.discard()


def test_the_newest_of_two_in_one_tab_counts(folders: Folders, tmp_path: Path) -> None:
    """Each is sent while the other is under way."""
    tab = Tab(folders)
    first, second = {"one/a.txt": b"1"}, {"two/a.txt": b"2"}
    id_one, _ = tab.announce(first)
    one = folders.receive(TOKEN, id_one)
    one.feed(packed(first, [0])[:5])
    id_two, _ = tab.announce(second)
    two = folders.receive(TOKEN, id_two)
    with pytest.raises(UsageError, match="on its way already"):
        folders.receive(TOKEN, id_two)
    one.feed(packed(first, [0])[5:])
    two.feed(packed(second, [0]))
    with pytest.raises(SourceRefused, match="cancelled"):
        one.finish()
    assert two.finish() == 1
    arrival = taken(folders)
    assert below(arrival) == second
    arrival.discard()


def test_two_tabs_do_not_meet(folders: Folders, tmp_path: Path) -> None:
    folders.expect("other", tmp_path, ())
    sent = {token: {f"p/{token}-{n}.txt": token.encode() for n in range(50)} for token in (TOKEN, "other")}
    threads = [threading.Thread(target=Tab(folders, token).send, args=(files,)) for token, files in sent.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for token, files in sent.items():
        arrival = folders.take(token)
        assert arrival is not None and below(arrival) == files
        arrival.discard()


def test_a_cancelled_folder_does_not_arrive(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    files = {"p/a.txt": b"aaa"}
    id, _ = tab.announce(files)
    receiving = folders.receive(TOKEN, id)
    receiving.feed(packed(files, [0]))
    assert tab.client.delete(f"/folder/{TOKEN}/{id}").status_code == 200
    with pytest.raises(SourceRefused, match="cancelled"):
        receiving.finish()
    assert folders.take(TOKEN) is None and left(tmp_path) == []


def test_what_nobody_takes_is_deleted(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tab = Tab(folders)
    tab.send({"p/a.txt": b"1"})
    tab.send({"p/b.txt": b"2"})  # instead of the first
    assert [path for path in left(tmp_path) if path.endswith(".txt")] == [
        path for path in left(tmp_path) if "b.txt" in path
    ]
    monkeypatch.setattr("app.folders._WAITS_S", -1.0)
    folders.expect("another", tmp_path, ())
    assert left(tmp_path) == [] and folders.take(TOKEN) is None


def test_no_more_tabs_are_remembered_than_there_may_be(tmp_path: Path) -> None:
    folders = Folders()
    for number in range(1_001):
        folders.expect(str(number), tmp_path, ())
    assert Tab(folders, "0").post("", listed({"p/a": b""})).status_code == 409
    assert Tab(folders, "1").post("", listed({"p/a": b""})).status_code == 200


def test_copies_of_a_process_that_is_gone_are_deleted(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    dead = tmp_path / "uploads" / "4194305-gone"  # above the largest process id
    dead.mkdir(parents=True)
    (dead / "a.txt").write_text("left by a crash")
    tab.send({"p/a.txt": b"1"})
    assert not dead.exists()
    taken(folders).discard()
