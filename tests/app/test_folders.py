"""A folder on its way from a browser, as HTTP: whole or not at all, from the page alone, nothing outside its home."""

import json
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.arrival import Arrival, Frames
from app.desk import Desk
from app.folders import Folders
from app.intake import Intake
from app.server import routes
from app.settings import Settings
from engine.corpus.source import Cause
from engine.errors import SourceRefused, UsageError
from tests.engine.corpus.test_ignore import make_repository

TOKEN = "a-token"
END, SAID = 0xFFFF_FFFF, 0xFFFF_FFFE
Files = Mapping[str, bytes]


def frame(at: int, data: bytes) -> bytes:
    return struct.pack("<IQ", at, len(data)) + data


def packed(files: Files, places: list[int], said: Mapping[str, Any] | None = None) -> bytes:
    contents = list(files.values())
    head = frame(SAID, json.dumps(said).encode()) if said else b""
    return head + b"".join(frame(at, contents[at]) for at in places) + frame(END, b"")


def listed(files: Files, closed: tuple[str, ...] = ()) -> bytes:
    return json.dumps({"files": list(files), "closed": closed}).encode()


class Tab:
    """The page in a browser, as far as it sends folders."""

    def __init__(self, folders: Folders, token: str = TOKEN) -> None:
        self.folders = folders
        self.client = TestClient(Starlette(routes=routes(folders)), base_url="http://127.0.0.1:8501")
        self.client.headers["Origin"] = "http://127.0.0.1:8501"
        self.token = token

    def post(self, path: str, body: bytes, **headers: str) -> Any:
        return self.client.post(f"/folder/{self.token}{path}", content=body, headers=headers)

    def announce(self, files: Files, closed: tuple[str, ...] = ()) -> tuple[str, dict[str, Any]]:
        begun = self.post("", listed(files, closed))
        assert begun.status_code == 200, begun.text
        id = begun.json()["id"]
        judged = self.post(f"/{id}/rules", packed(files, begun.json()["rules"]))
        assert judged.status_code == 200, judged.text
        return id, judged.json()

    def send(self, files: Files, said: Mapping[str, Any] | None = None) -> Any:
        """What drop.js does."""
        id, judged = self.announce(files)
        kept_back = {*(said or {}).get("unreadable", ()), *(at for at, _ in (said or {}).get("too_large", ()))}
        places = [at for at in judged["send"] if at not in kept_back] + judged["extra"]
        return self.post(f"/{id}/files", packed(files, places, said))


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    made = Folders(max_bytes=10_000)
    made.expect(TOKEN, tmp_path, ())
    with closing(made):
        yield made
    assert left(tmp_path) == []


@pytest.fixture
def tab(folders: Folders) -> Tab:
    return Tab(folders)


def left(home: Path) -> list[str]:
    """The copies that lie there."""
    uploads = home / "uploads"
    return sorted(str(path.relative_to(uploads)) for path in uploads.rglob("*")) if uploads.exists() else []


def below(arrival: Arrival) -> dict[str, bytes]:
    return {
        path.relative_to(arrival.folder).as_posix(): path.read_bytes()
        for path in sorted(arrival.folder.rglob("*"))
        if path.is_file()
    }


def taken(folders: Folders) -> Arrival:
    arrival = folders.take(TOKEN)
    assert arrival is not None
    return arrival


def skips(arrival: Arrival) -> dict[str, str]:
    return {one.path: one.reason for skipped in arrival.left_out.values() for one in skipped}


