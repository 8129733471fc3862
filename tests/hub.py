"""A repository like Hugging Face's, served on 127.0.0.1 for tests of downloads."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from tests.patience import PATIENCE_S


@dataclass
class Hub:
    """What it serves, and what it was asked.

    claims: what the listing says of a file in place of the truth. stall_after: bytes after which a transfer stands
    still until `go_on`; break_after: bytes after which the first transfer is cut off.
    """

    files: dict[str, bytes]
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    stall_after: int | None = None
    break_after: int | None = None
    go_on: Event = field(default_factory=Event)
    stalled: Event = field(default_factory=Event)
    paths: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    address: str = ""

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, data in self.files.items():
            truth = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 135}
            truth |= self.claims.get(name, {})
            siblings.append({"rfilename": name, "size": truth["size"], "lfs": truth})
        return {"id": "x/y", "modelId": "x/y", "sha": "c" * 40, "private": False, "tags": [], "siblings": siblings}


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.paths.append(self.path)
            hub.agents.add(self.headers.get("User-Agent", ""))
            if self.path.startswith("/api/models/"):
                self._answer(200, json.dumps(hub.listing()).encode(), {"Content-Type": "application/json"})
            elif match := re.match(r"/[^/]+/[^/]+/resolve/c{40}/(.+)$", self.path):
                self._file(hub.files[match[1]])
            else:
                self._answer(404, b"", {})

        def _file(self, data: bytes) -> None:
            asked = self.headers.get("Range", "")
            hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
            self._answer(206 if start else 200, data[start:], headers)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self._send(body)

        def _send(self, body: bytes) -> None:
            is_file = "/resolve/" in self.path
            if is_file and hub.break_after is not None:
                body, hub.break_after = body[: hub.break_after], None
                self.close_connection = True
            elif is_file and hub.stall_after is not None:
                self.wfile.write(body[: hub.stall_after])
                self.wfile.flush()
                hub.stalled.set()
                hub.go_on.wait(PATIENCE_S)
                return
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Tests print what they need."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that leaves in mid-transfer is part of what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.go_on.set()
            server.shutdown()
            thread.join()
