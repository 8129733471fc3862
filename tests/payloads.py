"""Answers that would like to fetch something, drawn in bulk in a real browser; and how many connections come of them.

Three ways: by the page's own renderer, with no policy; by one that lets all of Markdown and HTML through, under the
page's policy; and, so that it is known that something would be seen, by that one without a policy. All strange names
lead to a listener that counts whoever connects, whether it asks for something or not.
"""

import json
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from markdown_it import MarkdownIt

from app.answers.markup import blocks_of
from app.door.pages import headers_for
from tests.app.answers.generated import ADDRESS, trick

PARTS = Path(__file__).parents[1] / "app" / "parts"
STRANGER = "evil.test"
_AT_ONCE = 250
_SETTLES_MS = 150
# What no policy keeps a browser from, and only the renderer does: a page that leads elsewhere by itself. (For a frame
# that it refuses then, Chromium connects, and asks for nothing.)
BEYOND_A_POLICY = ("http-equiv",)

_DRAW = {
    "renderer": """
import draw from "/answer.js";
const parentElement = document.body.appendChild(document.createElement("div"));
window.put = (blocks) => draw({ data: { text: "", blocks, places: [] }, parentElement, setTriggerValue() {} });
""",
    "naive": """
const box = document.body.appendChild(document.createElement("div"));
window.put = (blocks) => { box.innerHTML = blocks.map(([html]) => `<div>${html}</div>`).join(""); };
""",
}
_LOOP = """
window.run = async (way, first, last) => {
  for (let at = first; at < last; at += STEP) {
    const blocks = await (await fetch(`/payloads?way=${way}&first=${at}&last=${Math.min(last, at + STEP)}`)).json();
    window.put(blocks);
    await new Promise((done) => setTimeout(done, SETTLES));
  }
  return document.querySelectorAll("img, iframe, svg, video, audio, object, embed, form, script:not([src])").length;
};
""".replace("STEP", str(_AT_ONCE)).replace("SETTLES", str(_SETTLES_MS))


def payload(number: int) -> str:
    """One of them, always the same; each asks for a host of its own."""
    host = f"h{number}.{STRANGER}"
    return trick(random.Random(number)).replace(ADDRESS, f"http://{host}/").replace("203.0.113.7", host)


def drawn(number: int, way: str) -> list[list[Any]]:
    """A payload as blocks of HTML: as the page draws it, or as one that escapes nothing would."""
    text = payload(number)
    if way == "renderer":
        return [[block.html, list(block.codes)] for block in blocks_of(text)]
    if way == "policy" and any(each in text for each in BEYOND_A_POLICY):
        return []
    open_parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    open_parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return [[open_parser.render(text), []], [text, []]]


@dataclass
class Strangers:
    """A port that all strange names lead to. heard: the beginning of what was sent to it, "" for nothing."""

    port: int = 0
    heard: list[str] = field(default_factory=list)

    @property
    def requests(self) -> list[str]:
        return [each for each in self.heard if each]


@contextmanager
def strangers() -> Iterator[Strangers]:
    """Listens until the end of the block."""
    found = Strangers()

    def hear(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(1)
            try:
                said = connection.recv(300).decode("latin-1")
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            except OSError:
                said = ""
            found.heard.append(said)

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=hear, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        found.port = server.getsockname()[1]
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield found
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


class _Page(BaseHTTPRequestHandler):
    """`/renderer`, `/policy` and `/open`, what they load, and the payloads."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        way, headers = parts.path.strip("/"), dict[str, str]()
        if way == "payloads":
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            numbers = range(int(asked["first"]), int(asked["last"]))
            body = json.dumps([block for each in numbers for block in drawn(each, asked["way"])])
            kind = "application/json"
        elif way == "answer.js":
            body = "".join((PARTS / name).read_text() for name in ("copy.js", "answer.js"))
            kind = "text/javascript"
        elif way.endswith(".js"):
            body, kind = _DRAW.get(way.removesuffix(".js"), _DRAW["naive"]) + _LOOP, "text/javascript"
        elif way in ("renderer", "policy", "open"):
            body = f'<!DOCTYPE html><meta charset=utf-8><body><script type=module src="/{way}.js"></script>'
            kind = "text/html; charset=utf-8"
            if way == "policy":
                headers = headers_for(self.headers["Host"], (), is_encrypted=False)
        else:
            self.send_error(404)
            return
        data = body.encode("utf-8", "surrogatepass")
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def pages() -> Iterator[str]:
    """The address where they are."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def browser(port: int, arguments: Sequence[str]) -> Iterator[Any]:
    """A Chromium for which all strange names lead to this port."""
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import find_chromium

    rules = f"MAP *.{STRANGER} 127.0.0.1:{port} , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    own = [each for each in arguments if "host-resolver-rules" not in each]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*own, f"--host-resolver-rules={rules}"]
        )
        yield launched
        launched.close()


def reached(way: str, numbers: range, arguments: Sequence[str]) -> tuple[Strangers, int]:
    """Who was reached by payloads that were drawn in this way, and how many elements there were of those that fetch."""
    with strangers() as listening, pages() as url, browser(listening.port, arguments) as launched:
        page = launched.new_page()
        page.goto(f"{url}/{way}")
        page.wait_for_function("() => window.run && window.put")
        n_elements = page.evaluate("([way, first, last]) => run(way, first, last)", [way, numbers.start, numbers.stop])
        page.wait_for_timeout(2_500)  # who connects and says nothing is heard after a while
        assert page.url == f"{url}/{way}"
        return listening, int(n_elements)
