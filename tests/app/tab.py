"""The page in a browser, as far as it sends folders over HTTP; and a folder for it to send."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.arrival import Arrival
from app.folders import Folders
from app.server import routes

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