PROJECT: Files = {
    "proj/.gitignore": b"*.log\nout/\n!keep.log\n",
    "proj/a.py": b"a = 1\n",
    "proj/empty.txt": b"",
    "proj/.hidden": b"hidden\n",
    "proj/keep.log": b"kept\n",
    "proj/x.log": b"ignored\n",
    "proj/out/made.txt": b"made\n",
    "proj/sub/.gitignore": b"*.tmp\n/only.txt\n",
    "proj/sub/b.py": b"b = 2\n",
    "proj/sub/c.tmp": b"tmp\n",
    "proj/sub/only.txt": b"only\n",
    "proj/sub/deep/only.txt": b"deep\n",
    "proj/\u540d\u524d \u00e9.txt": b"named\n",
    **{f"proj/.venv/lib/{number}.py": b"x\n" for number in range(40)},
}


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


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:8501.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_another_origin_is_refused(tab: Tab, folders: Folders, headers: dict[str, str]) -> None:
    id, judged = tab.announce(PROJECT)
    for path, body in (("", listed(PROJECT)), (f"/{id}/rules", b""), (f"/{id}/files", packed(PROJECT, judged["send"]))):
        answer = tab.post(path, body, **headers)
        assert answer.status_code == 403 and "own page" in answer.json()["error"]
    assert tab.client.delete(f"/folder/{TOKEN}/{id}", headers=headers).status_code == 403
    assert folders.take(TOKEN) is None


def test_no_origin_is_refused(tab: Tab) -> None:
    del tab.client.headers["Origin"]
    assert tab.post("", listed(PROJECT)).status_code == 403


@pytest.mark.parametrize("token", ["other", "a-token2", "%2e%2e", "a-toke"])
def test_a_wrong_token_gets_nothing_in(folders: Folders, token: str) -> None:
    stranger = Tab(folders, token)
    answer = stranger.post("", listed(PROJECT))
    assert answer.status_code == 409 and "does not know this tab" in answer.json()["error"]
    id, _ = Tab(folders).announce(PROJECT)
    assert stranger.post(f"/{id}/files", frame(END, b"")).status_code == 409


def test_a_wrong_id_gets_nothing_in(tab: Tab, folders: Folders) -> None:
    id, judged = tab.announce(PROJECT)
    answer = tab.post(f"/{id}x/files", packed(PROJECT, judged["send"]))
    assert answer.status_code == 409 and "Nothing was added" in answer.json()["error"]
    assert folders.take(TOKEN) is None


def test_other_ways_to_ask_are_no_way(tab: Tab) -> None:
    assert tab.client.get(f"/folder/{TOKEN}").status_code == 405
    assert tab.client.put(f"/folder/{TOKEN}", content=listed(PROJECT)).status_code == 405


def test_too_much_is_refused_and_deleted(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    files = {"p/a.txt": b"a" * 6_000, "p/b.txt": b"b" * 6_000}
    answer = tab.send(files)
    assert answer.status_code == 422 and "over the limit of 9.8 KiB" in answer.json()["error"]
    assert folders.take(TOKEN) is None and not any(path.endswith(".txt") for path in left(tmp_path))


def test_a_length_that_lies_is_refused(tab: Tab, folders: Folders) -> None:
    id, judged = tab.announce({"p/a.txt": b"a"})
    body = struct.pack("<IQ", 0, 2**63) + b"a" * 100
    assert tab.post(f"/{id}/files", body).status_code == 422
    assert folders.take(TOKEN) is None


def test_cut_short_at_any_byte_adds_nothing(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    files = {"p/a.txt": b"aaa", "p/b.txt": b"", "p/c.txt": b"cc"}
    whole = packed(files, [0, 1, 2])
    for n_bytes in range(len(whole)):
        id, _ = tab.announce(files)
        answer = tab.post(f"/{id}/files", whole[:n_bytes])
        assert answer.status_code == 422 and "Nothing was added" in answer.json()["error"], n_bytes
        assert folders.take(TOKEN) is None and left(tmp_path) == []
    id, _ = tab.announce(files)
    assert tab.post(f"/{id}/files", whole).json() == {"arrived": 3}
    taken(folders).discard()


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_one_file_less_than_was_wanted_adds_nothing(tab: Tab, folders: Folders, missing: int) -> None:
    files = {"p/a.txt": b"aaa", "p/b.txt": b"", "p/c.txt": b"cc"}
    id, _ = tab.announce(files)
    answer = tab.post(f"/{id}/files", packed(files, [at for at in range(3) if at != missing]))
    assert "1 of 3 files did not arrive. Nothing was added" in answer.json()["error"]
    assert folders.take(TOKEN) is None


def test_a_connection_that_ends_adds_nothing(folders: Folders, tmp_path: Path) -> None:
    files = {"p/a.txt": b"aaa"}
    id, _ = Tab(folders).announce(files)
    receiving = folders.receive(TOKEN, id)
    receiving.feed(packed(files, [0])[:-3])
    assert [path for path in left(tmp_path) if path.endswith("a.txt")]
    receiving.abort()
    assert left(tmp_path) == [] and folders.take(TOKEN) is None
    with pytest.raises(UsageError):
        folders.receive(TOKEN, id)


@pytest.mark.parametrize(
    "path",
    ["../x", "p/../../x", "/etc/passwd", "p//x", "", ".", "p/./x", "p/x\0", "p/..", "p/"],
)
def test_a_path_that_leads_out_is_refused(tab: Tab, path: str) -> None:
    answer = tab.post("", listed({"p/a.txt": b"a", path: b"x"}))
    assert answer.status_code == 422 and "leads out" in answer.json()["error"]
    assert tab.post("", listed({"p/a.txt": b"a"}, closed=(path,))).status_code == 422


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"files": 3}', b'{"files": "p/a"}', b'{"files": [["p/a"]]}', b'{"files": [1]}',
     b'{"files": ["p/a", null]}', b'{"files": ["p/a", "p/a"]}', b'{"files": []}', b"[" * 100_000,
     b'{"files": ["p/a"], "closed": [3]}', b"\xff\xfe"],
)  # fmt: skip
def test_a_list_that_is_none_is_refused(tab: Tab, body: bytes) -> None:
    answer = tab.post("", body)
    assert answer.status_code == 422 and answer.json()["error"]


