"""Folders over HTTP that are refused: from elsewhere, cut short, leading out of their home; nothing of them stays."""

import struct
from pathlib import Path

import pytest

from app.folders import Folders
from engine.errors import UsageError
from tests.app.tab import END, PROJECT, SAID, TOKEN, Tab, frame, left, listed, packed, taken


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


@pytest.mark.parametrize("said", [b"[", b"[]", b'{"unreadable": ["x"]}', b'{"too_large": [1]}', b"\xff"])
def test_what_the_browser_says_wrongly_is_refused(tab: Tab, said: bytes) -> None:
    id, _ = tab.announce({"p/a.txt": b"a"})
    body = frame(SAID, said) + packed({"p/a.txt": b"a"}, [0])
    assert tab.post(f"/{id}/files", body).status_code == 422