def test_names_that_a_file_system_may_not_take(tab: Tab, folders: Folders, tmp_path: Path) -> None:
    body = b'{"files": ["p/half \\ud800.txt", "p/line\\nend.txt", "p/back\\\\slash.txt"]}'
    begun = tab.post("", body).json()
    files = {"a": b"1", "b": b"2", "c": b"3"}
    tab.post(f"/{begun['id']}/rules", frame(END, b""))
    assert tab.post(f"/{begun['id']}/files", packed(files, [0, 1, 2])).json() == {"arrived": 3}
    arrival = taken(folders)
    assert sorted(below(arrival).values()) == [b"1", b"2", b"3"]
    arrival.discard()


@pytest.mark.parametrize("places", [[0, 0], [70], [1]])
def test_what_was_not_asked_for_is_refused(tab: Tab, folders: Folders, places: list[int]) -> None:
    files = {"p/a.txt": b"a", "p/.venv/x.py": b"x", **{f"p/{n}.txt": b"" for n in range(6)}}
    id, _ = tab.announce(files)
    answer = tab.post(f"/{id}/files", b"".join(frame(at, b"a") for at in places) + frame(END, b""))
    assert answer.status_code == 422 and "not asked for" in answer.json()["error"]
    assert folders.take(TOKEN) is None


def test_nothing_may_follow_the_end(tab: Tab) -> None:
    id, judged = tab.announce({"p/a.txt": b"a"})
    assert tab.post(f"/{id}/files", packed({"p/a.txt": b"a"}, [0]) + b"x").status_code == 422


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


@pytest.mark.parametrize("said", [b"[", b"[]", b'{"unreadable": ["x"]}', b'{"too_large": [1]}', b"\xff"])
def test_what_the_browser_says_wrongly_is_refused(tab: Tab, said: bytes) -> None:
    id, _ = tab.announce({"p/a.txt": b"a"})
    body = frame(SAID, said) + packed({"p/a.txt": b"a"}, [0])
    assert tab.post(f"/{id}/files", body).status_code == 422


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


# into a session


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", model=str(llama_gguf)))) as opened:
        yield opened


@pytest.fixture
def intake(desk: Desk) -> Iterator[Intake]:
    with closing(Intake(desk)) as made:
        yield made
    assert left(desk.settings.home) == []


def bring(desk: Desk, intake: Intake, files: Files, said: Mapping[str, Any] | None = None) -> str:
    """A session with the folder in it."""
    folders = Folders()
    folders.expect(TOKEN, desk.settings.home, ())
    answer = Tab(folders).send(files, said)
    assert answer.status_code == 200, answer.text
    delivery = intake.read_arrival(taken(folders))
    session = desk.begin_session(delivery.title).id
    intake.add(session, delivery)
    return session


def test_a_session_has_the_folder_and_says_what_was_left_out(desk: Desk, intake: Intake) -> None:
    session = bring(desk, intake, PROJECT)
    view = desk.session(session)
    assert view.session.title == "proj"
    found = {link.path.removeprefix("proj/") for link in view.links}
    assert found == {".gitignore", "a.py", ".hidden", "keep.log", "sub/.gitignore", "sub/b.py", "sub/deep/only.txt",
                     "\u540d\u524d \u00e9.txt"}  # fmt: skip
    skipped = {one.path.removeprefix("proj/"): one for one in view.skipped}
    assert skipped.keys() == {"empty.txt", "x.log", "out/", "sub/c.tmp", "sub/only.txt", ".venv/"}
    assert "40 files were not sent" in skipped[".venv/"].reason and not skipped[".venv/"].can_include
    assert skipped["x.log"].can_include and "not sent" not in skipped["x.log"].reason
    path = skipped["x.log"].path
    assert intake.can_bring_back(session, path)
    intake.bring_back(session, path)
    assert path in {link.path for link in desk.session(session).links}


def test_what_git_says_by_itself_counts_too(desk: Desk, intake: Intake) -> None:
    files = {
        "clone/.git/HEAD": b"ref: refs/heads/main\n",
        "clone/.git/info/exclude": b"notes.txt\n",
        **{f"clone/.git/objects/{number:02x}/x": b"" for number in range(30)},
        "clone/notes.txt": b"mine\n",
        "clone/a.py": b"a\n",
    }
    session = bring(desk, intake, files)
    view = desk.session(session)
    assert [link.path.removeprefix("clone/") for link in view.links] == ["a.py"]
    reasons = {one.path.removeprefix("clone/"): one.reason for one in view.skipped}
    assert reasons["notes.txt"] == "ignored by .git/info/exclude: notes.txt"
    assert reasons[".git/"].startswith("version control data; its 32 files were not sent")


def test_what_git_tracks_is_sent_although_it_is_ignored(desk: Desk, intake: Intake, tmp_path: Path) -> None:
    clone = make_repository(tmp_path / "clone", ())
    for path in (".gitignore", "out/tracked.txt", "out/other.txt", "a.log", "b.log"):
        (clone / path).parent.mkdir(exist_ok=True)
        (clone / path).write_text("out/\n*.log\n" if path == ".gitignore" else f"{path}\n")
    subprocess.run(["git", "-C", str(clone), "add", "-f", ".gitignore", "out/tracked.txt", "a.log"], check=True)
    paths = sorted(path for path in clone.rglob("*") if path.is_file())
    session = bring(desk, intake, {f"clone/{path.relative_to(clone)}": path.read_bytes() for path in paths})
    view = desk.session(session)
    assert {link.path.removeprefix("clone/") for link in view.links} == {".gitignore", "out/tracked.txt", "a.log"}
    assert {one.path.removeprefix("clone/") for one in view.skipped} == {".git/", "out/other.txt", "b.log"}


def test_a_folder_of_which_nothing_is_wanted_says_why(desk: Desk, intake: Intake) -> None:
    with pytest.raises(SourceRefused, match="installed dependencies"):
        bring(desk, intake, {"p/.venv/a.py": b"a\n"})
    with pytest.raises(SourceRefused, match="1 empty, 1 not readable"):
        bring(desk, intake, {"p/a.txt": b"a\n", "p/b.txt": b""}, {"unreadable": [0]})
    with pytest.raises(SourceRefused, match="could not read it"):
        bring(desk, intake, {"a.txt": b"a\n"}, {"unreadable": [0]})


def test_an_unreadable_file_stays_named_in_the_session(desk: Desk, intake: Intake) -> None:
    session = bring(desk, intake, {"p/a.txt": b"a\n", "p/b.txt": b"b\n", "c.txt": b"c\n"}, {"unreadable": [1, 2]})
    skipped = {one.path.removeprefix("p/"): one.cause for one in desk.session(session).skipped}
    assert skipped == {"b.txt": Cause.UNREADABLE, "c.txt": Cause.UNREADABLE}
